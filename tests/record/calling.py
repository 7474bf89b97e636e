"""Many commands, one after the other, each forked off from a process that has imported already.

What commands import takes longer than most of them. `python -m tests.record.calling` reads calls
as JSON from its standard input and writes what came of them to its standard output.
"""

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from tempfile import TemporaryFile
from typing import Final, NamedTuple

from tests.command import NONE, Finished, environment

PACKAGES: Final = ("contracts", "projector", "api")
DEADLINE_S: Final = 240


class Call(NamedTuple):
    arguments: Sequence[str]
    variables: Mapping[str, str] = NONE
    stdin: str = ""


def call_all(calls: Sequence[Call]) -> list[Finished]:
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(calls).encode(),
        stdout=subprocess.PIPE,
        env=environment({"COLUMNS": "200"}),
        timeout=DEADLINE_S,
        check=True,
    )
    return [Finished(*each) for each in json.loads(done.stdout)]


def _import_all() -> None:
    for package in map(import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                import_module(module.name)


def _done(call: Call) -> tuple[int, str, str]:
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(call.stdin)
        given.seek(0)
        child = os.fork()
        if child == 0:
            for number, file in enumerate((given, out, err)):
                os.dup2(file.fileno(), number)
            _ended(call)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


def _ended(call: Call) -> None:
    """Be the command, and end as it would."""
    from projector.cli import main

    os.environ.update(call.variables)
    sys.argv = ["runfold", *call.arguments]
    status: object = "a fault"
    try:
        main()
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 70)


if __name__ == "__main__":
    _import_all()
    print(json.dumps([_done(Call(*each)) for each in json.load(sys.stdin)]))
