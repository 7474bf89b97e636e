"""Alembic's entry: runs the migrations on the connection `projector.migrate` hands over."""

from alembic import context

from contracts.read_model import CONTROL_SCHEMA

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema=CONTROL_SCHEMA)
with context.begin_transaction():
    context.run_migrations()
