"""Log lines: for people or for machines, never with a secret in them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

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
    configure()  # as off a terminal
    structlog.get_logger("runfold").info("worker started", generation="main", name="金流")
    logging.getLogger("uvicorn.error").warning("port %d is taken", 8080)
    written = capsys.readouterr()
    ours, theirs = map(json.loads, written.err.splitlines())
    said = {"message": "worker started", "level": "info", "generation": "main", "name": "金流"}
    assert said.items() <= ours.items()
    assert (theirs["message"], theirs["logger"]) == ("port 8080 is taken", "uvicorn.error")
    assert written.out == ""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], log_format: Any) -> None:
    def fail(password: str) -> None:
        raise ValueError("no luck")

    configure(log_format)
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger("runfold").exception("failed", generation="main")
    written = capsys.readouterr().err
    assert "no luck" in written
    assert "main" in written
    assert SECRET not in written


def test_a_command_is_not_talked_over_by_the_kafka_client(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("json", clients=False)
    logging.getLogger("aiokafka.conn").error("Unable connect to 127.0.0.1:1")
    assert capsys.readouterr().err == ""
