"""From the outbox to the topic: promptly, in order, at least once, whoever is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from api.app import create_app
from api.decisions import relay
from api.decisions.outbox import MOST
from contracts.envelope import CONTENT_TYPE
from contracts.errors import SettingError
from projector.migrate import migrate
from tests.api_rows import Client, problem_of, serving, settings_for
from tests.deciding import (
    APPROVE,
    REJECT,
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
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres
from tests.stack.topics import create_topic
from tests.stack.waiting import until
from tests.unit.event_samples import RUN

Lines = list[MutableMapping[str, Any]]
Api = Callable[[], AbstractAsyncContextManager[Client]]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Place(NamedTuple):
    """Where decisions go: a topic of one partition."""

    bootstrap: str
    topic: str


@pytest.fixture
async def place(bootstrap: str, topic_prefix: str) -> Place:
    name = f"{topic_prefix}approval-command"
    await create_topic(bootstrap, name)
    return Place(bootstrap, name)


@pytest.fixture
def api(database_url: str, tmp_path: Path, place: Place, topic_prefix: str) -> Api:
    """Makes an API that relays."""
    key = key_file(tmp_path)
    return lambda: serving(
        database_url, approval_key=key, kafka_bootstrap=place.bootstrap, topic_prefix=topic_prefix
    )


@pytest.fixture
def unmarked(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The database goes away between the broker's word and the mark, until this is undone."""
    statement = "SELECT pg_terminate_backend(pg_backend_pid()), $1::uuid[]"
    monkeypatch.setattr(relay, "MARK", statement)
    yield monkeypatch
    monkeypatch.undo()


@pytest.fixture
async def keeping(database_url: str, tmp_path: Path) -> AsyncIterator[Approver]:
    """Somebody who decides at an API that publishes nothing."""
    async with serving(database_url, approval_key=key_file(tmp_path)) as client:
        yield Approver(client.http, client.settings)


async def test_a_decision_is_published_at_once_as_it_was_made(
    api: Api, database_url: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 600.0)
    told = Told(database_url)
    await told(waiting())
    async with api() as client:
        alice = Approver(client.http, client.settings)
        await alice.decide(headers={"traceparent": TRACE})
        await all_published(database_url)
        await told(waiting(8))
        began = time.monotonic()
        await alice.decide(REJECT)
        await all_published(database_url)
        assert time.monotonic() - began < 5
    made = await events(database_url)
    records = await on_topic(*place)
    assert [event_of(record.value) for record in records] == made
    assert [event.traceparent for event in made] == [TRACE, None]
    for record in records:
        assert record.key == RUN.encode()
        assert record.headers == (("content-type", CONTENT_TYPE.encode()),)


