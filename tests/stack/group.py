"""Members of a consumer group, to be counted, and to be killed in a process of their own.

Run as a module it is one member that reads until it is killed.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiokafka import AIOKafkaConsumer

SESSION_TIMEOUT_MS = 3000
_HEARTBEAT_MS = 300


@asynccontextmanager
async def member(bootstrap: str, topic: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A member that joins on entry and leaves on exit; offsets are committed by hand."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=_HEARTBEAT_MS,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@contextmanager
def member_process(bootstrap: str, topic: str, group: str) -> Iterator[subprocess.Popen[bytes]]:
    """A member in a process of its own, killed on exit."""
    command = [sys.executable, "-m", "tests.stack.group", bootstrap, topic, group]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def partitions_of(consumer: AIOKafkaConsumer) -> set[int]:
    """The partitions the member owns at this moment."""
    return {assigned.partition for assigned in consumer.assignment()}


async def _read_until_killed(bootstrap: str, topic: str, group: str) -> None:
    async with member(bootstrap, topic, group) as consumer:
        while True:
            await consumer.getmany(timeout_ms=200)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "topic", "group"):
        parser.add_argument(name)
    asyncio.run(_read_until_killed(**vars(parser.parse_args())))
