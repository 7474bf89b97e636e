"""Files of what is asked and of what was answered, these written anew with `RECORD=write`."""

import json
import os
from collections.abc import Iterator
from itertools import islice, zip_longest
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
        "\n    ".join([each, *islice(differences, MOST)])
        for each in {**known, **found}
        if (differences := list(_differences(known.get(each), found.get(each), "")))
    ]
    if report:
        head = f"{len(report)} of {len(known)} in {name} differ (file -> now)"
        pytest.fail("\n".join([head, *report]), pytrace=False)


def _differences(known: Any, found: Any, at: str) -> Iterator[str]:
    match known, found:
        case dict(), dict():
            for key in {**known, **found}:
                yield from _differences(known.get(key), found.get(key), f"{at}.{key}")
            if known.keys() != found.keys():
                yield f"{at or 'all of it'}: {_short([*known])} -> {_short([*found])}"
        case list(), list():
            for number, (one, other) in enumerate(zip_longest(known, found)):
                yield from _differences(one, other, f"{at}[{number}]")
            if len(known) != len(found):
                yield f"{at or 'all of it'}: {len(known)} -> {len(found)} of them"
        case _:
            if (known, type(known)) != (found, type(found)):
                yield f"{at or 'all of it'}: {_short(known)} -> {_short(found)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
