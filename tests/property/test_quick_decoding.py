"""What is read quickly is read as the models read it: whatever the bytes, or left to the models."""

import json
import os
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts import quick_decoding
from contracts.decoding import Undecodable, by_models, decode
from contracts.events import fields
from contracts.quick_decoding import MOST_BYTES, QuickReader
from contracts.topics import TOPICS
from projector.demo.history import history
from tests.bench.backlog import SEED, START
from tests.unit.event_mutations import altered, damaged, respelt
from tests.unit.event_samples import as_bytes, least, most

READERS = {topic.suffix: QuickReader(topic) for topic in TOPICS}
EXAMPLES = int(os.environ.get("RUNFOLD_TEST_EXAMPLES", "1500"))


def assert_same(suffix: str, value: bytes) -> bool:
    """Whether it was read quickly; if it was, the models read the same."""
    quick = READERS[suffix].read(value)
    if quick is None:
        return False
    slow = by_models(suffix, value)
    assert not isinstance(slow, Undecodable), slow
    # not by equality: 0 and 0.0 are equal, and so are 0.5 and 0.50
    assert repr(quick) == repr(slow)
    return True


@settings(max_examples=EXAMPLES, deadline=None)
@given(damaged())
def test_damaged_bytes(record: tuple[str, bytes]) -> None:
    assert_same(*record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(altered())
def test_altered_values(record: tuple[str, bytes]) -> None:
    assert_same(*record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(respelt())
@example(("run-state", as_bytes(least("run-state", cost_usd=-0.0))))
def test_values_at_the_edge_of_what_is_right(record: tuple[str, bytes]) -> None:
    assert_same(*record)


@pytest.mark.parametrize(
    "unknown",
    [
        rb'"\u12"',
        rb'"\q"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\t"',
        b"NaN",
        b"01",
        b"1.",
        b"-",
        b"1e999",
        b"9" * 4000,
        b"9" * 5000,
        b"[" * 190 + b"]" * 190,
        b"[" * 250 + b"]" * 250,
        b"[" * 1500 + b"]" * 1500,
        b'{"":' * 198 + b"1" + b"}" * 198,
        b'{"":' * 250 + b"1" + b"}" * 250,
        b"[1,]",
        b"{}",
        b'{"a":1,"a":[]}',
        b"tru",
    ],
)
def test_what_is_skipped_is_looked_at_all_the_same(unknown: bytes) -> None:
    for suffix in READERS:
        value = as_bytes(least(suffix, unknown="@")).replace(b'"@"', unknown)
        assert_same(suffix, value)


def test_nearly_all_events_are_read_quickly() -> None:
    read = Counter(assert_same(event.topic, event.value) for event in history(SEED, 400, START))
    assert read[False] == 0
    for suffix in READERS:
        assert assert_same(suffix, as_bytes(most(suffix)))
        # a producer that is newer than this reader
        newer = json.loads(as_bytes(most(suffix)))
        newer["data"]["more"] = newer["more"] = {"text": "偵錯", "list": [1, {"a": None}]}
        assert assert_same(suffix, as_bytes(newer))


def test_what_only_the_models_read_is_the_same_kind_of_event() -> None:
    for topic in TOPICS:
        value = as_bytes(most(topic.suffix))
        long = value.ljust(MOST_BYTES + 1)
        assert READERS[topic.suffix].read(long) is None
        assert decode(topic.suffix, long) == decode(topic.suffix, value)


TIMES = st.from_regex(fields.TIMESTAMP, fullmatch=True) | st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(
        ["2026-05-18", "2026-W20-1", "20260518", "2026-W201", "0000-01-01", "2026-5-18x"]
    ),
    st.sampled_from("Tt W"),
    st.sampled_from(
        [
            "06:01:48",
            "24:00:00",
            "06:01:Z\0",
            "06:Z\0:48",
            "23:59:60",
            "060148.1",
            "6:01:48x",
            "06:01:4\u0668",
        ]
    ),
    st.sampled_from(["", ".1", ".Z\0anyx", ",123456", ".123456", ".1234567", ".12345x", "+00:00"]),
    st.sampled_from(["Z", "z", "", "+08:00", "-0000", "+00:00:00"]),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(TIMES)
@example("2026-05-18T24:00:00Z")
@example("2026-W20-1T06:01:48Z")
@example("2026-05-18T06:01:48,123456Z")
@example("2026-05-18T06:01:Z\0Z")
@example("2026-05-18T06:Z\0:48Z")
@example("2026-05-18T06:01:48.Z\0anyxZ")
def test_timestamps(text: str) -> None:
    for name in ("created_at", "completed_at"):
        assert_same("step-journal", as_bytes(most("step-journal", **{name: text})))


@pytest.mark.parametrize("text", ["2026-05-18T06:01:48Z", "2026-05-18T06:01:48.123456Z"])
def test_timestamps_as_nearly_all_are_written_are_read_without_the_pattern(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(quick_decoding, "_is_timestamp", None)
    assert assert_same("step-journal", as_bytes(least("step-journal", created_at=text)))
