"""What the commands return and print: over the whole history, and where something is missing.

A line is written as in a shell: variables, then arguments. After `=>` stands what the last line on
standard error has to name where the command fails; the wording is not compared.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import jwt
import zstandard

from tests.command import Finished
from tests.record import golden, history
from tests.record.calling import Call, call_all
from tests.record.plain import Plain
from tests.record.stage import SECRET, Servers

COMMANDS: Final = golden.sections("commands.txt")
SERVERS: Final = ("RUNFOLD_DATABASE_URL", "RUNFOLD_KAFKA_BOOTSTRAP")
AWAY: Final = {
    **dict(zip(SERVERS, ("postgresql://ann:hunter2@127.0.0.1:1/x", "127.0.0.1:1"), strict=True)),
    "RUNFOLD_AUTH_HS256_SECRET": SECRET,
}
TOMBSTONE: Final = '{"topic":"project","key":"gone","value":null}\n'
_TOKEN: Final = re.compile(r"ey[\w-]+\.[\w-]+\.[\w-]+")
_UNPINNED: Final = re.compile(r"(?m)[\d.]+ MiB|(?<= message=).*|(?<=^message:).*")


class Calls:
    """Commands that find files of this directory and, by the heading they stand under, settings."""

    def __init__(self, directory: Path, settings: dict[str, dict[str, str]]) -> None:
        self._directory, self._settings, self._plain = str(directory), settings, Plain()

    def all(self) -> dict[str, Any]:
        lines = [(what, line) for what in self._settings for line in COMMANDS[what]]
        assert len(set(lines)) == len(lines)
        finished = call_all([self._call(what, line) for what, line in lines])
        return {
            f"{line} | {what}": self._kept(what, line, each)
            for (what, line), each in zip(lines, finished, strict=True)
        }

    def _call(self, what: str, line: str) -> Call:
        words = shlex.split(
            line.replace("{dir}", self._directory).partition("=>")[0], comments=True
        )
        given: dict[str, str] = {}
        while words and words[0].startswith("RUNFOLD_"):
            name, _, given[name] = words.pop(0).partition("=")
        return Call(words, self._settings[what] | given, TOMBSTONE)

    def _kept(self, what: str, line: str, finished: Finished) -> dict[str, Any]:
        assert "Traceback" not in finished.err, finished.err
        assert "hunter2" not in finished.err
        words, _, named = line.partition("=>")
        out = "(any)" if "generate" in words else self._text(what, finished.out)
        if finished.status == 0:
            err = "(any)" if "rebuild" in words else self._text(what, finished.err)
            return {"status": 0, "out": out, "err": err}
        *before, last = finished.err.splitlines()
        last = last.replace(self._directory, "{dir}").lower()
        is_named = [each for each in named.split() if each.lower() in last]
        return {"status": finished.status, "out": out, "lines": len(before) + 1, "named": is_named}

    def _text(self, what: str, text: str) -> Any:
        if text.startswith("{"):
            return self._plain.json(text)
        for place in (self._settings[what].get(name) for name in SERVERS):
            text = text.replace(place.rpartition("@")[2], "<server>") if place else text
        text = _TOKEN.sub(lambda found: _claims(found[0]), text.replace(self._directory, "{dir}"))
        return _UNPINNED.sub("(any)", self._plain.moments(text)).splitlines()


def _claims(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return json.dumps(claims | {"exp": claims["exp"] - claims["iat"], "iat": "<now>"})


def test_what_is_said_of_wrong_usage_and_of_what_is_missing(
    servers: Servers, tmp_path: Path
) -> None:
    files_in(tmp_path)
    places = (servers.postgres.url, servers.bootstrap)
    settings = dict.fromkeys(("wrong usage", "wrong settings", "servers away"), AWAY)
    settings |= {"no settings": {}, "no schema": dict(zip(SERVERS, places, strict=True))}
    found = Calls(tmp_path, settings).all()
    same, packed, other = (tmp_path / name for name in ("a.jsonl", "b.jsonl.zst", "c.jsonl"))
    with zstandard.open(packed, "rb") as file:
        assert file.read() == same.read_bytes() != other.read_bytes()
    golden.check("usage.json", found)


def test_what_is_said_over_the_history(servers: Servers, seeded: str, tmp_path: Path) -> None:
    files_in(tmp_path)
    with servers.database(seeded) as name:
        settings = {"over the history": servers.variables(name, "record.")}
        found = Calls(tmp_path, settings).all()
    golden.check("commands.json", found)


def files_in(directory: Path) -> None:
    """Histories, good and bad, for commands to read."""
    good = history.MOVED + TOMBSTONE.encode()
    (directory / "good.jsonl").write_bytes(good)
    (directory / "wrong.jsonl").write_text(f'{TOMBSTONE}{{"topic":"projects"}}\n')
    (directory / "plain.jsonl.zst").write_bytes(good)
    (directory / "cut.jsonl.zst").write_bytes(zstandard.compress(good)[:-9])
