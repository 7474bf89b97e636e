"""Compare two generations that stand side by side, in one snapshot."""

from projector.database import connected
from projector.generations import schema
from projector.generations.catch_up import positions
from projector.generations.diff import Diff, diff


async def compare(database_url: str, one: str, other: str) -> tuple[Diff, int]:
    """Return in what two generations differ, and how many events apart they stand.

    Raises what `generations.resolve` raises.
    """
    async with (
        connected(database_url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for name in (one, other):
            await schema.resolve(connection, name)
        left, right = await positions(connection, one), await positions(connection, other)
        apart = sum(abs(left.get(p, 0) - right.get(p, 0)) for p in left.keys() | right.keys())
        return await diff(connection, one, other), apart
