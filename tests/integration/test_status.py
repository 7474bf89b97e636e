"""How far each partition is behind, by what workers report and what the broker says."""

import json
from typing import Any

import asyncpg
import pytest

from projector.operations.status import status

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOPIC = "awooop.run-state"
REPORT = """
    INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions)
    VALUES ('w', 'h', 1, 'main', $1)
"""
POSITION = """
    INSERT INTO position (topic, partition, first_offset, next_offset) VALUES ($1, $2, 0, $3)
"""


@pytest.mark.parametrize(
    ("position", "report", "broker", "told"),
    [
        pytest.param(5, {}, 8, (8, 3), id="behind"),
        pytest.param(8, {}, 5, (8, 0), id="stale end"),
        pytest.param(None, {}, 8, (8, 8), id="never read"),
        pytest.param(5, {}, None, (None, None), id="nobody knows the end"),
        pytest.param(5, {"end": 9}, 8, (9, 4), id="later report"),
        pytest.param(5, {"end": 9}, None, (9, 4), id="broker away"),
        pytest.param(5, {"end": 8, "read_to": 7}, 8, (8, 1), id="offsets without a record"),
        pytest.param(None, {"end": 8, "read_to": 8}, None, (8, 0), id="no record at all"),
    ],
)
async def test_lag_is_what_is_known_to_wait(
    owner: asyncpg.Connection, position: Any, report: dict[str, int], broker: Any, told: Any
) -> None:
    if position is not None:
        await owner.execute(POSITION, TOPIC, 0, position)
    if report:
        await owner.execute(REPORT, json.dumps([{"topic": TOPIC, "partition": 0, **report}]))
    found = await status(owner, {} if broker is None else {(TOPIC, 0): broker})
    await owner.execute("DELETE FROM position; DELETE FROM runfold.worker")
    end, lag = told
    place = {"topic": TOPIC, "partition": 0, "position": position}
    assert found.partitions == [{**place, "end": end, "lag": lag}]
    assert found.lag == (lag or 0)


async def test_a_file_is_no_partition(owner: asyncpg.Connection) -> None:
    await owner.execute(POSITION, TOPIC, -1, 1)
    assert (await status(owner, {})).partitions == []
