"""From the outbox to the topic: promptly, in order, at least once, whatever is in the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from api.app import create_app
from api.decisions import relay
from api.decisions.outbox import MOST
from contracts.envelope import CONTENT_TYPE
from contracts.errors import SettingError
from projector.demo.broker import EmbeddedBroker
from tests.api_rows import Client, problem_of, serving, settings_for
from tests.deciding import (
    APPROVE,
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
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres
from tests.stack.topics import create_topic
from tests.stack.waiting import until
from tests.unit.event_samples import RUN

Api = Callable[[], AbstractAsyncContextManager[Client]]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def server(broker: EmbeddedBroker) -> str:
    """Where the topic is: on the embedded broker, but for what both brokers must do."""
    return broker.bootstrap


@pytest.fixture
async def place(server: str, topic_prefix: str) -> Place:
    """Where decisions go: a topic of one partition."""
    name = f"{topic_prefix}approval-command"
    await create_topic(server, name)
    return Place(server, name)


@pytest.fixture
def api(database_url: str, tmp_path: Path, place: Place, topic_prefix: str) -> Api:
    """Makes an API that relays."""
    key = key_file(tmp_path)
    return lambda: serving(
        database_url, approval_key=key, kafka_bootstrap=place.bootstrap, topic_prefix=topic_prefix
    )


@pytest.fixture
async def keeping(database_url: str, tmp_path: Path) -> AsyncIterator[Approver]:
    """Somebody who decides at an API that publishes nothing."""
    async with serving(database_url, approval_key=key_file(tmp_path)) as client:
        yield Approver(client)


@pytest.fixture
def told(database_url: str) -> Told:
    return Told(database_url)


async def left(told: Told, count: int) -> bool:
    return await unpublished(told.url) == count


async def test_a_decision_is_published_at_once_as_it_was_made(
    api: Api, told: Told, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 600.0)
    await told(waiting())
    async with api() as client:
        alice = Approver(client)
        await alice.decide(headers={"traceparent": TRACE})
        await all_published(told.url)
        await told(waiting(8))
        began = time.monotonic()
        await alice.decide(REJECT)
        await all_published(told.url)
        assert time.monotonic() - began < 5
    made = await events(told.url)
    assert await place.events() == made
    assert [event.traceparent for event in made] == [TRACE, None]
    for record in await place.records():
        assert record.key == RUN.encode()
        assert record.headers == (("content-type", CONTENT_TYPE.encode()),)


async def test_a_notification_that_was_lost_is_made_up_for(
    api: Api, told: Told, keeping: Approver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    monkeypatch.setattr(relay, "CHANNEL", "another_channel")
    await told(waiting())
    async with api():
        await keeping.decide()
        await all_published(told.url)


class TestOnBothBrokers:
    @pytest.fixture
    def server(self, bootstrap: str) -> str:
        return bootstrap

    async def test_many_relays_publish_each_once_and_a_runs_in_order(
        self, api: Api, told: Told, keeping: Approver, place: Place
    ) -> None:
        runs, versions = [str(uuid4()) for _ in range(40)], range(1, 6)
        for version in versions:
            await told(*(waiting(version, run_id=run) for run in runs))
            answers = await asyncio.gather(*(keeping.decide(run=run) for run in runs))
            assert {answer.status_code for answer in answers} == {202}
        assert await unpublished(told.url) == 200
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(api())
            await all_published(told.url)
        sent = await place.events()
        assert len({event.id for event in sent}) == len(sent) == 200
        for run in runs:
            decided_on = [event.data.run_version for event in sent if event.data.run_id == run]
            assert decided_on == list(versions)

    @pytest.fixture
    def unmarked(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
        """The database goes away between the broker's word and the mark, until this is undone."""
        statement = "SELECT pg_terminate_backend(pg_backend_pid()), $1::uuid[]"
        monkeypatch.setattr(relay, "MARK", statement)
        yield monkeypatch
        monkeypatch.undo()

    async def test_what_is_not_known_to_be_published_is_published_again(
        self,
        api: Api,
        told: Told,
        keeping: Approver,
        place: Place,
        unmarked: pytest.MonkeyPatch,
    ) -> None:
        await told(waiting())
        await keeping.decide()
        async with api():
            await until(place.records, 30, "the event")
        assert await unpublished(told.url) == 1
        unmarked.undo()
        async with api():
            await all_published(told.url)
        records = await place.records()
        assert len(records) >= 2
        assert len({(record.key, record.value) for record in records}) == 1


