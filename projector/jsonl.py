"""Histories as files: one record a line, `{"topic": …, "key": …, "value": …}`, `.zst` by suffix.

`topic` is the topic's suffix, `key` text or null, `value` the event as an object, or null for a
tombstone. `-` is standard input or output.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from json import JSONDecodeError
from pathlib import Path
from typing import IO, Final, NoReturn, cast

import orjson
import zstandard

from contracts.decoding import MAX_VALUE_BYTES
from contracts.errors import OperationError, UsageError
from contracts.topics import TOPICS

STANDARD_STREAM: Final = "-"
MAX_LINE_BYTES: Final = 16 * 1_048_576
CHUNK_BYTES: Final = 65_536
LONGEST_SHOWN: Final = 80
SHALLOW: Final = 300
MISSING: Final = (..., "missing")
SUFFIXES: Final = tuple(topic.suffix for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its line's number, its topic's suffix, and its event's bytes as they stood."""

    number: int
    topic: str
    key: bytes | None
    value: bytes | None


class LineError(UsageError):
    """A line of a file is not what it must be; the message names the line."""

    def __init__(self, name: str, number: int, wrong: str) -> None:
        super().__init__(f"{name}, line {number}: {wrong}")


class _WrongLine(Exception):
    """What is wrong with a line, said without its name and number."""


@contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """Open a file for lines, compressed when it ends in `.zst`; `OperationError` if it cannot.

    A file of that name stays as it is until all is on the disk that is to take its place.
    """
    if path == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _replacing(Path(path)) as file:
            if not path.endswith(".zst"):
                yield file
                return
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as compressed:
                yield compressed
    except OSError as error:
        raise OperationError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    if path.exists() and not path.is_file():
        # a pipe or a device has no content that could be lost, and is not to become a file
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve()
    beside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            if target.exists():
                # who may not read the old one is not to read the new one
                shutil.copymode(target, beside)
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def read(path: str) -> Iterator[Record]:
    """Yield the records of a file, holding one line at a time; empty lines are passed over.

    Raises `UsageError` when the file cannot be read, `LineError` at the first wrong line.
    """
    name = "standard input" if path == STANDARD_STREAM else path
    with _reading(path) as file:
        chunks = _decompressed(file, name) if path.endswith(".zst") else _chunks(file)
        for number, line in enumerate(_lines(chunks, name), start=1):
            if line and not line.isspace():
                yield _parsed(line, name, number)


def line(topic: str, key: bytes | None, value: bytes | None) -> bytes | None:
    """Return a record as a line that `read` reads, `topic` by suffix.

    A key that is no text is left out. None when the record is nothing such a line can hold.
    """
    try:
        text = None if key is None else key.decode()
    except UnicodeDecodeError:
        text = None
    head = orjson.dumps({"topic": topic, "key": text})
    body = b"null" if value is None else value
    if len(body) > MAX_VALUE_BYTES:
        # White space around it, which a line does not keep, may be what makes it too large.
        return None
    is_plain = _is_plain(body)
    if is_plain:
        # A line break in JSON is white space between its tokens; in a string it is no JSON.
        body = body.replace(b"\n", b" ")
    made = head[:-1] + b',"value":' + body + b"}\n"
    return made if is_plain or (b"\n" not in body and _is_kept(made, value)) else None


def _is_plain(value: bytes) -> bool:
    """Whether a value is an object beyond doubt, and not nested too deep to be read."""
    if value.count(b"{") + value.count(b"[") > SHALLOW:
        return False
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


def _is_kept(line: bytes, value: bytes | None) -> bool:
    """Whether reading this line gives a record with this value, but for white space around it."""
    try:
        found = _parsed(line, "", 0)
    except LineError:
        return False
    return found.value == (value if value is None else value.strip(b" \t\r"))


@contextmanager
def _reading(path: str) -> Iterator[BufferedReader]:
    if path == STANDARD_STREAM:
        yield cast("BufferedReader", sys.stdin.buffer)
        return
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    # What is there is taken: who writes into a pipe slowly is not waited for.
    while chunk := file.read1(CHUNK_BYTES):
        yield chunk


def _decompressed(file: BufferedReader, name: str) -> Iterator[bytes]:
    """Zstandard's own stream reader takes a file cut short for a whole one; this one does not."""
    frame = None
    try:
        for chunk in _chunks(file):
            rest = chunk
            while rest:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(rest)
                rest = frame.unused_data
                if frame.eof:
                    frame = None
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
            raise LineError(name, number, f"it is longer than {MAX_LINE_BYTES} bytes")
    yield rest


def _parsed(line: bytes, name: str, number: int) -> Record:
    try:
        members = _members(line.decode())
        topic, key = _topic(*members.get("topic", MISSING)), _key(*members.get("key", (None, "")))
        return _usable(Record(number, topic, key, _value(*members.get("value", MISSING))))
    except JSONDecodeError as error:
        raise LineError(name, number, f"not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise LineError(name, number, "not UTF-8") from error
    except (_WrongLine, RecursionError, UnicodeEncodeError) as error:
        raise LineError(name, number, str(error)) from error


def _no_constant(constant: str) -> NoReturn:
    raise _WrongLine(f"not JSON: {constant}")


class _Number:
    """A number of which nothing is to be known: it may have more digits than Python would read."""

    def __init__(self, text: str) -> None:
        """Take no notice of its text."""


_DECODER: Final = json.JSONDecoder(
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=_no_constant,
)
_BEGIN: Final = re.compile(r"\s*\{")
_MEMBER: Final = re.compile(r'\s*"(topic|key|value)"\s*:\s*')
_SEPARATOR: Final = re.compile(r"\s*,")
_END: Final = re.compile(r"\s*\}\s*$")


def _members(line: str) -> dict[str, tuple[object, str]]:
    """Each member's value and the text it was read from, in which no digit of a number is lost."""
    members: dict[str, tuple[object, str]] = {}
    mark = _BEGIN.match(line)
    while mark:
        member = _MEMBER.match(line, mark.end())
        if not member or member[1] in members:
            break
        value, end = _DECODER.raw_decode(line, member.end())
        members[member[1]] = value, line[member.end() : end]
        if _END.match(line, end):
            return members
        mark = _SEPARATOR.match(line, end)
    raise _WrongLine('it is not an object of "topic", "key" and "value"')


def _topic(topic: object, text: str) -> str:
    if topic not in SUFFIXES:
        raise _WrongLine(f'"topic" is {text[:LONGEST_SHOWN]}, not one of {", ".join(SUFFIXES)}')
    return str(topic)


def _key(key: object, text: str) -> bytes | None:
    if not isinstance(key, str | None):
        raise _WrongLine(f'"key" is {text[:LONGEST_SHOWN]}, neither text nor null')
    return None if key is None else key.encode()


def _value(value: object, text: str) -> bytes | None:
    if not isinstance(value, dict | None):
        raise _WrongLine('"value" is neither an object nor null')
    return None if value is None else text.encode()


def _usable(record: Record) -> Record:
    if record.key is None and record.value is None:
        raise _WrongLine('"key" and "value" are both null: a tombstone says whose it is')
    return record
