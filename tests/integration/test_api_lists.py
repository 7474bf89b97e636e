"""Projects, contract revisions, channel events and approvals, held against the reference model."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import reference
from tests.api_rows import Client, numbered, of_history, project, serving
from tests.histories import history
from tests.reference import Platform, load
from tests.unit.event_samples import OTHER, RUN, least, most

RECORDS = history(21, 700)
BEARERS: list[list[str] | None] = [None, ["專案", "Beta"], ["alpha"], []]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    await project(database_url, of_history(RECORDS))
    async with serving(database_url) as client:
        yield client


@pytest.fixture(scope="module")
def platform() -> Platform:
    return load(RECORDS)


def bearer(mine: list[str] | None) -> list[str]:
    return ["*"] if mine is None else mine


@pytest.mark.parametrize("mine", BEARERS)
async def test_projects(client: Client, platform: Platform, mine: list[str] | None) -> None:
    told = await client.get("/v1/projects", projects=bearer(mine))
    expected = reference.projects(platform, mine)
    assert (told["tenants"], told["total"]) == (expected, len(expected))


@pytest.mark.parametrize("mine", BEARERS)
async def test_contracts_page_by_page(
    client: Client, platform: Platform, mine: list[str] | None
) -> None:
    revisions = reference.contracts(platform)
    assert len(revisions) > 3
    statuses = {revision["lifecycle_status"] for revision in revisions}
    for status, limit in itertools.product([None, *statuses, "none such"], [1, 3, 500]):
        expected = reference.contracts(platform, mine, lifecycle_status=status)
        asked: dict[str, Any] = {"limit": limit, "projects": bearer(mine)}
        asked |= {} if status is None else {"lifecycle_status": status}
        assert await every_page(client, asked, len(expected)) == expected


async def every_page(client: Client, asked: dict[str, Any], total: int) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await client.get("/v1/contracts", **asked)
        assert page["total"] == total
        found += page["contracts"]
        if page["next_cursor"] is None:
            return found
        asked["cursor"] = page["next_cursor"]


async def test_a_cursor_of_contracts_belongs_to_its_filter(client: Client) -> None:
    cursor = (await client.get("/v1/contracts", limit=1))["next_cursor"]
    await client.fails("/v1/contracts", 422, "bad_cursor", cursor=cursor, lifecycle_status="active")
    await client.fails("/v1/runs", 422, "bad_cursor", cursor=cursor)


@pytest.mark.parametrize("mine", BEARERS)
async def test_channel_events(client: Client, platform: Platform, mine: list[str] | None) -> None:
    events = reference.channel_events(platform, limit=100)
    channels = {event["channel_type"] for event in events}
    ids = {event["provider_event_id"] for event in events if event["provider_event_id"]}
    prefixes = {some[:length] for some in ids for length in (1, 2, len(some))}
    for channel, prefix, limit in itertools.product(
        [None, *channels], [None, *prefixes, "%", "_"], [1, 4, 100]
    ):
        asked: dict[str, Any] = {"limit": limit, "projects": bearer(mine)}
        asked |= {} if channel is None else {"channel_type": channel}
        asked |= {} if prefix is None else {"provider_prefix": prefix}
        expected = reference.channel_events(
            platform, mine, channel_type=channel, provider_prefix=prefix, limit=limit
        )
        told = await client.get("/v1/channel-events", **asked)
        assert (told["events"], told["total"], told["limit"]) == (expected, len(expected), limit)


@pytest.mark.parametrize("prefix", ["a%", "a_", "a\\", "\ud7ff", "z\U0010ffff", "\U0010ffff", "é"])
async def test_a_prefix_means_itself(client: Client, database_url: str, prefix: str) -> None:
    ids = [
        prefix,
        prefix + "x",
        prefix + "\U0010ffff",
        "aX",
        "ab",
        prefix[:-1],
        "\ue000",
        "zz",
        "e",
    ]
    events = [
        least("conversation-event", event_id=f"{number:08}{OTHER[8:]}", provider_event_id=some)
        for number, some in enumerate(ids)
        if some
    ]
    given = numbered([("conversation-event", event) for event in events], partition=1)
    await project(database_url, given)
    told = await client.get("/v1/channel-events", limit=100, provider_prefix=prefix)
    found = {event["provider_event_id"] for event in told["events"]}
    assert found == {some for some in ids if some.startswith(prefix)}


@pytest.mark.parametrize(("asked", "used"), [({}, 50), ({"limit": 101}, 100), ({"limit": 1}, 1)])
async def test_the_limit_of_channel_events_is_cut(
    client: Client, asked: dict[str, int], used: int
) -> None:
    assert (await client.get("/v1/channel-events", **asked))["limit"] == used


@pytest.mark.parametrize("mine", BEARERS)
async def test_approvals(client: Client, platform: Platform, mine: list[str] | None) -> None:
    statuses = [None, ["blocked"], ["no_evidence", "mcp_observed", "observed"]]
    for decided, status in itertools.product([False, True], statuses):
        asked: dict[str, Any] = {"include_decided": str(decided).lower(), "projects": bearer(mine)}
        asked |= {} if status is None else {"remediation_status": status}
        expected = reference.approvals(
            platform, mine, remediation_statuses=status, include_decided=decided
        )
        told = await client.get("/v1/approvals", **asked)
        assert told["approvals"] == told["items"] == expected
        assert told["total"] == len(expected)


async def test_what_became_of_a_decision(client: Client, database_url: str) -> None:
    run = most("run-state", state="waiting_approval", pending_action=None) | {"entityversion": 3}
    decision = least("approval-command", decided_at="2026-05-18T07:00:00Z")
    records = [("run-state", run), ("approval-command", decision)]
    await project(database_url, numbered(records, partition=1))
    path = f"/v1/approvals/commands/{OTHER}"
    command = await client.get(path)
    command.pop("as_of")
    assert command == {
        "command_id": OTHER,
        "run_id": RUN,
        "decision": "approve",
        "status": "published",
        "published_at": decision["time"],
        "applied_at": None,
    }
    queue = await client.get("/v1/approvals", run_id=RUN, include_decided="true")
    assert [waiting["decision"]["command_id"] for waiting in queue["items"]] == [OTHER]
    assert (await client.get("/v1/approvals", run_id=RUN))["items"] == []
    await client.fails(path, 404, "command_not_found", projects=["p1"])
    await client.fails(f"/v1/approvals/commands/{RUN}", 404, "command_not_found")

    moved = most("run-state", state_changed_at="2026-05-18T07:00:03Z") | {"entityversion": 4}
    await project(database_url, numbered([("run-state", moved)], partition=2))
    command = await client.get(path)
    assert (command["status"], command["applied_at"]) == ("applied", "2026-05-18T07:00:03Z")
