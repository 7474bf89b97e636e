"""APIs that are killed while decisions are published."""

import asyncio
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from projector.demo.process import free_port
from tests.api_rows import SECRET, serving
from tests.command import running
from tests.deciding import REJECT, Approver, Outbox, events, key_file, waiting
from tests.stack.waiting import until

pytestmark = pytest.mark.crash
KILLS = 8


Start = Callable[[], tuple[subprocess.Popen[bytes], str]]
"""Starts an API as a process; gives its URL with it."""


@pytest.fixture
async def outbox(database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path) -> Outbox:
    return await Outbox(database_url, bootstrap, topic_prefix, key_file(tmp_path)).open()


@pytest.fixture
def start(outbox: Outbox) -> Iterator[Start]:
    variables = {
        "RUNFOLD_DATABASE_URL": outbox.url,
        "RUNFOLD_KAFKA_BOOTSTRAP": outbox.bootstrap,
        "RUNFOLD_TOPIC_PREFIX": outbox.prefix,
        "RUNFOLD_AUTH_HS256_SECRET": SECRET,
        "RUNFOLD_APPROVAL_KEY": str(outbox.key),
        "RUNFOLD_LOG_FORMAT": "json",
    }
    with ExitStack() as stack:

        def started() -> tuple[subprocess.Popen[bytes], str]:
            port = free_port()
            here = variables | {"RUNFOLD_API_PORT": str(port)}
            process = stack.enter_context(running("api", variables=here))
            return process, f"http://127.0.0.1:{port}"

        yield started


async def there(url: str) -> None:
    """Wait until an API answers."""

    async def answers() -> bool:
        try:
            return (await http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async with httpx.AsyncClient(base_url=url) as http:
        await until(answers, 30, "the API")


async def test_relays_that_are_killed_lose_nothing_and_keep_every_order(
    start: Start, outbox: Outbox
) -> None:
    """Two publish at a time; again and again one of them is killed at some instant."""
    dice = random.Random(17)
    runs = [str(uuid4()) for _ in range(30)]
    alive = [start() for _ in range(2)]
    async with serving(outbox.url) as keeping:
        alice = Approver(keeping)
        for version in range(1, KILLS + 1):
            for _, url in alive:
                await there(url)
            await outbox.told(*(waiting(version, run_id=run) for run in runs))
            deciding = asyncio.gather(*(alice.decide(REJECT, run=run) for run in runs))
            await asyncio.sleep(dice.uniform(0.02, 0.3))  # the instant of the crash
            process, _ = alive.pop(dice.randrange(2))
            process.kill()
            process.wait(10)
            alive.append(start())
            assert {answer.status_code for answer in await deciding} == {202}
    await outbox.leaves()

    made = await events(outbox.url)
    assert len(made) == len(runs) * KILLS
    sent = await outbox.published()
    assert {event.id: event for event in sent} == {event.id: event for event in made}
    for run in runs:
        seen = [event.data.run_version for event in sent if event.data.run_id == run]
        assert [*dict.fromkeys(seen)] == list(range(1, KILLS + 1))
