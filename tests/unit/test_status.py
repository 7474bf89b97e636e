"""Positions and ends, put together."""

import pytest

from projector.operations.status import PartitionStatus, partition_statuses

AT = ("awooop.run-state", 0)


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
    assert partition_statuses(positions, ends) == (told,)


def test_partitions_come_in_order() -> None:
    places = [("b", 0), ("a", 10), ("a", 2)]
    told = partition_statuses(dict.fromkeys(places, 1), {("a", 0): 4})
    assert [(it.topic, it.partition) for it in told] == [("a", 0), ("a", 2), ("a", 10), ("b", 0)]
