"""The timeline's pages, kinds and languages, and the detail's first page of it."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import reference
from tests.api_rows import Client, numbered, of_history, project, serving
from tests.histories import history
from tests.reference import Platform, load
from tests.unit.event_samples import least

RECORDS = history(5, 400)
KINDS = ["run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"]
FAR = "ffffffff-0000-4000-8000-000000000000"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, of_history(RECORDS))
    async with serving(database_url) as client:
        yield client


@pytest.fixture(scope="module")
def platform() -> Platform:
    return load(RECORDS)


def longest(platform: Platform) -> dict[str, Any]:
    """The detail of the run with the most kinds of entry, then the most entries."""
    details = [
        reference.run_detail(platform, run["run_id"]) for run in reference.run_list(platform)
    ]
    return max(
        (detail for detail in details if detail is not None),
        key=lambda detail: (
            len({entry["kind"] for entry in detail["timeline"]}),
            len(detail["timeline"]),
        ),
    )


async def whole(client: Client, run_id: str, **asked: Any) -> list[Any]:
    """A timeline, page after page."""
    found: list[Any] = []
    while True:
        page = await client.get(f"/v1/runs/{run_id}/timeline", **asked)
        found += page["timeline"]
        if page["next_cursor"] is None:
            return found
        assert len(page["timeline"]) == asked["limit"]
        asked["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("limit", [1, 2, 5, 500])
async def test_pages_make_up_the_timeline(client: Client, platform: Platform, limit: int) -> None:
    detail = longest(platform)
    run_id = detail["run"]["run_id"]
    assert len({entry["kind"] for entry in detail["timeline"]}) >= 6
    assert await whole(client, run_id, limit=limit) == detail["timeline"]


async def test_every_choice_of_kinds(client: Client, platform: Platform) -> None:
    detail = longest(platform)
    run_id = detail["run"]["run_id"]
    for kinds in itertools.chain.from_iterable(itertools.combinations(KINDS, n) for n in (1, 2, 5)):
        expected = [entry for entry in detail["timeline"] if entry["kind"] in kinds]
        assert await whole(client, run_id, kind=list(kinds), limit=3) == expected, kinds


async def test_the_detail_goes_on_in_the_timeline(client: Client, database_url: str) -> None:
    run = least("run-state", run_id=FAR)
    steps = [
        least("step-journal", run_id=FAR, step_id=f"s{number:03}", step_seq=number)
        for number in range(120)
    ]
    records = [("run-state", run), *(("step-journal", step) for step in steps)]
    await project(database_url, numbered(records, partition=1))
    detail = await client.get(f"/v1/runs/{FAR}")
    assert (len(detail["timeline"]), len(detail["steps"])) == (100, 100)
    assert (detail["counts"]["steps"], detail["counts"]["timeline"]) == (120, 121)
    assert [step["step_seq"] for step in detail["steps"]] == list(range(100))
    cursor = detail["timeline_next_cursor"]
    rest = await client.get(f"/v1/runs/{FAR}/timeline", cursor=cursor)
    assert len(rest["timeline"]) == 21
    assert rest["timeline"][-1]["title"] == "Step 119: kubectl.get"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [(None, "zh-TW"), ("en", "en"), ("en-GB,zh;q=0.5", "en"), ("fr", "zh-TW"), ("*", "zh-TW")],
)
async def test_titles_are_in_the_language_that_is_preferred(
    client: Client, platform: Platform, accepted: str | None, language: str
) -> None:
    run_id = longest(platform)["run"]["run_id"]
    expected = reference.run_detail(platform, run_id, language)
    assert expected is not None
    headers = {"Accept-Language": accepted} if accepted else {}
    for path in (f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/timeline"):
        answer = await client.ask(path, headers=headers)
        assert answer.headers["content-language"] == language
        assert answer.headers["vary"] == "Accept-Language"
        assert answer.json()["timeline"] == expected["timeline"][:100]


async def test_a_cursor_belongs_to_its_run_and_kinds(client: Client, platform: Platform) -> None:
    run_id = longest(platform)["run"]["run_id"]
    others = [r["run_id"] for r in reference.run_list(platform) if r["run_id"] != run_id]
    page = await client.get(f"/v1/runs/{run_id}/timeline", limit=1)
    for path, asked in ((run_id, {"kind": "run"}), (others[0], {}), (UNKNOWN, {})):
        await client.fails(
            f"/v1/runs/{path}/timeline", 422, "bad_cursor", cursor=page["next_cursor"], **asked
        )
    run = await client.get(f"/v1/runs/{run_id.upper()}/timeline", cursor=page["next_cursor"])
    assert run["timeline"]


@pytest.mark.parametrize("path", ["/v1/runs/{}", "/v1/runs/{}/timeline"])
async def test_what_is_not_there(client: Client, platform: Platform, path: str) -> None:
    known = longest(platform)["run"]
    await client.fails(path.format(UNKNOWN), 404, "run_not_found")
    await client.fails(
        path.format(known["run_id"]), 404, "run_not_found", project_id="not-" + known["project_id"]
    )
    for bad in ("1", "d653e980071c4bc9a7920c6d8d869707", "{" + UNKNOWN + "}", UNKNOWN + "%0A"):
        await client.fails(path.format(bad), 422, "invalid_parameter")
    await client.get(path.format(known["run_id"]), project_id=known["project_id"])
