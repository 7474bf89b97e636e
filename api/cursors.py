"""Cursors: where a page ended, so that the next one starts there whatever is inserted meanwhile.

A cursor is opaque to its client and bound to the list and the filter it was made with. It gives
away nothing: it names a row its bearer has just been shown, and a page after any row shows no more
than the bearer may see.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from api.problems import Problem, bad_parameter

DIGEST_BYTES: Final = 9
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{1,8192}")

K = TypeVar("K")


class Cursors(Generic[K]):
    """The cursors of one list, whose rows are in the order of a key of type `K`."""

    def __init__(self, name: str, key: TypeAdapter[K]) -> None:
        self._name = name
        self._key = key

    def after(self, key: K, where: Mapping[str, Any]) -> str:
        """Return the cursor that starts after the row with this key, for this filter."""
        payload = self._key.dump_json(key)
        text = base64.urlsafe_b64encode(self._digest(payload, where) + payload)
        return text.decode().rstrip("=")

    def key(self, cursor: str, where: Mapping[str, Any]) -> K:
        """Return the key of the row a cursor starts after. Raises `Problem`: 422 `bad_cursor`."""
        raw = _bytes(cursor)
        digest, payload = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        if digest != self._digest(payload, where):
            raise _bad_cursor()
        try:
            return self._key.validate_json(payload)
        except ValidationError:
            raise _bad_cursor() from None

    def _digest(self, payload: bytes, where: Mapping[str, Any]) -> bytes:
        bound = orjson.dumps([self._name, where], option=orjson.OPT_SORT_KEYS)
        key = hashlib.blake2b(bound, digest_size=32).digest()
        return hashlib.blake2b(payload, digest_size=DIGEST_BYTES, key=key).digest()


def _bytes(cursor: str) -> bytes:
    if not _TEXT.fullmatch(cursor):
        raise _bad_cursor()
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error:
        raise _bad_cursor() from None
    # The last character has bits to spare: only one way of writing them is ours.
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
        raise _bad_cursor()
    return raw


def _bad_cursor() -> Problem:
    wrong = "this list has not handed out such a cursor for this filter"
    return bad_parameter({"cursor": wrong}, code="bad_cursor")
