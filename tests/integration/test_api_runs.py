"""The run list: every filter alone and with others, its totals, its pages."""

import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests import reference
from tests.api_rows import Client, numbered, project, serving
from tests.reference import Platform, Record
from tests.unit.event_samples import as_bytes, least

START = datetime.fromisoformat("2026-05-17T20:00:00Z")


def runs_of_many_kinds() -> list[tuple[str, Any]]:
    """60 runs of 3 projects, some of them made in the same instant, some with an incident."""
    made = []
    for number in range(60):
        created_at = START + timedelta(seconds=number // 2 * 5_923)
        made.append(
            (
                "run-state",
                least(
                    "run-state",
                    run_id=f"00000000-0000-4000-8000-{number * 7919 % 100_000:012}",
                    project_id=f"p{number % 3}",
                    state=("running", "failed", "completed", "waiting_approval")[number % 4],
                    created_at=created_at.isoformat(),
                    trigger_ref=("INC-20260518-AAAA", "INC-20260518-BBBB", None)[number % 5 % 3],
                ),
            )
        )
    records = [("mcp-legacy-audit", least("mcp-legacy-audit", incident_id="INC-20260518-AAAA"))]
    items = [
        (
            "remediation-evidence",
            least(
                "remediation-evidence",
                id=index,
                incident_id="INC-20260518-BBBB",
                project_id=f"p{index}",
                success=bool(index),
            ),
        )
        for index in range(2)
    ]
    return made + records + items


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, numbered(runs_of_many_kinds()))
    async with serving(database_url) as client:
        yield client


@pytest.fixture
def platform() -> Platform:
    given = runs_of_many_kinds()
    return reference.load(Record(suffix, None, as_bytes(event)) for suffix, event in given)


RANGES = [
    (None, None),
    ("2026-05-18T20:00:00Z", None),
    (None, "2026-05-18T20:04:42Z"),
    ("2026-05-17T20:03:08.5Z", "2026-05-19T20:01:34Z"),
    ("2026-05-19T00:00:00+08:00", "2026-05-19T20:00:00"),
    ("2026-05-20T00:00:00Z", "2026-05-18T00:00:00Z"),
]
FILTERS = list(
    itertools.product(
        [None, ["p1"], ["p0", "p2"], ["nowhere"]],
        [None, ["failed"], ["failed", "running"]],
        [None, ["blocked"], ["no_evidence", "mcp_observed"]],
        [None, "INC-20260518-AAAA", "INC-20260518-ZZZZ"],
        RANGES,
    )
)


async def test_every_combination_of_filters(client: Client, platform: Platform) -> None:
    found = 0
    for projects, states, statuses, incident, (after, before) in FILTERS:
        query = {
            "project_id": projects,
            "state": states,
            "remediation_status": statuses,
            "incident_id": incident,
            "created_after": after,
            "created_before": before,
        }
        given = {name: value for name, value in query.items() if value is not None}
        expected = [
            run
            for run in reference.run_list(
                platform,
                projects,
                states=states,
                remediation_statuses=statuses,
                incident_id=incident,
            )
            if is_within(run["created_at"], after, before)
        ]
        told = await client.get("/v1/runs", per_page=7, **given)
        assert (told["total"], told["runs"]) == (len(expected), expected[:7]), given
        found += bool(expected)
    assert found > len(FILTERS) // 4


def is_within(created_at: str, after: str | None, before: str | None) -> bool:
    """The start of a range is in it, its end is not."""
    at = moment(created_at)
    return (after is None or at >= moment(after)) and (before is None or at < moment(before))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text if "+" in text or text.endswith("Z") else f"{text}Z")


