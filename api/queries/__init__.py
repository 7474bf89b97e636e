"""Questions to the views, one function each, in plain SQL.

A function returns the members of an answer and `as_of`. A statement names its tables without a
schema: `api.reading` makes them those of the active generation. Nothing a client has sent is ever
part of a statement's text.
"""
