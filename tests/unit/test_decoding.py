"""Bytes of a record: the event, or the reason why it is none; never an exception."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from contracts.decoding import (
    MAX_DEPTH,
    MAX_MESSAGE_LENGTH,
    MAX_VALUE_BYTES,
    Reason,
    Undecodable,
    decode,
)
from contracts.envelope import Event
from contracts.events import ApprovalDecided
from contracts.times import rfc3339
from contracts.topics import TOPICS, by_suffix
from tests.unit.event_samples import AT, OPTIONAL, REQUIRED, as_bytes, envelope, least, most

SUFFIXES: Final = [topic.suffix for topic in TOPICS]
GOLDEN: Final = [
    json.loads(line)
    for line in Path(__file__).with_name("golden_events.jsonl").read_text("utf-8").splitlines()
]
"""Events that the schemas allowed when they were published, and the values each was read as."""
INT64: Final = 2**63 - 1
UUID: Final = "6fa459ea-ee8a-3ca4-894e-db77e160355e"


def event_of(suffix: str, value: bytes) -> Event[Any]:
    answer = decode(suffix, value)
    assert not isinstance(answer, Undecodable), answer
    return answer


def refusal(suffix: str, value: bytes) -> tuple[str, str]:
    answer = decode(suffix, value)
    assert isinstance(answer, Undecodable), answer
    assert answer.message.isprintable()
    assert len(answer.message) <= MAX_MESSAGE_LENGTH
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
    def test_samples_say_every_field_once(self, suffix: str) -> None:
        assert not REQUIRED[suffix].keys() & OPTIONAL[suffix].keys()
        fields = by_suffix(suffix).model.__struct_fields__
        assert {*REQUIRED[suffix], *OPTIONAL[suffix]} == {*fields}

    def test_every_required_field_is_needed(self, suffix: str) -> None:
        for name in REQUIRED[suffix]:
            data = {each: REQUIRED[suffix][each] for each in REQUIRED[suffix] if each != name}
            value = as_bytes(envelope(suffix, data))
            assert refusal(suffix, value) == (Reason.PAYLOAD, f"data.{name}: missing")

    def test_optional_fields_may_be_null_unless_they_have_a_default(self, suffix: str) -> None:
        absent = event_of(suffix, as_bytes(least(suffix))).data
        for name in OPTIONAL[suffix]:
            value = as_bytes(least(suffix, **{name: None}))
            if getattr(absent, name) is None:
                assert event_of(suffix, value).data == absent
            else:
                assert refusal(suffix, value)[1].startswith(f"data.{name}: ")

    def test_what_is_not_known_is_ignored(self, suffix: str) -> None:
        newer = least(suffix, not_yet_known={"a": [1, "偵"]}) | {"dataschema": {"text": "偵錯"}}
        assert event_of(suffix, as_bytes(newer)) == event_of(suffix, as_bytes(least(suffix)))

    def test_nothing_in_it_can_be_changed(self, suffix: str) -> None:
        event = event_of(suffix, as_bytes(least(suffix)))
        for part, name in ((event, "id"), (event.data, next(iter(REQUIRED[suffix])))):
            with pytest.raises(AttributeError, match="immutable"):
                setattr(part, name, "x")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"not json", b"null", b"5", b'"text"', b"[]", b"\xff\xfe{}", b"\xef\xbb\xbf{}"),
        *(b'{"x": "\xe7\x95"}', b'{"\xff": 1}', b'{"x": "\xed\xa0\x80"}', b'{"x": "\\ud800"}'),
        *(b'{"x": "a\nb"}', b'{"x": "\\q"}', b'{"x": "\\u12"}', b'{"x": 1,}', b'{"x": 1} {}'),
        *(b'{"x": 01}', b'{"x": 1.}', b'{"x": NaN}', b'{"x": [-Infinity]}', b'{"x": tru}'),
        *(b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000, b'{"id": 5, "data": [1,]}'),
        json.dumps(least("run-state")).encode("utf-16"),
        as_bytes(least("run-state"))[:-1],
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


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"id": 5}, "id"),
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"type": 5}, "type"),
        ({"time": "2026-05-18T06:01:48"}, "time"),
        ({"time": "0001-01-01T00:00:00+10:00"}, "time"),
        ({"time": 1716012345}, "time"),
        ({"entityversion": -1}, "entityversion"),
        ({"entityversion": "1"}, "entityversion"),
        ({"entityversion": 1.0}, "entityversion"),
        ({"entityversion": True}, "entityversion"),
        ({"entityversion": 2**63}, "entityversion"),
        ({"subject": 5}, "subject"),
        ({"traceparent": []}, "traceparent"),
        ({"data": None}, "data"),
        ({"data": []}, "data"),
        ({"data": "{}", "type": "other"}, "data"),
    ],
)
def test_envelope(attributes: dict[str, Any], named: str) -> None:
    reason, message = refusal("run-state", as_bytes(least("run-state") | attributes))
    assert reason == Reason.ENVELOPE
    assert message.startswith(f"{named}: ")


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "time", "data"])
def test_envelope_attribute_that_is_missing(missing: str) -> None:
    event = least("run-state")
    del event[missing]
    assert refusal("run-state", as_bytes(event)) == (Reason.ENVELOPE, f"{missing}: missing")


def test_entityversion_is_0_when_absent_or_null() -> None:
    for event in (least("run-state"), least("run-state") | {"entityversion": None}):
        assert event_of("run-state", as_bytes(event)).entityversion == 0


def test_envelope_comes_before_type_and_type_before_payload() -> None:
    event = envelope("run-state", {}, type="awooop.run.state_changed.v2\0\n")
    reason, message = refusal("run-state", as_bytes(event))
    assert reason == Reason.UNKNOWN_TYPE
    assert '"awooop.run.state_changed.v1", not "awooop.run.state_changed.v2' in message
    assert refusal("run-state", as_bytes(event | {"id": ""}))[0] == Reason.ENVELOPE
    assert refusal("step-journal", as_bytes(least("run-state")))[0] == Reason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("suffix", "field", "literal", "value"),
    [
        ("step-journal", "step_seq", "0", 0),
        ("step-journal", "step_seq", str(INT64), INT64),
        ("step-journal", "latency_ms", str(-INT64 - 1), -INT64 - 1),
        ("step-journal", "block_reason", '""', ""),
        ("step-journal", "block_reason", f'"{"界" * 8192}"', "界" * 8192),
        ("step-journal", "block_reason", '"NaN"', "NaN"),
        ("step-journal", "block_reason", r'"\ud83d\ude00"', "😀"),
        ("step-journal", "step_id", f'"{"x" * 200}"', "x" * 200),
        ("step-journal", "project_id", f'"{"x" * 128}"', "x" * 128),
        ("step-journal", "run_id", f'"{UUID.upper()}"', UUID),
        ("run-state", "state", f'"{"_" * 32}"', "_" * 32),
        ("conversation-event", "source_envelope", '{"a": [1e300, null]}', {"a": [1e300, None]}),
        ("remediation-evidence", "id", "7", "7"),
        ("remediation-evidence", "id", "-7", "-7"),
        ("remediation-evidence", "id", "9" * 200, "9" * 200),
        ("remediation-evidence", "id", '"7"', "7"),
        *(
            ("run-state", "cost_usd", literal, Decimal(literal.strip('"')))
            for literal in (
                *("0", "3.14", "12345678901234567890.5", "0.30000000000000004", "1E+2", "0.10"),
                *("1.2345678901234567890e-3", '"0.1234567890123456789"', '"1e-5"', '"+.5"'),
                "1" * 100,
            )
        ),
        ("project", "budget_limit_usd", "-0.01", Decimal("-0.01")),
        ("project", "budget_limit_usd", '"-1"', Decimal(-1)),
    ],
)
def test_what_a_field_may_hold(suffix: str, field: str, literal: str, value: Any) -> None:
    found = getattr(event_of(suffix, written(suffix, field, literal)).data, field)
    # not by equality alone: 0 and 0.0 are equal, and so are 0.5 and 0.50
    assert (found, repr(found)) == (value, repr(value))


@pytest.mark.parametrize(
    ("suffix", "field", "literals"),
    [
        ("step-journal", "was_blocked", ['"true"', "1", "null"]),
        ("step-journal", "step_seq", ['"5"', "1.5", "1.0", "true", "-1", str(INT64 + 1)]),
        ("step-journal", "latency_ms", [str(INT64 + 1), str(-INT64 - 2), "9" * 5000]),
        ("step-journal", "block_reason", ["5", f'"{"x" * 8193}"']),
        ("step-journal", "step_id", ["7", '""', f'"{"x" * 201}"']),
        ("step-journal", "project_id", ['""', f'"{"x" * 129}"']),
        ("run-state", "state", ['"Running"', '""', r'"running\n"', f'"{"x" * 33}"']),
        ("run-state", "pending_action", ["[]", "{}", '{"tool_name": 5}']),
        ("conversation-event", "source_envelope", ["[]", '"{}"', '{"a": [{"b": -1e999}]}']),
        ("approval-command", "decision", ['"maybe"', "5"]),
        ("remediation-evidence", "id", ["true", "1.5", "1.0", "null", '""', "[]", "9" * 201]),
        ("remediation-evidence", "id", ["9" * 5000, f'"{"x" * 201}"']),
        ("step-journal", "run_id", [f'"{UUID[:-1]}"', f'"{UUID}0"', rf'"{UUID}\n"', '""']),
        ("step-journal", "run_id", [f'"{{{UUID}}}"', f'"urn:uuid:{UUID}"', f'"g{UUID[1:]}"']),
        ("step-journal", "run_id", [f'"{UUID.replace("-", "")}"', f'"{UUID.replace("6", "６")}"']),
        ("run-state", "cost_usd", ["-1", '"-0.01"', '"NaN"', '"sNaN"', '"-Infinity"', "1e400"]),
        ("run-state", "cost_usd", ['"1e101"', "1e999999999999999999999", '""', '"0x1"', "true"]),
        ("run-state", "cost_usd", ["null", "{}", "1" * 101, f'"0.{"1" * 101}"', "1" * 5000]),
        ("run-state", "created_at", ["1716012345", '"1716012345"', '"2026-05-18"', '""']),
        ("run-state", "created_at", ['"2026-05-18T06:01Z"', '"20260518T060148Z"', "null"]),
        ("run-state", "created_at", ['"2026-W21-1T06:01:48Z"', '"2026-02-30T06:01:48Z"']),
        ("run-state", "created_at", ['"2026-05-18T24:00:00Z"', '"2026-05-18T06:01:60Z"']),
        ("run-state", "created_at", ['"2026-05-18T06:01:48+24:00"', '"2026-05-18T06:01:48,5Z"']),
        ("run-state", "created_at", ['"2026-05-18T06:01:48.Z"', r'"2026-05-18T06:01:48Z\n"']),
        ("run-state", "created_at", ['"２026-05-18T06:01:48Z"', '"0000-01-01T00:00:00Z"']),
        ("run-state", "started_at", ['"0001-01-01T00:00:00+10:00"']),
        ("run-state", "started_at", ['"9999-12-31T23:59:59-01:00"']),
    ],
)
def test_what_a_field_may_not_hold(suffix: str, field: str, literals: list[str]) -> None:
    for literal in literals:
        reason, message = refusal(suffix, written(suffix, field, literal))
        assert reason == Reason.PAYLOAD, literal
        assert message.startswith(f"data.{field}"), literal


@pytest.mark.parametrize(
    ("suffix", "fields", "message"),
    [
        ("step-journal", {"step_seq": "5"}, "data.step_seq: expected `int`, got `str`"),
        ("run-state", {"cost_usd": -1}, "data.cost_usd: expected a number >= 0"),
        ("run-state", {"pending_action": {}}, "data.pending_action.tool_name: missing"),
        ("approval-command", {"decision": "a - at `$.b`"}, "data.decision: invalid enum value"),
        ("step-journal", {"run_id": "x"}, "data.run_id: expected a UUID"),
        ("run-state", {"state": "\0"}, "data.state: expected 1 to 32 of the letters a to z and _"),
    ],
)
def test_payload_message_says_what_is_wrong(suffix: str, fields: Any, message: str) -> None:
    assert refusal(suffix, as_bytes(least(suffix, **fields)))[1].startswith(message)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-05-18T06:01:48Z", "2026-05-18T06:01:48Z"),
        ("2026-05-18t06:01:48z", "2026-05-18T06:01:48Z"),
        ("2026-05-18 06:01:48", "2026-05-18T06:01:48Z"),
        ("2026-05-18T14:01:48.5+08:00", "2026-05-18T06:01:48.500000Z"),
        ("2026-05-18T00:31:48-0530", "2026-05-18T06:01:48Z"),
        ("2026-05-18T06:01:48-00:00", "2026-05-18T06:01:48Z"),
        ("2026-05-18T06:01:48.1234564Z", "2026-05-18T06:01:48.123456Z"),
        ("2026-12-31T23:59:59.9999995Z", "2027-01-01T00:00:00Z"),
        ("2024-02-29T23:59:59+23:59", "2024-02-29T00:00:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_are_kept_in_utc(text: str, utc: str) -> None:
    value = as_bytes(least("run-state", created_at=text, started_at=text) | {"time": AT})
    data = event_of("run-state", value).data
    assert data.created_at == data.started_at
    assert data.created_at.tzinfo is UTC
    assert rfc3339(data.created_at) == utc


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
