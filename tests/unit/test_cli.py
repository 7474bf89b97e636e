"""What the command says to people, and its exit status, without any server."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import typer

from projector import cli
from tests.command import Finished, called, runfold, running

SECRET = "0123456789abcdef" * 4
NOBODY = "127.0.0.1:1"
DATABASE = {"RUNFOLD_DATABASE_URL": f"postgresql://u:hunter2@{NOBODY}/x"}
VARIABLES = {
    **dict.fromkeys(
        ["stack", "projector", "migrate", "topics", "asyncapi", "publish", "audit"], ""
    ),
    **dict.fromkeys([f"generations {verb}" for verb in ("list", "activate", "drop", "diff")], ""),
    "dead-letters show": "",
    "demo": "API_PORT GENERATE_SEED",
    "api": "API_HOST API_PORT",
    "token": "TOKEN_SUB TOKEN_PROJECTS TOKEN_ROLES TOKEN_TTL",
    "generate": "GENERATE_RUNS GENERATE_SEED GENERATE_OUT GENERATE_RATE",
    "export": "EXPORT_OUT",
    "status": "STATUS_JSON",
    "rebuild": "REBUILD_NAME REBUILD_UNTIL REBUILD_FROM_FILE REBUILD_ACTIVATE REBUILD_WORKERS"
    " REBUILD_ALLOW_GAP REBUILD_RESUME REBUILD_VERIFY REBUILD_EXPECT_CHANGES",
    "repair": "REPAIR_RUN REPAIR_INCIDENT",
    "dead-letters list": "DEAD_LETTERS_REASON DEAD_LETTERS_TOPIC DEAD_LETTERS_STATE"
    " DEAD_LETTERS_LIMIT",
    "dead-letters retry": "DEAD_LETTERS_RETRY_BY",
    "dead-letters discard": "DEAD_LETTERS_DISCARD_BY",
}
"""Of every command, what sets its options, after `RUNFOLD_`."""


def options(command: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Yield every command below this one and how many options it has."""
    for name, each in getattr(command, "commands", {}).items():
        yield from options(each, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        found = [each for each in command.params if each.param_type_name == "option"]
        yield path, len([each for each in found if each.name != "help"])


def one_line(finished: Finished, status: int) -> str:
    """The one line of a command that failed so and said nothing else."""
    assert (finished.status, finished.out) == (status, ""), finished
    (line,) = finished.err.splitlines()
    assert line.startswith("runfold: ")
    return line


def test_every_option_of_every_command_has_a_variable() -> None:
    found = dict(options(typer.main.get_command(cli.app)))
    assert found == {name: len(variables.split()) for name, variables in VARIABLES.items()}


@pytest.mark.parametrize("name", VARIABLES)
def test_help_names_the_variable_of_every_option(name: str) -> None:
    # narrow terminals fold the names of options
    finished = called(*name.split(), "--help", variables={"COLUMNS": "200"})
    assert finished.status == 0
    assert f"runfold {name}" in finished.out
    assert set(re.findall(r"RUNFOLD_(\w+)", finished.out)) == set(VARIABLES[name].split())


def test_help_loads_nothing_it_does_not_need() -> None:
    heavy = ("pydantic", "aiokafka", "asyncpg", "sqlalchemy", "fastapi", "faststream", "uvicorn")
    script = (
        "import sys\nfrom projector import cli\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert finished.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        *("bogus", "publish", "repair", "rebuild --resume", "rebuild --name No!"),
        *("generate --runs many", "generate --runs -1", "generate --bogus", "generate --rate nan"),
        *("generate --rate 5 --out x.jsonl", "token --role king", "token --ttl 999999999999999"),
        *("token --sub ", "api --port 70000", "api --host ", "rebuild --until now"),
        *("rebuild --until 2026-05-18T06:00:00", "dead-letters show x"),
        *("dead-letters show 99999999999999999999", "dead-letters list --reason nonsense"),
        "dead-letters list --limit 99999999999999999999",
    ],
)
def test_wrong_usage_is_one_line_that_names_it_and_status_2(command: str) -> None:
    arguments = command.split(" ")
    line = one_line(called(*arguments), 2)
    named = [each for each in arguments[1:] if each.startswith("--")] or arguments[-1:]
    assert any(each in line for each in named) or "Missing argument" in line or "--run" in line


