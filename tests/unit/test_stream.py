"""A stream's response and its share of the changes, without a server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack

import pytest
from starlette.types import Message

from api.stream import response, subscription
from api.stream.changes import Change, Changes
from api.stream.response import EventStream
from api.stream.subscription import Subscription, frames

ONE = Change("p1", b'{"run_id":"1"}')
OTHER = Change("p2", b'{"run_id":"2"}')
NEVER = float("inf")


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b": more\n\n"


async def nobody() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_client_that_stops_reading_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "SLOWEST_S", 0.05)
    given_back: list[bool] = []
    sent: list[Message] = []
    resources = ExitStack()
    resources.callback(given_back.append, True)

    async def full(message: Message) -> None:
        sent.append(message)
        if len(sent) > 3:
            await asyncio.Event().wait()

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(5):
        await EventStream(endless(), resources)(scope, nobody, full)
    assert given_back == [True]
    assert len(sent) == 4
    assert all(message.get("more_body", True) for message in sent)


async def test_a_share_is_of_ones_own_projects() -> None:
    mine = Subscription(["p1"])
    mine.offer(Changes("a", "b", (ONE, OTHER)))
    assert await mine.next(0) == [Changes("a", "b", (ONE,))]


async def test_what_is_not_ones_own_takes_no_room() -> None:
    mine = Subscription(["p1"])
    for number in range(1000):
        mine.offer(Changes(f"p{number}", f"p{number + 1}", (OTHER,)))
    assert await mine.next(0) == [Changes("p999", "p1000")]


async def test_too_much_closes_and_keeps_what_was_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "MOST_WAITING", 2)
    mine = Subscription(None)
    mine.offer(Changes("a", "b", (ONE, OTHER)))
    assert mine.is_open
    mine.offer(Changes("b", "c", (ONE,)))
    assert not mine.is_open
    told = [frame async for frame in frames(mine, Changes("a", "a"), NEVER)]
    assert told == [
        b"retry: 2000\nid: a\n\n",
        b'id: a\nevent: run\ndata: {"run_id":"1"}\n\nid: b\nevent: run\ndata: {"run_id":"2"}\n\n',
    ]


async def test_a_stream_ends_when_its_time_has_come() -> None:
    until = asyncio.get_running_loop().time() + 0.05
    told = [frame async for frame in frames(Subscription(None), Changes("a", "a"), until)]
    assert told == [b"retry: 2000\nid: a\n\n", b": keep-alive\n\n"]


async def test_what_is_lost_is_told_though_nothing_follows() -> None:
    mine = Subscription(["p1"])
    mine.offer(Changes("a", "b", (), is_lost=True))
    mine.offer(Changes("b", "c", (OTHER,)))
    assert await mine.next(0) == [Changes("a", "b", (), is_lost=True), Changes("b", "c")]


async def test_what_is_lost_is_told_as_a_reset() -> None:
    mine = Subscription(["p1"])
    mine.offer(Changes("a", "b", is_lost=True))
    mine.close()
    told = [frame async for frame in frames(mine, Changes("a", "a", (ONE,)), NEVER)]
    assert told == [
        b'retry: 2000\nid: a\nevent: run\ndata: {"run_id":"1"}\n\n',
        b"id: b\nevent: reset\ndata: {}\n\n",
    ]