@pytest.mark.parametrize("bearer", [("*",), ("p0", "p2"), ("p1",), ()])
async def test_the_filters_see_the_bearers_projects_only(
    client: Client, platform: Platform, bearer: tuple[str, ...]
) -> None:
    mine = None if bearer == ("*",) else bearer
    queries: tuple[dict[str, Any], ...] = (
        {},
        {"project_id": ["p1"]},
        {"state": ["failed"]},
        {"created_after": "2026-05-18T20:00:00Z"},
    )
    for asked in queries:
        expected = [
            run
            for run in reference.run_list(platform, mine, states=asked.get("state"))
            if run["project_id"] in asked.get("project_id", [run["project_id"]])
            and is_within(run["created_at"], asked.get("created_after"), None)
        ]
        told = await client.get("/v1/runs", projects=bearer, per_page=200, **asked)
        assert (told["runs"], told["total"]) == (expected, len(expected))


@pytest.mark.parametrize("per_page", [1, 7, 60, 200])
@pytest.mark.parametrize("where", [{}, {"state": "failed"}, {"incident_id": "INC-20260518-AAAA"}])
async def test_pages_and_cursors_tell_the_same_list(
    client: Client, per_page: int, where: dict[str, str]
) -> None:
    whole = (await client.get("/v1/runs", per_page=200, **where))["runs"]
    by_page, by_cursor = [], []
    for number in range(1, len(whole) // per_page + 2):
        page = await client.get("/v1/runs", page=number, per_page=per_page, **where)
        assert (page["page"], page["per_page"]) == (number, per_page)
        by_page += page["runs"]
    cursor: dict[str, str] = {}
    while True:
        page = await client.get("/v1/runs", per_page=per_page, **where, **cursor)
        by_cursor += page["runs"]
        assert page["page"] == (None if cursor else 1)
        if page["next_cursor"] is None:
            break
        assert len(page["runs"]) == per_page
        cursor = {"cursor": page["next_cursor"]}
    assert by_page == by_cursor == whole


async def test_a_cursor_goes_on_where_it_was_whatever_has_come_in(
    client: Client, database_url: str
) -> None:
    first = await client.get("/v1/runs", per_page=10)
    rest = (await client.get("/v1/runs", per_page=200))["runs"][10:]
    newer = least("run-state", created_at="2027-01-01T00:00:00Z")
    await project(database_url, numbered([("run-state", newer)], partition=1))
    assert (await client.get("/v1/runs"))["runs"][0]["created_at"] == "2027-01-01T00:00:00Z"
    second = await client.get("/v1/runs", per_page=200, cursor=first["next_cursor"])
    assert second["runs"] == rest


async def test_a_cursor_belongs_to_its_filter(client: Client) -> None:
    page = await client.get("/v1/runs", per_page=2, project_id=["p0", "p1"])
    cursor = page["next_cursor"]
    same = await client.get("/v1/runs", per_page=5, project_id=["p1", "p0", "p1"], cursor=cursor)
    assert len(same["runs"]) == 5
    for other in ({}, {"project_id": "p0"}, {"project_id": ["p0", "p1"], "state": "failed"}):
        problem = await client.fails("/v1/runs", 422, "bad_cursor", cursor=cursor, **other)
        assert problem["errors"][0]["parameter"] == "cursor"


async def test_a_cursor_and_a_page_number_exclude_each_other(client: Client) -> None:
    cursor = (await client.get("/v1/runs", per_page=2))["next_cursor"]
    problem = await client.fails("/v1/runs", 422, "invalid_parameter", cursor=cursor, page=1)
    assert problem["errors"][0]["parameter"] == "page"


async def test_counts_are_those_of_the_list(client: Client, platform: Platform) -> None:
    told = await client.get("/v1/runs/counts")
    assert told["counts"] == reference.counts(platform)
    some = await client.get("/v1/runs/counts", project_id=["p1", "p2"], projects=["p0", "p1"])
    assert some["counts"] == reference.counts(platform, ["p1"])


async def test_a_page_after_the_last_is_empty(client: Client) -> None:
    told = await client.get("/v1/runs", page=1_000_000_000, per_page=200)
    assert (told["runs"], told["total"], told["next_cursor"]) == ([], 60, None)
