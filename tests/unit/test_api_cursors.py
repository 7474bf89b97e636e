"""Cursors lead on from the row they were made for, and from nowhere when anything is changed."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from api.cursors import BadCursor, Cursors
from api.queries.entries import EntryKey
from api.queries.run_keys import RunKey

RUNS = Cursors("runs", TypeAdapter(RunKey))
ENTRIES = Cursors("timeline", TypeAdapter(EntryKey))
KEY = RunKey(datetime(2026, 5, 18, 6, 1, 48, 951537, UTC), UUID(int=7))
WHERE = {"state": ["failed"], "created_after": None}

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.uuids())
def test_a_cursor_gives_its_key_back(created_at: datetime, run_id: UUID) -> None:
    key = RunKey(created_at, run_id)
    assert RUNS.key(RUNS.after(key, WHERE), WHERE) == key


@given(
    MOMENTS,
    st.integers(0, 10),
    st.integers(0, 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200),
)
def test_an_entry_cursor_gives_its_key_back(ts: datetime, rank: int, seq: int, tie: str) -> None:
    key = EntryKey(ts, rank, seq, tie)
    assert ENTRIES.key(ENTRIES.after(key, {}), {}) == key


def test_a_cursor_can_stand_in_a_url() -> None:
    assert RUNS.after(KEY, WHERE).replace("-", "").replace("_", "").isalnum()


def test_the_order_of_the_filter_does_not_matter() -> None:
    cursor = RUNS.after(KEY, {"a": 1, "b": [2]})
    assert RUNS.key(cursor, {"b": [2], "a": 1}) == KEY


@pytest.mark.parametrize("where", [{}, {"state": ["failed"]}, WHERE | {"state": ["failed", "x"]}])
def test_another_filter_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(BadCursor) as raised:
        RUNS.key(RUNS.after(KEY, WHERE), where)
    assert (raised.value.status, raised.value.code) == (422, "bad_cursor")
    assert [error["parameter"] for error in raised.value.errors] == ["cursor"]


def test_another_list_is_refused() -> None:
    with pytest.raises(BadCursor):
        Cursors("other", TypeAdapter(RunKey)).key(RUNS.after(KEY, WHERE), WHERE)


def test_any_change_of_a_character_is_refused() -> None:
    cursor = RUNS.after(KEY, WHERE)
    for place, char in enumerate(cursor):
        for other in "Ab1_-=+ é":
            if other != char:
                with pytest.raises(BadCursor):
                    RUNS.key(cursor[:place] + other + cursor[place + 1 :], WHERE)


@pytest.mark.parametrize("change", ["", "=", "==", "A", "AA", " ", "\n"])
def test_more_or_less_is_refused(change: str) -> None:
    cursor = RUNS.after(KEY, WHERE)
    for bad in (cursor + change, change + cursor, cursor[:-1] + change, cursor[1:]):
        if bad != cursor:
            with pytest.raises(BadCursor):
                RUNS.key(bad, WHERE)


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        RUNS.key(text, {})


def forged(payload: Any, name: str, where: dict[str, Any]) -> str:
    """A cursor with a digest that is right, from someone who knows how they are made."""
    text = orjson.dumps(payload)
    bound = orjson.dumps([name, where], option=orjson.OPT_SORT_KEYS)
    key = hashlib.blake2b(bound, digest_size=32).digest()
    digest = hashlib.blake2b(text, digest_size=9, key=key).digest()
    return base64.urlsafe_b64encode(digest + text).decode().rstrip("=")


def test_the_forger_of_these_tests_can_forge() -> None:
    payload = ["2026-05-18T06:01:48.951537Z", str(UUID(int=7))]
    assert RUNS.key(forged(payload, "runs", WHERE), WHERE) == KEY


@pytest.mark.parametrize(
    "payload",
    [
        [],
        None,
        {},
        "x",
        [1, 2, 3],
        ["2026-05-18T06:01:48Z", "x"],
        ["2026-05-18T06:01:48", str(UUID(int=7))],
        ["2026-05-18T06:01:48Z"],
    ],
)
def test_a_forged_key_of_another_kind_is_refused(payload: Any) -> None:
    with pytest.raises(BadCursor):
        RUNS.key(forged(payload, "runs", {}), {})


@pytest.mark.parametrize(
    "payload",
    [
        ["2026-05-18T06:01:48Z", 99_999, 0, "x"],
        ["2026-05-18T06:01:48Z", 4, 2**63, "x"],
        ["2026-05-18T06:01:48Z", 4, 0, "\0"],
        ["2026-05-18T06:01:48Z", 4, 0, "x" * 9000],
    ],
)
def test_a_forged_key_the_database_could_not_take_is_refused(payload: Any) -> None:
    with pytest.raises(BadCursor):
        ENTRIES.key(forged(payload, "timeline", {}), {})