async def test_what_another_has_claimed_is_passed_over_until_it_is_given_up(
    api: Api,
    told: Told,
    keeping: Approver,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other has been put to sleep in the middle of it."""
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    runs = [str(uuid4()) for _ in range(2)]
    for version in (1, 2):
        await told(*(waiting(version, run_id=run) for run in runs))
        for run in runs:
            await keeping.decide(run=run)
    other = await asyncpg.connect(told.url)
    claim = "SELECT FROM runfold.command WHERE run_id = $1 AND run_version = 1 FOR UPDATE"
    asleep = other.transaction()
    await asleep.start()
    await other.fetch(claim, runs[0])
    async with api():
        await until(lambda: left(told, 2), 30, "the other run's decisions")
        await asleep.rollback()
        await all_published(told.url)
    await other.close()
    sent = [event.data for event in await place.events()]
    assert [data.run_id for data in sent[:2]] == [runs[1]] * 2
    for run in runs:
        assert [data.run_version for data in sent if data.run_id == run] == [1, 2]


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.crash)])
async def test_of_sixteen_at_once_one_wins_and_its_event_alone_comes(
    api: Api, told: Told, place: Place, rounds: int
) -> None:
    runs = [str(uuid4()) for _ in range(rounds)]
    await told(*(waiting(run_id=run) for run in runs))
    winners = []
    async with api() as one, api() as other:
        people = [
            Approver(each, f"approver-{number}") for number, each in enumerate([one, other] * 8)
        ]
        for run in runs:
            answers = await asyncio.gather(
                *(
                    each.decide((APPROVE, REJECT)[number % 2], run=run)
                    for number, each in enumerate(people)
                )
            )
            [won] = [answer.json() for answer in answers if answer.status_code == 202]
            lost = [answer for answer in answers if answer.status_code != 202]
            assert len(lost) == 15
            for answer in lost:
                problem = problem_of(answer, 409, "already_decided")
                assert problem["decision"]["command_id"] == won["command_id"]
            winners.append(won["command_id"])
        await all_published(told.url)
    sent = await place.events()
    assert sorted(event.id for event in sent) == sorted(winners)
    assert {event.data.run_id for event in sent} == set(runs)


async def test_as_many_refused_as_are_published_at_once_hold_up_no_other_run(
    api: Api,
    told: Told,
    keeping: Approver,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(relay.OPTIONS, "max_request_size", 10_000)
    refused = [str(uuid4()) for _ in range(MOST + 1)]
    runs = [*refused, str(uuid4())]
    await told(*(waiting(run_id=run) for run in runs))
    for run in runs:
        await keeping.decide(run=run)
    await told(waiting(8, run_id=refused[0]))
    await keeping.decide(run=refused[0])
    owner = await asyncpg.connect(told.url)
    await owner.execute(
        "UPDATE runfold.command SET event = event || $2"
        " WHERE run_id = ANY ($1) AND run_version = 7",
        refused,
        b" " * 10_000,
    )
    async with api():
        await until(lambda: left(told, MOST + 2), 30, "the other to be published")
        # those that were refused are tried again, each run's in order
        await owner.execute(
            "UPDATE runfold.command SET event = rtrim(event, ' ') WHERE run_id = $1", refused[0]
        )
        await until(lambda: left(told, MOST), 60, "the one that is refused no more")
    await owner.close()
    assert [(each.data.run_id, each.data.run_version) for each in await place.events()] == [
        (runs[-1], 7),
        (refused[0], 7),
        (refused[0], 8),
    ]


def test_a_broker_that_cannot_be_asked_rightly_is_a_setting(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("no certificate")
    settings = settings_for(
        "postgresql://127.0.0.1/nowhere",
        kafka_bootstrap="127.0.0.1:1",
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=nonsense,
    )
    with pytest.raises(SettingError, match="RUNFOLD_KAFKA_SSL_CAFILE"):
        create_app(settings)


async def test_a_relay_is_not_waited_for_long_when_the_api_ends(
    told: Told, keeping: Approver
) -> None:
    await told(waiting())
    await keeping.decide()
    async with serving(told.url, kafka_bootstrap="127.0.0.1:1"):
        began = time.monotonic()
    assert time.monotonic() - began < relay.STOP_S + 2
