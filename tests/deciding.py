"""Deciding on runs over the API, for tests: a run that waits, and people who decide."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import httpx
from aiokafka import ConsumerRecord
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.decoding import Undecodable, decode
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from projector.tokens import make_token
from tests.api_rows import Client, numbered, project, serving
from tests.applying import fetch
from tests.approvals import ARGUMENTS, KEY
from tests.stack import topics
from tests.stack.waiting import until
from tests.unit.event_samples import RUN, least

ACTION: Final = {
    "tool_name": "kubectl.delete",
    "summary": "delete a pod",
    "arguments_sha256": ARGUMENTS,
    "requested_by": "mallory",
}
NONE: Final[Mapping[str, str]] = {}
FUTURE: Final = "2999-01-01T00:00:00Z"
APPROVE: Final = {"decision": "approve"}
REJECT: Final = {"decision": "reject", "reason": "too risky"}

DECIDED: Final = """
    INSERT INTO runfold.command (command_id, run_id, project_id, run_version, decision, approver_id,
        new_state, decided_at, event)
    VALUES (gen_random_uuid(), $1, $2, 7, 'reject', 'carol', 'cancelled', now(), '{}')
"""
"""Somebody who takes no lock decides on a run of a project."""

DECISIONS_THAT_WAIT: Final = """
    SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'runfold-api-commands' AND wait_event_type = 'Lock'
"""


def waiting(version: int = 7, **fields: Any) -> dict[str, Any]:
    """The event of a run that waits for a decision."""
    data = {"state": "waiting_approval", "timeout_at": FUTURE, "pending_action": ACTION}
    return least("run-state", **(data | fields)) | {"entityversion": version}


def key_file(directory: Path) -> Path:
    """A file with the key that `tests.approvals` verifies with."""
    path = directory / "approval-key.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


class Told:
    """Tells the views what happens, as a worker that reads one topic does."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self._partition = 0

    async def __call__(self, *events: dict[str, Any], suffix: str = "run-state") -> None:
        records = numbered([(suffix, event) for event in events], self._partition)
        self._partition += 1
        await project(self.url, records)


class Approver:
    """Somebody who decides, where nothing else is said on one run."""

    def __init__(
        self,
        client: Client,
        subject: str = "alice",
        projects: Sequence[str] = ("*",),
        roles: Sequence[str] = ("approver",),
        run: str = RUN,
    ) -> None:
        token = make_token(client.settings, subject, projects, roles, 3600)
        self._http, self._run = client.http, run
        self._bearer = {"Authorization": f"Bearer {token}"}

    async def decide(
        self, body: Any = None, *, run: str = "", headers: Mapping[str, str] = NONE, **query: str
    ) -> httpx.Response:
        """The answer to a decision; a body that is no bytes is sent as JSON."""
        said = {"Content-Type": "application/json", **self._bearer, **headers}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body or APPROVE}
        path = f"/v1/runs/{run or self._run}/decision"
        return await self._http.post(path, params=query or None, headers=said, **sent)


class Case:
    """A run that waits for a decision, at version 7 to begin with, and who decides on it."""

    def __init__(self, client: Client, told: Told) -> None:
        self.client, self.told = client, told
        self.run, self.version = str(uuid4()), 6

    async def waits(self, attributes: Mapping[str, str] = NONE, **fields: Any) -> None:
        """The run is at its next version, with these fields; so says an event with `attributes`."""
        self.version += 1
        event = waiting(self.version, run_id=self.run, **fields)
        await self.told({**event, **attributes})

    def approver(self, subject: str = "alice", **how: Any) -> Approver:
        return Approver(self.client, subject, run=self.run, **how)

    async def decide(self, body: Any = None, **how: Any) -> httpx.Response:
        return await self.approver().decide(body, **how)

    async def events(self) -> list[Event[ApprovalDecided]]:
        """The events of the decisions on the run."""
        return await events(self.told.url, self.run)


async def events(database_url: str, run: str | None = None) -> list[Event[ApprovalDecided]]:
    """The events of all decisions, or of those on one run, in the order of their making."""
    statement = "SELECT event FROM runfold.command WHERE $1::uuid IS NULL OR run_id = $1"
    rows = await fetch(database_url, f"{statement} ORDER BY seq", run)
    return [event_of(row["event"]) for row in rows]


def event_of(value: bytes) -> Event[ApprovalDecided]:
    """The decision that a record tells of."""
    event = decode("approval-command", value)
    assert not isinstance(event, Undecodable), event
    return cast("Event[ApprovalDecided]", event)


@dataclass
class Outbox:
    """The way of decisions from a database to a topic of one partition on a broker."""

    url: str
    bootstrap: str
    prefix: str
    key: Path

    def __post_init__(self) -> None:
        self.told = Told(self.url)
        self.topic = f"{self.prefix}approval-command"

    async def open(self) -> "Outbox":
        await topics.create_topic(self.bootstrap, self.topic)
        return self

    def api(self) -> AbstractAsyncContextManager[Client]:
        """An API that publishes what is decided."""
        broker = {"kafka_bootstrap": self.bootstrap, "topic_prefix": self.prefix}
        return serving(self.url, approval_key=self.key, **broker)

    async def decide(self, runs: Sequence[str], version: int = 7) -> None:
        """Have the runs wait at a version, and decide on all at an API that publishes nothing."""
        await self.told(*(waiting(version, run_id=run) for run in runs))
        async with serving(self.url, approval_key=self.key) as client:
            alice = Approver(client)
            answers = await asyncio.gather(*(alice.decide(run=run) for run in runs))
        assert {answer.status_code for answer in answers} == {202}

    async def left(self) -> int:
        """How many decisions wait in the outbox."""
        statement = "SELECT count(*) FROM runfold.command WHERE published_at IS NULL"
        return int((await fetch(self.url, statement))[0][0])

    async def leaves(self, count: int = 0) -> None:
        """Wait until so many are left."""

        async def is_left() -> bool:
            return await self.left() == count

        await until(is_left, 60, f"{count} decisions in the outbox")

    async def records(self) -> list[ConsumerRecord]:
        """All that is on the topic, up to now."""
        # Where a record comes to lie is where the others end, which not every broker says truly.
        mark = topics.Record(self.topic, None, b"{}", partition=0)
        [end] = await topics.send(self.bootstrap, [mark])
        records = await topics.read(self.bootstrap, self.topic, 0, end + 1)
        return [record for record in records if record.value != mark.value]

    async def published(self) -> list[Event[ApprovalDecided]]:
        """The decisions that the topic tells of."""
        return [event_of(record.value) for record in await self.records()]
