"""One decision in one transaction: the run is locked, judged, and the command written.

The lock is the one under which workers write the run, so it cannot change between being looked at
and being decided on. That one decision wins is the work of a constraint, whoever holds which lock.
A request with an `Idempotency-Key` is answered again as it was at first.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from api.auth import Bearer
from api.database import Acquired, Connection, Pool, reachable
from api.decisions.request import Ask, Issuer, Refused, Run, already_decided, decided, judge
from api.problems import bad_parameter, not_found
from api.queries.approvals import DECISION
from api.reading import enter
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.health import Outage
from contracts.locks import ACTIVATION, Kind, lock

CHANNEL: Final = "runfold_outbox"
"""Notified, without a payload, when a command is written."""
KEPT_HOURS: Final = 24
"""How long an idempotency key is remembered."""

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
    -- decision: the command, unless there is one; relays are notified of it
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

FIRST: Final = """
    -- idempotency: the first answer to this key
    SELECT request, status, body FROM runfold.idempotency WHERE subject = $1 AND key = $2
"""

REMEMBER: Final = """
    -- idempotency: keep the answer to this key
    INSERT INTO runfold.idempotency (subject, key, request, status, body)
    VALUES ($1, $2, $3, $4, $5)
"""

# A few with each request: no request has many to delete, and none waits for another.
FORGET: Final = f"""
    -- idempotency: delete a few keys whose time is over
    DELETE FROM runfold.idempotency
    WHERE (subject, key) IN (
        SELECT subject, key FROM runfold.idempotency
        WHERE created_at < clock_timestamp() - interval '{KEPT_HOURS} h'
        ORDER BY created_at LIMIT 20
        FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request for a decision: 202, or why it was refused."""

    status: int
    body: bytes


class Decisions:
    """Makes decisions."""

    def __init__(self, pool: Pool, issuer: Issuer, database: Outage) -> None:
        self._pool, self._issuer, self._database = pool, issuer, database

    async def decide(self, bearer: Bearer, ask: Ask) -> Answer:
        """Decide, if nothing speaks against it, and return the answer.

        Raises `Problem` where the answer is not to be remembered: 404, 422
        `idempotency_key_reused`, what `decided` raises, and what `Acquired` and `reachable` raise.
        """
        with reachable(self._database):
            async with (
                Acquired(self._pool) as connection,
                connection.transaction(isolation="read_committed"),
            ):
                await _hold(connection, bearer, ask)
                run = await _run(connection, ask)
                if ask.key is None:
                    return await self._decide(connection, bearer, ask, run)
                first = await connection.fetchrow(FIRST, bearer.subject, ask.key)
                if first is None:
                    answer = await self._decide(connection, bearer, ask, run)
                    kept = ask.key, ask.digest, answer.status, answer.body
                    await connection.execute(FORGET)
                    await connection.execute(REMEMBER, bearer.subject, *kept)
                    return answer
        if first["request"] != ask.digest:
            wrong = "it came with another request before: a new request needs a new key"
            raise bad_parameter({"Idempotency-Key": wrong}, code="idempotency_key_reused")
        return Answer(first["status"], first["body"])

    async def _decide(self, connection: Connection, bearer: Bearer, ask: Ask, run: Run) -> Answer:
        try:
            judge(run, bearer.subject, ask)
            event = decided(ask, run, bearer.subject, self._issuer)
            await _write(connection, ask, event)
        except Refused as refused:
            return Answer(refused.status, bytes(refused.response().body))
        return Answer(202, _accepted(event.data))


async def _hold(connection: Connection, bearer: Bearer, ask: Ask) -> None:
    """Keep the active generation active, lock the idempotency key, then the run."""
    await connection.execute(HOLD, ACTIVATION)
    if ask.key is not None:
        await lock(connection, Kind.REQUEST, [f"{bearer.subject}\x1f{ask.key}"])
    await enter(connection, bearer)
    await lock(connection, Kind.RUN, [ask.run_id])


async def _run(connection: Connection, ask: Ask) -> Run:
    row = await connection.fetchrow(RUN, ask.run_id, ask.project_id)
    if row is None:
        raise not_found("run")
    return Run(
        run_id=ask.run_id,
        project_id=row["project_id"],
        state=row["state"],
        version=row["version"],
        timeout_at=row["timeout_at"],
        action=orjson.loads(row["pending_action"] or "null") or {},
        traceparent=row["traceparent"],
        made=orjson.loads(row["made"] or "null"),
        now=row["now"],
    )


async def _write(connection: Connection, ask: Ask, event: Event[ApprovalDecided]) -> None:
    """Write the command, from where it is published. Raises `Refused` (`already_decided`)."""
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
        # Decided on when the run was another project's, it may be hidden from the bearer.
        raise already_decided((await _run(connection, ask)).made)


def _accepted(data: ApprovalDecided) -> bytes:
    return orjson.dumps(
        {
            "run_id": data.run_id,
            "decision": data.decision,
            "new_state": data.new_state,
            "approval_token_jti": data.approval_token_jti,
            "command_id": data.command_id,
            "status": "pending",
        }
    )
