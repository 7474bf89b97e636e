"""APIs and brokers that are killed while decisions are published."""

import asyncio
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from projector.demo.process import free_port
from tests.api_rows import SECRET, Client, serving, settings_for
from tests.command import running
from tests.deciding import REJECT, Approver, Outbox, events, waiting
from tests.kafka.server import KafkaServer
from tests.live import settings_of, variables_of
from tests.stack.waiting import until

KILLS = 8


class Apis:
    """APIs as processes, one after the other or several at once."""

    def __init__(self, stack: ExitStack, variables: dict[str, str]) -> None:
        self._stack, self._variables = stack, variables

    def start(self) -> tuple[subprocess.Popen[bytes], str]:
        """A new one, and its URL."""
        port = free_port()
        variables = self._variables | {"RUNFOLD_API_PORT": str(port)}
        process = self._stack.enter_context(running("api", variables=variables))
        return process, f"http://127.0.0.1:{port}"


@pytest.fixture
def server(kafka: KafkaServer) -> str:
    return kafka.bootstrap


@pytest.fixture
def apis(outbox: Outbox) -> Iterator[Apis]:
    variables = variables_of(settings_of(outbox.url, outbox.bootstrap, outbox.prefix))
    variables |= {"RUNFOLD_AUTH_HS256_SECRET": SECRET, "RUNFOLD_APPROVAL_KEY": str(outbox.key)}
    with ExitStack() as stack:
        yield Apis(stack, variables)


async def there(url: str) -> None:
    """Wait until an API answers."""

    async def answers() -> bool:
        try:
            return (await http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async with httpx.AsyncClient(base_url=url) as http:
        await until(answers, 30, "the API")


async def decided(url: str, outbox: Outbox, runs: Sequence[str]) -> set[str]:
    """The commands that an API answers with."""
    await there(url)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        alice = Approver(Client(http, settings_for(outbox.url)))
        made = [await alice.decide(run=run) for run in runs]
    assert {answer.status_code for answer in made} == {202}
    return {answer.json()["command_id"] for answer in made}


@pytest.mark.kafka
async def test_what_was_decided_while_the_broker_was_away_outlives_the_api(
    apis: Apis, outbox: Outbox, kafka: KafkaServer
) -> None:
    runs = [str(uuid4()) for _ in range(10)]
    await outbox.told(*(waiting(run_id=run) for run in runs))
    _, url = apis.start()
    made = await decided(url, outbox, runs[:5])
    await asyncio.to_thread(kafka.kill)
    try:
        process, url = apis.start()
        made |= await decided(url, outbox, runs[5:])
        process.kill()
        process.wait(10)
        assert await outbox.left() >= 5
    finally:
        await asyncio.to_thread(kafka.start)
    await outbox.leaves()
    assert {event.id for event in await outbox.published()} == made
    assert len(made) == 10


class TestOnEveryBroker:
    pytestmark = pytest.mark.crash

    @pytest.fixture
    def server(self, bootstrap: str) -> str:
        return bootstrap

    async def test_relays_that_are_killed_lose_nothing_and_keep_every_order(
        self, apis: Apis, outbox: Outbox
    ) -> None:
        """Two publish at a time; again and again one of them is killed at some instant."""
        dice = random.Random(17)
        runs = [str(uuid4()) for _ in range(30)]
        alive = [apis.start() for _ in range(2)]
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
                alive.append(apis.start())
                assert {answer.status_code for answer in await deciding} == {202}
        await outbox.leaves()

        made = await events(outbox.url)
        assert len(made) == len(runs) * KILLS
        sent = await outbox.published()
        assert {event.id: event for event in sent} == {event.id: event for event in made}
        for run in runs:
            seen = [event.data.run_version for event in sent if event.data.run_id == run]
            assert [*dict.fromkeys(seen)] == list(range(1, KILLS + 1))
