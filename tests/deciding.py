"""Deciding on runs over the API, for tests: a run that waits, and people who decide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
import httpx
from aiokafka import ConsumerRecord
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.settings import ApiSettings
from contracts.decoding import Undecodable, decode
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from projector.tokens import make_token
from tests.api_rows import numbered, project
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
FUTURE: Final = "2999-01-01T00:00:00Z"
APPROVE: Final = {"decision": "approve"}
REJECT: Final = {"decision": "reject", "reason": "too risky"}


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
        self._url = database_url
        self._partition = 0

    async def __call__(self, *events: dict[str, Any], suffix: str = "run-state") -> None:
        records = numbered([(suffix, event) for event in events], self._partition)
        self._partition += 1
        await project(self._url, records)


class Approver:
    """Somebody who decides."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: ApiSettings,
        subject: str = "alice",
        projects: Sequence[str] = ("*",),
        roles: Sequence[str] = ("approver",),
    ) -> None:
        token = make_token(settings, subject, projects, roles, 3600)
        self._http = http
        self._bearer = {"Authorization": f"Bearer {token}"}

    async def decide(
        self,
        body: Any = None,
        *,
        run: str = RUN,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> httpx.Response:
        """The answer to a decision; a body that is no bytes is sent as JSON."""
        said = {"Content-Type": "application/json", **self._bearer, **(headers or {})}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body or APPROVE}
        path = f"/v1/runs/{run}/decision"
        return await self._http.post(path, params=query or None, headers=said, **sent)

    async def get(self, path: str, **query: Any) -> Any:
        """The body of an answer that is no error."""
        answer = await self._http.get(path, params=query or None, headers=self._bearer)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def events(database_url: str) -> list[Event[ApprovalDecided]]:
    """The events of all decisions, in the order in which these were made."""
    owner = await asyncpg.connect(database_url)
    try:
        rows = await owner.fetch("SELECT event FROM runfold.command ORDER BY seq")
    finally:
        await owner.close()
    return [event_of(row["event"]) for row in rows]


def event_of(value: bytes) -> Event[ApprovalDecided]:
    """The decision that a record tells of."""
    event = decode("approval-command", value)
    assert not isinstance(event, Undecodable), event
    return cast("Event[ApprovalDecided]", event)


async def unpublished(database_url: str) -> int:
    """How many decisions wait in the outbox."""
    owner = await asyncpg.connect(database_url)
    try:
        statement = "SELECT count(*)::int FROM runfold.command WHERE published_at IS NULL"
        return int(await owner.fetchval(statement))
    finally:
        await owner.close()


async def all_published(database_url: str, deadline_s: float = 30) -> None:
    """Wait until the outbox is empty."""

    async def empty() -> bool:
        return await unpublished(database_url) == 0

    await until(empty, deadline_s, "an empty outbox")


async def on_topic(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """All that is on the only partition of a topic, up to now."""
    # Where a record comes to lie is where the others end, which not every broker says truly.
    [end] = await topics.send(bootstrap, [topics.Record(topic, None, b"{}", partition=0)])
    records = await topics.read(bootstrap, topic, 0, end + 1)
    return [record for record in records if record.value != b"{}"]
