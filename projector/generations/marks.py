"""What a history's file was when a rebuild was begun: one that is resumed goes on within it."""

import hashlib
from pathlib import Path
from typing import Final

from contracts.errors import UsageError

ENDS_BYTES: Final = 1_048_576
"""How much is looked at of the beginning of a file, and of its end; a history is never alike in
both and different in between."""


class FileChanged(UsageError):
    """A file is not the one that was begun with: lines that were counted may be others by now."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(
            f"{path} is not what it was when this rebuild was begun: put that back, or"
            f" `runfold generations drop {name}` and begin a new one"
        )


def mark(path: Path) -> str:
    """Return what a file is known by, nothing for what is no regular file.

    Raises `UsageError` when it cannot be read.
    """
    if not path.is_file():
        return ""
    return _mark(path, path.stat().st_size)


def check(path: Path, known: str, name: str) -> None:
    """Raise `FileChanged` unless a file begins as it did; it may have grown since."""
    size = int(known.partition(":")[0] or 0)
    if known and (not path.is_file() or path.stat().st_size < size or _mark(path, size) != known):
        raise FileChanged(path, name)


def _mark(path: Path, size: int) -> str:
    """Return the mark of the first `size` bytes."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(min(size, ENDS_BYTES)))
            file.seek(max(0, size - ENDS_BYTES))
            digest.update(file.read(min(size, ENDS_BYTES)))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return f"{size}:{digest.hexdigest()}"
