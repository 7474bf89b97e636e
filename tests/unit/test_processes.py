"""The processes of a rebuild are told by their parent to end, never by the terminal."""

import asyncio
import importlib
import signal
import subprocess
import sys

from contracts.errors import OperationError
from projector.generations.processes import PRELOADED, work


async def held() -> None:
    """Report whether a Ctrl-C would be heard here."""
    heard = signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    raise OperationError(f"a Ctrl-C is {'heard' if heard else 'held'}")


def report() -> None:
    """Print what the first process that this one ever starts reports."""
    try:
        asyncio.run(work([(held, ())]))
    except OperationError as reported:
        print(reported)


def test_even_the_first_process_never_sees_a_ctrl_c() -> None:
    asked = f"from {__name__} import report; report()"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True)
    assert said.stdout == "a Ctrl-C is held\n"


def test_what_processes_need_is_imported_before_they_start() -> None:
    # a wrong name is passed over in silence
    for name in PRELOADED:
        importlib.import_module(name)
