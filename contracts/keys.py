"""Keys of bounded length, for texts that are looked up by index."""

import hashlib
from typing import Final

LONGEST_KEY: Final = 200
"""Longest text that stands in an index as itself, in characters: the longest an id may be."""


def index_key(text: str) -> str:
    """Return what a text is looked up by: itself, or its digest where it is too long.

    Free text may have any length; an index entry may not.
    """
    if len(text) <= LONGEST_KEY:
        return text
    return "#" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
