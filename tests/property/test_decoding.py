"""Whatever the bytes are, decoding says what the reference model says."""

import json
import os
from decimal import Decimal
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict

from contracts.decoding import Undecodable, decode
from tests.reference import decoding as reference
from tests.unit.event_mutations import SUFFIXES, altered, damaged, respelt
from tests.unit.event_samples import as_bytes, least

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


def check(suffix: str, value: bytes) -> None:
    # where the reference model leaves the answer open (see there)
    assume(b"\\u0000" not in value and not says_a_name_twice(value))
    answer = decode(suffix, value)
    found = answer.reason.value if isinstance(answer, Undecodable) else plain(answer)
    assert found == expected(suffix, value)


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
