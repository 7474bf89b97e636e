"""What operators have decided about dead letters, carried over to another generation."""

from typing import Final

from contracts.decoding import Undecodable
from projector import dead_letters
from projector.activation import ENTER
from projector.dependencies import Connection
from projector.generations import schema_of

SAME: Final = """
    letter.topic = known.topic AND letter.partition = known.partition
        AND letter."offset" = known."offset" AND letter.value = known.value
"""

NUMBERS: Final = f"""
    UPDATE {{other}}.dead_letter AS letter
    SET id = known.id, created_at = known.created_at
    FROM {{active}}.dead_letter AS known
    WHERE {SAME} AND letter.id <> known.id
"""

DECIDED: Final = f"""
    SELECT letter.id, letter.topic, letter.value, known.state, known.changed_at, known.changed_by
    FROM {{active}}.dead_letter AS known
    JOIN {{other}}.dead_letter AS letter ON {SAME}
    WHERE letter.state = 'parked' AND known.state <> 'parked'
    ORDER BY letter.id
"""

MARK: Final = """
    UPDATE dead_letter SET state = $2, changed_at = $3, changed_by = $4 WHERE id = $1
"""


async def carry_over(connection: Connection, active: str, other: str, prefix: str) -> None:
    """Make the dead letters of `other` those that operators know from the active generation.

    They keep their numbers, since commands and cursors name them; who was discarded stays so. One
    that was retried is tried in `other` as well, and stays parked there if it cannot be used.
    Belongs into the transaction that activates `other`.
    """
    names = {"active": schema_of(active), "other": schema_of(other)}
    await connection.execute(ENTER, names["other"])
    await connection.execute(NUMBERS.format(**names))
    for row in await connection.fetch(DECIDED.format(**names)):
        if row["state"] == "retried":
            suffix = row["topic"].removeprefix(prefix)
            if isinstance(await dead_letters.apply(connection, suffix, row["value"]), Undecodable):
                continue
        await connection.execute(
            MARK, row["id"], row["state"], row["changed_at"], row["changed_by"]
        )
