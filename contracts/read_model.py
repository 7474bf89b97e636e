"""The views of one generation, as tables: the border between the projector and the API.

The projector writes these tables and nobody else does; the API reads them through row-level
security. Every generation has its own PostgreSQL schema holding one copy of all of them.

*Facts* keep the winning state of each entity, so that anything derived can be computed again from
what is stored. *Views* are what a request reads. Most tables are both: an item is a fact and the
timeline entry made of it. The projector's rows have the columns in the order given here, the key
first.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, UUID
from sqlalchemy.types import TypeEngine

VERSION: Final = 4
"""Shape of these tables. A generation made with another version must be rebuilt."""

CONTROL_SCHEMA: Final = "runfold"
"""Schema of what belongs to no generation: the list of generations, which one is active, the
workers, the decisions, the log of changes, the dead letters."""

WRITER_ROLE: Final = "runfold_writer"
READER_ROLE: Final = "runfold_reader"
COMMANDER_ROLE: Final = "runfold_commander"
"""Reads what the reader reads; writes decisions and what operators ask about dead letters."""

PROJECTS_SETTING: Final = "runfold.projects"
"""Transaction setting with the readable project ids, as the text of a PostgreSQL `text[]`."""

ALL_PROJECTS_SETTING: Final = "runfold.all_projects"
"""Transaction setting: `on` lets a reader see every project."""

OPERATOR_SETTING: Final = "runfold.operator"
"""Transaction setting: `on` lets a reader see what belongs to no project (dead letters)."""

metadata = MetaData()


def _text(name: str, *, key: bool = False, nullable: bool = False) -> Column[str]:
    """Text compared by code point, as the contract compares ids."""
    return Column(name, Text(collation="C"), primary_key=key, nullable=nullable)


def _uuid(name: str, *, key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, UUID(as_uuid=False), primary_key=key, nullable=nullable)


def _time(name: str, *, key: bool = False, nullable: bool = False) -> Column[object]:
    kind: TypeEngine[object] = DateTime(timezone=True)  # type: ignore[assignment]
    return Column(name, kind, primary_key=key, nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> Column[object]:
    """JSON kept as its text: it was built once and is passed on as it stands."""
    return Column(name, JSON, nullable=nullable)


def _index(
    name: str, columns: str, *, where: str | None = None, include: Sequence[str] = ()
) -> Index:
    """An index of these columns, separated by commas, on the table it stands in."""
    return Index(
        name,
        *columns.split(", "),
        postgresql_where=None if where is None else text(where),
        postgresql_include=include,
    )


def _version() -> tuple[Column[int], Column[object], Column[str]]:
    """What orders the events of one entity: the greatest triple is the entity's state."""
    return Column("version", BigInteger, nullable=False), _time("event_time"), _text("event_id")


def _entry() -> tuple[Column[str], ...]:
    """One timeline entry, in both languages."""
    return (
        _text("title"),
        _text("title_en"),
        _text("status", nullable=True),
        _text("summary", nullable=True),
        _json("metadata", nullable=True),
    )  # type: ignore[return-value]


def _storable(column: str, unless: str = "false") -> CheckConstraint:
    """Refuse JSON whose strings PostgreSQL could not hold as text (a NUL character)."""
    # to look for it is many times as fast as to parse, which tells an escaped backslash from it
    may_not_hold_it = f"strpos({column}::text, chr(92) || 'u0000') = 0"
    return CheckConstraint(
        f"{unless} OR {may_not_hold_it} OR {column}::jsonb IS NOT NULL",
        name=f"{column}_storable",
    )


