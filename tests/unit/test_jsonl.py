"""Histories as files: what a line may be, and what is said of one that is not."""

import io
import os
import subprocess
import sys
from pathlib import Path

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


def test_a_line_is_a_record(tmp_path: Path) -> None:
    assert list(read(file_of(tmp_path, GOOD))) == [Record(1, "run-state", b"k", b'{"a":1}')]


@pytest.mark.parametrize(
    "value",
    [
        '{"n": 0.12345678901234567890123456789}',
        '{"n": 1e999, "big": 123456789012345678901234567890}',
        '{"a": 1,  "a": 2}',
        '{"lone": "\\ud800", "escaped": "\\u00e9"}',
        r'{"cut": "x \ud83d", "whole": "\ud83d\ude00", "backslash": "\\ud83d"}',
        '{"text": "金流 \u2028 é"}',
        "{ }",
    ],
)
def test_an_event_keeps_its_very_bytes(tmp_path: Path, value: str) -> None:
    line = f'  {{ "value" : {value} , "key" : "k" , "topic" : "project" }}  \r\n'
    (record,) = read(file_of(tmp_path, line.encode()))
    assert record == Record(1, "project", b"k", value.encode())


def test_a_number_of_any_length_is_passed_on(tmp_path: Path) -> None:
    value = b'{"n":' + b"1" * 10_000 + b"}"
    (record,) = read(file_of(tmp_path, b'{"topic":"project","key":"k","value":' + value + b"}"))
    assert record.value == value


def test_null_is_a_tombstone_and_a_missing_key_is_none(tmp_path: Path) -> None:
    lines = b'{"topic":"project","key":"p","value":null}\n{"topic":"project","value":{}}'
    assert list(read(file_of(tmp_path, lines))) == [
        Record(1, "project", b"p", None),
        Record(2, "project", None, b"{}"),
    ]


def test_empty_lines_count_but_are_no_records(tmp_path: Path) -> None:
    assert [record.number for record in read(file_of(tmp_path, b"\n \n" + GOOD + b"\n"))] == [3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "JSON is malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"topic":"run-state","key":"k","value":{}', "truncated"),
        (b'{"topic":"run-state","key":"k","value":{}} x', "trailing characters"),
        (b'{"topic":"run-state","key":"k","value":{},"offset":1}', "unknown field `offset`"),
        (b'{"topic":"run-state","key":"k","value":{"a":}}', "JSON is malformed"),
        (b'{"topic":"run-state","key":"k","value":{"a":NaN}}', "JSON is malformed"),
        (b'{"topic":"run-state","key":"k","value":"text"}', '"value" is neither'),
        (b'{"topic":"run-state","key":"k"}', "missing required field `value`"),
        (b'{"topic":"run-state","key":5,"value":{}}', "got `int` - at `$.key`"),
        (b'{"topic":"run-state","value":null}', '"key" and "value" are both null'),
        (b'{"topic":"awooop.run-state","value":{}}', "\"topic\" is 'awooop.run-state', not one of"),
        (b'{"topic":["run-state"],"value":{}}', "got `array` - at `$.topic`"),
        (b'{"value":{}}', "missing required field `topic`"),
        (b'{"topic":"run-state","key":"\xff","value":{}}', "'utf-8' codec can't decode"),
        (b'{"topic":"run-state","value":{"a":"\xff"}}', "'utf-8' codec can't decode"),
        (b'{"topic":"run-state","key":"\\ud800","value":{}}', "surrogate"),
        (b'{"topic":"run-state","value":' + b"[" * 200_000, "recursion"),
    ],
)
def test_a_wrong_line_is_named_after_the_good_ones(tmp_path: Path, line: bytes, said: str) -> None:
    records = read(file_of(tmp_path, GOOD + line + b"\n" + GOOD))
    assert next(records).number == 1
    with pytest.raises(UsageError, match=r"history\.jsonl, line 2: ") as raised:
        next(records)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_line_without_end_is_not_waited_for(tmp_path: Path) -> None:
    content = GOOD + b"x" * (MAX_LINE_BYTES + 100_000)
    with pytest.raises(UsageError, match=r"line 2: it is longer than 16777216 bytes"):
        list(read(file_of(tmp_path, content)))


