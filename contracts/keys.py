"""Patterns of ids and names that more than one package reads, and keys of bounded length."""

import hashlib
from typing import Final

UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
"""Pattern of a UUID as producers and clients may write it; it is kept in lower case."""

GENERATION_NAME: Final = r"[a-z0-9_]{1,40}"
"""Pattern of a generation's name."""

LONGEST_KEY: Final = 200
"""Longest text that is its own index entry, in characters: the longest an id may be."""


def index_key(text: str) -> str:
    """Return the text, or its digest if it is too long for an index entry."""
    return text if len(text) <= LONGEST_KEY else "#" + _digest(text)


def entity_key(kind: str, *parts: str) -> str:
    """Return the 16-byte key of an entity, as the text of a UUID.

    Ids of different kinds never have the same key, and all keys have one small size.
    """
    return _digest("\x1f".join((kind, *parts)))


def decision_key(command_id: str) -> str:
    """Return the key of the decision with this id (a UUID in lower case)."""
    return entity_key("decision", command_id)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
