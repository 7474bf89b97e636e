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


def answers(directory: Path, settings: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What came of the commands under these headings, which have these settings, by line."""
    lines = [(what, line) for what in settings for line in COMMANDS[what]]
    assert len(set(lines)) == len(lines)
    finished = call_all([_call(directory, settings[what], line) for what, line in lines])
    plain = Plain()

    def text(said: str, what: str) -> Any:
        if said.startswith("{"):
            return plain.json(said)
        for place in (settings[what].get(name) for name in SERVERS):
            said = said.replace(place.rpartition("@")[2], "<server>") if place else said
        said = _TOKEN.sub(lambda found: _claims(found[0]), said.replace(str(directory), "{dir}"))
        return _UNPINNED.sub("(any)", plain.moments(said)).splitlines()

    def kept(what: str, line: str, each: Finished) -> dict[str, Any]:
        assert "Traceback" not in each.err, each.err
        assert "hunter2" not in each.err
        words, _, named = line.partition("=>")
        out = "(any)" if "generate" in words else text(each.out, what)
        if each.status == 0:
            err = "(any)" if "rebuild" in words else text(each.err, what)
            return {"status": 0, "out": out, "err": err}
        *before, last = each.err.replace(str(directory), "{dir}").lower().splitlines()
        is_named = [name for name in named.split() if name.lower() in last]
        return {"status": each.status, "out": out, "lines": len(before) + 1, "named": is_named}

    told = zip(lines, finished, strict=True)
    return {f"{line} | {what}": kept(what, line, each) for (what, line), each in told}


def _call(directory: Path, settings: dict[str, str], line: str) -> Call:
    words = shlex.split(line.replace("{dir}", str(directory)).partition("=>")[0], comments=True)
    given: dict[str, str] = {}
    while words and words[0].startswith("RUNFOLD_"):
        name, _, given[name] = words.pop(0).partition("=")
    return Call(words, settings | given, TOMBSTONE)


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
    found = answers(tmp_path, settings)
    same, packed, other = (tmp_path / name for name in ("a.jsonl", "b.jsonl.zst", "c.jsonl"))
    with zstandard.open(packed, "rb") as file:
        assert file.read() == same.read_bytes() != other.read_bytes()
    golden.check("usage.json", found)


def test_what_is_said_over_the_history(servers: Servers, seeded: str, tmp_path: Path) -> None:
    files_in(tmp_path)
    with servers.database(seeded) as name:
        settings = {"over the history": servers.variables(name, "record.")}
        found = answers(tmp_path, settings)
    golden.check("commands.json", found)


def files_in(directory: Path) -> None:
    """Histories, good and bad, for commands to read."""
    good = history.MOVED + TOMBSTONE.encode()
    (directory / "good.jsonl").write_bytes(good)
    (directory / "wrong.jsonl").write_text(f'{TOMBSTONE}{{"topic":"projects"}}\n')
    (directory / "plain.jsonl.zst").write_bytes(good)
    (directory / "cut.jsonl.zst").write_bytes(zstandard.compress(good)[:-9])
