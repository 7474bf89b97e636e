"""A request that comes twice is answered twice and done once: what was answered, by its key."""

from dataclasses import dataclass
from typing import Final

from api.database import Connection
from api.decisions.asking import Ask
from api.decisions.refusals import KeyReused

KEPT_HOURS: Final = 24

FIRST: Final = """
    SELECT request, status, body FROM runfold.idempotency WHERE subject = $1 AND key = $2
"""

REMEMBER: Final = """
    INSERT INTO runfold.idempotency (subject, key, request, status, body)
    VALUES ($1, $2, $3, $4, $5)
"""

# A few with each request, so that none has many to forget and nobody waits for another.
FORGET: Final = f"""
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
    """What a request was answered."""

    status: int
    body: bytes


async def first(connection: Connection, subject: str, ask: Ask) -> Answer | None:
    """Return what this request was answered when it first came. Raises `KeyReused`.

    The lock of the key must be held.
    """
    row = await connection.fetchrow(FIRST, subject, ask.key)
    if row is None:
        return None
    if row["request"] != ask.digest:
        raise KeyReused
    return Answer(row["status"], row["body"])


async def remember(connection: Connection, subject: str, ask: Ask, answer: Answer) -> None:
    """Keep an answer for `KEPT_HOURS`, and forget others whose time is over."""
    await connection.execute(FORGET)
    await connection.execute(REMEMBER, subject, ask.key, ask.digest, answer.status, answer.body)
