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

from api.cursors import Cursors
from api.problems import Problem
from api.queries.runs import RunKey
from api.queries.timeline import EntryKey

RUNS = Cursors("runs", TypeAdapter(RunKey))
ENTRIES = Cursors("timeline", TypeAdapter(EntryKey))
KEY = RunKey(datetime(2026, 5, 18, 6, 1, 48, 951537, UTC), UUID(int=7))
WHERE = {"state": ["failed"], "created_after": None}
CURSOR = RUNS.after(KEY, WHERE)

MOMENTS = st.datetimes(timezones=st.just(UTC))
STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


def refused(cursors: Cursors[Any], cursor: str, where: dict[str, Any]) -> None:
    with pytest.raises(Problem) as raised:
        cursors.key(cursor, where)
    assert (raised.value.status, raised.value.code) == (422, "bad_cursor")
    assert [error["parameter"] for error in raised.value.errors] == ["cursor"]


@given(MOMENTS, st.uuids(), st.integers(0, 10), st.integers(0, 2**63 - 1), STORABLE)
def test_a_cursor_gives_its_key_back(
    moment: datetime, run_id: UUID, rank: int, seq: int, tie: str
) -> None:
    run, entry = RunKey(moment, run_id), EntryKey(moment, rank, seq, tie)
    cursor = RUNS.after(run, WHERE)
    assert cursor.replace("-", "").replace("_", "").isalnum()  # it can stand in a URL
    assert RUNS.key(cursor, dict(reversed(WHERE.items()))) == run
    assert ENTRIES.key(ENTRIES.after(entry, {}), {}) == entry


@pytest.mark.parametrize("where", [{}, {"state": ["failed"]}, WHERE | {"state": ["failed", "x"]}])
def test_another_filter_is_refused(where: dict[str, Any]) -> None:
    refused(RUNS, CURSOR, where)


def test_another_list_is_refused() -> None:
    refused(Cursors("other", TypeAdapter(RunKey)), CURSOR, WHERE)


def test_any_change_of_a_character_is_refused() -> None:
    for place, char in enumerate(CURSOR):
        for other in set("Ab1_-=+ é") - {char}:
            refused(RUNS, CURSOR[:place] + other + CURSOR[place + 1 :], WHERE)


@pytest.mark.parametrize("change", ["", "=", "==", "A", "AA", " ", "\n"])
def test_more_or_less_is_refused(change: str) -> None:
    changed = {CURSOR + change, change + CURSOR, CURSOR[:-1] + change, CURSOR[1:]}
    for cursor in changed - {CURSOR}:
        refused(RUNS, cursor, WHERE)


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    refused(RUNS, text, {})


def forged(payload: Any, name: str, where: dict[str, Any]) -> str:
    """A cursor with a digest that is right, from someone who knows how they are made."""
    text = orjson.dumps(payload)
    bound = orjson.dumps([name, where], option=orjson.OPT_SORT_KEYS)
    key = hashlib.blake2b(bound, digest_size=32).digest()
    digest = hashlib.blake2b(text, digest_size=9, key=key).digest()
    return base64.urlsafe_b64encode(digest + text).decode().rstrip("=")


AT = "2026-05-18T06:01:48Z"
NO_KEYS: list[Any] = [[], None, {}, "x", [1, 2, 3], [AT], [AT, "x"]]


@pytest.mark.parametrize(
    ("cursors", "name", "payload"),
    [
        *((RUNS, "runs", payload) for payload in NO_KEYS),
        (RUNS, "runs", [AT.removesuffix("Z"), str(UUID(int=7))]),
        # keys that the database could not take
        (ENTRIES, "timeline", [AT, 99_999, 0, "x"]),
        (ENTRIES, "timeline", [AT, 4, 2**63, "x"]),
        (ENTRIES, "timeline", [AT, 4, 0, "\0"]),
        (ENTRIES, "timeline", [AT, 4, 0, "x" * 9000]),
    ],
)
def test_a_forged_key_is_refused(cursors: Cursors[Any], name: str, payload: Any) -> None:
    refused(cursors, forged(payload, name, {}), {})


def test_the_forger_of_these_tests_can_forge() -> None:
    assert RUNS.key(forged([AT, str(UUID(int=7))], "runs", WHERE), WHERE).run_id == UUID(int=7)
