"""The command as a person runs it: in a process of its own, or quicker, in this one."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from projector import cli

COMMAND = (sys.executable, "-m", "projector.cli")
NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def runfold(*arguments: str, variables: Mapping[str, str] = NONE, stdin: bytes = b"") -> Finished:
    """Run a command to its end, with these RUNFOLD_ variables and no others."""
    how: dict[str, Any] = {"env": environment(variables), "capture_output": True, "timeout": 120}
    done = subprocess.run([*COMMAND, *arguments], input=stdin, check=False, **how)
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def called(*arguments: str, variables: Mapping[str, str] = NONE, stdin: bytes = b"") -> Finished:
    """Run a command to its end in this process, whose logging stays as it is."""
    taken, out, err = (io.TextIOWrapper(io.BytesIO(it), "utf-8") for it in (stdin, b"", b""))
    with (
        patch.dict(os.environ, environment(variables), clear=True),
        patch.multiple(sys, argv=["runfold", *arguments], stdin=taken, stdout=out, stderr=err),
        patch("contracts.logging.configure"),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Finished(status, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def running(
    *arguments: str, variables: Mapping[str, str] = NONE
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on, its input and output in pipes; killed if it still does at the end."""
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*COMMAND, *arguments], env=environment(variables), **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RUNFOLD_")}
    return {**inherited, **variables}
