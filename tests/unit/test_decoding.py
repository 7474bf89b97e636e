"""Bytes of a record: the event, or the reason why it is none; never an exception.

What each field may hold is said by the reference model: see the property tests.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from contracts.decoding import (
    MAX_DEPTH,
    MAX_VALUE_BYTES,
    Reason,
    Undecodable,
    decode,
)
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.times import rfc3339
from contracts.topics import TOPICS, by_suffix
from tests.unit.event_samples import OPTIONAL, REQUIRED, as_bytes, envelope, least, most

SUFFIXES: Final = [topic.suffix for topic in TOPICS]
GOLDEN: Final = [
    json.loads(line)
    for line in Path(__file__).with_name("golden_events.jsonl").read_text("utf-8").splitlines()
]
"""Events that the schemas allowed when they were published, and the values each was read as."""


def event_of(suffix: str, value: bytes) -> Event[Any]:
    answer = decode(suffix, value)
    assert not isinstance(answer, Undecodable), answer
    return answer


def refusal(suffix: str, value: bytes) -> tuple[str, str]:
    answer = decode(suffix, value)
    assert isinstance(answer, Undecodable), answer
    return answer.reason, answer.message


def written(suffix: str, field: str, literal: str) -> bytes:
    """An event in which this stands for a field's value."""
    return as_bytes(least(suffix, **{field: "@"})).replace(b'"@"', literal.encode())


@pytest.mark.parametrize("golden", GOLDEN)
def test_what_was_allowed_once_is_read_the_same_for_ever(golden: dict[str, Any]) -> None:
    answer = decode(golden["topic"], as_bytes(golden["event"]))
    assert msgspec.to_builtins(answer) == golden["read"]


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestFieldsOfEachTopic:
    def test_every_required_field_is_needed(self, suffix: str) -> None:
        fields = by_suffix(suffix).model.__struct_fields__
        assert sorted((*REQUIRED[suffix], *OPTIONAL[suffix])) == sorted(fields)
        for name in REQUIRED[suffix]:
            data = {each: REQUIRED[suffix][each] for each in REQUIRED[suffix] if each != name}
            value = as_bytes(envelope(suffix, data))
            assert refusal(suffix, value) == (Reason.PAYLOAD, f"data.{name}: missing")

    def test_what_is_not_known_is_ignored(self, suffix: str) -> None:
        newer = least(suffix, not_yet_known={"a": [1, "偵"]}) | {"dataschema": {"text": "偵錯"}}
        assert event_of(suffix, as_bytes(newer)) == event_of(suffix, as_bytes(least(suffix)))


@pytest.mark.parametrize(
    "value",
    [
        *(b"5", b"\xff\xfe{}", b'{"x": "\xe7\x95"}', b'{"\xff": 1}', b'{"x": "\xed\xa0\x80"}'),
        *(b'{"x": "\\u12"}', b'{"x": 1} {}', b'{"x": [-Infinity]}', b'{"id": 5, "data": [1,]}'),
        *(b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000),
        as_bytes(least("run-state", more=float("nan"))),
    ],
)
def test_malformed(value: bytes) -> None:
    assert refusal("run-state", value)[0] == Reason.MALFORMED


def test_nesting_has_an_end_and_brackets_in_texts_are_none() -> None:
    # the event and its payload are two objects around it
    for depth, is_read in ((MAX_DEPTH - 2, True), (MAX_DEPTH - 1, False)):
        for opening, closing in (("[", "]"), ('{"":', "}")):
            nested = opening * depth + '"\\"[{"' + closing * depth
            value = written("run-state", "more", nested)
            assert isinstance(decode("run-state", value), Event) == is_read
            gate = written("mcp-gateway-audit", "gate_result", '{"":' * depth + "1" + "}" * depth)
            assert isinstance(decode("mcp-gateway-audit", gate), Event) == is_read
    event_of("run-state", as_bytes(least("run-state", error_detail="[{" * 4000)))


def test_too_large_is_said_before_anything_is_read() -> None:
    room = MAX_VALUE_BYTES - len(as_bytes(least("run-state", x="")))
    event_of("run-state", as_bytes(least("run-state", x="y" * room)))
    value = as_bytes(least("run-state", x="y" * (room + 1)))
    said = (Reason.TOO_LARGE, "1048577 bytes; an event has at most 1048576")
    assert refusal("run-state", value) == said
    assert refusal("run-state", b"[" * (MAX_VALUE_BYTES + 1))[0] == Reason.TOO_LARGE


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", [b'\\"', b"[", b'"', b"{\\", b'"[', b"9", b"\\u0000", b"[]"])
def test_no_value_takes_long(piece: bytes) -> None:
    for start in (b"", b"[" * 300, b'{"x": "' + b"{" * 300):
        decode("run-state", (start + piece * MAX_VALUE_BYTES)[:MAX_VALUE_BYTES])


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "time", "data"])
def test_envelope_attribute_that_is_missing(missing: str) -> None:
    event = least("run-state")
    del event[missing]
    assert refusal("run-state", as_bytes(event)) == (Reason.ENVELOPE, f"{missing}: missing")


def test_envelope_comes_before_type_and_type_before_payload() -> None:
    event = envelope("run-state", {}, type="awooop.run.state_changed.v2\0\n")
    reason, message = refusal("run-state", as_bytes(event))
    assert reason == Reason.UNKNOWN_TYPE
    assert '"awooop.run.state_changed.v1", not "awooop.run.state_changed.v2' in message
    assert refusal("run-state", as_bytes(event | {"id": ""}))[0] == Reason.ENVELOPE
    assert refusal("step-journal", as_bytes(least("run-state")))[0] == Reason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("suffix", "fields", "message"),
    [
        ("step-journal", {"step_seq": "5"}, "data.step_seq: expected `int`, got `str`"),
        ("run-state", {"cost_usd": -1}, "data.cost_usd: expected a number >= 0"),
        ("run-state", {"pending_action": {}}, "data.pending_action.tool_name: missing"),
        ("approval-command", {"decision": "a - at `$.b`"}, "data.decision: invalid enum value"),
        ("step-journal", {"run_id": "x"}, "data.run_id: expected a UUID"),
        ("run-state", {"state": "\0"}, "data.state: expected 1 to 32 of the letters a to z and _"),
        ("mcp-gateway-audit", {"gate_result": []}, "data.gate_result: "),
        ("run-state", {"created_at": "2026-05-18"}, "data.created_at: "),
    ],
)
def test_payload_message_says_what_is_wrong(suffix: str, fields: Any, message: str) -> None:
    assert refusal(suffix, as_bytes(least(suffix, **fields)))[1].startswith(message)


def test_rfc3339() -> None:
    assert rfc3339(datetime(26, 5, 8, 6, 1, 8, 10, tzinfo=UTC)) == "0026-05-08T06:01:08.000010Z"
    east = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 5, 18, 6, 1, 48, tzinfo=east)) == "2026-05-17T22:01:48Z"
    with pytest.raises(ValueError, match="no offset"):
        rfc3339(datetime(2026, 5, 18))


@pytest.mark.parametrize("make", [least, most])
def test_a_decision_that_is_written_reads_back_the_same(make: Any) -> None:
    event: Event[ApprovalDecided] = event_of("approval-command", as_bytes(make("approval-command")))
    assert event_of("approval-command", event.to_bytes()) == event
    assert b"null" not in event.to_bytes()
