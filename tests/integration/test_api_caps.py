"""How much of each list a detail shows, and what pages hold where nobody says how much."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.api_rows import Client, numbered, project, serving
from tests.unit.event_samples import RUN, least

INCIDENT = "INC-20260518-AB12"
MANY = 120

LISTED = {
    "steps": ("step-journal", "step_id", 100),
    "inbound_events": ("conversation-event", "event_id", 100),
    "outbound_messages": ("outbound-message", "message_id", 100),
    "mcp_calls": ("mcp-gateway-audit", "call_id", 100),
}
"""Lists of the detail: their topic, the id of its events, and the most that are listed."""


def number(suffix: str, index: int) -> Any:
    return str(UUID(int=index + 1)) if suffix == "conversation-event" else f"n{index:03}"


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    """A run with 120 of everything."""
    given: list[tuple[str, Any]] = [("run-state", least("run-state", trigger_ref=INCIDENT))]
    for n in range(MANY):
        given += [
            (suffix, least(suffix, **{"run_id": RUN, name: number(suffix, n)}))
            for suffix, name, _ in LISTED.values()
        ]
        of_incident = {"incident_id": INCIDENT}
        remedy = {"id": 1000 + n, "work_item_id": f"w{n:03}", **of_incident}
        given += [
            ("mcp-legacy-audit", least("mcp-legacy-audit", id=f"r{n:03}", **of_incident)),
            ("remediation-evidence", least("remediation-evidence", **remedy)),
            ("contract-revision", least("contract-revision", revision_id=f"rev-{n:03}")),
            ("run-state", least("run-state", run_id=str(UUID(int=n + 1)))),
        ]
    await project(database_url, numbered(given))
    async with serving(database_url) as client:
        yield client


async def test_a_detail_shows_the_first_of_each_list_and_counts_all(client: Client) -> None:
    detail = await client.get(f"/v1/runs/{RUN}")
    for name, (suffix, key, most) in LISTED.items():
        assert [each[key] for each in detail[name]] == [number(suffix, n) for n in range(most)]
        assert detail["counts"][name] == MANY
    assert detail["mcp_gateway"]["total"] == MANY
    legacy, history = detail["mcp_legacy"], detail["remediation_history"]
    assert [each["id"] for each in legacy["records"]] == [f"r{119 - n:03}" for n in range(100)]
    assert (legacy["limit"], legacy["total"], legacy["summary"]["total"]) == (100, MANY, MANY)
    assert [each["id"] for each in history["items"]] == [str(1119 - n) for n in range(20)]
    assert (history["limit"], history["total"]) == (20, MANY)
    shown = [each["work_item_id"] for each in history["by_work_item"]]
    assert shown == [f"w{119 - n:03}" for n in range(20)]
    assert len(detail["timeline"]) == 100
    assert detail["timeline_next_cursor"]
    assert detail["counts"]["legacy_mcp_calls"] == detail["counts"]["remediation_history"] == MANY


async def test_pages_of_those_who_do_not_say_how_much(client: Client) -> None:
    runs = await client.get("/v1/runs")
    assert (len(runs["runs"]), runs["per_page"], runs["page"]) == (50, 50, 1)
    assert len((await client.get(f"/v1/runs/{RUN}/timeline"))["timeline"]) == 100
    events = await client.get("/v1/channel-events")
    assert (len(events["events"]), events["total"], events["limit"]) == (50, 50, 50)
    events = await client.get("/v1/channel-events", limit=101)
    assert (len(events["events"]), events["total"], events["limit"]) == (100, 100, 100)
    contracts = await client.get("/v1/contracts")
    assert (len(contracts["contracts"]), contracts["next_cursor"]) == (MANY, None)
