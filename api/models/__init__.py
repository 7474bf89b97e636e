"""What the endpoints answer, as the OpenAPI document states it.

The bytes themselves come from PostgreSQL and are not made from these models; tests hold every
answer against them, both ways: nothing missing, nothing besides.
"""
