"""The statements that store rows."""

import json

import pytest

from contracts.decoding import decode
from contracts.envelope import Event
from contracts.read_model import metadata
from projector.projections.registry import BY_SUFFIX
from projector.writing import upsert
from tests.unit.event_samples import least


@pytest.mark.parametrize("suffix", BY_SUFFIX)
def test_a_row_has_the_columns_of_its_table(suffix: str) -> None:
    event = decode(suffix, json.dumps(least(suffix)).encode())
    assert isinstance(event, Event)
    table, _, _, state = BY_SUFFIX[suffix]
    assert {*BY_SUFFIX[suffix].row(event)} == {*metadata.tables[table].columns.keys()}
    if state is not None:
        assert {*state(event)} == {*metadata.tables["run_state"].columns.keys()}


@pytest.mark.parametrize("table", sorted({each.table for each in BY_SUFFIX.values()}))
def test_every_upsert_is_guarded_by_the_version(table: str) -> None:
    guard = (
        "WHERE (stored.version, stored.event_time, stored.event_id)"
        " < (excluded.version, excluded.event_time, excluded.event_id)"
    )
    assert guard in upsert.upserting(table)


def test_arrays_travel_as_text() -> None:
    given = [("a", ['quo"te', "back\\slash", "", "a,b", "NULL"])]
    assert upsert.columns(given) == [
        ("a",),
        ['{"quo\\"te","back\\\\slash","","a,b","NULL"}'],
    ]
