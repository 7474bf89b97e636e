"""Files of what is asked and of what was answered, these written anew with `RECORD=write`."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

WIDTH: Final = 120
MOST: Final = 6
"""Differences that are shown of one answer."""


def sections(name: str) -> dict[str, list[str]]:
    """The lines of a file of what is asked, by the heading they stand under."""
    text = Path(__file__).with_name(name).read_text("utf-8").strip()
    parts = (part.splitlines() for part in text.removeprefix("[").split("\n\n["))
    return {head.rstrip("]"): lines for head, *lines in parts}


def check(name: str, found: dict[str, Any]) -> None:
    """Compare what was answered with the file; one failure names everything that differs."""
    path = Path(__file__).with_name(name)
    if os.environ.get("RECORD") == "write":
        path.write_text(f"{json.dumps(found, ensure_ascii=False, indent=1)}\n", "utf-8")
        return
    known: dict[str, Any] = json.loads(path.read_text("utf-8"))
    report = [
        "\n    ".join([each, *differences[:MOST]])
        for each in {**known, **found}
        if (differences := _differences(_flat(known.get(each)), _flat(found.get(each))))
    ]
    if report:
        head = f"{len(report)} of {len(known)} in {name} differ (file -> now)"
        pytest.fail("\n".join([head, *report]), pytrace=False)


def _differences(known: dict[str, str], found: dict[str, str]) -> list[str]:
    both = ((at, known.get(at, "nothing"), found.get(at, "nothing")) for at in {**known, **found})
    return [
        f"{at or 'all of it'}: {one[:WIDTH]} -> {other[:WIDTH]}"
        for at, one, other in both
        if one != other
    ]


def _flat(value: Any, at: str = "") -> dict[str, str]:
    """What stands at each place, as JSON, so that 1, 1.0 and true differ."""
    if not value or not isinstance(value, dict | list):
        return {at: json.dumps(value, ensure_ascii=False)}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        place: text
        for name, each in parts
        for place, text in _flat(each, f"{at}[{name!r}]").items()
    }
