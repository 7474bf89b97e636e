"""Histories for Hypothesis."""

from hypothesis import strategies as st

from tests.histories.generator import history
from tests.reference.records import Record

seeds = st.integers(0, 2**32 - 1)


def histories(size: int = 60, *, bad: bool = False) -> st.SearchStrategy[list[Record]]:
    """Histories of at most `size` records.

    Each is a seed's history with some records left out, for any subset of a history is one too:
    that way a failing history shrinks to the few records that matter.
    """
    kept = st.lists(st.integers(0, 9), min_size=size, max_size=size)

    def thinned(seed: int, keep: list[int]) -> list[Record]:
        found = history(seed, size, bad=bad)
        return [record for record, wanted in zip(found, keep, strict=True) if wanted]

    return st.builds(thinned, seeds, kept)
