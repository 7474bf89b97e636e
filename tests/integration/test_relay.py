"""From the outbox to the topic: promptly, in order, at least once, whatever is in the way."""

import asyncio
import time
from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg
import pytest

from api.decisions import relay
from api.decisions.relay import MOST
from contracts.envelope import CONTENT_TYPE
from tests.api_rows import problem_of, serving
from tests.applying import fetch
from tests.deciding import APPROVE, REJECT, Approver, Outbox, events, waiting
from tests.stack.waiting import until
from tests.unit.event_samples import RUN

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def ids(count: int) -> list[str]:
    return [str(uuid4()) for _ in range(count)]


async def test_a_decision_is_published_at_once_as_it_was_made(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 600.0)
    await outbox.told(waiting())
    async with outbox.api() as client:
        alice = Approver(client)
        await alice.decide(headers={"traceparent": TRACE})
        await outbox.leaves()
        await outbox.told(waiting(8))
        began = time.monotonic()
        await alice.decide(REJECT)
        await outbox.leaves()
        assert time.monotonic() - began < 5
    # a notification that was lost is made up for
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    monkeypatch.setattr(relay, "CHANNEL", "another_channel")
    async with outbox.api():
        await outbox.decide([RUN], 9)
        await outbox.leaves()
    made = await events(outbox.url)
    assert await outbox.published() == made
    assert [event.traceparent for event in made] == [TRACE, None, None]
    for record in await outbox.records():
        assert record.key == RUN.encode()
        assert record.headers == (("content-type", CONTENT_TYPE.encode()),)


class TestOnBothBrokers:
    @pytest.fixture
    def server(self, bootstrap: str) -> str:
        return bootstrap

    async def test_many_relays_publish_each_once_and_a_runs_in_order(self, outbox: Outbox) -> None:
        runs, versions = ids(40), range(1, 6)
        for version in versions:
            await outbox.decide(runs, version)
        assert await outbox.left() == 200
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(outbox.api())
            await outbox.leaves()
        sent = await outbox.published()
        assert len({event.id for event in sent}) == len(sent) == 200
        for run in runs:
            decided_on = [event.data.run_version for event in sent if event.data.run_id == run]
            assert decided_on == list(versions)

    async def test_what_is_not_known_to_be_published_is_published_again(
        self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database goes away between the broker's word and the mark."""
        await outbox.decide([RUN])
        with monkeypatch.context() as patched:
            statement = "SELECT pg_terminate_backend(pg_backend_pid()), $1::uuid[]"
            patched.setattr(relay, "MARK", statement)
            async with outbox.api():
                await until(outbox.records, 30, "the event")
        assert await outbox.left() == 1
        async with outbox.api():
            await outbox.leaves()
        records = await outbox.records()
        assert len(records) >= 2
        assert len({(record.key, record.value) for record in records}) == 1


async def test_what_another_has_claimed_is_passed_over_until_it_is_given_up(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has been put to sleep in the middle of it."""
    monkeypatch.setattr(relay, "POLL_S", 0.1)
    runs = ids(2)
    for version in (1, 2):
        await outbox.decide(runs, version)
    other = await asyncpg.connect(outbox.url)
    claim = "SELECT FROM runfold.command WHERE run_id = $1 AND run_version = 1 FOR UPDATE"
    asleep = other.transaction()
    await asleep.start()
    await other.fetch(claim, runs[0])
    async with outbox.api():
        await outbox.leaves(2)
        await asleep.rollback()
        await outbox.leaves()
    await other.close()
    sent = [event.data for event in await outbox.published()]
    assert [data.run_id for data in sent[:2]] == [runs[1]] * 2
    for run in runs:
        assert [data.run_version for data in sent if data.run_id == run] == [1, 2]


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.crash)])
async def test_of_sixteen_at_once_one_wins_and_its_event_alone_comes(
    outbox: Outbox, rounds: int
) -> None:
    runs = ids(rounds)
    await outbox.told(*(waiting(run_id=run) for run in runs))
    winners = []
    async with outbox.api() as one, outbox.api() as other:
        people = [Approver(each, f"approver-{n}") for n, each in enumerate([one, other] * 8)]
        for run in runs:
            asked = zip(people, [APPROVE, REJECT] * 8, strict=True)
            answers = await asyncio.gather(*(each.decide(what, run=run) for each, what in asked))
            [won] = [it.json()["command_id"] for it in answers if it.status_code == 202]
            for lost in (answer for answer in answers if answer.status_code != 202):
                problem = problem_of(lost, 409, "already_decided")
                assert problem["decision"]["command_id"] == won
            winners.append(won)
        await outbox.leaves()
    sent = await outbox.published()
    assert sorted(event.id for event in sent) == sorted(winners)
    assert {event.data.run_id for event in sent} == set(runs)


async def test_as_many_refused_as_are_published_at_once_hold_up_no_other_run(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(relay.OPTIONS, "max_request_size", 10_000)
    refused, [other] = ids(MOST + 1), ids(1)
    await outbox.decide(refused)
    await outbox.decide(refused[:1], 8)
    await outbox.decide([other])
    enlarge = "UPDATE runfold.command SET event = event || $2 WHERE run_id = ANY ($1)"
    await fetch(outbox.url, f"{enlarge} AND run_version = 7", refused, b" " * 10_000)
    async with outbox.api():
        await outbox.leaves(MOST + 2)
        # those that were refused are tried again, each run's in order
        trim = "UPDATE runfold.command SET event = rtrim(event, ' ') WHERE run_id = $1"
        await fetch(outbox.url, trim, refused[0])
        await outbox.leaves(MOST)
    sent = [(each.data.run_id, each.data.run_version) for each in await outbox.published()]
    assert sent == [(other, 7), (refused[0], 7), (refused[0], 8)]


async def test_a_relay_is_not_waited_for_long_when_the_api_ends(outbox: Outbox) -> None:
    await outbox.decide([RUN])
    async with serving(outbox.url, kafka_bootstrap="127.0.0.1:1"):
        began = time.monotonic()
    assert time.monotonic() - began < relay.STOP_S + 2