@pytest.mark.parametrize(
    "command", ["migrate", "topics", "projector", "generate --rate 1", "status", "audit"]
)
def test_a_missing_setting_is_one_line_and_status_2(command: str) -> None:
    line = one_line(called(*command.split()), 2)
    assert line.startswith("runfold: RUNFOLD_")
    assert "missing" in line


def test_an_api_without_keys_names_the_setting() -> None:
    finished = runfold("api", "--port", "0", variables=DATABASE)
    assert finished.status == 2
    assert "runfold: RUNFOLD_AUTH_HS256_SECRET, RUNFOLD_AUTH_JWKS: " in finished.err
    assert "Traceback" not in finished.err


def test_an_api_whose_port_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = one_line(runfold("api", "--port", str(port)), 1)
    assert f"127.0.0.1, port {port}" in line


@pytest.mark.parametrize(
    ("command", "named"),
    [
        *((command, f"{NOBODY}/x") for command in ("migrate", "audit", "dead-letters list")),
        ("generate --rate 1", f"the broker at {NOBODY} "),
    ],
)
def test_a_server_that_is_away_is_one_line_and_status_1(command: str, named: str) -> None:
    variables = DATABASE | {"RUNFOLD_KAFKA_BOOTSTRAP": NOBODY}
    line = one_line(called(*command.split(), variables=variables), 1)
    assert named in line
    assert "hunter2" not in line


def test_a_variable_sets_an_option_and_the_command_line_wins(tmp_path: Path) -> None:
    out = tmp_path / "history.jsonl"
    variables = {"RUNFOLD_GENERATE_OUT": str(out), "RUNFOLD_GENERATE_RUNS": "many"}
    assert "many" in one_line(called("generate", variables=variables), 2)
    assert called("generate", "--runs", "1", variables=variables).status == 0
    assert b'"created_at":"2026-05-18T06:0' in out.read_bytes()


@pytest.mark.parametrize(("is_interrupted", "status"), [(False, 1), (True, 130)])
def test_a_reader_who_has_seen_enough_and_ctrl_c_are_quiet(
    *, is_interrupted: bool, status: int
) -> None:
    with running("generate", "--runs", "1000000") as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        if is_interrupted:
            writer.send_signal(signal.SIGINT)
            assert writer.communicate(timeout=30)[1] == b""
        else:
            writer.stdout.close()
            assert writer.stderr.read() == b""
        assert writer.wait(30) == status


def claims(*arguments: str, **variables: str) -> dict[str, Any]:
    """What the API would read in a token that is made so."""
    secret = {"RUNFOLD_AUTH_HS256_SECRET": SECRET, "RUNFOLD_AUTH_ISSUER": "me"}
    finished = called("token", *arguments, variables={**secret, **variables})
    assert finished.status == 0, finished
    found = jwt.decode(finished.out.strip(), SECRET, ["HS256"], audience="runfold", issuer="me")
    return dict(found)


def test_a_token_says_who_may_what_for_how_long() -> None:
    arguments = ["--sub", "mei", "--project", "a", "--project", "b", "--role", "approver"]
    told = claims(*arguments, "--ttl", "60")
    assert (told["sub"], told["projects"], told["roles"]) == ("mei", ["a", "b"], ["approver"])
    assert told["exp"] - told["iat"] == 60
    assert claims(RUNFOLD_TOKEN_PROJECTS="a b")["projects"] == ["a", "b"]
    for arguments in ([], ["--project", "a", "--project", "*"]):
        told = claims(*arguments)
        assert (told["projects"], told["roles"]) == ("*", ["viewer"])


def test_with_a_jwks_nobody_here_makes_tokens() -> None:
    line = one_line(called("token", variables={"RUNFOLD_AUTH_JWKS": "keys.json"}), 2)
    assert line.startswith("runfold: RUNFOLD_AUTH_HS256_SECRET: missing")


def test_the_event_contract_is_printed_with_the_prefix_in_use() -> None:
    finished = called("asyncapi", variables={"RUNFOLD_TOPIC_PREFIX": "mine."})
    assert finished.status == 0
    assert '"asyncapi"' in finished.out
    assert "mine.run-state" in finished.out
