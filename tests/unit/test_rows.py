"""The writer's statements and the projections' rows must name the same columns in one order."""

import pytest

from contracts.read_model import metadata
from projector.projections import rows
from projector.writing import statements

TABLES: dict[str, tuple[str, ...]] = {
    "run_fact": rows.RunRow._fields,
    "run_state": rows.StateRow._fields,
    "item": rows.ItemRow._fields,
    "inbound": rows.InboundRow._fields,
    "evidence": rows.EvidenceRow._fields,
    "project": rows.ProjectRow._fields,
    "contract_revision": rows.RevisionRow._fields,
}


@pytest.mark.parametrize("table", TABLES)
def test_rows_have_their_tables_columns(table: str) -> None:
    assert TABLES[table] == tuple(metadata.tables[table].columns.keys())


@pytest.mark.parametrize("table", sorted(TABLES.keys() - {"run_state"}))
def test_every_upsert_is_guarded_by_the_version(table: str) -> None:
    guard = (
        "WHERE (stored.version, stored.event_time, stored.event_id)"
        " < (excluded.version, excluded.event_time, excluded.event_id)"
    )
    assert guard in statements.upsert(table)


def test_arrays_travel_as_text() -> None:
    given = [("a", ['quo"te', "back\\slash", "", "a,b", "NULL"])]
    assert statements.columns(given) == [
        ("a",),
        ['{"quo\\"te","back\\\\slash","","a,b","NULL"}'],
    ]
