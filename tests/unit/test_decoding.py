"""Bytes of a record: the event, or the reason why it is none; never an exception."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.decoding import MAX_MESSAGE_LENGTH, MAX_VALUE_BYTES, Reason, Undecodable, decode
from contracts.events import ProjectUpserted, RunStateChanged
from contracts.topics import by_suffix
from tests.unit.event_mutations import SUFFIXES, altered, damaged
from tests.unit.event_samples import as_bytes, envelope, least, model_of, most

GOLDEN: Final = [
    json.loads(line)
    for line in Path(__file__).with_name("golden_events.jsonl").read_text("utf-8").splitlines()
]
"""Events that the schemas allowed when they were published, and the values each was read as."""


def refusal(suffix: str, value: bytes) -> tuple[str, str]:
    answer = decode(suffix, value)
    assert isinstance(answer, Undecodable), answer
    return answer.reason, answer.message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_good_events_are_read(suffix: str) -> None:
    for event in (least(suffix), most(suffix)):
        answer = decode(suffix, as_bytes(event))
        assert not isinstance(answer, Undecodable)
        assert isinstance(model_of(suffix, answer).data, by_suffix(suffix).model)
        assert answer.type == by_suffix(suffix).type
        assert answer.entityversion == event.get("entityversion", 0)


@pytest.mark.parametrize("golden", GOLDEN)
def test_what_was_allowed_once_is_read_the_same_for_ever(golden: dict[str, Any]) -> None:
    answer = decode(golden["topic"], as_bytes(golden["event"]))
    assert msgspec.to_builtins(answer) == golden["read"]


def test_a_suffix_that_is_no_topic_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        decode("no-such-topic", b"{}")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"null",
        b"5",
        b'"text"',
        b"[]",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"id": "\xe7\x95"}',
        b'{"id": "\\ud800"}',
        b'{"id": "a\nb"}',
        b'{"id": 1,}',
        b'{"id": 1} {}',
        b'{"id": 01}',
        b'{"id": NaN}',
        b'{"x": [-Infinity]}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
        b"[NaN" + b"[" * 100_000,
        json.dumps(least("run-state")).encode("utf-16"),
        as_bytes(least("run-state"))[:-1],
    ],
)
def test_malformed(value: bytes) -> None:
    assert refusal("run-state", value)[0] == Reason.MALFORMED


def test_nan_spoils_an_event_that_is_good_otherwise_but_as_text_it_does_not() -> None:
    event = least("run-state", not_known=float("nan"))
    assert refusal("run-state", as_bytes(event))[0] == Reason.MALFORMED
    answer = decode("run-state", as_bytes(least("run-state", trace_id="NaN")))
    assert not isinstance(answer, Undecodable)


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
        ({"type": None}, "type"),
        ({"time": "2026-05-18T06:01:48"}, "time"),
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
        ({"data": "{}"}, "data"),
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
    assert refusal("run-state", as_bytes(event)) == (
        Reason.ENVELOPE,
        f"{missing}: field required",
    )


def test_envelope_comes_before_type_and_payload() -> None:
    event = envelope("run-state", {}, type="other", id="")
    assert refusal("run-state", as_bytes(event))[0] == Reason.ENVELOPE


@pytest.mark.parametrize("data", [least("run-state")["data"], {}])
def test_unknown_type_comes_before_the_payload(data: dict[str, Any]) -> None:
    value = as_bytes(envelope("run-state", data, type="awooop.run.state_changed.v2\0\n"))
    reason, message = refusal("run-state", value)
    assert reason == Reason.UNKNOWN_TYPE
    assert '"awooop.run.state_changed.v1", not "awooop.run.state_changed.v2' in message
    assert message.isprintable()


def test_an_event_of_another_topic_is_of_an_unknown_type() -> None:
    assert refusal("step-journal", as_bytes(least("run-state")))[0] == Reason.UNKNOWN_TYPE


@pytest.mark.parametrize(
    ("suffix", "fields", "message"),
    [
        ("step-journal", {"step_seq": "5"}, "data.step_seq: input should be a valid integer"),
        ("step-journal", {"was_blocked": None}, "data.was_blocked: input should be a valid b"),
        ("run-state", {"cost_usd": -1}, "data.cost_usd: should be greater than or equal to 0"),
        ("run-state", {"created_at": 5}, "data.created_at: should be an RFC 3339 timestamp"),
        ("run-state", {"pending_action": {}}, "data.pending_action.tool_name: field required"),
        ("conversation-event", {"source_envelope": []}, "data.source_envelope: input should be a"),
        ("approval-command", {"decision": "maybe"}, "data.decision: input should be 'approve' or"),
        ("remediation-evidence", {"id": 1.5, "incident_id": ""}, "data.id: should be a string or"),
    ],
)
def test_payload_message_names_the_field(suffix: str, fields: Any, message: str) -> None:
    reason, said = refusal(suffix, as_bytes(least(suffix, **fields)))
    assert reason == Reason.PAYLOAD
    assert said.startswith(message)


def test_payload_message_says_how_many_more() -> None:
    _, message = refusal("run-state", as_bytes(envelope("run-state", {})))
    assert message == "data.run_id: field required (and 5 more)"


def test_too_large_is_said_before_anything_is_read() -> None:
    room = MAX_VALUE_BYTES - len(as_bytes(least("run-state", x="")))
    answer = decode("run-state", as_bytes(least("run-state", x="y" * room)))
    assert not isinstance(answer, Undecodable)
    value = as_bytes(least("run-state", x="y" * (room + 1)))
    assert refusal("run-state", value) == (
        Reason.TOO_LARGE,
        "1048577 bytes; an event has at most 1048576",
    )
    assert refusal("run-state", b"[" * (MAX_VALUE_BYTES + 1))[0] == Reason.TOO_LARGE


@pytest.mark.parametrize(
    "number",
    [
        "0.1234567890123456789012345",
        "12345678901234567890.5",
        "1.2345678901234567890e-3",
        "1E+2",
        "0.30000000000000004",
        "3.14",
        "0",
    ],
)
def test_an_amount_keeps_all_its_digits(number: str) -> None:
    run = as_bytes(least("run-state", cost_usd=0)).replace(b": 0}", f" :\t{number} }}".encode())
    answer = decode("run-state", run)
    assert not isinstance(answer, Undecodable)
    data = cast(RunStateChanged, answer.data)
    assert data.cost_usd == Decimal(number)
    text = as_bytes(least("project", budget_limit_usd="@")).replace(b'"@"', number.encode())
    answer = decode("project", text)
    assert not isinstance(answer, Undecodable)
    project = cast(ProjectUpserted, answer.data)
    assert project.budget_limit_usd == Decimal(number)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("1e-400", Reason.PAYLOAD),
        ("1e400", Reason.PAYLOAD),
        ("1e999999999999999999999", Reason.PAYLOAD),
        ("-0.1234567890123456789", Reason.PAYLOAD),
        ("1" * 5000, Reason.PAYLOAD),
        ("01234567890123456789", Reason.MALFORMED),
        ("1234567890123456789.", Reason.MALFORMED),
        ("1.e5", Reason.MALFORMED),
        ("1234567890.1234567890.1", Reason.MALFORMED),
    ],
)
def test_an_amount_out_of_bounds_or_misspelt(number: str, reason: Reason) -> None:
    text = as_bytes(least("run-state", cost_usd="@")).replace(b'"@"', number.encode())
    assert refusal("run-state", text)[0] == reason


def test_text_that_looks_like_an_amount_stays_as_it_is() -> None:
    said = '"cost_usd": 0.1234567890123456789, \\"cost_usd\\": 1e5,'
    answer = decode("run-state", as_bytes(least("run-state", error_detail=said)))
    assert not isinstance(answer, Undecodable)
    data = cast(RunStateChanged, answer.data)
    assert data.error_detail == said


def test_the_last_of_a_doubled_key_counts() -> None:
    text = as_bytes(least("run-state")).replace(b'"state": ', b'"state": 5, "state": ')
    assert not isinstance(decode("run-state", text), Undecodable)


def assert_answers(suffix: str, value: bytes) -> None:
    answer = decode(suffix, value)
    if isinstance(answer, Undecodable):
        assert answer.reason is not Reason.REJECTED
        assert answer.message
        assert answer.message.isprintable()
        assert len(answer.message) <= MAX_MESSAGE_LENGTH
        answer.message.encode()
    else:
        assert decode(suffix, model_of(suffix, answer).to_bytes()) == answer


@settings(deadline=None)
@given(suffix=st.sampled_from(SUFFIXES), value=st.binary(max_size=200))
def test_any_bytes_get_an_answer(suffix: str, value: bytes) -> None:
    assert_answers(suffix, value)


@settings(max_examples=500, deadline=None)
@given(damaged())
def test_a_damaged_event_gets_an_answer(record: tuple[str, bytes]) -> None:
    assert_answers(*record)


@settings(max_examples=500, deadline=None)
@given(altered())
def test_an_altered_event_gets_an_answer(record: tuple[str, bytes]) -> None:
    assert_answers(*record)
