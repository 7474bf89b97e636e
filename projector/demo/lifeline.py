"""The promise that an embedded server never outlives the process that started it.

The kernel's parent-death signal is tied to the *thread* that started a child, so a server
started from a worker thread would die with that thread. A lifeline is tied to the process:
a small shell in a session of its own reads a pipe whose only writer is the owner. When the
owner ends in whatever way, SIGKILL included, the pipe closes, and the shell kills the server
and removes its directory.
"""

import subprocess
from pathlib import Path

# Removal is retried because what a killed server leaves behind may still be writing.
_WATCH = """
running=
while read -r group; do running=$group; done
[ -z "$running" ] || kill -s KILL -- "-$running"
for attempt in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 1; done
"""


class Lifeline:
    """Watches over one server directory and the one process group that may run in it."""

    def __init__(self, directory: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "lifeline", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._shell.stdin is None or self._shell.stdin.closed

    def guard(self, process_group: int) -> None:
        """From now on the end of the owner is the end of this process group."""
        self._tell(str(process_group))

    def release(self) -> None:
        """The server has ended: there is nothing to kill, only the directory to remove."""
        self._tell("")

    def close(self) -> None:
        """End as the owner's death would; returns once the directory is removed."""
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait()

    def _tell(self, line: str) -> None:
        if self._shell.stdin is None or self._shell.stdin.closed:
            raise RuntimeError("the lifeline is closed")
        self._shell.stdin.write(line + "\n")
        self._shell.stdin.flush()
