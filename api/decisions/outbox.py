"""The outbox: commands that are decided and not published yet, as statements."""

from typing import Final

CHANNEL: Final = "runfold_outbox"
"""Where whoever waits for commands is told that there are some."""

MOST: Final = 100
"""Most commands that are published at once."""

CHECK: Final = "SELECT FROM runfold.command LIMIT 1"
"""Fails where the relay could not work."""

# Only the first of a run: the next comes when it is known to be published. Another process's are
# passed over, and so are the runs whose commands the broker has not taken: as many of them as are
# published at once would otherwise keep all others waiting.
CLAIM: Final = f"""
    SELECT c.command_id, c.run_id, c.event
    FROM runfold.command c
    WHERE c.published_at IS NULL AND c.run_id <> ALL ($1::uuid[]) AND NOT EXISTS (
        SELECT FROM runfold.command earlier
        WHERE earlier.run_id = c.run_id AND earlier.seq < c.seq AND earlier.published_at IS NULL
    )
    ORDER BY c.seq
    LIMIT {MOST}
    FOR UPDATE OF c SKIP LOCKED
"""

MARK: Final = """
    UPDATE runfold.command SET published_at = clock_timestamp() WHERE command_id = ANY ($1::uuid[])
"""
