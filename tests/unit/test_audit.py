"""Which partitions do not add up."""

import pytest

from projector.operations.audit import Audit, PartitionCount, position_faults

SOUND = PartitionCount(
    "awooop.run-state", 3, 100, 200, applied=87, dead=4, tombstones=1, later=3, gaps=5, parked=4
)
UNREAD = PartitionCount("awooop.project", 0, 7, 7, 0, 0, 0, 0, 0, 0)


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
