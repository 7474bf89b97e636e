"""What is asked of the run list: every filter alone and combined, the first page and deep ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, Final

import asyncpg

from api.queries.arguments import Arguments, every
from api.queries.run_filter import RunFilter
from api.queries.run_keys import RunKey, Slice
from api.routes.runs import RUN_CURSORS, RunListParameters

PER_PAGE: Final = 50
DEEP: Final = 1_000
"""Pages that come before a deep one, where there are as many."""

FILTERS: Final = ("project", "state", "status", "incident", "range")

# A run about which much can be asked: whatever is combined finds at least this one.
EXAMPLE: Final = """
    SELECT project_id, state, status, incidents[1] AS incident, created_at
    FROM run
    WHERE status NOT IN ('no_evidence', 'mcp_observed') AND state = 'completed'
        AND created_at >= (SELECT percentile_disc(0.7) WITHIN GROUP (ORDER BY created_at) FROM run)
    ORDER BY created_at
    LIMIT 1
"""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One request for a page of the list."""

    filters: tuple[str, ...]
    where: RunFilter
    after: RunKey | None = None
    """The row before a deep page; None for the first page."""

    @property
    def name(self) -> str:
        """The filters that are set."""
        return " + ".join(self.filters) or "no filter"

    @property
    def query(self) -> dict[str, Any]:
        """The parameters of the request."""
        where = self.where
        asked = {
            "project_id": where.projects,
            "state": where.states,
            "remediation_status": where.statuses,
            "incident_id": where.incident,
            "created_after": where.after and where.after.isoformat(),
            "created_before": where.before and where.before.isoformat(),
            "per_page": PER_PAGE,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        if self.after is None:
            return given
        bound = RunListParameters.model_validate(given | {"per_page": str(PER_PAGE)}).filter()
        return given | {"cursor": RUN_CURSORS.after(self.after, bound)}

    @property
    def slice(self) -> Slice:
        """The part of the list, as the API's query takes it."""
        return Slice(self.after, 0, PER_PAGE)


async def first_pages(connection: asyncpg.Connection) -> list[Asked]:
    """Every combination of the filters, the one without any first."""
    example = await connection.fetchrow(EXAMPLE)
    assert example is not None
    values = _values(example)
    return [
        Asked(chosen, RunFilter(**{k: v for name in chosen for k, v in values[name].items()}))
        for many in range(len(FILTERS) + 1)
        for chosen in combinations(FILTERS, many)
    ]


async def deep_pages(connection: asyncpg.Connection, asked: list[Asked]) -> list[Asked]:
    """The same filters 1,000 pages on; those that find fewer have their last full page."""
    return [deep async for deep in _deep(connection, asked)]


async def _deep(connection: asyncpg.Connection, asked: list[Asked]) -> Any:
    for each in asked:
        conditions, bind = _conditions(each.where)
        total = await connection.fetchval(f"SELECT count(*) FROM run r WHERE {conditions}", *bind)
        before = min(DEEP * PER_PAGE, total - PER_PAGE)
        if before < PER_PAGE:
            continue
        row = await connection.fetchrow(
            f"SELECT created_at, run_id FROM run r WHERE {conditions}"
            f" ORDER BY created_at DESC, run_id DESC OFFSET {before - 1} LIMIT 1",
            *bind,
        )
        assert row is not None
        yield Asked(each.filters, each.where, RunKey(row["created_at"], row["run_id"]))


def _conditions(where: RunFilter) -> tuple[str, Arguments]:
    bind = Arguments()
    conditions = [*where.chosen(bind, "r"), *where.ranged(bind, "r")]
    if where.incident is not None:
        conditions.append(f"{bind.bind(where.incident, 'text')} = ANY (r.incidents)")
    return every(conditions), bind


def _values(example: asyncpg.Record) -> dict[str, dict[str, Any]]:
    """The parts of a `RunFilter` that each filter sets."""
    at: datetime = example["created_at"]
    # Neither end at a whole minute, so that all kinds of counts are added up.
    after = at - timedelta(days=97, hours=3, minutes=7, seconds=11)
    return {
        "project": {"projects": [example["project_id"]]},
        "state": {"states": [example["state"]]},
        "status": {"statuses": [example["status"]]},
        "incident": {"incident": example["incident"]},
        "range": {"after": after, "before": at + timedelta(days=60, hours=5, seconds=17)},
    }


def singles(asked: list[Asked]) -> Iterator[Asked]:
    """Those with no filter, with one, and with all."""
    return (each for each in asked if len(each.filters) in {0, 1, len(FILTERS)})
