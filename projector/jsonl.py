"""Histories as files: one record a line, `{"topic": …, "key": …, "value": …}`, `.zst` by suffix.

`topic` is the topic's suffix, `key` text or null, `value` the event as an object, or null for a
tombstone. `-` is standard input or output.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Final, cast

import msgspec
import zstandard

from contracts.decoding import MAX_VALUE_BYTES
from contracts.errors import OperationError, UsageError
from contracts.topics import TOPICS

STANDARD_STREAM: Final = "-"
MAX_LINE_BYTES: Final = 16 * 1_048_576
CHUNK_BYTES: Final = 65_536
SUFFIXES: Final = tuple(topic.suffix for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its line's number, its topic's suffix, and its event's bytes as they stood."""

    number: int
    topic: str
    key: bytes | None
    value: bytes | None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    topic: str = ""
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw()


_DECODER: Final = msgspec.json.Decoder(_Line)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


@contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """Open a file for lines, compressed when it ends in `.zst`; `OperationError` if it cannot.

    An existing file is replaced at the end, when everything is on disk.
    """
    if path == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()
    # A pipe or a device has no content to lose, and must not become a file.
    replaces = target.is_file() or not target.exists()
    out = target.with_name(f"{target.name}.{os.getpid()}.tmp") if replaces else target
    try:
        with out.open("wb") as file:
            if target.is_file():
                # Who may not read the old file must not read the new one.
                shutil.copymode(target, out)
            compressor = zstandard.ZstdCompressor().stream_writer(file, closefd=False)
            with compressor if path.endswith(".zst") else nullcontext(file) as lines:
                yield lines
            if replaces:
                file.flush()
                os.fsync(file.fileno())
                out.replace(target)
    except OSError as error:
        raise OperationError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if replaces:
            out.unlink(missing_ok=True)


def line(topic: str, key: bytes | None, value: bytes | None) -> bytes | None:
    """Return a record as a line that `read` reads, `topic` by suffix.

    A key that is not text is left out. None when the record is nothing such a line can hold.
    """
    try:
        text = None if key is None else key.decode()
    except UnicodeDecodeError:
        text = None
    body = b"null" if value is None else value
    if len(body) > MAX_VALUE_BYTES:
        return None
    head = msgspec.json.encode({"topic": topic, "key": text})
    made = head[:-1] + b',"value":' + body + b"}"
    try:
        if _parsed(made, "", 0).value != (None if value is None else body.strip(b" \t\r\n")):
            return None
    except UsageError:
        return None
    # Every line break here is white space between tokens: JSON has none in strings.
    return made.replace(b"\n", b" ") + b"\n"


def read(path: str) -> Iterator[Record]:
    """Yield the records of a file, holding one line at a time; empty lines are skipped.

    Raises `UsageError` when the file cannot be read; for the first wrong line it names the line.
    """
    name, is_stdin = ("standard input", True) if path == STANDARD_STREAM else (path, False)
    try:
        with nullcontext(sys.stdin.buffer) if is_stdin else Path(path).open("rb") as file:
            # Not more than is there: whoever writes to a pipe slowly is not waited for.
            chunks = iter(lambda: cast("BufferedReader", file).read1(CHUNK_BYTES), b"")
            lines = _lines(_decompressed(chunks, name) if path.endswith(".zst") else chunks, name)
            for number, text in enumerate(lines, start=1):
                if text and not text.isspace():
                    yield _parsed(text, name, number)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _decompressed(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Unlike Zstandard's own stream reader this refuses a file that was cut short."""
    frame = None
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(rest)
                rest, frame = frame.unused_data, None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise UsageError(f"{name} is not a Zstandard file: {error}") from error
    if frame is not None:
        raise UsageError(f"{name} is cut short: it ends within a Zstandard frame")


def _lines(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    number, rest = 1, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        number += len(whole)
        yield from whole
        if len(rest) > MAX_LINE_BYTES:
            raise UsageError(f"{name}, line {number}: it is longer than {MAX_LINE_BYTES} bytes")
    yield rest


def _parsed(text: bytes, name: str, number: int) -> Record:
    """Return the record of a line. Raises `UsageError`, which says what is wrong with it."""
    try:
        text.decode()
        return Record(number, *_members(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}, line {number}: {error}") from error


def _members(text: bytes) -> tuple[str, bytes | None, bytes | None]:
    """Return topic, key and the very bytes of the value; ValueError says what is wrong."""
    try:
        found = _DECODER.decode(text)
        value = bytes(found.value)
    except msgspec.DecodeError:
        # To msgspec half a surrogate pair is not JSON; for us it is a text that was cut.
        mended = _SURROGATE.sub(rb"\\u0041", text)
        found = _DECODER.decode(mended)
        start = mended.index(bytes(found.value))
        value = text[start : start + len(bytes(found.value))]
        if mended[:start] + value + mended[start + len(value) :] != text:
            raise
    if found.topic not in SUFFIXES:
        raise ValueError(f'"topic" is "{found.topic:.80}", not one of {", ".join(SUFFIXES)}')
    if value != b"null" and not value.startswith(b"{"):
        raise ValueError('"value" is neither an object nor null')
    if found.key is None and value == b"null":
        raise ValueError('"key" and "value" are both null: a tombstone needs a key')
    key = None if found.key is None else found.key.encode()
    return found.topic, key, None if value == b"null" else value
