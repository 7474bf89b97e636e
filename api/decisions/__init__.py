"""Decisions on runs: made once, kept with the event to publish, published when the broker takes it.

`decide` makes a decision in one transaction; `relay` publishes what is in the outbox.
"""
