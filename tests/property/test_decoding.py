"""Whatever the bytes are, decoding says what the reference model says."""

import json
import os
from decimal import Decimal
from random import Random
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict

from contracts.decoding import MAX_MESSAGE_LENGTH, Undecodable, decode
from contracts.topics import TOPICS
from tests.histories.bad import KINDS, Kind
from tests.histories.world import World
from tests.reference import decoding as reference
from tests.unit.event_samples import RUN, as_bytes, least, most

EXAMPLES = int(os.environ.get("RUNFOLD_TEST_EXAMPLES", "1500"))
EDGES: Final[list[Any]] = [
    *(text * times for text in ("x", "偵") for times in (32, 33, 128, 129, 200, 201, 8192, 8193)),
    *("", " ", "\0", "a\n", "😀", "running", "Running", "running\n", "_" * 32, "a" * 33, "approve"),
    *("5", "-5", "+5", "1e3", "1E+2", ".5", "5.", "1_0", " 5", "NaN", "Infinity", "٣", "0.10"),
    *("sNaN", "-Infinity", "0x1", "1e101", "1e-101", "+.5", "1" * 100, "1" * 101, "0." + "1" * 101),
    *(0, -0.0, 1.0, 1.5, 0.1, 5, -5, True, False, None, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30),
    *(0.30000000000000004, 123456789012345, 1234567890123456, 1e16, 1e-7, 1e308, -(2**63) - 1),
    *(10**99, 10**100, 10**199, 10**200),
    *("2026-05-18T06:01:48Z", "2026-05-18t06:01:48z", "2026-05-18 06:01:48Z"),
    *("2026-05-18T06:01:48", "2026-05-18T06:01:48.1234567Z", "2026-05-18T06:01:48.9999999Z"),
    *("2026-05-18T06:01:48.Z", "2026-05-18T06:01:48,5Z", "2026-05-18T06:01Z", "2026-05-18"),
    *("2026-05-18T06:01:48+08:00", "2026-05-18T06:01:48-00:00", "2026-05-18T06:01:48+0000"),
    *("2026-05-18T06:01:48+00", "2026-05-18T06:01:48+24:00", "2026-05-18T24:00:00Z"),
    *("2026-05-18T06:01:60Z", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+10:00"),
    *("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-01:00"),
    *("2026-W01-1T06:00:00Z", "20260518T060148Z", "2026-05-18T06:01:48Z\n", "1716012345"),
    *("٢026-05-18T06:01:48Z", "2024-02-29T23:59:59+23:59", "2026-12-31T23:59:59.9999995Z"),
    *(RUN.upper(), RUN.replace("-", ""), f"{{{RUN}}}", f"{RUN}\n", f"{RUN}0", RUN[:-1]),
    *(f"urn:uuid:{RUN}", f"g{RUN[1:]}", RUN.replace("6", "６"), "cancelled", "{}"),
    *({}, [], {"tool_name": "t"}, {"tool_name": "t", "summary": 5}, {"a": {"b": [1, 1.0, 1e300]}}),
    *({"a": [{"b": -1e400}]}, {"tool_name": 5}),
]
"""Values about which two readers might disagree."""
LITERALS: Final = [
    *("3.14", "0.10", "1E+2", "1.2345678901234567890e-3", "12345678901234567890.5", "1e400"),
    *("-1e999", "1e999999999999999999999", "9" * 5000, "NaN", "01", "1.", "tru", "1,", r'"\q"'),
    *(r'"\ud83d\ude00"', r'"\ud800"', '"a\nb"'),
]
"""The like as JSON, or nearly."""
SUFFIXES = [topic.suffix for topic in TOPICS]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good event with some of its bytes replaced, taken out or doubled."""
    suffix = draw(st.sampled_from(SUFFIXES))
    value = bytearray(as_bytes(draw(st.sampled_from([least, most]))(suffix)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(start + 12, len(value))))
        piece = st.sampled_from([b"", b"null", b"{}", b"[", b'"', b"\\u0000", b"NaN", b"1e999"])
        value[start:end] = draw(piece | st.binary(max_size=4) | st.just(value[start:end] * 2))
    return suffix, bytes(value)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def altered(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good event with attributes and fields replaced by anything that JSON can say."""
    suffix = draw(st.sampled_from(SUFFIXES))
    event = most(suffix)
    for _ in range(draw(st.integers(1, 3))):
        part = event["data"] if draw(st.booleans()) and isinstance(event["data"], dict) else event
        if part:
            part[draw(st.sampled_from(sorted(part)))] = draw(ANY_JSON)
    return suffix, json.dumps(event, ensure_ascii=draw(st.booleans())).encode(
        errors="surrogatepass"
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.tuples(st.sampled_from(SUFFIXES), st.binary(max_size=200)) | damaged())
def test_damaged_bytes(record: tuple[str, bytes]) -> None:
    check(*record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(altered())
def test_altered_values(record: tuple[str, bytes]) -> None:
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
