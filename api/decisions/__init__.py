"""Decisions on runs that wait for a human, from the request to the broker.

`request` reads what is asked and says what the rules are, `deciding` decides in one transaction,
`relay` publishes what the outbox holds.
"""
