"""Which language titles are in: zh-TW, or English for a client that prefers it."""

import re
from typing import Final, Literal

Language = Literal["zh-TW", "en"]

DEFAULT: Final[Language] = "zh-TW"

_RANGE: Final = re.compile(
    r"([A-Za-z0-9*-]{1,20})(?:\s*;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def preferred(accept_language: str) -> Language:
    """Return the language that a client's `Accept-Language` asks for first.

    Equally weighted languages count in the order they are named; what cannot be read, and what
    is in neither language, counts for nothing. zh-TW when nothing decides.
    """
    ranges = [_RANGE.fullmatch(part.strip()) for part in accept_language.split(",")]
    weighted = [(float(found[2] or 1), found[1].lower()) for found in ranges if found]
    for weight, tag in sorted(weighted, key=lambda each: -each[0]):
        if weight > 0 and (language := _language(tag)):
            return language
    return DEFAULT


def _language(tag: str) -> Language | None:
    match tag.split("-", maxsplit=1)[0]:
        case "en":
            return "en"
        case "zh" | "*":
            return DEFAULT
        case _:
            return None
