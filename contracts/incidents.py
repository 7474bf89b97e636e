"""Incident ids: where they are found in text, and the key they are looked up by."""

import re
from collections.abc import Iterable
from typing import Any, Final

from contracts.keys import index_key

INCIDENT_ID: Final = r"INC-[0-9]{8}-[A-Z0-9]{4,}"
"""Pattern of an incident id."""

incident_key: Final = index_key
"""Returns what an incident is looked up by."""

# next to other letters or digits it is part of another word
_IN_TEXT: Final = re.compile(rf"\b{INCIDENT_ID}\b", re.ASCII)


def in_text(text: str | None) -> list[str]:
    """Return the incident ids in free text, in order, with repetitions."""
    if text is None or "INC-" not in text:
        return []
    return _IN_TEXT.findall(text)


def in_source_envelope(envelope: dict[str, Any] | None) -> list[str]:
    """Return the ids an inbound event's `source_refs.incident_ids` names, taken as given.

    It is a list or one value. Text is trimmed and dropped when nothing is left; a number is taken
    as its shortest text; any other value names no incident.
    """
    refs = envelope.get("source_refs") if envelope else None
    named = refs.get("incident_ids") if isinstance(refs, dict) else None
    entries = named if isinstance(named, list) else [named]
    return [text for entry in entries if (text := _entry(entry))]


def _entry(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def unique(ids: Iterable[str]) -> list[str]:
    """Return the ids without repetitions, in order of first appearance."""
    return list(dict.fromkeys(ids))
