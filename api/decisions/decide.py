"""One decision, in one transaction: the run held as it is, judged, and the command written.

The lock of the run is the one under which workers write it, so the run cannot change unseen between
being looked at and being decided on. That one decision wins is the work of a constraint, whoever
holds which lock.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import orjson

from api.auth import Bearer
from api.database import Acquired, Connection, Pool, reachable
from api.decisions import idempotency
from api.decisions.asking import Ask
from api.decisions.command import Identity, Issuer, Subject, decided
from api.decisions.idempotency import Answer
from api.decisions.outbox import CHANNEL
from api.decisions.refusals import (
    AlreadyDecided,
    NotWaiting,
    OtherVersion,
    Refused,
    SelfApproval,
    TooLate,
)
from api.problems import NotFound
from api.queries.approvals import DECISION
from api.reading import enter
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.health import Outage
from contracts.locks import ACTIVATION, Kind, lock

WAITING: Final = "waiting_approval"

HOLD: Final = "SELECT pg_advisory_xact_lock_shared($1)"

RUN: Final = f"""
    -- decision: the run as it is now, and what has been decided on it
    SELECT r.project_id, r.state, r.version, r.timeout_at, r.pending_action,
        {DECISION} AS made, f.traceparent, clock_timestamp() AS now
    FROM run r
    JOIN run_fact f USING (run_id)
    LEFT JOIN runfold.command c ON c.run_id = r.run_id AND c.run_version = r.version
    WHERE r.run_id = $1::uuid AND ($2::text IS NULL OR r.project_id = $2::text)
"""

WRITE: Final = """
    -- decision: the command, unless there is one; whoever publishes is told of it
    WITH written AS (
        INSERT INTO runfold.command (
            command_id, run_id, project_id, run_version, decision, approver_id, reason, tool_name,
            arguments_sha256, approval_token_jti, new_state, decided_at, event, traceparent
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT ON CONSTRAINT command_one_decision DO NOTHING
        RETURNING command_id
    )
    SELECT command_id, pg_notify($15, '') FROM written
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A run at the moment of the decision."""

    subject: Subject
    state: str
    timeout_at: datetime | None
    made: dict[str, Any] | None
    """The decision on its present version."""
    now: datetime
    """The database's time: all processes go by one clock."""


class Decisions:
    """Where decisions are made."""

    def __init__(self, pool: Pool, issuer: Issuer, database: Outage) -> None:
        self._pool, self._issuer, self._database = pool, issuer, database

    async def decide(self, bearer: Bearer, ask: Ask) -> Answer:
        """Return the answer to a request for a decision, which is made if it is 202.

        Raises `NotFound`; `KeyReused`, `NoApprovalKey` and `UnusableSubject`; and what `Acquired`
        and `reachable` raise. What else may keep a decision from being made is an answer.
        """
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(isolation="read_committed"),
            ):
                await _hold(connection, bearer, ask)
                run = await _run(connection, ask)
                if ask.key is None:
                    return await self._judged(connection, bearer, ask, run)
                first = await idempotency.first(connection, bearer.subject, ask)
                if first is not None:
                    return first
                answer = await self._judged(connection, bearer, ask, run)
                await idempotency.remember(connection, bearer.subject, ask, answer)
                return answer

    async def _judged(self, connection: Connection, bearer: Bearer, ask: Ask, run: Run) -> Answer:
        try:
            judge(run, bearer.subject, ask)
            now = Identity(str(uuid4()), str(uuid4()), run.now)
            event = decided(ask, run.subject, bearer.subject, now, self._issuer)
            await _write(connection, ask, event)
        except Refused as refused:
            return Answer(refused.status, bytes(refused.response().body))
        return Answer(202, orjson.dumps(_accepted(event.data)))


def judge(run: Run, approver: str, ask: Ask) -> None:
    """Raise the first `Refused` that applies, in the contract's order."""
    if run.state != WAITING:
        raise NotWaiting(run.state)
    if run.made is not None:
        raise AlreadyDecided(run.made)
    if not ask.is_about(run.subject.version):
        raise OtherVersion(run.subject.version)
    if run.timeout_at is not None and run.timeout_at <= run.now:
        raise TooLate(run.timeout_at)
    if run.subject.action.get("requested_by") == approver:
        raise SelfApproval


async def _hold(connection: Connection, bearer: Bearer, ask: Ask) -> None:
    """Keep the active generation active, a request with a key alone, and the run as it is."""
    await connection.execute(HOLD, ACTIVATION)
    if ask.key is not None:
        await lock(connection, Kind.REQUEST, [f"{bearer.subject}\x1f{ask.key}"])
    await enter(connection, bearer)
    await lock(connection, Kind.RUN, [ask.run_id])


async def _run(connection: Connection, ask: Ask) -> Run:
    row = await connection.fetchrow(RUN, ask.run_id, ask.project_id)
    if row is None:
        raise NotFound("run")
    action = orjson.loads(row["pending_action"] or "null") or {}
    return Run(
        subject=Subject(ask.run_id, row["project_id"], row["version"], action, row["traceparent"]),
        state=row["state"],
        timeout_at=row["timeout_at"],
        made=orjson.loads(row["made"] or "null"),
        now=row["now"],
    )


async def _write(connection: Connection, ask: Ask, event: Event[ApprovalDecided]) -> None:
    """Write the command, from where it is published. Raises `AlreadyDecided`."""
    data = event.data
    written = await connection.fetchval(
        WRITE,
        data.command_id,
        data.run_id,
        data.project_id,
        data.run_version,
        data.decision,
        data.approver_id,
        data.reason,
        data.tool_name,
        data.arguments_sha256,
        data.approval_token_jti,
        data.new_state,
        data.decided_at,
        event.to_bytes(),
        event.traceparent,
        CHANNEL,
    )
    if written is None:
        # Made when the run was another project's, it may be none that the bearer may see.
        raise AlreadyDecided((await _run(connection, ask)).made)


def _accepted(data: ApprovalDecided) -> dict[str, Any]:
    return {
        "run_id": data.run_id,
        "decision": data.decision,
        "new_state": data.new_state,
        "approval_token_jti": data.approval_token_jti,
        "command_id": data.command_id,
        "status": "pending",
    }
