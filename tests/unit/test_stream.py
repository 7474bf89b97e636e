"""A client's share of the changes, how it reads on the wire, and when it ends."""

import asyncio

import pytest

from api import stream
from api.changes import Change, Changes
from api.stream import Subscription, frames

ONE = Change("p1", b'{"run_id":"1"}')
OTHER = Change("p2", b'{"run_id":"2"}')


async def sent(mine: Subscription, opening: Changes, seconds: float = 60) -> list[bytes]:
    until = asyncio.get_running_loop().time() + seconds
    return [frame async for frame in frames(mine, opening, until)]


async def test_a_share_is_of_ones_own_projects_and_the_rest_takes_no_room() -> None:
    mine = Subscription(["p1"])
    mine.offer(Changes("a", "b", (ONE, OTHER)))
    assert await mine.next(0) == [Changes("a", "b", (ONE,))]
    for number in range(1000):
        mine.offer(Changes(f"p{number}", f"p{number + 1}", (OTHER,)))
    assert await mine.next(0) == [Changes("p999", "p1000")]


async def test_too_much_closes_and_keeps_what_was_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_WAITING", 2)
    mine = Subscription(None)
    mine.offer(Changes("a", "b", (ONE, OTHER)))
    assert mine.is_open
    mine.offer(Changes("b", "c", (ONE,)))
    assert not mine.is_open
    assert await sent(mine, Changes("a", "a")) == [
        b"retry: 2000\nid: a\n\n",
        b'id: a\nevent: run\ndata: {"run_id":"1"}\n\nid: b\nevent: run\ndata: {"run_id":"2"}\n\n',
    ]


async def test_a_stream_ends_when_its_time_has_come() -> None:
    told = await sent(Subscription(None), Changes("a", "a"), seconds=0.05)
    assert told == [b"retry: 2000\nid: a\n\n", b": keep-alive\n\n"]


async def test_what_is_lost_is_told_as_a_reset_though_nothing_follows() -> None:
    mine = Subscription(["p1"])
    mine.offer(Changes("a", "b", (), is_lost=True))
    mine.offer(Changes("b", "c", (OTHER,)))
    assert await mine.next(0) == [Changes("a", "b", (), is_lost=True), Changes("b", "c")]
    mine.offer(Changes("a", "b", is_lost=True))
    mine.close()
    assert await sent(mine, Changes("a", "a", (ONE,))) == [
        b'retry: 2000\nid: a\nevent: run\ndata: {"run_id":"1"}\n\n',
        b"id: b\nevent: reset\ndata: {}\n\n",
    ]
