"""Tables that are filled by copying, and have no key and no index until they are settled."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Table

from contracts import read_model
from projector.generations.schema import schema_of

COPIED: Final = (
    "run_fact",
    "run_state",
    "item",
    "inbound",
    "evidence",
    "project",
    "contract_revision",
)
"""Tables that are filled by copying."""


def loosen(name: str) -> Iterator[str]:
    """Yield the statements that make a new generation ready for copying: no key, no index."""
    for table in map(read_model.metadata.tables.__getitem__, COPIED):
        target = f"{schema_of(name)}.{table.name}"
        # it would look at half a table, and have `settle` wait until it is told to go away;
        # `derive.finish` lets it in
        yield f"ALTER TABLE {target} SET (autovacuum_enabled = off)"
        yield f"ALTER TABLE {target} DROP CONSTRAINT {table.name}_pkey"
        for index in table.indexes:
            yield f"DROP INDEX {schema_of(name)}.{index.name}"


def searched(table: Table) -> list[str]:
    """Return the columns that rows are looked up by: the planner need not know of the others.

    Long texts, which nobody searches, are most of the work of an ANALYZE.
    """
    keys = {column.name for column in table.primary_key.columns}
    for index in table.indexes:
        keys |= {column.name for column in index.columns}
    return sorted(keys)
