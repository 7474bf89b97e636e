"""Rows to HTTP."""
