"""The first and the last instant are times like others: clocks never set, deadlines never due."""

import itertools
from datetime import datetime
from typing import Any

from tests.property.answers import asking
from tests.property.bench import open_bench
from tests.reference import Record
from tests.unit.event_samples import REQUIRED, as_bytes, most

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
BEFORE_LAST = "9999-12-31T23:59:59.999998Z"
USUAL = "2026-05-18T06:00:00Z"
ENDS = [FIRST, "0001-01-01T00:00:00.000001Z", USUAL, "9999-12-31T23:59:49Z", BEFORE_LAST, LAST]


def events(instant: str, number: int, version: int) -> list[Record]:
    """An event of every topic with this instant in every field that is one, an entity of its own
    for each instant."""
    found = []
    for suffix in REQUIRED:
        event = most(suffix)
        for name, value in event["data"].items():
            if name.endswith("_at"):
                event["data"][name] = instant
            elif name.endswith("_id") or name == "id":
                event["data"][name] = f"{str(value)[:-1]}{number}"
        event |= {"time": instant, "entityversion": version}
        found.append(Record(suffix, f"k{number}", as_bytes(event)))
    return found


HISTORY = [
    record
    for version, (number, instant) in itertools.product((4, 5), enumerate((FIRST, USUAL, LAST)))
    for record in events(instant, number, version)
]


async def test_views_pages_and_totals_say_them_as_they_are(database_url: str) -> None:
    async with open_bench(database_url) as bench:
        await bench.check(HISTORY, seed=1, count=2)
    async with asking(database_url) as asker:
        for name, size in (("runs", "per_page"), ("contracts", "limit")):
            whole = (await asker.get(f"/v1/{name}"))[name]
            assert len(whole) == 3
            found: list[Any] = []
            query: dict[str, Any] = {size: "1"}
            while query.get("cursor", "") is not None:
                page = await asker.get(f"/v1/{name}", **query)
                found += page[name]
                query["cursor"] = page["next_cursor"]
            assert found == whole

        runs = (await asker.get("/v1/runs"))["runs"]
        for after, before in itertools.product([None, *ENDS], repeat=2):
            bounds = {"created_after": after, "created_before": before}
            asked: dict[str, Any] = {name: it for name, it in bounds.items() if it is not None}
            page = await asker.get("/v1/runs", **asked)
            expected = [run for run in runs if is_within(run["created_at"], after, before)]
            assert (page["runs"], page["total"]) == (expected, len(expected)), asked


def is_within(created_at: str, after: str | None, before: str | None) -> bool:
    at = datetime.fromisoformat(created_at)
    return (after is None or at >= datetime.fromisoformat(after)) and (
        before is None or at < datetime.fromisoformat(before)
    )
