"""Generations: one complete set of views, each in a schema of its own."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from contracts import read_model
from contracts.keys import GENERATION_NAME
from contracts.read_model import (
    ALL_PROJECTS_SETTING,
    OPERATOR_SETTING,
    PROJECTS_SETTING,
    READER_ROLE,
    WRITER_ROLE,
)
from contracts.times import rfc3339
from projector.dependencies import Connection
from projector.errors import (
    GenerationIncomplete,
    GenerationOfThePast,
    GenerationOutdated,
    NotMigrated,
    UnknownGeneration,
)

NAME: Final = re.compile(GENERATION_NAME)

ALL_PROJECTS: Final = f"(SELECT current_setting('{ALL_PROJECTS_SETTING}', true) = 'on')"
# A setting that was local to an earlier transaction comes back as '', not as NULL.
OWN_PROJECT: Final = (
    f"project_id = ANY ((SELECT nullif(current_setting('{PROJECTS_SETTING}', true), ''))::text[])"
)
OPERATING: Final = f"(SELECT current_setting('{OPERATOR_SETTING}', true) = 'on')"
BY_PROJECT: Final = f"{ALL_PROJECTS} OR {OWN_PROJECT}"

READABLE: Final[dict[str, str]] = {
    "position": "true",
    "evidence": f"project_id IS NULL OR {BY_PROJECT}",
    # whose project an unusable record is cannot be told, so only who may see all sees them
    "dead_letter": f"{OPERATING} AND {ALL_PROJECTS}",
}
"""Which rows a reader may see, where it is not simply those of its projects."""


def schema_of(name: str) -> str:
    """Return the schema that holds the views of the generation called `name`."""
    return f"g_{name}"


def creation(name: str, *, complete: bool, as_of: datetime | None = None) -> Iterator[str]:
    """Yield the statements that create a generation, ready for rows and safe to read.

    `name` must match `NAME`. Row-level security lets the reader role see the projects its
    transaction names and nothing else (the API's "Who may see what"); only the writer writes.
    One that is not `complete` is being rebuilt; one `as_of` an instant leaves out what came later.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"generation name {name!r}: use 1 to 40 of a-z, 0-9 and _")
    schema = schema_of(name)
    moment = f"'{as_of.isoformat()}'" if as_of else "NULL"
    yield f"CREATE SCHEMA {schema}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {WRITER_ROLE}, {READER_ROLE}"
    for table in read_model.metadata.sorted_tables:
        yield from _table(schema, table)
    yield (
        "INSERT INTO runfold.generation (name, schema_name, read_model, complete, as_of)"
        f" VALUES ('{name}', '{schema}', {read_model.VERSION}, {complete},"
        f" {moment})"
    )


def ddl(element: ExecutableDDLElement, schema: str) -> str:
    """Return the statement that creates a table or an index in this schema."""
    compiled = element.compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        schema_translate_map={None: schema},
        render_schema_translate=True,
    )
    return str(compiled)


def _table(schema: str, table: Table) -> Iterator[str]:
    target = f"{schema}.{table.name}"
    yield ddl(CreateTable(table), schema)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield ddl(CreateIndex(index), schema)
    yield f"ALTER TABLE {target} ENABLE ROW LEVEL SECURITY"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {target} TO {WRITER_ROLE}"
    yield f"CREATE POLICY writer ON {target} TO {WRITER_ROLE} USING (true) WITH CHECK (true)"
    readable = READABLE.get(table.name, BY_PROJECT)
    yield f"GRANT SELECT ON {target} TO {READER_ROLE}"
    yield f"CREATE POLICY reader ON {target} FOR SELECT TO {READER_ROLE} USING ({readable})"


GENERATION: Final = """
    SELECT g.name, g.read_model, g.complete, g.as_of
    FROM runfold.generation g
    WHERE g.name = coalesce($1, (SELECT name FROM runfold.active_generation))
"""


async def resolve(connection: Connection, name: str | None = None) -> str:
    """Return the name of the active generation, or `name` once it is known to be usable.

    Raises `NotMigrated` on an empty database, `UnknownGeneration`, and `GenerationOutdated`
    when the generation was made with another version of the read model.
    """
    return str((await _found(connection, name))["name"])


async def resolve_current(connection: Connection, name: str) -> None:
    """Make sure that a generation has all history and may go on with what comes.

    Raises what `resolve` raises, `GenerationIncomplete` and `GenerationOfThePast`.
    """
    row = await _found(connection, name)
    if row["as_of"] is not None:
        raise GenerationOfThePast(name, rfc3339(row["as_of"]))
    if not row["complete"]:
        raise GenerationIncomplete(name)


async def _found(connection: Connection, name: str | None) -> asyncpg.Record:
    try:
        row = await connection.fetchrow(GENERATION, name)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise NotMigrated from error
    if row is None:
        raise UnknownGeneration(name) if name else NotMigrated
    if row["read_model"] != read_model.VERSION:
        raise GenerationOutdated(row["name"], row["read_model"], read_model.VERSION)
    return row
