"""The Kafka client: consuming, seeking, publishing, and what the topics hold.

Nothing here writes a view; polls are handed to `projector.writing`. Rebuilds and exports read
through `log_reader`.
"""
