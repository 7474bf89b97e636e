"""Log lines: for people or for machines, never with a secret in them."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from contracts.logging import configure

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_machines_get_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    structlog.get_logger("runfold").info("worker started", generation="main", name="金流")
    logging.getLogger("uvicorn.error").warning("port %d is taken", 8080)
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["message"], ours["level"], ours["generation"]) == (
        "worker started",
        "info",
        "main",
    )
    assert (theirs["message"], theirs["logger"]) == ("port 8080 is taken", "uvicorn.error")


def test_people_get_text_and_standard_output_stays_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("console")
    structlog.get_logger("runfold").info("worker started", generation="main")
    written = capsys.readouterr()
    assert "worker started" in written.err
    assert "generation=main" in written.err
    assert written.out == ""


def test_off_a_terminal_lines_are_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    structlog.get_logger("runfold").info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    def fail(password: str) -> None:
        raise ValueError("no luck")

    configure("json" if log_format == "json" else "console")
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger("runfold").exception("failed")
    written = capsys.readouterr().err
    assert "no luck" in written
    assert SECRET not in written


def test_a_command_is_not_talked_over_by_the_kafka_client(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("json", clients=False)
    logging.getLogger("aiokafka.conn").error("Unable connect to 127.0.0.1:1")
    logging.getLogger("runfold").error("heard")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == [
        "heard"
    ]
