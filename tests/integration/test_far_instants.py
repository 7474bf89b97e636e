"""The first and the last instant are times like others: clocks never set, deadlines never due."""

import itertools
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from tests.property.answers import asking
from tests.property.bench import Bench, open_bench
from tests.reference import Record
from tests.unit.event_samples import REQUIRED, as_bytes, most

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
BEFORE_LAST = "9999-12-31T23:59:59.999998Z"
USUAL = "2026-05-18T06:00:00Z"
PAGES = ("/v1/runs", "per_page"), ("/v1/contracts", "limit")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with open_bench(database_url) as opened:
        yield opened


def events(instant: str, number: int) -> list[Record]:
    """An event of every topic with this instant in every field that is one, an entity of its own
    for each instant."""
    found = []
    for suffix in REQUIRED:
        event = most(suffix)
        data = event["data"]
        data |= {name: instant for name in data if name.endswith("_at")}
        data |= {
            name: str(data[name])[:-1] + str(number)
            for name in data
            if name.endswith("_id") or name == "id"
        }
        found.append(Record(suffix, f"k{number}", as_bytes(event | {"time": instant})))
    return found


def history() -> list[Record]:
    records = [
        record
        for number, instant in enumerate((FIRST, USUAL, LAST))
        for record in events(instant, number)
    ]
    again = [
        Record(
            each.topic, each.key, each.value.replace(b'"entityversion": 4', b'"entityversion": 5')
        )
        for each in records
        if each.value is not None
    ]
    return [*records, *again]


async def test_every_view_says_them_as_they_are(bench: Bench) -> None:
    await bench.check(history(), seed=1, count=2)


async def test_pages_go_on_over_them(bench: Bench, database_url: str) -> None:
    await bench.check(history(), seed=2, count=1)
    async with asking(database_url) as asker:
        for path, size in PAGES:
            whole = await asker.get(path)
            (name,) = whole.keys() & {"runs", "contracts"}
            found: list[Any] = []
            query: dict[str, Any] = {size: "1"}
            while True:
                page = await asker.get(path, **query)
                found += page[name]
                if page["next_cursor"] is None:
                    break
                query["cursor"] = page["next_cursor"]
            assert found == whole[name]


ENDS = [FIRST, "0001-01-01T00:00:00.000001Z", USUAL, "9999-12-31T23:59:49Z", BEFORE_LAST, LAST]


async def test_totals_of_ranges_are_exact_to_them(bench: Bench, database_url: str) -> None:
    await bench.check(history(), seed=3, count=1)
    async with asking(database_url) as asker:
        whole = (await asker.get("/v1/runs"))["runs"]
        assert len(whole) == 3
        for after, before in itertools.product([None, *ENDS], repeat=2):
            asked: dict[str, Any] = {"created_after": after, "created_before": before}
            asked = {name: bound for name, bound in asked.items() if bound is not None}
            page = await asker.get("/v1/runs", **asked)
            found = [
                run
                for run in whole
                if (after is None or instant(run["created_at"]) >= instant(after))
                and (before is None or instant(run["created_at"]) < instant(before))
            ]
            assert (page["runs"], page["total"]) == (found, len(found)), asked


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
