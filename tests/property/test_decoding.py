"""Whatever the bytes are, decoding says what the reference model says."""

import json
import os
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict

from contracts.decoding import MAX_MESSAGE_LENGTH, Undecodable, decode
from tests.histories.bad import KINDS, Kind
from tests.histories.world import World
from tests.reference import decoding as reference
from tests.unit.event_mutations import EDGES, LITERALS, SUFFIXES, altered, damaged, respelt
from tests.unit.event_samples import as_bytes, least, most

EXAMPLES = int(os.environ.get("RUNFOLD_TEST_EXAMPLES", "1500"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.tuples(st.sampled_from(SUFFIXES), st.binary(max_size=200)) | damaged())
def test_damaged_bytes(record: tuple[str, bytes]) -> None:
    check(*record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(altered())
def test_altered_values(record: tuple[str, bytes]) -> None:
    check(*record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(respelt())
@example(("run-state", as_bytes(least("run-state", cost_usd=-0.0))))
def test_values_at_the_edge_of_what_is_right(record: tuple[str, bytes]) -> None:
    check(*record)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_field_with_every_value_at_an_edge(suffix: str) -> None:
    event = least(suffix)
    written = [json.dumps(each) for each in EDGES] + LITERALS
    for part, names in (("data", most(suffix)["data"]), ("event", most(suffix))):
        for name in names:
            changed = event | {name: "@"} if part == "event" else least(suffix, **{name: "@"})
            for literal in written:
                value = as_bytes(changed).replace(b'"@"', literal.encode())
                if not is_left_open(value):
                    # not by equality alone: 0 and 0.0 are equal, and so are 0.5 and 0.50
                    told, due = decoded(suffix, value), expected(suffix, value)
                    assert (told, in_full(told)) == (due, in_full(due)), (name, literal)


# the database rejects the others
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.reason != "rejected"], ids=lambda kind: kind.name
)
def test_every_kind_of_bad_record(kind: Kind) -> None:
    record = kind.record(World.draw(Random(1)))
    assert record.value is not None
    assert decoded(record.topic, record.value) == expected(record.topic, record.value)


def check(suffix: str, value: bytes) -> None:
    assume(not is_left_open(value))
    assert decoded(suffix, value) == expected(suffix, value)


def decoded(suffix: str, value: bytes) -> Any:
    """The event as a dictionary, or why it is none: a reason, with a message fit to be logged."""
    answer = decode(suffix, value)
    if isinstance(answer, Undecodable):
        assert answer.message.isprintable()
        assert len(answer.message) <= MAX_MESSAGE_LENGTH
        return answer.reason.value
    return plain(answer)


def is_left_open(value: bytes) -> bool:
    """Whether the reference model leaves the answer open (see there)."""
    return b"\\u0000" in value or says_a_name_twice(value)


def says_a_name_twice(value: bytes) -> bool:
    found = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len(dict(pairs)) < len(pairs))

    try:
        json.loads(value, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return any(found)
    return any(found)


def expected(suffix: str, value: bytes) -> Any:
    try:
        event = reference.decode(suffix, value)
    except reference.Unusable as unusable:
        return unusable.reason
    data = {
        name: floats(each) if name in {"source_envelope", "gate_result"} else each
        for name, each in event.data.items()
    }
    return {"id": event.id, "time": event.time, "entityversion": event.version, "data": data}


def plain(event: Any) -> dict[str, Any]:
    data = {
        name: asdict(each) if isinstance(each, Struct) else each
        for name, each in asdict(event.data).items()
    }
    named = ("id", "time", "entityversion")
    return {**{name: getattr(event, name) for name in named}, "data": data}


def floats(value: Any) -> Any:
    """A JSON value whose numbers have no more digits than a float."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {name: floats(each) for name, each in value.items()}
        case list():
            return [floats(each) for each in value]
    return value


def in_full(told: Any) -> Any:
    return {name: repr(each) for name, each in told["data"].items()} if "data" in told else told
