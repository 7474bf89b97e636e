"""APIs and brokers that are killed while decisions are published."""

import asyncio
import random
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.api_rows import SECRET, Client, serving, settings_for
from tests.command import running
from tests.deciding import (
    REJECT,
    Approver,
    Place,
    Told,
    all_published,
    events,
    key_file,
    unpublished,
    waiting,
)
from tests.kafka.server import KafkaServer
from tests.stack.topics import create_topic
from tests.stack.waiting import until

KILLS = 8


class Apis:
    """APIs as processes, one after the other or several at once."""

    def __init__(self, stack: ExitStack, variables: dict[str, str]) -> None:
        self._stack, self._variables = stack, variables

    def start(self) -> tuple[subprocess.Popen[bytes], str]:
        """A new one, and its URL."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        variables = self._variables | {"RUNFOLD_API_PORT": str(port)}
        process = self._stack.enter_context(running("api", variables=variables))
        return process, f"http://127.0.0.1:{port}"


@pytest.fixture
def server(kafka: KafkaServer) -> str:
    return kafka.bootstrap


@pytest.fixture
async def place(server: str, topic_prefix: str) -> Place:
    name = f"{topic_prefix}approval-command"
    await create_topic(server, name)
    return Place(server, name)


@pytest.fixture
def apis(database_url: str, server: str, topic_prefix: str, tmp_path: Path) -> Iterator[Apis]:
    variables = {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_KAFKA_BOOTSTRAP": server,
        "RUNFOLD_TOPIC_PREFIX": topic_prefix,
        "RUNFOLD_AUTH_HS256_SECRET": SECRET,
        "RUNFOLD_APPROVAL_KEY": str(key_file(tmp_path)),
        "RUNFOLD_LOG_FORMAT": "json",
    }
    with ExitStack() as stack:
        yield Apis(stack, variables)


@pytest.fixture
def told(database_url: str) -> Told:
    return Told(database_url)


async def there(url: str) -> None:
    """Wait until an API answers."""

    async def answers() -> bool:
        try:
            return (await http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async with httpx.AsyncClient(base_url=url) as http:
        await until(answers, 30, "the API")


async def decided(url: str, told: Told, runs: Sequence[str]) -> set[str]:
    """The commands that an API answers with."""
    await there(url)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        alice = Approver(Client(http, settings_for(told.url)))
        made = [await alice.decide(run=run) for run in runs]
    assert {answer.status_code for answer in made} == {202}
    return {answer.json()["command_id"] for answer in made}


@pytest.mark.kafka
async def test_what_was_decided_while_the_broker_was_away_outlives_the_api(
    apis: Apis, told: Told, kafka: KafkaServer, place: Place
) -> None:
    runs = [str(uuid4()) for _ in range(10)]
    await told(*(waiting(run_id=run) for run in runs))
    _, url = apis.start()
    made = await decided(url, told, runs[:5])
    await asyncio.to_thread(kafka.kill)
    try:
        process, url = apis.start()
        made |= await decided(url, told, runs[5:])
        process.kill()
        process.wait(10)
        assert await unpublished(told.url) >= 5
    finally:
        await asyncio.to_thread(kafka.start)
    await all_published(told.url, 60)
    assert {event.id for event in await place.events()} == made
    assert len(made) == 10


class TestOnEveryBroker:
    pytestmark = pytest.mark.crash

    @pytest.fixture
    def server(self, bootstrap: str) -> str:
        return bootstrap

    async def test_relays_that_are_killed_lose_nothing_and_keep_every_order(
        self, apis: Apis, told: Told, place: Place
    ) -> None:
        """Two publish at a time; again and again one of them is killed at some instant."""
        dice = random.Random(17)
        runs = [str(uuid4()) for _ in range(30)]
        alive = [apis.start() for _ in range(2)]
        async with serving(told.url) as keeping:
            alice = Approver(keeping)
            for version in range(1, KILLS + 1):
                for _, url in alive:
                    await there(url)
                await told(*(waiting(version, run_id=run) for run in runs))
                deciding = asyncio.gather(*(alice.decide(REJECT, run=run) for run in runs))
                await asyncio.sleep(dice.uniform(0.02, 0.3))  # the instant of the crash
                process, _ = alive.pop(dice.randrange(2))
                process.kill()
                process.wait(10)
                alive.append(apis.start())
                assert {answer.status_code for answer in await deciding} == {202}
        await all_published(told.url, 60)

        made = await events(told.url)
        assert len(made) == len(runs) * KILLS
        sent = await place.events()
        assert {event.id: event for event in sent} == {event.id: event for event in made}
        for run in runs:
            seen = [event.data.run_version for event in sent if event.data.run_id == run]
            assert [*dict.fromkeys(seen)] == list(range(1, KILLS + 1))
