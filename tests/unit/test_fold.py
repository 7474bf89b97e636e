"""Folding a slice of a poll: winners, states, positions, dead letters, with no database."""

from typing import Any

import pytest

from contracts.decoding import Reason
from contracts.read_model import metadata
from projector.writing.applying import slices
from projector.writing.batch import Batch, Move, Partition, fold, rejected
from tests.records import PREFIX, FakeRecord, record
from tests.unit.event_samples import LATER, REQUIRED, RUN, least

STEPS = Partition(PREFIX + "step-journal", 0)


def step(offset: int, version: int = 0, *, event_id: str = "e", **data: Any) -> FakeRecord:
    value = least("step-journal", **data)
    return record("step-journal", offset, value | {"entityversion": version, "id": event_id})


def folded(*records: FakeRecord, at: int = 0) -> Batch:
    return folded_at({Partition(each.topic, each.partition): at for each in records}, *records)


def folded_at(positions: dict[Partition, int], *records: FakeRecord) -> Batch:
    batch = Batch()
    assert not any(fold(batch, records, positions, PREFIX))
    return batch


def values(batch: Batch, table: str, column: str) -> list[Any]:
    place = metadata.tables[table].columns.keys().index(column)
    return [row[place] for row in batch.rows[table]]


def titles(batch: Batch) -> list[str]:
    return values(batch, "item", "title")


def test_the_greatest_version_wins_whatever_the_order() -> None:
    old, new = step(0, 1, tool_name="old"), step(1, 2, tool_name="new")
    assert titles(folded(old, new)) == ["Step 1: new"]
    old.offset, new.offset = 1, 0
    assert titles(folded(new, old)) == ["Step 1: new"]


def test_ids_decide_by_code_point_between_equal_versions_and_times() -> None:
    records = [
        step(0, event_id="a", tool_name="a"),
        step(1, event_id="B", tool_name="B"),
        step(2, event_id="é", tool_name="é"),
    ]
    assert titles(folded(*records)) == ["Step 1: é"]
    assert titles(folded(*records[:2])) == ["Step 1: a"]


def test_every_state_is_kept_though_only_one_event_wins() -> None:
    first = least("run-state", state="pending") | {"entityversion": 1}
    second = least("run-state", state="running", state_changed_at=LATER) | {"entityversion": 2}
    batch = folded(record("run-state", 0, second), record("run-state", 1, first))
    assert values(batch, "run_state", "state") == ["pending", "running"]
    assert values(batch, "run_fact", "state") == ["running"]


def test_a_move_accounts_for_every_offset() -> None:
    batch = folded(step(5), record("step-journal", 7, None), record("step-journal", 9, b"{"), at=5)
    move = batch.moves[STEPS]
    assert (move.start, move.next) == (5, 10)
    assert (move.applied, move.tombstones, move.dead, move.gaps) == (1, 1, 1, 2)
    assert [letter.why.reason for letter in batch.dead] == [Reason.MALFORMED]


def test_what_was_applied_already_is_passed_over() -> None:
    batch = folded(step(3, tool_name="seen"), step(4, tool_name="fresh"), at=4)
    assert titles(batch) == ["Step 1: fresh"]
    assert batch.moves[STEPS].start == 4
    assert not folded(step(3), at=4).moves


def test_another_workers_partition_is_passed_over() -> None:
    assert not folded_at({}, step(0)).moves


def test_a_rejected_record_is_parked_instead_of_applied() -> None:
    record = step(3)
    batch = rejected(folded_at({STEPS: 1}, record), record, "no")
    assert not batch.rows
    assert batch.moves == {STEPS: Move(1, 4, dead=1, gaps=2)}
    assert [(each.why.reason, each.why.message) for each in batch.dead] == [(Reason.REJECTED, "no")]


def test_rows_come_in_key_order() -> None:
    batch = folded(*(step(n, step_id=f"s{n}") for n in range(20)))
    keys = [row[0] for row in batch.rows["item"]]
    assert keys == sorted(keys)


@pytest.mark.parametrize("suffix", REQUIRED)
def test_every_topic_has_a_row(suffix: str) -> None:
    batch = folded(record(suffix, 0, least(suffix)))
    tables = batch.rows.keys() - {"run_state"}
    assert sum(len(batch.rows[table]) for table in tables) == 1


def test_slices_hold_no_more_bytes_than_allowed() -> None:
    records = [record("step-journal", n, b"x" * size) for n, size in enumerate((4, 4, 9, 1, 1))]
    cut = [[len(r.value or b"") for r in part] for part in slices(records, 8)]
    assert cut == [[4, 4], [9], [1, 1]]
    assert not list(slices([], 8))


def test_a_record_with_a_nul_stands_alone() -> None:
    values = (b"a", b"b", b'"\\u0000"', b"c")
    records = [record("step-journal", n, value) for n, value in enumerate(values)]
    assert [len(part) for part in slices(records, 100)] == [2, 1, 1]


def test_run_ids_are_one_in_any_letter_case() -> None:
    upper = step(0, run_id=RUN.upper())
    assert len(folded(upper, step(1)).rows["item"]) == 1
