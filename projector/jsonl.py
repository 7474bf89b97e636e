"""Histories as files: one record a line, `{"topic": …, "key": …, "value": …}`, `.zst` by suffix.

`topic` is the topic's suffix, `key` text or null, `value` the event as an object, or null for a
tombstone. `-` is standard input or output.
"""

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from json import JSONDecodeError
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import zstandard

from contracts.errors import OperationError, UsageError
from contracts.topics import TOPICS

STANDARD_STREAM: Final = "-"
MAX_LINE_CHARACTERS: Final = 16 * 1_048_576
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
    """Open a file for lines, compressed when it ends in `.zst`; `OperationError` if it cannot."""
    if path == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with Path(path).open("wb") as file:
            if not path.endswith(".zst"):
                yield file
                return
            with zstandard.ZstdCompressor().stream_writer(file) as compressed:
                yield compressed
    except OSError as error:
        raise OperationError(f"{path} cannot be written: {error.strerror or error}") from error


def read(path: str) -> Iterator[Record]:
    """Yield the records of a file, holding one line at a time; empty lines are passed over.

    Raises `UsageError` when the file cannot be read, `LineError` at the first wrong line.
    """
    name = "standard input" if path == STANDARD_STREAM else path
    with _reading(path) as text:
        for number in count(1):
            line = _next_line(text, name, number)
            if not line:
                return
            if not line.isspace():
                yield _parsed(line, name, number)


@contextmanager
def _reading(path: str) -> Iterator[IO[str]]:
    if path == STANDARD_STREAM:
        yield _text(sys.stdin.buffer)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below, whichever way it is read
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        is_compressed = path.endswith(".zst")
        yield _text(zstandard.ZstdDecompressor().stream_reader(file) if is_compressed else file)


def _text(stream: Any) -> IO[str]:
    # Only a line feed ends a line: JSON text may hold the other separators as they are.
    return io.TextIOWrapper(stream, encoding="utf-8", newline="\n")


def _next_line(text: IO[str], name: str, number: int) -> str:
    try:
        line = text.readline(MAX_LINE_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise LineError(name, number, "it, or one soon after it, is not UTF-8") from error
    except zstandard.ZstdError as error:
        raise UsageError(f"{name} is not a whole Zstandard file: {error}") from error
    if len(line) > MAX_LINE_CHARACTERS:
        raise LineError(name, number, f"it is longer than {MAX_LINE_CHARACTERS} characters")
    return line


def _parsed(line: str, name: str, number: int) -> Record:
    try:
        members = _members(line)
        topic, _ = members.get("topic", (None, ""))
        key, _ = members.get("key", (None, ""))
        return _usable(Record(number, _topic(topic), _key(key), _value(members.get("value"))))
    except JSONDecodeError as error:
        raise LineError(name, number, f"not JSON: {error.msg}") from error
    except (_WrongLine, RecursionError, UnicodeEncodeError) as error:
        raise LineError(name, number, str(error)) from error


def _no_constant(constant: str) -> NoReturn:
    raise _WrongLine(f"not JSON: {constant}")


# The values are only looked at; numbers stay text, for nothing in them may be lost or refused.
_DECODER: Final = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_constant)
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


def _topic(topic: object) -> str:
    if topic not in SUFFIXES:
        raise _WrongLine(f'"topic" is {json.dumps(topic)}, not one of {", ".join(SUFFIXES)}')
    return str(topic)


def _key(key: object) -> bytes | None:
    if not isinstance(key, str | None):
        raise _WrongLine('"key" is neither text nor null')
    return None if key is None else key.encode()


def _value(member: tuple[object, str] | None) -> bytes | None:
    value, text = member or ("missing", "")
    if not isinstance(value, dict | None):
        raise _WrongLine('"value" is neither an object nor null')
    return None if value is None else text.encode()


def _usable(record: Record) -> Record:
    if record.key is None and record.value is None:
        raise _WrongLine('"key" and "value" are both null: a tombstone says whose it is')
    return record