async def test_a_notification_that_was_lost_is_made_up_for(
    api: Api, keeping: Approver, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    monkeypatch.setattr(relay, "CHANNEL", "another_channel")
    told = Told(database_url)
    await told(waiting())
    async with api():
        await keeping.decide()
        await all_published(database_url)


async def test_many_relays_publish_each_once_and_a_runs_in_order(
    api: Api, keeping: Approver, database_url: str, place: Place
) -> None:
    runs, versions = [str(uuid4()) for _ in range(40)], range(1, 6)
    told = Told(database_url)
    for version in versions:
        await told(*(waiting(version, run_id=run) for run in runs))
        answers = await asyncio.gather(*(keeping.decide(run=run) for run in runs))
        assert {answer.status_code for answer in answers} == {202}
    assert await unpublished(database_url) == 200
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(api())
        await all_published(database_url)
    sent = [event_of(record.value) for record in await on_topic(*place)]
    assert len({event.id for event in sent}) == len(sent) == 200
    for run in runs:
        decided_on = [event.data.run_version for event in sent if event.data.run_id == run]
        assert decided_on == list(versions)


async def test_what_another_has_claimed_is_passed_over_until_it_is_given_up(
    api: Api,
    keeping: Approver,
    database_url: str,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other has been put to sleep in the middle of it."""
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    told, runs = Told(database_url), [str(uuid4()) for _ in range(2)]
    for version in (1, 2):
        await told(*(waiting(version, run_id=run) for run in runs))
        for run in runs:
            await keeping.decide(run=run)
    other = await asyncpg.connect(database_url)
    claim = "SELECT FROM runfold.command WHERE run_id = $1 AND run_version = 1 FOR UPDATE"
    asleep = other.transaction()
    await asleep.start()
    await other.fetch(claim, runs[0])
    async with api():
        await until(lambda: left(database_url, 2), 30, "the other run's decisions")
        await asleep.rollback()
        await all_published(database_url)
    await other.close()
    sent = [event_of(record.value).data for record in await on_topic(*place)]
    assert [data.run_id for data in sent[:2]] == [runs[1]] * 2
    for run in runs:
        assert [data.run_version for data in sent if data.run_id == run] == [1, 2]


async def test_of_sixteen_at_once_in_a_hundred_rounds_one_event_each_comes(
    api: Api, database_url: str, place: Place
) -> None:
    runs = [str(uuid4()) for _ in range(100)]
    await Told(database_url)(*(waiting(run_id=run) for run in runs))
    winners = []
    async with api() as one, api() as other:
        people = [
            Approver(each.http, each.settings, f"approver-{number}")
            for number, each in enumerate([one, other] * 8)
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
        await all_published(database_url)
    sent = [event_of(record.value) for record in await on_topic(*place)]
    assert sorted(event.id for event in sent) == sorted(winners)
    assert {event.data.run_id for event in sent} == set(runs)


async def test_what_is_not_known_to_be_published_is_published_again(
    api: Api, keeping: Approver, database_url: str, place: Place, unmarked: pytest.MonkeyPatch
) -> None:
    await Told(database_url)(waiting())
    await keeping.decide()
    async with api():
        await until(lambda: came(place, 1), 30, "the event")
    assert await unpublished(database_url) == 1
    unmarked.undo()
    async with api():
        await all_published(database_url)
    records = await on_topic(*place)
    assert len(records) >= 2
    assert len({(record.key, record.value) for record in records}) == 1


async def came(place: Place, count: int) -> bool:
    return len(await on_topic(*place)) >= count


async def test_one_that_the_broker_refuses_holds_up_no_other_run(
    api: Api, keeping: Approver, database_url: str, place: Place
) -> None:
    runs = [str(uuid4()) for _ in range(3)]
    await Told(database_url)(*(waiting(run_id=run) for run in runs))
    for run in runs:
        await keeping.decide(run=run)
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "UPDATE runfold.command SET event = $2 WHERE run_id = $1", runs[0], b" " * 2_000_000
    )
    with capture_logs() as lines:
        async with api():
            await until(lambda: left(database_url, 1), 30, "the others to be published")
            await owner.execute("DELETE FROM runfold.command WHERE run_id = $1", runs[0])
            await until(lambda: was_told("broker is back", lines), 30, "its end")
    await owner.close()
    sent = [event_of(record.value).data.run_id for record in await on_topic(*place)]
    assert sorted(sent) == sorted(runs[1:])
    away = [line["event"] for line in lines if "away" in line["event"]]
    assert away == ["broker is away; waiting for it and trying again"]


async def test_as_many_refused_as_are_published_at_once_hold_up_no_other_run(
    api: Api, keeping: Approver, database_url: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(relay.OPTIONS, "max_request_size", 10_000)
    refused = [str(uuid4()) for _ in range(MOST + 1)]
    runs = [*refused, str(uuid4())]
    told = Told(database_url)
    await told(*(waiting(run_id=run) for run in runs))
    for run in runs:
        await keeping.decide(run=run)
    await told(waiting(8, run_id=refused[0]))
    await keeping.decide(run=refused[0])
    owner = await asyncpg.connect(database_url)
    await owner.execute(
        "UPDATE runfold.command SET event = event || $2"
        " WHERE run_id = ANY ($1) AND run_version = 7",
        refused,
        b" " * 10_000,
    )
    async with api():
        await until(lambda: left(database_url, MOST + 2), 30, "the other to be published")
        # those that were refused are tried again, each run's in order
        await owner.execute(
            "UPDATE runfold.command SET event = rtrim(event, ' ') WHERE run_id = $1", refused[0]
        )
        await until(lambda: left(database_url, MOST), 60, "the one that is refused no more")
    await owner.close()
    sent = [event_of(record.value).data for record in await on_topic(*place)]
    assert [(data.run_id, data.run_version) for data in sent] == [
        (runs[-1], 7),
        (refused[0], 7),
        (refused[0], 8),
    ]


def was_told(event: str, lines: Lines) -> bool:
    return any(line["event"] == event for line in lines)


async def left(database_url: str, count: int) -> bool:
    return await unpublished(database_url) == count


async def test_a_broker_that_is_away_is_waited_for_and_keeps_nobody_waiting(
    database_url: str, tmp_path: Path
) -> None:
    await Told(database_url)(*(waiting(run_id=str(uuid4())) for _ in range(3)), waiting())
    with EmbeddedBroker() as broker:
        await asyncio.to_thread(broker.stop)
        with capture_logs() as lines:
            settings = {"approval_key": key_file(tmp_path), "kafka_bootstrap": broker.bootstrap}
            async with serving(database_url, **settings) as client:
                alice = Approver(client.http, client.settings)
                began = time.monotonic()
                command = (await alice.decide()).json()
                path = f"/v1/approvals/commands/{command['command_id']}"
                assert (await alice.get(path))["status"] == command["status"] == "pending"
                assert time.monotonic() - began < 3
                await until(lambda: len(lines) > 0, 30, "the outage to be told")
                await asyncio.to_thread(broker.start)
                await all_published(database_url)
                assert (await alice.get(path))["status"] == "published"
    assert [line["event"] for line in lines] == [
        "broker is away; waiting for it and trying again",
        "broker is back",
    ]


async def test_a_database_that_comes_late_or_goes_is_waited_for(
    tmp_path: Path, place: Place, topic_prefix: str
) -> None:
    with EmbeddedPostgres(durable=False) as postgres:
        settings = {
            "approval_key": key_file(tmp_path),
            "kafka_bootstrap": place.bootstrap,
            "topic_prefix": topic_prefix,
        }
        with capture_logs() as lines:
            async with serving(postgres.url, **settings) as client:
                alice = Approver(client.http, client.settings)
                problem_of(await alice.decide(), 503, "not_migrated")
                await asyncio.to_thread(migrate, postgres.url)
                told = Told(postgres.url)
                await told(waiting())
                assert (await alice.decide()).status_code == 202
                await all_published(postgres.url)
                await asyncio.to_thread(postgres.kill)
                problem_of(await alice.decide(), 503, "database_unavailable")
                await asyncio.to_thread(postgres.start)
                await told(waiting(8))
                assert (await alice.decide()).status_code == 202
                await all_published(postgres.url)
        assert len(await on_topic(*place)) == 2
    said = [line["event"] for line in lines if "outbox" in line["event"]]
    assert (
        said
        == [
            "database of the outbox is away; waiting for it and trying again",
            "database of the outbox is back",
        ]
        * 2
    )


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
    keeping: Approver, database_url: str
) -> None:
    await Told(database_url)(waiting())
    await keeping.decide()
    async with serving(database_url, kafka_bootstrap="127.0.0.1:1"):
        began = time.monotonic()
    assert time.monotonic() - began < relay.STOP_S + 2
