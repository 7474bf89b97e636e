"""Dead letters, and what operators have decided about them, carried over to another generation."""

from typing import Final

from contracts.decoding import Undecodable
from projector.dependencies import Connection
from projector.generations.activation import ENTER
from projector.generations.schema import schema_of
from projector.operations import dead_letters

# A record that was read from a file as well is the one that its topic holds.
FORGET_DOUBLES: Final = """
    WITH doubled AS (
        DELETE FROM dead_letter AS letter
        WHERE letter.partition < 0 AND EXISTS (
            SELECT FROM dead_letter AS of_topic
            WHERE of_topic.partition >= 0
                AND of_topic.topic = letter.topic AND of_topic.value = letter.value
        )
        RETURNING letter.topic, letter.partition
    )
    UPDATE position
    SET dead = position.dead - counted.total, gaps = position.gaps + counted.total
    FROM (SELECT topic, partition, count(*) AS total FROM doubled GROUP BY topic, partition)
        AS counted
    WHERE position.topic = counted.topic AND position.partition = counted.partition
"""

NUMBERS: Final = """
    UPDATE {other}.dead_letter AS letter
    SET id = known.id, created_at = known.created_at
    FROM {active}.dead_letter AS known
    WHERE letter.topic = known.topic AND letter.partition = known.partition
        AND letter."offset" = known."offset" AND letter.value = known.value
        AND letter.id <> known.id
"""

# Elsewhere: in a file, or in a topic made anew. Of several that are equal the first is the first.
NUMBERS_ELSEWHERE: Final = """
    WITH known AS ({known}), letter AS ({letter})
    UPDATE {other}.dead_letter AS moved
    SET id = known.id, created_at = known.created_at
    FROM letter JOIN known USING (topic, value, place)
    WHERE moved.id = letter.id
"""
UNPAIRED: Final = """
    SELECT one.id, one.created_at, one.topic, one.value,
        row_number() OVER (PARTITION BY one.topic, one.value ORDER BY one.id) AS place
    FROM {one}.dead_letter AS one
    WHERE NOT EXISTS (SELECT FROM {another}.dead_letter AS another WHERE another.id = one.id)
"""

# What was read here and is no letter here can be used now; of the rest these are the only copies.
KEEP: Final = """
    INSERT INTO {other}.dead_letter
        (id, topic, partition, "offset", key, headers, value, reason, message, created_at)
    SELECT id, topic, partition, "offset", key, headers, value, reason, message, created_at
    FROM {active}.dead_letter AS known
    WHERE NOT EXISTS (SELECT FROM {other}.dead_letter AS letter WHERE letter.id = known.id)
        AND NOT EXISTS (
            SELECT FROM {other}.position
            WHERE position.topic = known.topic AND position.partition = known.partition
                AND position.first_offset <= known."offset"
        )
"""

DECIDED: Final = """
    SELECT letter.id, letter.topic, letter.value, known.state, known.changed_at, known.changed_by
    FROM {active}.dead_letter AS known
    JOIN {other}.dead_letter AS letter ON letter.id = known.id
    WHERE letter.state = 'parked' AND known.state <> 'parked'
    ORDER BY letter.id
"""

MARK: Final = """
    UPDATE dead_letter SET state = $2, changed_at = $3, changed_by = $4 WHERE id = $1
"""


async def carry_over(connection: Connection, active: str, other: str, prefix: str) -> None:
    """Make the dead letters of `other` those that operators know from the active generation.

    They keep their numbers, since commands and cursors name them; who was discarded stays so. One
    that was retried is tried in `other` as well, and stays parked there if it cannot be used. One
    whose record `other` has not read, because it is no longer there, goes over as it is.
    Belongs into the transaction that activates `other`.
    """
    names = {"active": schema_of(active), "other": schema_of(other)}
    await connection.execute(ENTER, names["other"])
    await connection.execute(FORGET_DOUBLES)
    await connection.execute(NUMBERS.format(**names))
    await connection.execute(_numbers_elsewhere(**names))
    await connection.execute(KEEP.format(**names))
    for row in await connection.fetch(DECIDED.format(**names)):
        if row["state"] == "retried":
            suffix = row["topic"].removeprefix(prefix)
            if isinstance(await dead_letters.apply(connection, suffix, row["value"]), Undecodable):
                continue
        await connection.execute(
            MARK, row["id"], row["state"], row["changed_at"], row["changed_by"]
        )


def _numbers_elsewhere(active: str, other: str) -> str:
    return NUMBERS_ELSEWHERE.format(
        other=other,
        known=UNPAIRED.format(one=active, another=other),
        letter=UNPAIRED.format(one=other, another=active),
    )
