"""A run's timeline: entries from five tables, merged in order of (ts, rank, seq, tie).

Each table has an index in that order, so a page takes its length from each and no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from api.languages import Language
from api.queries.arguments import Arguments, every
from api.reading import Snapshot

Kind = Literal["run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"]

ITEM_KINDS: Final[frozenset[Kind]] = frozenset({"step", "approval", "mcp", "outbound"})
EVIDENCE_RANKS: Final[dict[Kind, int]] = {"mcp": 6, "remediation": 7}

TITLES: Final[dict[Language, dict[str, str]]] = {
    "zh-TW": {
        "created": "'Run 建立'",
        "started": "'Run 開始執行'",
        "ended": "'Run 結束'",
        "state": "'狀態：' || t.state",
        "stored": "t.title",
    },
    "en": {
        "created": "'Run created'",
        "started": "'Run started'",
        "ended": "'Run ended'",
        "state": "'State: ' || t.state",
        "stored": "t.title_en",
    },
}
"""Titles as SQL, `t` being the row they are of."""

COLUMNS: Final = "ts, rank, seq, tie, kind, title, status, summary, metadata"


class EntryKey(NamedTuple):
    """Where an entry stands in a timeline."""

    ts: datetime
    rank: int
    seq: int
    tie: str


class Wanted(NamedTuple):
    """Which entries of a timeline are asked for."""

    kinds: Collection[Kind] | None
    """Only these; None is all."""
    after: EntryKey | None
    limit: int
    language: Language


SUBJECT: Final = """
    SELECT f.run_id, f.project_id, f.state, f.created_at, f.started_at, f.completed_at,
        f.trigger_ref, f.trigger_event, f.detail, r.incidents, r.summary
    FROM run_fact f JOIN run r ON r.run_id = f.run_id
    WHERE f.run_id = $1::uuid AND ($2::text IS NULL OR f.project_id = $2)
"""
"""The run that is asked for, `$1`, if it is in the project named, `$2`."""
