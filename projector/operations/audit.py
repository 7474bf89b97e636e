"""The proof that nothing was skipped: every offset accounted for, every counter recounted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import asyncpg

from contracts.incidents import incident_key
from contracts.keys import LONGEST_KEY
from projector.database import active_generation
from projector.writing import counters

MOST_NAMED: Final = 20
"""Differences that are named one by one; there may be as many as there are rows."""

POSITIONS: Final = """
    SELECT topic, partition, first_offset, next_offset, applied, dead, tombstones, later, gaps,
        (
            SELECT count(*)
            FROM runfold.dead_letter
            WHERE $1 = ANY(generations)
                AND dead_letter.topic = position.topic
                AND dead_letter.partition = position.partition
                AND dead_letter."offset" >= position.first_offset
                AND dead_letter."offset" < position.next_offset
        ) AS parked
    FROM position
    ORDER BY topic, partition
"""

# Those before a partition's beginning, or of a file that was not read, were taken over.
STRAY_DEAD_LETTERS: Final = """
    SELECT topic, partition, count(*) AS total
    FROM runfold.dead_letter
    LEFT JOIN position USING (topic, partition)
    WHERE $1 = ANY(generations)
        AND (dead_letter."offset" >= position.next_offset
            OR (position.topic IS NULL AND dead_letter.partition >= 0))
    GROUP BY topic, partition
    ORDER BY topic, partition
"""

COUNTS: Final = f"""
    SELECT concat_ws(' ', {{key}}) AS key, stored, counted
    FROM ({{off}}) AS off
    ORDER BY key
    LIMIT {MOST_NAMED}
"""

LONG_INCIDENTS: Final = f"""
    SELECT run_id, incident
    FROM run, unnest(incidents) AS incident
    WHERE length(incident) > {LONGEST_KEY}
"""

LINKS: Final = f"""
    WITH named AS (
        SELECT incident COLLATE "C" AS incident, run_id
        FROM run, unnest(incidents) AS incident
        WHERE length(incident) <= {LONGEST_KEY}
        UNION
        SELECT incident COLLATE "C", run_id
        FROM unnest($1::text[], $2::uuid[]) AS long (incident, run_id)
    ), due AS (
        SELECT incident, run_id, project_id, state, status, created_at
        FROM named JOIN run USING (run_id)
    ), stored AS (
        SELECT incident, run_id, project_id, state, status, created_at FROM run_incident
    )
    SELECT incident, run_id, 'missing or outdated' AS wrong
    FROM (SELECT * FROM due EXCEPT SELECT * FROM stored) AS missing
    UNION ALL
    SELECT incident, run_id, 'not what the run says' AS wrong
    FROM (SELECT * FROM stored EXCEPT SELECT * FROM due) AS stray
    ORDER BY incident, run_id, wrong
    LIMIT {MOST_NAMED}
"""


class PartitionCount(NamedTuple):
    """What a partition's row says of the records read, and the dead letters found in that range."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    applied: int
    dead: int
    tombstones: int
    later: int
    gaps: int
    parked: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and every fault found, one line each; none when all is well."""

    generation: str
    partitions: tuple[PartitionCount, ...]
    faults: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What has been accounted for, in one line."""
        numbers = [partition[2:] for partition in self.partitions]
        totals = [sum(column) for column in zip(*numbers, strict=True)]
        total = PartitionCount("", 0, *(totals or [0] * 8))
        later = f", {total.later} later than the views are of" if total.later else ""
        return (
            f"generation {self.generation}: {len(self.partitions)} partitions,"
            f" {total.next_offset - total.first_offset} offsets:"
            f" {total.applied} applied, {total.dead} dead letters,"
            f" {total.tombstones} tombstones, {total.gaps} gaps{later}"
        )


def position_faults(partitions: Iterable[PartitionCount]) -> list[str]:
    """Name every partition whose offsets are not all accounted for.

    Applied, dead letters, tombstones, events after `--until` and gaps make up what lies between
    the first position and the next one, and as many dead letters are kept as are counted.
    """
    faults = []
    for it in partitions:
        name = f"{it.topic}[{it.partition}]"
        read = it.next_offset - it.first_offset
        accounted = it.applied + it.dead + it.tombstones + it.later + it.gaps
        if accounted != read:
            faults.append(
                f"{name}: {accounted} offsets accounted for (applied {it.applied},"
                f" dead {it.dead}, tombstones {it.tombstones}, later {it.later}, gaps {it.gaps}),"
                f" {read} lie between {it.first_offset} and {it.next_offset}"
            )
        if it.parked != it.dead:
            faults.append(f"{name}: {it.dead} dead letters counted, {it.parked} kept")
    return faults


async def audit(connection: asyncpg.Connection) -> Audit:
    """Check the active generation, as it is at one instant; workers may go on meanwhile."""
    async with active_generation(connection) as generation:
        rows = [PartitionCount(*row) for row in await connection.fetch(POSITIONS, generation)]
        faults = [
            *position_faults(rows),
            *await _stray_faults(connection, generation),
            *await _counter_faults(connection),
            *await _link_faults(connection),
        ]
        return Audit(generation, tuple(rows), tuple(faults))


async def _stray_faults(connection: asyncpg.Connection, generation: str) -> list[str]:
    return [
        f"{row['topic']}[{row['partition']}]: {row['total']} dead letters outside what was read"
        for row in await connection.fetch(STRAY_DEAD_LETTERS, generation)
    ]


async def _counter_faults(connection: asyncpg.Connection) -> list[str]:
    faults = []
    for table, (key, _) in counters.COUNTED.items():
        named = key.replace("level", "'level', level")
        statement = COUNTS.format(key=named, off=counters.recount(table))
        faults += [
            f"{table}: {row['key']}: stands at {row['stored']}, a recount gives {row['counted']}"
            for row in await connection.fetch(statement)
        ]
    return faults


async def _link_faults(connection: asyncpg.Connection) -> list[str]:
    long = await connection.fetch(LONG_INCIDENTS)
    keys = [incident_key(row["incident"]) for row in long]
    rows = await connection.fetch(LINKS, keys, [row["run_id"] for row in long])
    return [
        f"run_incident: {row['incident']} of run {row['run_id']}: {row['wrong']}" for row in rows
    ]
