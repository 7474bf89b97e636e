"""What becomes of a decision, as the queue, the timeline and the command's own status tell it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from projector.demo.broker import EmbeddedBroker
from tests.api_rows import Client, serving
from tests.deciding import REJECT, Approver, Told, all_published, events, key_file, waiting
from tests.live import applied, produce, running_worker, settings_of
from tests.reference import Record
from tests.stack.waiting import until
from tests.unit.event_samples import RUN, as_bytes

ENGINE_AT = "2999-01-01T00:00:00.5Z"


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(database_url, approval_key=key_file(tmp_path)) as client:
        yield client


async def queue(alice: Approver, *, decided: bool = True) -> list[dict[str, Any]]:
    told = await alice.get("/v1/approvals", include_decided=str(decided).lower())
    assert told["total"] == len(told["items"])
    found: list[dict[str, Any]] = told["items"]
    return found


async def status(alice: Approver, command_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await alice.get(f"/v1/approvals/commands/{command_id.upper()}")
    del found["as_of"]
    return found


async def approvals_shown(alice: Approver) -> list[dict[str, Any]]:
    told = await alice.get(f"/v1/runs/{RUN}/timeline", kind="approval")
    found: list[dict[str, Any]] = told["timeline"]
    return found


async def test_the_queue_tells_of_a_decision_before_it_is_published(
    client: Client, database_url: str
) -> None:
    told = Told(database_url)
    await told(waiting())
    alice = Approver(client.http, client.settings)
    [before] = await queue(alice, decided=False)
    assert (before["run_version"], before["decision"]) == (7, None)

    made = (await alice.decide()).json()
    [event] = await events(database_url)
    assert await queue(alice, decided=False) == []
    [after] = await queue(alice)
    assert after == before | {
        "decision": {
            "command_id": made["command_id"],
            "decision": "approve",
            "approver_id": "alice",
            "decided_at": json.loads(event.to_bytes())["time"],
            "status": "pending",
        }
    }
    assert await status(alice, made["command_id"]) == {
        "command_id": made["command_id"],
        "run_id": RUN,
        "decision": "approve",
        "status": "pending",
        "published_at": None,
        "applied_at": None,
    }
    # No view claims that the run has moved, or shows what nobody has published.
    assert await approvals_shown(alice) == []
    assert (await alice.get(f"/v1/runs/{RUN}"))["run"]["state"] == "waiting_approval"

    await told(waiting(8))
    [again] = await queue(alice, decided=False)
    assert (again["run_version"], again["decision"]) == (8, None)


async def test_a_decision_that_was_read_back_has_been_published(
    client: Client, database_url: str
) -> None:
    """A relay was killed before it could take note of what it had published."""
    told = Told(database_url)
    await told(waiting())
    alice = Approver(client.http, client.settings)
    made = (await alice.decide(REJECT)).json()
    [event] = await events(database_url)
    await told(json.loads(event.to_bytes()), suffix="approval-command")
    [line] = await queue(alice)
    assert line["decision"]["status"] == "published"
    shown = await status(alice, made["command_id"])
    assert (shown["status"], shown["applied_at"]) == ("published", None)
    assert shown["published_at"] is not None
    await told(waiting(8, state="cancelled", state_changed_at=ENGINE_AT))
    moved = await status(alice, made["command_id"])
    assert (moved["status"], moved["applied_at"]) == ("applied", "2999-01-01T00:00:00.500000Z")


@asynccontextmanager
async def everything(
    database_url: str, prefix: str, bootstrap: str, key: Path
) -> AsyncIterator[Client]:
    """A worker and an API on one broker."""
    async with (
        running_worker(settings_of(database_url, bootstrap, prefix)),
        serving(
            database_url, approval_key=key, kafka_bootstrap=bootstrap, topic_prefix=prefix
        ) as client,
    ):
        yield client


async def test_from_the_decision_over_the_topic_to_the_engines_answer(
    database_url: str, topic_prefix: str, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    settings = settings_of(database_url, broker.bootstrap, topic_prefix)
    owner = await asyncpg.connect(database_url, server_settings={"search_path": "g_main"})
    async with everything(database_url, topic_prefix, broker.bootstrap, key_file(tmp_path)) as api:
        alice = Approver(api.http, api.settings)
        await produce(settings, [Record("run-state", RUN, as_bytes(waiting()))])
        await applied(owner, 1)
        made = (await alice.decide(REJECT)).json()
        await all_published(database_url)
        await applied(owner, 2)

        [shown] = await approvals_shown(alice)
        assert (shown["status"], shown["summary"]) == ("reject", "alice: too risky")
        assert shown["metadata"]["command_id"] == made["command_id"]
        [line] = await queue(alice)
        assert line["decision"]["status"] == "published"
        assert (await alice.get(f"/v1/runs/{RUN}"))["run"]["state"] == "waiting_approval"

        moved = waiting(8, state="cancelled", state_changed_at=ENGINE_AT, pending_action=None)
        await produce(settings, [Record("run-state", RUN, as_bytes(moved))])

        async def is_applied() -> bool:
            return bool((await status(alice, made["command_id"]))["status"] == "applied")

        await until(is_applied, 30, "the engine's answer in the view")
        assert await queue(alice) == []
        assert (await alice.get(f"/v1/runs/{RUN}"))["run"]["state"] == "cancelled"
    await owner.close()