@pytest.mark.parametrize("name", ["history.jsonl", "history.jsonl.zst"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with writing(path) as file:
        for _ in range(20_000):
            file.write(GOOD)
    assert sum(1 for _ in read(path)) == 20_000
    assert (Path(path).stat().st_size < 20_000) == name.endswith(".zst")


@pytest.mark.parametrize("name", ["history.jsonl", "history.jsonl.zst"])
def test_a_file_stays_as_it_was_until_the_new_one_is_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    path.chmod(0o600)
    with pytest.raises(TypeError), writing(str(path)) as file:
        file.write(None)  # type: ignore[call-overload]
    assert path.read_bytes() == b"old"
    with writing(str(path)) as file:
        file.write(GOOD)
        assert path.read_bytes() == b"old"
    assert len(list(read(str(path)))) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_link_is_followed_and_a_pipe_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with writing(str(tmp_path / "link")) as file:
        file.write(GOOD)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == GOOD
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as cat:
        with writing(str(tmp_path / "pipe")) as file:
            file.write(GOOD)
        assert cat.communicate()[0] == GOOD
    assert (tmp_path / "pipe").is_fifo()


def test_a_compressed_file_may_be_several_put_together(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(GOOD * 3)
    assert len(list(read(file_of(tmp_path, frame + frame, "h.zst")))) == 6


def test_a_compressed_file_that_was_cut_short_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(GOOD * 20_000)
    with pytest.raises(UsageError, match="is cut short"):
        list(read(file_of(tmp_path, frame[:-4], "h.zst")))


def test_a_file_that_is_not_compressed_is_not_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a Zstandard file"):
        list(read(file_of(tmp_path, GOOD, "h.zst")))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere cannot be read: No such file"):
        list(read(str(tmp_path / "nowhere")))
    with (
        pytest.raises(OperationError, match="cannot be written: No such file"),
        writing(str(tmp_path / "nowhere" / "file")),
    ):
        pass


def test_standard_input_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD + b"x\n")))
    records = read("-")
    assert next(records).topic == "run-state"
    with pytest.raises(UsageError, match="standard input, line 2"):
        next(records)


@pytest.mark.parametrize("seed", range(5))
def test_what_stands_in_a_line_is_decoded_as_the_record_is(tmp_path: Path, seed: int) -> None:
    for record in history(seed, size=300, bad=True):
        key = None if record.key is None else record.key.encode()
        made = jsonl.line(record.topic, key, record.value)
        if made is None:
            assert record.value is None or isinstance(
                decode(record.topic, record.value), Undecodable
            )
            continue
        (again,) = read(file_of(tmp_path, made))
        assert (again.topic, again.key) == (record.topic, key)
        if record.value is None or again.value is None:
            assert again.value is record.value
        else:
            assert decode(record.topic, again.value) == decode(record.topic, record.value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b'{"a": 1}', b'{"a": 1}'),
        (b'{"a":\n1}', b'{"a": 1}'),
        (b'{"a": "\n"}', None),
        (b'{"a": 1234567890123456789012345678}', b'{"a": 1234567890123456789012345678}'),
        (b'{"a": NaN}', None),
        (b"[1]", None),
        (b"not JSON", None),
        (b'{"a": "\xff"}', None),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, None),
        (b'{"a": "' + b"x" * 1_048_576 + b'"}', None),
        (None, None),
    ],
)
def test_what_a_line_can_hold(tmp_path: Path, value: bytes | None, kept: bytes | None) -> None:
    made = jsonl.line("project", b"k", value)
    if kept is None and value is not None:
        assert made is None
    else:
        assert made is not None
        (again,) = read(file_of(tmp_path, made))
        assert again.value == kept


def test_a_key_that_is_no_text_is_left_out_and_a_tombstone_with_it() -> None:
    made = jsonl.line("project", b"\xff", b"{}")
    assert made == b'{"topic":"project","key":null,"value":{}}\n'
    assert jsonl.line("project", b"\xff", None) is None
