"""Questions to the views, one function each, in plain SQL.

A statement names its tables without a schema: `api.reading` makes them those of the active
generation. Nothing a client has sent is ever part of a statement's text.
"""