position = Table(
    "position",
    metadata,
    _text("topic", key=True),
    Column("partition", Integer, primary_key=True),
    Column("first_offset", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("applied", BigInteger, nullable=False, server_default="0"),
    Column("dead", BigInteger, nullable=False, server_default="0"),
    Column("tombstones", BigInteger, nullable=False, server_default="0"),
    Column("later", BigInteger, nullable=False, server_default="0"),
    Column("gaps", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=True),
    comment="Next offset to read of every partition, moved with the rows its events made",
)

run_fact = Table(
    "run_fact",
    metadata,
    _uuid("run_id", key=True),
    _text("project_id"),
    *_version(),
    _text("state"),
    _time("created_at"),
    _time("started_at", nullable=True),
    _time("completed_at", nullable=True),
    _time("timeout_at", nullable=True),
    _text("trigger_ref", nullable=True),
    _uuid("trigger_event", nullable=True),
    Column("incidents", ARRAY(Text), nullable=False),
    _json("listing"),
    _json("detail"),
    _json("pending_action", nullable=True),
    _text("traceparent", nullable=True),
    _storable("detail"),
    _index("run_fact_trigger_ref", "trigger_ref", where="trigger_ref IS NOT NULL"),
    _index("run_fact_trigger_event", "trigger_event", where="trigger_event IS NOT NULL"),
    comment="Winning snapshot of every run; trigger_ref only where an inbound event can match it",
)

run_state = Table(
    "run_state",
    metadata,
    _uuid("run_id", key=True),
    _text("project_id", key=True),
    _time("changed_at", key=True),
    _text("state", key=True),
    comment="Every (state, state_changed_at) that any valid event of a run has named; a run shows"
    " those of its own project",
)

item = Table(
    "item",
    metadata,
    _uuid("entity", key=True),
    _uuid("run_id"),
    _text("project_id"),
    *_version(),
    _time("ts"),
    Column("rank", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    _text("tie"),
    _time("listed_at", nullable=True),
    _text("kind"),
    *_entry(),
    Column("incidents", ARRAY(Text), nullable=True),
    Column("run_version", BigInteger, nullable=True),
    _json("detail"),
    _storable("detail"),
    # of a decision the metadata holds texts that the detail does not
    _storable("metadata", unless="rank <> 8"),
    _index("item_timeline", "run_id, ts, rank, seq, tie"),
    # decisions and messages are few among steps and calls, which are read through `item_timeline`
    _index("item_listed", "run_id, rank, seq, listed_at, tie", where="rank IN (8, 9)"),
    comment="What belongs to one run by its run_id: steps (rank 4), gateway calls (5),"
    " approval decisions (8), outbound messages (9)",
)

inbound = Table(
    "inbound",
    metadata,
    _uuid("event_uuid", key=True),
    _text("project_id"),
    *_version(),
    _uuid("run_id", nullable=True),
    _text("provider_event_id", nullable=True),
    _text("channel_type"),
    _time("received_at"),
    *_entry(),
    Column("incidents", ARRAY(Text), nullable=False),
    _json("detail"),
    _storable("detail"),
    _index("inbound_run", "run_id, received_at, event_uuid", where="run_id IS NOT NULL"),
    _index(
        "inbound_provider",
        "provider_event_id, received_at, event_uuid",
        where="provider_event_id IS NOT NULL",
    ),
    _index("inbound_newest", "received_at, event_uuid"),
    _index("inbound_project", "project_id, received_at, event_uuid"),
    _index("inbound_channel", "project_id, channel_type, received_at, event_uuid"),
    comment="Inbound channel events; one may belong to several runs",
)

evidence = Table(
    "evidence",
    metadata,
    _uuid("entity", key=True),
    Column("rank", SmallInteger, nullable=False),
    _text("id"),
    _text("incident_id", nullable=True),
    _text("project_id", nullable=True),
    *_version(),
    _time("created_at"),
    Column("success", Boolean, nullable=True),
    *_entry(),
    _json("detail"),
    _storable("detail"),
    _index(
        "evidence_incident", "incident_id, rank, created_at, id", where="incident_id IS NOT NULL"
    ),
    comment="What bears on an incident, once per incident: legacy MCP records (rank 6),"
    " remediation items (rank 7)",
)

run = Table(
    "run",
    metadata,
    _uuid("run_id", key=True),
    _text("project_id"),
    _text("state"),
    _text("status"),
    _time("created_at"),
    _time("timeout_at", nullable=True),
    Column("version", BigInteger, nullable=False),
    Column("incidents", ARRAY(Text), nullable=False),
    _json("listing"),
    _json("summary"),
    _json("pending_action", nullable=True),
    _json("decision", nullable=True),
    _index("run_newest", "created_at, run_id", include=["project_id"]),
    _index("run_project", "project_id, created_at, run_id"),
    _index("run_status", "state, status, created_at, run_id", include=["project_id"]),
    _index("run_project_status", "project_id, state, status, created_at, run_id"),
    _index(
        "run_waiting",
        "created_at, run_id",
        where="state = 'waiting_approval'",
        include=["project_id"],
    ),
    comment="The run list: one row a run, with its remediation summary",
)

run_incident = Table(
    "run_incident",
    metadata,
    _text("incident", key=True),
    _uuid("run_id", key=True),
    _text("project_id"),
    _text("state"),
    _text("status"),
    _time("created_at"),
    _index(
        "run_incident_newest",
        "incident, created_at, run_id",
        include=["project_id", "state", "status"],
    ),
    _index("run_incident_run", "run_id"),
    comment="Which runs mention which incident; a key over 200 characters stands as its digest",
)

run_counter = Table(
    "run_counter",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    _time("bucket", key=True),
    _text("project_id", key=True),
    _text("state", key=True),
    _text("status", key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    comment="Exact numbers of runs: level 0 of all time, the others by created_at, see"
    " contracts.buckets",
)

incident_counter = Table(
    "incident_counter",
    metadata,
    _text("incident", key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    _time("bucket", key=True),
    _text("project_id", key=True),
    _text("state", key=True),
    _text("status", key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    comment="Exact numbers of the runs that mention an incident, by time as those of all runs",
)

project = Table(
    "project",
    metadata,
    _text("project_id", key=True),
    *_version(),
    _json("detail"),
    _storable("detail"),
    comment="Projects",
)

contract_revision = Table(
    "contract_revision",
    metadata,
    _text("revision_id", key=True),
    _text("project_id"),
    *_version(),
    _text("lifecycle_status"),
    _time("created_at"),
    _json("detail"),
    _storable("detail"),
    _index("contract_revision_newest", "created_at, revision_id", include=["project_id"]),
    _index("contract_revision_project", "project_id, created_at, revision_id"),
    _index(
        "contract_revision_status",
        "lifecycle_status, created_at, revision_id",
        include=["project_id"],
    ),
    _index(
        "contract_revision_project_status", "project_id, lifecycle_status, created_at, revision_id"
    ),
    comment="Contract revisions",
)

contract_counter = Table(
    "contract_counter",
    metadata,
    _text("project_id", key=True),
    _text("lifecycle_status", key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    comment="Exact numbers of contract revisions",
)

WORKER_GONE_SECONDS: Final = 30
"""A worker that has not reported for so long is taken to be gone."""

PROGRESS: Final = f"""
    CREATE FUNCTION {{schema}}.progress(ends json DEFAULT '[]')
    RETURNS TABLE (
        topic text, partition integer, "position" bigint, "end" bigint, lag bigint,
        events_per_second double precision, last_error text, worker_id text,
        updated_at timestamptz
    )
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        WITH report AS (
            -- several workers may name a partition while it moves: the last report counts
            SELECT DISTINCT ON (one.topic, one.partition)
                one.*, worker.last_error, worker.worker_id
            FROM runfold.worker
            CROSS JOIN LATERAL json_to_recordset(worker.partitions) AS one (
                topic text, partition integer, "end" bigint, read_to bigint,
                events_per_second double precision
            )
            WHERE worker.generation = '{{generation}}'
                AND worker.seen_at > clock_timestamp() - interval '{WORKER_GONE_SECONDS} s'
            ORDER BY one.topic, one.partition, worker.seen_at DESC
        )
        SELECT topic COLLATE "C", partition, stored.next_offset, known.last,
            known.last - greatest(stored.next_offset, report.read_to, 0),
            report.events_per_second, report.last_error, report.worker_id, stored.updated_at
        -- below zero stand the files that a generation was made from
        FROM (SELECT * FROM {{schema}}.position WHERE partition >= 0) AS stored
        FULL JOIN report USING (topic, partition)
        FULL JOIN json_to_recordset(ends) AS broker (topic text, partition integer, "end" bigint)
            USING (topic, partition)
        CROSS JOIN LATERAL (
            -- what was read was there
            SELECT CASE WHEN coalesce(report."end", broker."end") IS NOT NULL
                THEN greatest(report."end", broker."end", stored.next_offset, report.read_to)
                END AS last
        ) AS known
        ORDER BY topic COLLATE "C", partition;
    END
"""
"""Where every partition stands: `position` is the next offset to read, `end` the one that the next
record will get, `lag` the events between. `end` and `lag` are NULL while nobody knows them: the
workers that are there report how far they reach, and `ends` are what the broker itself said.
Offsets before `read_to` that no position is after hold no record, and count as none."""
