"""From a poll's records to committed rows: `applying` cuts and folds, `transaction` writes a batch.

Only the modules here write the tables of a generation; `positions` move in the same transaction.
"""
