"""The history: the worked example, a generated one, runs to decide on, and what cannot be used.

What is generated is kept in a file, so that another generator changes nothing here. Whatever waits
for a decision does so until 2099, or has had no more time since 2020: no answer is of today.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard

from tests.stack.topics import Record

HERE: Final = Path(__file__).parent
EXAMPLE: Final = HERE.parent / "fixtures" / "worked_example" / "history.jsonl"
EXTRA: Final = (HERE / "extra.jsonl").read_bytes()
"""Runs to decide on, one with a long timeline, and ids that look like patterns."""
MOVED: Final = (HERE / "moved.jsonl").read_bytes()
"""What has one of the runs to decide on go on."""
RUNS: Final[dict[str, str]] = json.loads((HERE / "runs.json").read_text("utf-8"))
"""Ids of runs; of those to decide on, by what becomes of them."""
TOO_LARGE: Final = 1_048_577


def lines() -> bytes:
    """The whole history, as `runfold publish` reads it."""
    # written by `runfold generate --runs 60 --seed 7`, as that once was
    with zstandard.open(HERE / "history.jsonl.zst", "rb") as file:
        generated: bytes = file.read()
    return EXAMPLE.read_bytes().replace(b"2027-05-28", b"2099-05-28") + generated + EXTRA


def bad(prefix: str) -> Iterator[Record]:
    """Yield the records that cannot be used, each partition's together."""
    for row in map(json.loads, (HERE / "bad.jsonl").read_text("utf-8").splitlines()):
        key = row["key"] and row["key"].encode("latin-1")
        headers = [(name, value.encode("latin-1")) for name, value in row["headers"]]
        value = row["value"].encode("latin-1")
        yield Record(prefix + row["topic"], key, value, row["partition"], headers)
    yield Record(f"{prefix}run-state", None, b"{}".ljust(TOO_LARGE), 1)
