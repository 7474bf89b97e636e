"""Which partitions do not add up, and how far each is behind."""

import pytest

from projector.operations.audit import Audit, PartitionCount, position_faults
from projector.operations.status import PartitionStatus, partition_statuses

SOUND = PartitionCount(
    "awooop.run-state", 3, 100, 200, applied=87, dead=4, tombstones=1, later=3, gaps=5, parked=4
)
UNREAD = PartitionCount("awooop.project", 0, 7, 7, 0, 0, 0, 0, 0, 0)
AT = ("awooop.run-state", 0)


def test_partitions_that_add_up_have_no_fault() -> None:
    assert position_faults([SOUND, UNREAD]) == []
    assert Audit("main", (SOUND, SOUND, UNREAD), ()).summary == (
        "generation main: 3 partitions, 200 offsets:"
        " 174 applied, 8 dead letters, 2 tombstones, 10 gaps, 6 later than the views are of"
    )


@pytest.mark.parametrize("part", ["applied", "dead", "tombstones", "later", "gaps", "next_offset"])
@pytest.mark.parametrize("change", [-1, 1])
def test_an_offset_too_few_or_too_many_names_the_partition(part: str, change: int) -> None:
    wrong = SOUND._replace(**{part: getattr(SOUND, part) + change})
    fault, *_ = position_faults([UNREAD, wrong])
    accounted = 100 if part == "next_offset" else 100 + change
    assert fault.startswith(f"awooop.run-state[3]: {accounted} offsets accounted for")


def test_a_dead_letter_that_is_not_kept_names_the_partition() -> None:
    [fault] = position_faults([SOUND._replace(parked=3)])
    assert fault == "awooop.run-state[3]: 4 dead letters counted, 3 kept"


@pytest.mark.parametrize(
    ("position", "end", "told"),
    [
        (5, 8, PartitionStatus(*AT, 5, 8, 3)),
        (8, 8, PartitionStatus(*AT, 8, 8, 0)),
        (8, 5, PartitionStatus(*AT, 8, 8, 0)),
        (None, 8, PartitionStatus(*AT, None, 8, 8)),
        (5, None, PartitionStatus(*AT, 5, None, None)),
    ],
    ids=["behind", "level", "stale end", "never read", "nobody knows the end"],
)
def test_lag_is_what_is_known_to_wait(
    position: int | None, end: int | None, told: PartitionStatus
) -> None:
    positions = {} if position is None else {AT: position}
    ends = {} if end is None else {AT: end}
    assert partition_statuses(positions, ends, {}) == (told,)


def test_offsets_that_hold_no_record_count_as_read() -> None:
    assert partition_statuses({AT: 5}, {AT: 8}, {AT: 7}) == (PartitionStatus(*AT, 5, 8, 1),)


def test_partitions_come_in_order() -> None:
    places = [("b", 0), ("a", 10), ("a", 2)]
    told = partition_statuses(dict.fromkeys(places, 1), {("a", 0): 4}, {})
    assert [(it.topic, it.partition) for it in told] == [("a", 0), ("a", 2), ("a", 10), ("b", 0)]
