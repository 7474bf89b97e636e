"""What the fields of the events take, and what they make of it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from contracts.envelope import Event
from contracts.events import EVENT_TYPES, RunStateChanged
from contracts.events import fields as f
from contracts.times import as_utc, rfc3339
from contracts.topics import by_suffix
from tests.unit.event_samples import AT, OPTIONAL, REQUIRED, least, most

SUFFIXES = sorted(EVENT_TYPES)
UUID = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
INT64 = 2**63 - 1


def read(kind: Any, json: bytes | str) -> Any:
    return TypeAdapter(kind).validate_json(json, strict=True)


def refuse(kind: Any, json: bytes | str) -> str:
    with pytest.raises(ValidationError) as refused:
        read(kind, json)
    return refused.value.errors()[0]["msg"]


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestPayloads:
    def test_samples_say_every_field_once(self, suffix: str) -> None:
        assert not REQUIRED[suffix].keys() & OPTIONAL[suffix].keys()
        assert {*REQUIRED[suffix], *OPTIONAL[suffix]} == EVENT_TYPES[suffix].model_fields.keys()

    def test_every_required_field_is_needed(self, suffix: str) -> None:
        model = EVENT_TYPES[suffix]
        for missing in REQUIRED[suffix]:
            rest = {name: value for name, value in REQUIRED[suffix].items() if name != missing}
            with pytest.raises(ValidationError, match=missing):
                model.model_validate_json(to_json(rest))

    def test_optional_fields_may_be_null_unless_they_have_a_default(self, suffix: str) -> None:
        model = EVENT_TYPES[suffix]
        for name in OPTIONAL[suffix]:
            value = to_json({**REQUIRED[suffix], name: None})
            if model.model_fields[name].default is None:
                assert getattr(model.model_validate_json(value), name) is None
            else:
                with pytest.raises(ValidationError, match=name):
                    model.model_validate_json(value)

    def test_unknown_fields_are_ignored(self, suffix: str) -> None:
        known = EVENT_TYPES[suffix].model_validate_json(to_json(REQUIRED[suffix]))
        more = {**REQUIRED[suffix], "not_yet_known": {"a": [1]}}
        assert EVENT_TYPES[suffix].model_validate_json(to_json(more)) == known

    def test_nothing_in_it_can_be_changed(self, suffix: str) -> None:
        payload = EVENT_TYPES[suffix].model_validate_json(to_json(REQUIRED[suffix]))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(payload, next(iter(REQUIRED[suffix])), "x")

    def test_every_field_is_described(self, suffix: str) -> None:
        fields = EVENT_TYPES[suffix].model_fields.items()
        assert [name for name, field in fields if not field.description] == []

    @pytest.mark.parametrize("make", [least, most])
    def test_an_event_written_reads_back_the_same(self, suffix: str, make: Any) -> None:
        model = by_suffix(suffix).event
        event = model.model_validate_json(to_json(make(suffix)))
        assert model.model_validate_json(event.to_bytes()) == event
        assert b"null" not in event.to_bytes().replace(b'"more":[1.5,null]', b"")


def test_defaults() -> None:
    run = RunStateChanged.model_validate_json(to_json(REQUIRED["run-state"]))
    assert (run.is_shadow, run.cost_usd, run.step_count, run.attempt_count) == (
        False,
        Decimal(0),
        0,
        0,
    )
    project = EVENT_TYPES["project"].model_validate_json(to_json(REQUIRED["project"]))
    assert project.model_dump()["is_active"] is True


def test_entityversion_is_0_when_absent_or_null() -> None:
    model = Event[RunStateChanged]
    for event in (least("run-state"), least("run-state") | {"entityversion": None}):
        assert model.model_validate_json(to_json(event)).entityversion == 0


@pytest.mark.parametrize(
    ("kind", "json"),
    [
        (bool, b'"true"'),
        (bool, b"1"),
        (f.Count, b'"5"'),
        (f.Count, b"1.5"),
        (f.Count, b"1.0"),
        (f.Count, b"true"),
        (f.Count, b"-1"),
        (f.Count, str(INT64 + 1)),
        (f.Int64, str(INT64 + 1)),
        (f.Int64, str(-INT64 - 2)),
        (f.Text, b"5"),
        (f.Text, b'"' + b"x" * 8193 + b'"'),
        (f.Id, b'""'),
        (f.Id, b'"' + b"x" * 201 + b'"'),
        (f.ProjectId, b'""'),
        (f.ProjectId, b'"' + b"x" * 129 + b'"'),
        (f.State, b'"Running"'),
        (f.State, b'""'),
        (f.State, b'"running\\n"'),
        (f.State, b'"' + b"x" * 33 + b'"'),
        (f.JsonObject, b"[]"),
        (f.JsonObject, b'"{}"'),
        (f.JsonObject, b'{"a": [{"b": -1e999}]}'),
    ],
)
def test_out_of_type_or_bounds(kind: Any, json: bytes) -> None:
    refuse(kind, json)


@pytest.mark.parametrize(
    ("kind", "json", "value"),
    [
        (f.Count, b"0", 0),
        (f.Count, str(INT64), INT64),
        (f.Int64, str(-INT64 - 1), -INT64 - 1),
        (f.Text, b'""', ""),
        (f.Text, ('"' + "界" * 8192 + '"').encode(), "界" * 8192),
        (f.Id, b'"' + b"x" * 200 + b'"', "x" * 200),
        (f.ProjectId, b'"' + b"x" * 128 + b'"', "x" * 128),
        (f.State, b'"' + b"_" * 32 + b'"', "_" * 32),
        (f.JsonObject, b'{"a": [1, {"b": 1e300}], "c": null}', {"a": [1, {"b": 1e300}], "c": None}),
    ],
)
def test_bounds_themselves_are_taken(kind: Any, json: bytes, value: Any) -> None:
    assert read(kind, json) == value


def test_uuid_is_kept_in_lower_case() -> None:
    assert read(f.Uuid, f'"{UUID.upper()}"') == UUID


@pytest.mark.parametrize(
    "text",
    [
        UUID.replace("-", ""),
        f"{{{UUID}}}",
        f"urn:uuid:{UUID}",
        UUID[:-1],
        f"{UUID}0",
        f"{UUID}\\n",
        f"g{UUID[1:]}",
        UUID.replace("6", "６"),
        "",
    ],
)
def test_other_forms_of_a_uuid_are_refused(text: str) -> None:
    refuse(f.Uuid, f'"{text}"'.encode())


@pytest.mark.parametrize(
    ("json", "text"),
    [
        (b'"7"', "7"),
        (b"7", "7"),
        (b"-7", "-7"),
        (b"9" * 199, "9" * 199),
        (b'"' + b"x" * 200 + b'"', "x" * 200),
    ],
)
def test_text_id_keeps_an_integer_as_text(json: bytes, text: str) -> None:
    assert read(f.TextId, json) == text


@pytest.mark.parametrize(
    "json", [b"true", b"1.5", b"1.0", b"null", b'""', b"[]", b"9" * 201, b'"' + b"x" * 201 + b'"']
)
def test_text_id_refuses_the_rest(json: bytes) -> None:
    assert "string or an integer of 1 to 200 characters" in refuse(f.TextId, json)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-05-18T06:01:48Z", "2026-05-18T06:01:48+00:00"),
        ("2026-05-18t06:01:48z", "2026-05-18T06:01:48+00:00"),
        ("2026-05-18T06:01:48", "2026-05-18T06:01:48+00:00"),
        ("2026-05-18T14:01:48.5+08:00", "2026-05-18T06:01:48.500000+00:00"),
        ("2026-05-18T00:31:48-05:30", "2026-05-18T06:01:48+00:00"),
        ("2026-05-18T06:01:48-00:00", "2026-05-18T06:01:48+00:00"),
        ("2026-05-18T06:01:48.9999999999Z", "2026-05-18T06:01:48.999999+00:00"),
        ("2024-02-29T23:59:59+23:59", "2024-02-29T00:00:59+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_timestamp_in_utc(text: str, iso: str) -> None:
    assert read(f.Timestamp, f'"{text}"').isoformat() == iso


@pytest.mark.parametrize(
    "json",
    [
        "1716012345",
        '"1716012345"',
        '"2026-05-18"',
        '"2026-05-18T06:01Z"',
        '"2026-05-18 06:01:48Z"',
        '"20260518T060148Z"',
        '"2026-W21-1T06:01:48Z"',
        '"2026-02-30T06:01:48Z"',
        '"2026-05-18T24:00:00Z"',
        '"2026-05-18T06:01:60Z"',
        '"2026-05-18T06:01:48+24:00"',
        '"2026-05-18T06:01:48+0800"',
        '"2026-05-18T06:01:48,5Z"',
        '"2026-05-18T06:01:48.Z"',
        '"2026-05-18T06:01:48Z\\n"',
        '"２026-05-18T06:01:48Z"',
        '"0000-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+10:00"',
        '"9999-12-31T23:59:59-01:00"',
        '""',
    ],
)
def test_timestamp_that_is_none(json: str) -> None:
    refuse(f.Timestamp, json.encode())
    refuse(f.OffsetTimestamp, json.encode())


def test_envelope_time_has_to_say_its_offset() -> None:
    assert "with its offset" in refuse(f.OffsetTimestamp, b'"2026-05-18T06:01:48"')
    assert rfc3339(read(f.OffsetTimestamp, f'"{AT}"')) == AT


def test_timestamp_from_python_is_moved_to_utc() -> None:
    moment = datetime(2026, 5, 18, 14, 1, tzinfo=timezone(timedelta(hours=8)))
    assert TypeAdapter(f.Timestamp).validate_python(moment).isoformat().startswith("2026-05-18T06")


@pytest.mark.parametrize(
    ("json", "amount"),
    [
        (b"0", "0"),
        (b"0.1", "0.1"),
        (b"12", "12"),
        (b'"0.1234567890123456789"', "0.1234567890123456789"),
        (b'"1e-5"', "0.00001"),
        (b'"+.5"', "0.5"),
        (b"12345678901234567890123", "12345678901234567890123"),
    ],
)
def test_money(json: bytes, amount: str) -> None:
    assert read(f.Cost, json) == read(f.Amount, json) == Decimal(amount)


@pytest.mark.parametrize("json", [b"-1", b'"-0.01"'])
def test_an_amount_may_be_below_zero_and_a_cost_not(json: bytes) -> None:
    assert read(f.Amount, json) < 0
    refuse(f.Cost, json)


@pytest.mark.parametrize(
    "json",
    [
        b'"NaN"',
        b'"Infinity"',
        b"1e400",
        b'"1e101"',
        b'"1e99999999999999999999"',
        b'"1_000"',
        b'" 1"',
        b'""',
        b'"0x1"',
        '"１"'.encode(),
        b"true",
        b"null",
        b"{}",
        b'"' + b"1" * 101 + b'"',
        b'"0.' + b"1" * 101 + b'"',
        b"1" * 101,
    ],
)
def test_money_that_is_none(json: bytes) -> None:
    refuse(f.Cost, json)
    refuse(f.Amount, json)


def test_rfc3339() -> None:
    assert rfc3339(datetime(2026, 5, 18, 6, 1, 48, tzinfo=UTC)) == "2026-05-18T06:01:48Z"
    assert rfc3339(datetime(26, 5, 8, 6, 1, 8, 10, tzinfo=UTC)) == "0026-05-08T06:01:08.000010Z"
    east = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 5, 18, 6, 1, 48, tzinfo=east)) == "2026-05-17T22:01:48Z"
    with pytest.raises(ValueError, match="no offset"):
        rfc3339(datetime(2026, 5, 18))


def test_as_utc_takes_no_offset_for_utc() -> None:
    assert as_utc(datetime(2026, 5, 18)) == datetime(2026, 5, 18, tzinfo=UTC)
