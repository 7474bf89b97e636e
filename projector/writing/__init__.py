"""From a poll's records to committed rows: one transaction a batch.

Only the modules here write the tables of a generation; `positions` moves in the same transaction.
"""
