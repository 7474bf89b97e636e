"""The way of an event into the views, from a poll to one committed transaction a batch.

`applying` cuts a poll, `batch` decodes and folds a slice into rows, `transaction` writes them and
moves `positions`; only the modules here write the tables of a generation.
"""
