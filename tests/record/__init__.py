"""What the API answers and what the commands print, held to one fixed history.

A run compares with the golden files and names every request or command that differs;
`RECORD=write pytest tests/record` writes the golden files anew, to be read in the diff.
"""
