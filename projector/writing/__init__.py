"""The way of an event into the views, from a poll to one committed transaction a batch.

`applying` cuts a poll, `batch` decodes and folds a slice into rows, `transaction` writes them and
moves `positions`. Workers write a generation's tables through the modules here and no others;
`projector.generations` also copies into, settles and repairs them.
"""
