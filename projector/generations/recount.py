"""Set counters right by counting again, while workers go on moving them.

What a counter is off by is taken from one snapshot, which holds of every transaction either both
what it has stored and what it has counted or neither. So the difference stays the same whatever
commits meanwhile, and adding it is right whenever it is done.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from contracts import buckets
from projector.dependencies import Connection
from projector.writing import counters
from projector.writing.run_list import RunView
from projector.writing.statements import columns

REPAIRS: Final = 7_046_133_004
"""The advisory lock of repairs: two that see the same difference would both add it."""

TAKE: Final = "SELECT pg_advisory_xact_lock($1)"

RUNS: Final = f"""
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT level, bucket, project_id
        FROM unnest($1::text[], $2::timestamptz[]) AS given (project_id, created_at)
        CROSS JOIN LATERAL {counters.moments(buckets.OF_RUNS)}
    ), counted AS (
        SELECT level, bucket, project_id, state, status, count(*) AS total
        FROM run
        CROSS JOIN LATERAL {counters.moments(buckets.OF_RUNS)}
        JOIN wanted USING (level, bucket, project_id)
        WHERE project_id = ANY (SELECT project_id FROM wanted)
        GROUP BY level, bucket, project_id, state, status
    ), stored AS (
        SELECT level, bucket, project_id, state, status, sum(total) AS total
        FROM run_counter
        JOIN wanted USING (level, bucket, project_id)
        GROUP BY level, bucket, project_id, state, status
    ), off AS (
        SELECT level, bucket, project_id, state, status,
            (coalesce(counted.total, 0) - coalesce(stored.total, 0))::bigint AS by
        FROM stored FULL JOIN counted USING (level, bucket, project_id, state, status)
        WHERE coalesce(counted.total, 0) <> coalesce(stored.total, 0)
    ), corrected AS (
        INSERT INTO run_counter AS kept (level, bucket, project_id, state, status, slot, total)
        SELECT level, bucket, project_id, state, status, 0, by
        FROM off
        ORDER BY level, bucket, project_id, state, status
        ON CONFLICT (level, bucket, project_id, state, status, slot) DO UPDATE
        SET total = kept.total + excluded.total
    )
    SELECT level, CASE level WHEN 0 THEN 'epoch' ELSE bucket END AS bucket,
        project_id, state, status, by
    FROM off
"""

INCIDENTS: Final = f"""
    WITH counted AS (
        SELECT incident, level, bucket, project_id, state, status, count(*) AS total
        FROM run_incident
        CROSS JOIN LATERAL {counters.moments(buckets.OF_INCIDENTS)}
        WHERE incident = ANY($1)
        GROUP BY incident, level, bucket, project_id, state, status
    ), stored AS (
        SELECT incident, level, bucket, project_id, state, status, sum(total) AS total
        FROM incident_counter
        WHERE incident = ANY($1)
        GROUP BY incident, level, bucket, project_id, state, status
    ), off AS (
        SELECT incident, level, bucket, project_id, state, status,
            (coalesce(counted.total, 0) - coalesce(stored.total, 0))::bigint AS by
        FROM stored
        FULL JOIN counted USING (incident, level, bucket, project_id, state, status)
        WHERE coalesce(counted.total, 0) <> coalesce(stored.total, 0)
    ), corrected AS (
        INSERT INTO incident_counter AS kept (
            incident, level, bucket, project_id, state, status, slot, total
        )
        SELECT incident, level, bucket, project_id, state, status, 0, by
        FROM off
        ORDER BY incident, level, bucket, project_id, state, status
        ON CONFLICT (incident, level, bucket, project_id, state, status, slot) DO UPDATE
        SET total = kept.total + excluded.total
    )
    SELECT incident, level, CASE level WHEN 0 THEN 'epoch' ELSE bucket END AS bucket,
        project_id, state, status, by
    FROM off
"""


async def correct(
    connection: Connection,
    places: set[tuple[str, datetime]],
    incidents: set[str],
    counted: Collection[RunView],
) -> list[str]:
    """Set right the counters of these projects at these times, and of these incidents.

    Belongs into the transaction that has changed the rows, which has `counted` these runs as if
    they were new. Returns a line for each counter that was off before that.
    """
    await connection.execute(TAKE, REPAIRS)
    by: Counter[tuple[str, Any]] = Counter()
    for view in counted:
        by.update(("run_counter", key) for key in counters.run_keys(view))
        by.update(("incident_counter", key) for key in counters.incident_keys(view))
    for row in await connection.fetch(RUNS, *columns([*places])) if places else ():
        by["run_counter", tuple(row)[:-1]] += row["by"]
    for row in await connection.fetch(INCIDENTS, [*incidents]) if incidents else ():
        by["incident_counter", tuple(row)[:-1]] += row["by"]
    return [
        f"{table}: {' '.join(map(str, key))}: moved by {change:+d}"
        for (table, key), change in sorted(by.items(), key=str)
        if change
    ]
