"""The run list: every filter alone and with others, its totals, its pages."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests import reference
from tests.api_rows import Client, numbered, project, serving
from tests.reference import Record, load
from tests.unit.event_samples import as_bytes, least

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = datetime(2026, 5, 17, 20, tzinfo=UTC)
INCIDENTS = ("INC-20260518-AAAA", "INC-20260518-BBBB", None)
STATES = ("running", "failed", "completed", "waiting_approval")
RUNS = 62
FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
FAR = {60: FIRST, 61: LAST}
"""Runs from clocks that were never set, with the first and the last instant there is."""


def run(number: int) -> dict[str, Any]:
    """One of the runs; every other one is made in the same instant as the one before it."""
    return least(
        "run-state",
        run_id=f"00000000-0000-4000-8000-{number * 7919 % 100_000:012}",
        project_id=f"p{number % 3}",
        state=STATES[number % 4],
        created_at=FAR.get(number, (START + timedelta(seconds=number // 2 * 5_923)).isoformat()),
        trigger_ref=INCIDENTS[number % 5 % 3],
    )


EVIDENCE: list[dict[str, Any]] = [
    {"id": n, "incident_id": INCIDENTS[1], "project_id": f"p{n}", "success": bool(n)}
    for n in range(2)
]
GIVEN = [
    *(("run-state", run(number)) for number in range(RUNS)),
    ("mcp-legacy-audit", least("mcp-legacy-audit", incident_id=INCIDENTS[0])),
    *(("remediation-evidence", least("remediation-evidence", **EVIDENCE[n])) for n in (0, 1)),
]
PLATFORM = load(Record(suffix, None, as_bytes(event)) for suffix, event in GIVEN)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_url: str) -> AsyncIterator[Client]:
    await project(shared_url, numbered(GIVEN))
    async with serving(shared_url) as client:
        yield client


RANGES = [
    (None, None),
    ("2026-05-18T20:00:00Z", None),
    (None, "2026-05-18T20:04:42Z"),
    ("2026-05-17T20:03:08.5Z", "2026-05-19T20:01:34Z"),
    ("2026-05-19T00:00:00+08:00", "2026-05-19T20:00:00"),
    ("2026-05-20T00:00:00Z", "2026-05-18T00:00:00Z"),
    (FIRST, LAST),
    ("0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999998Z"),
    ("9999-12-31T23:59:49Z", None),
    (LAST, None),
    (None, FIRST),
]


def moment(text: str | None) -> datetime | None:
    """The instant that a bound names: without a zone it is UTC."""
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@pytest.mark.parametrize("projects", [None, ["p1"], ["p0", "p2"], ["nowhere"]])
async def test_every_combination_of_filters(client: Client, projects: list[str] | None) -> None:
    choices = itertools.product(
        [None, ["failed"], ["failed", "running"]],
        [None, ["blocked"], ["no_evidence", "mcp_observed"]],
        [None, "INC-20260518-AAAA", "INC-20260518-ZZZZ"],
        RANGES,
    )
    found = 0
    for states, statuses, incident, (after, before) in choices:
        chosen: dict[str, Any] = {"states": states, "remediation_statuses": statuses}
        chosen |= {"created_after": moment(after), "created_before": moment(before)}
        expected = reference.run_list(PLATFORM, projects, incident_id=incident, **chosen)
        query: dict[str, Any] = {"project_id": projects, "state": states}
        query |= {"remediation_status": statuses, "incident_id": incident}
        query |= {"created_after": after, "created_before": before}
        told = await client.get("/v1/runs", per_page=7, **query)
        assert (told["total"], told["runs"]) == (len(expected), expected[:7]), query
        found += bool(expected)
    assert found > 30 or projects == ["nowhere"]


@pytest.mark.parametrize("bearer", [("*",), ("p0", "p2"), ("p1",), ()])
async def test_the_filters_see_the_bearers_projects_only(
    client: Client, bearer: tuple[str, ...]
) -> None:
    after = "2026-05-18T20:00:00Z"
    some: list[dict[str, Any]] = [{}, {"project_id": ["p1"]}, {"state": ["failed"]}]
    for asked in [*some, {"created_after": after}]:
        seen = set(asked.get("project_id", ["p0", "p1", "p2"]))
        expected = reference.run_list(
            PLATFORM,
            seen if bearer == ("*",) else seen & {*bearer},
            states=asked.get("state"),
            created_after=moment(asked.get("created_after")),
        )
        told = await client.get("/v1/runs", projects=bearer, per_page=200, **asked)
        assert (told["runs"], told["total"]) == (expected, len(expected))


@pytest.mark.parametrize("per_page", [1, 7, 60, 200])
@pytest.mark.parametrize("where", [{}, {"state": "failed"}, {"incident_id": "INC-20260518-AAAA"}])
async def test_pages_and_cursors_tell_the_same_list(
    client: Client, per_page: int, where: dict[str, str]
) -> None:
    whole = (await client.get("/v1/runs", per_page=200, **where))["runs"]
    by_page = []
    for number in range(1, len(whole) // per_page + 2):
        page = await client.get("/v1/runs", page=number, per_page=per_page, **where)
        assert (page["page"], page["per_page"]) == (number, per_page)
        by_page += page["runs"]
    assert by_page == whole
    asked = {"per_page": per_page, **where}
    assert await client.pages("/v1/runs", "runs", **asked) == whole


async def test_what_is_not_asked_for_and_what_does_not_exist(client: Client) -> None:
    first = await client.get("/v1/runs")
    assert (len(first["runs"]), first["per_page"], first["page"]) == (50, 50, 1)
    after_the_last = await client.get("/v1/runs", page=1_000_000_000, per_page=200)
    assert (after_the_last["runs"], after_the_last["total"]) == ([], RUNS)
    assert after_the_last["next_cursor"] is None


async def test_a_cursor_belongs_to_its_filter_and_replaces_a_page(client: Client) -> None:
    page = await client.get("/v1/runs", per_page=2, project_id=["p0", "p1"])
    cursor = page["next_cursor"]
    same = await client.get("/v1/runs", per_page=5, project_id=["p1", "p0", "p1"], cursor=cursor)
    assert len(same["runs"]) == 5
    for other in ({}, {"project_id": "p0"}, {"project_id": ["p0", "p1"], "state": "failed"}):
        problem = await client.fails("/v1/runs", 422, "bad_cursor", cursor=cursor, **other)
        assert problem["errors"][0]["parameter"] == "cursor"
    problem = await client.fails("/v1/runs", 422, "invalid_parameter", cursor=cursor, page=1)
    assert problem["errors"][0]["parameter"] == "page"


async def test_counts_are_those_of_the_list(client: Client) -> None:
    told = await client.get("/v1/runs/counts")
    assert told["counts"] == reference.counts(PLATFORM)
    some = await client.get("/v1/runs/counts", project_id=["p1", "p2"], projects=["p0", "p1"])
    assert some["counts"] == reference.counts(PLATFORM, ["p1"])


async def test_a_cursor_goes_on_where_it_was_whatever_has_come_in(database_url: str) -> None:
    await project(database_url, numbered(GIVEN[:20]))
    async with serving(database_url) as client:
        first = await client.get("/v1/runs", per_page=10)
        rest = (await client.get("/v1/runs"))["runs"][10:]
        newer = least("run-state", created_at="2027-01-01T00:00:00Z")
        await project(database_url, numbered([("run-state", newer)], partition=1))
        assert (await client.get("/v1/runs"))["runs"][0]["created_at"] == "2027-01-01T00:00:00Z"
        second = await client.get("/v1/runs", cursor=first["next_cursor"])
    assert second["runs"] == rest
