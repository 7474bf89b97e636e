"""Histories as files: what a line may be, and what is said of one that is wrong."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from contracts.decoding import Undecodable, decode
from contracts.errors import OperationError, UsageError
from projector import jsonl
from projector.jsonl import MAX_LINE_BYTES, Record, read, writing
from tests.histories import history

GOOD = b'{"topic":"run-state","key":"k","value":{"a":1}}\n'


def file_of(tmp_path: Path, content: bytes, name: str = "history.jsonl") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    "value",
    [
        '{"n": 0.12345678901234567890123456789, "big": ' + "1" * 10_000 + "}",
        '{"n": 1e999}',
        '{"a": 1,  "a": 2}',
        r'{"cut": "x \ud83d", "whole": "\ud83d\ude00", "backslash": "\\ud83d"}',
        '{"text": "金流 \u2028 é"}',
        "{ }",
    ],
)
def test_an_event_keeps_its_very_bytes(tmp_path: Path, value: str) -> None:
    line = f'  {{ "value" : {value} , "key" : "k" , "topic" : "project" }}  \r\n'
    (record,) = read(file_of(tmp_path, line.encode()))
    assert record == Record(1, "project", b"k", value.encode())


def test_null_is_a_tombstone_and_empty_lines_count_but_are_no_records(tmp_path: Path) -> None:
    lines = b'{"topic":"project","key":"p","value":null}\n \n{"topic":"project","value":{}}'
    assert list(read(file_of(tmp_path, lines))) == [
        Record(1, "project", b"p", None),
        Record(3, "project", None, b"{}"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "JSON is malformed"),
        (b'{"topic":"run-state","key":"k","value":{}', "truncated"),
        (b'{"topic":"run-state","key":"k","value":{},"offset":1}', "unknown field `offset`"),
        (b'{"topic":"run-state","key":"k","value":{"a":NaN}}', "JSON is malformed"),
        (b'{"topic":"run-state","key":"k","value":"text"}', '"value" is neither'),
        (b'{"topic":"run-state","key":"k"}', '"value" is neither'),
        (b'{"topic":"run-state","key":5,"value":{}}', "got `int` - at `$.key`"),
        (b'{"topic":"run-state","value":null}', '"key" and "value" are both null'),
        (b'{"topic":"awooop.run-state","value":{}}', '"topic" is "awooop.run-state", not one of'),
        (b'{"topic":"run-state","value":{"a":"\xff"}}', "'utf-8' codec can't decode"),
        (b'{"topic":"run-state","key":"\\ud800","value":{}}', "surrogate"),
        (b'{"topic":"run-state","value":' + b"[" * 200_000, "recursion"),
        (b"x" * (MAX_LINE_BYTES + 100_000), "longer than 16777216 bytes"),
    ],
)
def test_a_wrong_line_is_named_after_the_good_ones(tmp_path: Path, line: bytes, said: str) -> None:
    records = read(file_of(tmp_path, GOOD + line))
    assert next(records).number == 1
    with pytest.raises(UsageError, match=r"history\.jsonl, line 2: ") as raised:
        next(records)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["history.jsonl", "history.jsonl.zst"])
def test_a_file_stays_as_it_was_until_the_new_one_is_whole(tmp_path: Path, name: str) -> None:
    path, link = tmp_path / name, tmp_path / f"link-{name}"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    with pytest.raises(TypeError), writing(str(link)) as file:
        file.write(None)  # type: ignore[call-overload]
    with writing(str(link)) as file:
        for _ in range(20_000):
            file.write(GOOD)
        assert path.read_bytes() == b"old"
    assert sum(1 for _ in read(str(path))) == 20_000
    assert (path.stat().st_size < 20_000) == name.endswith(".zst")
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(tmp_path.iterdir()) == {path, link}


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    with writing(str(path)) as file:
        file.write(GOOD)
    assert os.read(pipe, 1_000) == GOOD
    os.close(pipe)


def test_a_compressed_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(GOOD * 20_000)
    assert sum(1 for _ in read(file_of(tmp_path, frame + frame, "h.zst"))) == 40_000
    with pytest.raises(UsageError, match="is cut short"):
        list(read(file_of(tmp_path, frame[:-4], "h.zst")))
    with pytest.raises(UsageError, match="is not a Zstandard file"):
        list(read(file_of(tmp_path, GOOD, "h.zst")))


def test_a_file_that_cannot_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="nowhere cannot be read: No such file"):
        list(read(str(tmp_path / "nowhere")))
    nowhere = str(tmp_path / "nowhere" / "file")
    with pytest.raises(OperationError, match="cannot be written: No such file"), writing(nowhere):
        pass
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x\n")))
    with pytest.raises(UsageError, match="standard input, line 1"):
        next(read("-"))


@pytest.mark.parametrize("seed", range(5))
def test_what_stands_in_a_line_is_decoded_as_the_record_is(tmp_path: Path, seed: int) -> None:
    for record in history(seed, size=300, bad=True):
        key = None if record.key is None else record.key.encode()
        made = jsonl.line(record.topic, key, record.value)
        if made is None:
            assert isinstance(read_as(record.topic, record.value), Undecodable | None)
            continue
        (again,) = read(file_of(tmp_path, made))
        assert (again.topic, again.key) == (record.topic, key)
        assert read_as(record.topic, again.value) == read_as(record.topic, record.value)


def read_as(topic: str, value: bytes | None) -> Any:
    """What is decoded, or None for a tombstone."""
    return None if value is None else decode(topic, value)


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        (b"k", b'{"a":\n1}', b'{"topic":"project","key":"k","value":{"a": 1}}\n'),
        (b"k", None, b'{"topic":"project","key":"k","value":null}\n'),
        (b"\xff", b"{}", b'{"topic":"project","key":null,"value":{}}\n'),
        (b"\xff", None, None),
        (b"k", b'{"a": "\n"}', None),
        (b"k", b'{},"key":"other"', None),
        (b"k", b"[1]", None),
        (b"k", b'{"a": "\xff"}', None),
        (b"k", b'{"a":' * 5000 + b"1" + b"}" * 5000, None),
        (b"k", b'{"a": "' + b"x" * 1_048_576 + b'"}', None),
    ],
)
def test_what_a_line_can_hold(key: bytes, value: bytes | None, kept: bytes | None) -> None:
    assert jsonl.line("project", key, value) == kept
