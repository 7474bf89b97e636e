"""The views as of an instant: read by operators who name them, never by anybody by mistake."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.decoding import Undecodable, decode
from contracts.errors import OperationError, UsageError
from tests.api_rows import serving
from tests.histories import history
from tests.rebuild.place import Place
from tests.reference import Record, counts, load


def time_of(record: Record) -> datetime | None:
    """When an event happened; None for what is no event."""
    event = None if record.value is None else decode(record.topic, record.value)
    return None if event is None or isinstance(event, Undecodable) else event.time


OPERATOR: dict[str, Any] = {"roles": ["operator"]}
RECORDS = [*history(21, size=400, bad=True)]
FAR = datetime.now(UTC) + timedelta(days=10_000)


async def test_it_says_what_the_events_up_to_then_say(filled: Place) -> None:
    times = sorted(time for time in map(time_of, RECORDS) if time is not None)
    instant = times[len(times) // 2]  # one of an event, which is in it
    await filled.rebuild("past", until=instant)
    assert await filled.active() == "first"
    told = load(r for r in RECORDS if (time := time_of(r)) is None or time <= instant)
    async with serving(filled.settings.database_url) as api:
        seen = await api.get("/v1/runs/counts", **OPERATOR, generation="past")
        assert seen["counts"] == counts(told)
        live = await api.get("/v1/runs/counts", **OPERATOR, generation="first")
        assert live["counts"] != seen["counts"]
        assert live == await api.get("/v1/runs/counts")
        for roles in (["viewer"], ["viewer", "approver"]):
            await api.fails("/v1/runs/counts", 403, "forbidden", roles=roles, generation="past")
        await api.fails("/v1/runs", 404, "generation_not_found", **OPERATOR, generation="none")
        await api.fails("/v1/runs", 422, "invalid_parameter", **OPERATOR, generation="a; b")
        shown = await api.get("/v1/ops/projection", **OPERATOR, generation="past")
        assert shown["generation"] == "past"


async def test_it_is_never_activated(bare: Place) -> None:
    with pytest.raises(UsageError, match="--activate: views as of an instant are never activated"):
        await bare.rebuild("past", until=FAR, activate=True)
    with pytest.raises(UsageError, match="--verify: views as of an instant differ from those"):
        await bare.rebuild("past", until=FAR, verify=True)
    await bare.rebuild("past", until=FAR)
    with pytest.raises(OperationError, match="generation 'past' is as of"):
        await bare.activate("past")
    assert await bare.states() == {"main": "active", "past": "as of an instant"}


async def test_one_that_is_being_made_cannot_be_read(bare: Place) -> None:
    await bare.send(history(21, size=100))
    async with serving(bare.settings.database_url) as api, bare.held("half") as rebuilding:
        await api.fails("/v1/runs", 404, "generation_not_found", **OPERATOR, generation="half")
        (rebuild,) = (await api.get("/v1/ops/projection", **OPERATOR))["rebuilds"]
        known = rebuild["generation"], rebuild["phase"], rebuild["is_running"], rebuild["total"]
        assert known == ("half", "load", True, bare.sent)
        topics = {each["topic"]: each["total"] for each in rebuild["topics"]}
        assert sum(topics.values()) == bare.sent
        rebuilding.cancel()
        await asyncio.wait({rebuilding})
        (rebuild,) = (await api.get("/v1/ops/projection", **OPERATOR))["rebuilds"]
        assert not rebuild["is_running"]
