"""What the command says to people, and its exit status, without any server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
import typer

from projector import cli
from tests.command import runfold, running

SECRET = "0123456789abcdef" * 4
NOBODY = "127.0.0.1:1"
COMMANDS = [
    "demo",
    "stack",
    "migrate",
    "topics",
    "projector",
    "api",
    "generate",
    "publish",
    "status",
    "audit",
    "dead-letters",
    "token",
    "asyncapi",
]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RUNFOLD_")]:
        monkeypatch.delenv(name)
    # Narrow terminals fold the names of options.
    monkeypatch.setenv("COLUMNS", "200")


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit status of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["runfold", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int | None)
    return ended.value.code or 0


def test_help_names_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in said] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert called(monkeypatch, name, "--help") == 0
    assert f"runfold {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("generate", ["RUNFOLD_GENERATE_RUNS", "RUNFOLD_GENERATE_SEED", "RUNFOLD_GENERATE_RATE"]),
        ("api", ["RUNFOLD_API_HOST", "RUNFOLD_API_PORT"]),
        ("token", ["RUNFOLD_TOKEN_SUB", "RUNFOLD_TOKEN_PROJECTS", "RUNFOLD_TOKEN_ROLES"]),
    ],
)
def test_help_names_variables_and_defaults(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    variables: list[str],
) -> None:
    called(monkeypatch, command, "--help")
    said = capsys.readouterr().out
    assert [name for name in variables if name not in said] == []
    assert said.count("default: ") >= len(variables)


def test_every_option_has_a_variable() -> None:
    def options(command: Any, path: str) -> Iterator[tuple[str, str | None]]:
        for name, each in getattr(command, "commands", {}).items():
            yield from options(each, f"{path} {name}")
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                yield f"{path} {parameter.opts[0]}", parameter.envvar

    found = dict(options(typer.main.get_command(cli.app), "runfold"))
    assert len(found) > 20
    assert [option for option, variable in found.items() if not variable] == []


def test_help_loads_nothing_it_does_not_need() -> None:
    heavy = ("pydantic", "aiokafka", "asyncpg", "sqlalchemy", "fastapi", "faststream", "uvicorn")
    script = (
        "import sys\nfrom projector import cli\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert finished.stdout.decode().strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["generate", "--runs", "many"],
        ["generate", "--runs", "-1"],
        ["generate", "--bogus"],
        ["publish"],
        ["token", "--role", "king"],
        ["api", "--port", "70000"],
        ["generate", "--rate", "nan"],
        ["rebuild", "--max-rate", "nan"],
        ["rebuild", "--max-rate", "inf"],
        ["token", "--ttl", "999999999999999"],
        ["dead-letters", "show", "x"],
        ["dead-letters", "show", "99999999999999999999"],
        ["dead-letters", "list", "--limit", "99999999999999999999"],
        ["dead-letters", "list", "--before", "99999999999999999999"],
        ["dead-letters", "list", "--reason", "nonsense"],
    ],
)
def test_wrong_usage_exits_2_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert called(monkeypatch, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert arguments[-1].lstrip("-") in line.lower() or "Missing argument" in line
    assert line.endswith(" --help`")


@pytest.mark.parametrize(
    "command", ["migrate", "topics", "projector", "publish", "status", "audit"]
)
def test_a_missing_setting_is_one_line_and_status_2(command: str) -> None:
    finished = runfold(*([command, "-"] if command == "publish" else [command]))
    assert finished.status == 2
    (line,) = finished.err.splitlines()
    assert line.startswith("runfold: RUNFOLD_")
    assert "missing, for example RUNFOLD_" in line


def test_an_api_without_keys_says_which_setting_is_missing() -> None:
    finished = runfold("api", variables={"RUNFOLD_DATABASE_URL": f"postgresql://{NOBODY}/x"})
    assert finished.status == 2
    assert "runfold: RUNFOLD_AUTH_HS256_SECRET, RUNFOLD_AUTH_JWKS: exactly one is needed" in (
        finished.err
    )
    assert "Traceback" not in finished.err


def test_an_api_whose_port_is_taken_says_so_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = runfold("api", "--port", str(port))
    assert (finished.status, finished.err) == (
        1,
        f"runfold: cannot listen on 127.0.0.1, port {port}: Address already in use:"
        " see --host and --port\n",
    )


def test_an_api_does_not_take_no_address_for_every_one() -> None:
    finished = runfold("api", "--host", "")
    assert (finished.status, finished.err) == (
        2,
        "runfold: --host: it is empty; 0.0.0.0 is every address of this machine\n",
    )


@pytest.mark.parametrize("command", [["migrate"], ["audit"], ["dead-letters", "list"]])
def test_a_database_that_is_away_is_one_line_and_status_1(command: list[str]) -> None:
    finished = runfold(
        *command, variables={"RUNFOLD_DATABASE_URL": f"postgresql://u:hunter2@{NOBODY}/x"}
    )
    assert finished.status == 1
    (line,) = finished.err.splitlines()
    assert line.startswith(f"runfold: the database at {NOBODY}/x: ")
    assert "hunter2" not in line


def test_a_broker_that_is_away_is_one_line_and_status_1() -> None:
    finished = runfold("publish", "-", variables={"RUNFOLD_KAFKA_BOOTSTRAP": NOBODY})
    assert finished.status == 1
    assert finished.err.splitlines() == [
        f"runfold: the broker at {NOBODY} does not answer, or refuses the login:"
        " see the RUNFOLD_KAFKA_ settings"
    ]


def test_a_history_is_written_or_sent_not_both(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = str(tmp_path / "history.jsonl")
    assert called(monkeypatch, "generate", "--out", out, "--rate", "5") == 2
    assert capsys.readouterr().err.startswith("runfold: give --out or --rate, not both")


@pytest.mark.parametrize(
    ("start", "wrong"),
    [
        ("yesterday", "is no timestamp"),
        ("9999-12-31T23:59:59Z", "is not in the years"),
        ("0001-01-01T00:00:00+14:00", "is not in the years"),
    ],
)
def test_a_start_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], start: str, wrong: str
) -> None:
    assert called(monkeypatch, "generate", "--start", start) == 2
    assert capsys.readouterr().err.startswith(f"runfold: --start: {start!r} {wrong}")


def test_a_token_has_a_bearer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "token", "--sub", "") == 2
    assert capsys.readouterr().err.startswith("runfold: --sub: ")


def test_a_history_begins_when_it_is_told_to() -> None:
    finished = runfold(
        "generate", "--runs", "1", variables={"RUNFOLD_GENERATE_START": "2030-01-02T03:04:05"}
    )
    assert '"created_at":"2030-01-02T03:04:' in finished.out


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    with running("generate", "--runs", "100000") as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(30) == 1


def test_ctrl_c_is_quiet_and_status_130() -> None:
    with running("generate", "--runs", "1000000") as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGINT)
        _, said = writer.communicate(timeout=30)
        assert said == b""
        assert writer.returncode == 130


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_AUTH_HS256_SECRET", SECRET)


@pytest.mark.usefixtures("secret")
def test_a_token_says_who_may_what_for_how_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNFOLD_AUTH_ISSUER", "me")
    arguments = ["--sub", "mei", "--project", "a", "--project", "b", "--role", "approver"]
    called(monkeypatch, "token", *arguments, "--ttl", "60")
    claims = jwt.decode(
        capsys.readouterr().out.strip(), SECRET, ["HS256"], audience="runfold", issuer="me"
    )
    assert (claims["sub"], claims["projects"], claims["roles"]) == ("mei", ["a", "b"], ["approver"])
    assert claims["exp"] - claims["iat"] == 60
    assert abs(claims["iat"] - datetime.now(UTC).timestamp()) < 60


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("arguments", [[], ["--project", "a", "--project", "*"]])
def test_a_star_is_every_project(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    called(monkeypatch, "token", *arguments)
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, ["HS256"], audience="runfold")
    assert (claims["projects"], claims["roles"]) == ("*", ["viewer"])


def test_with_a_jwks_nobody_here_makes_tokens() -> None:
    finished = runfold("token", variables={"RUNFOLD_AUTH_JWKS": "keys.json"})
    assert finished.status == 2
    assert finished.err.startswith("runfold: RUNFOLD_AUTH_HS256_SECRET: missing")


def test_the_event_contract_is_printed_with_the_prefix_in_use() -> None:
    finished = runfold("asyncapi", variables={"RUNFOLD_TOPIC_PREFIX": "mine."})
    assert finished.status == 0
    assert '"asyncapi"' in finished.out
    assert "mine.run-state" in finished.out
