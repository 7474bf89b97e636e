"""APIs that are killed while they publish, on a broker that keeps what it has."""

import asyncio
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.settings import ApiSettings
from tests.api_rows import SECRET, serving, settings_for
from tests.command import running
from tests.deciding import (
    Approver,
    Told,
    all_published,
    event_of,
    events,
    key_file,
    on_topic,
    unpublished,
    waiting,
)
from tests.kafka.server import KafkaServer
from tests.stack.topics import create_topic
from tests.stack.waiting import until

pytestmark = pytest.mark.kafka

KILLS = 12


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
async def topic(kafka: KafkaServer, topic_prefix: str) -> str:
    name = f"{topic_prefix}approval-command"
    await create_topic(kafka.bootstrap, name)
    return name


@pytest.fixture
def apis(
    database_url: str, kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> Iterator[Apis]:
    variables = {
        "RUNFOLD_DATABASE_URL": database_url,
        "RUNFOLD_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "RUNFOLD_TOPIC_PREFIX": topic_prefix,
        "RUNFOLD_AUTH_HS256_SECRET": SECRET,
        "RUNFOLD_APPROVAL_KEY": str(key_file(tmp_path)),
        "RUNFOLD_LOG_FORMAT": "json",
    }
    with ExitStack() as stack:
        yield Apis(stack, variables)


@pytest.fixture
def settings(database_url: str) -> ApiSettings:
    return settings_for(database_url)


async def answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def there(url: str) -> None:
    """Wait until an API answers."""
    async with httpx.AsyncClient(base_url=url) as http:
        await until(lambda: answers(http), 30, "the API")


async def decided(url: str, settings: ApiSettings, runs: Sequence[str]) -> list[str]:
    """The commands that an API answers with."""
    await there(url)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        alice = Approver(http, settings)
        made = [await alice.decide(run=run) for run in runs]
    assert {answer.status_code for answer in made} == {202}
    return [answer.json()["command_id"] for answer in made]


async def test_what_was_decided_while_the_broker_was_away_outlives_the_api(
    apis: Apis, settings: ApiSettings, kafka: KafkaServer, topic: str
) -> None:
    runs = [str(uuid4()) for _ in range(5)]
    await Told(settings.database_url)(*(waiting(run_id=run) for run in runs))
    await asyncio.to_thread(kafka.stop)
    try:
        process, url = apis.start()
        made = await decided(url, settings, runs)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert await unpublished(settings.database_url) == 5
    finally:
        await asyncio.to_thread(kafka.start)
    apis.start()
    await all_published(settings.database_url, 60)
    sent = [event_of(record.value).id for record in await on_topic(kafka.bootstrap, topic)]
    assert set(sent) == set(made)
    assert len(set(made)) == 5


async def test_a_broker_that_is_killed_and_back_gets_what_was_decided_meanwhile(
    apis: Apis, settings: ApiSettings, kafka: KafkaServer, topic: str
) -> None:
    runs = [str(uuid4()) for _ in range(10)]
    await Told(settings.database_url)(*(waiting(run_id=run) for run in runs))
    _, url = apis.start()
    made = await decided(url, settings, runs[:5])
    await asyncio.to_thread(kafka.kill)
    try:
        made += await decided(url, settings, runs[5:])
    finally:
        await asyncio.to_thread(kafka.start)
    await all_published(settings.database_url, 60)
    sent = {event_of(record.value).id for record in await on_topic(kafka.bootstrap, topic)}
    assert sent == set(made)


async def test_relays_that_are_killed_lose_nothing_and_keep_every_order(
    apis: Apis, settings: ApiSettings, kafka: KafkaServer, topic: str
) -> None:
    """Two publish at a time; again and again one of them is killed at some instant."""
    dice = random.Random(17)
    told, runs = Told(settings.database_url), [str(uuid4()) for _ in range(30)]
    alive = [apis.start() for _ in range(2)]
    version = 0

    async with serving(settings.database_url) as keeping:
        alice = Approver(keeping.http, settings)
        for _ in range(KILLS):
            version += 1
            for _, url in alive:
                await there(url)
            await told(*(waiting(version, run_id=run) for run in runs))
            body = {"decision": "reject", "reason": "no"}
            deciding = asyncio.gather(*(alice.decide(body, run=run) for run in runs))
            await asyncio.sleep(dice.uniform(0.02, 0.3))  # the instant of the crash
            process, _ = alive.pop(dice.randrange(2))
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            alive.append(apis.start())
            assert {answer.status_code for answer in await deciding} == {202}
    await all_published(settings.database_url, 60)

    made = await events(settings.database_url)
    assert len(made) == len(runs) * KILLS
    sent = [event_of(record.value) for record in await on_topic(kafka.bootstrap, topic)]
    assert {event.id: event for event in sent} == {event.id: event for event in made}
    for run in runs:
        seen = dict.fromkeys(event.data.run_version for event in sent if event.data.run_id == run)
        assert [*seen] == list(range(1, KILLS + 1))
