"""Kafka's jars, copied by Maven once and kept for every later run."""

import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from projector.demo.process import ServerError

_POM = Path(__file__).with_name("pom.xml")
_CACHE = Path.home() / ".cache" / "runfold"


def missing_tools() -> list[str]:
    """Which of the programs that run Kafka from its jars are not on the path."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def kafka_jars() -> Path:
    """The directory of the jars the pom names, copied there if this pom has not been before.

    Two runs may race: each copies to a directory of its own, and the first to be complete is
    the one both use. ServerError when Maven cannot copy.
    """
    jars = _CACHE / f"kafka-{sha256(_POM.read_bytes()).hexdigest()[:12]}"
    if not jars.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
            copied = Path(scratch) / "jars"
            command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
            output = f"-DoutputDirectory={copied}"
            done = subprocess.run([*command, output], check=False, capture_output=True, text=True)
            if done.returncode != 0:
                errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
                said = (errors or ["no message"])[0]
                raise ServerError(f"mvn could not copy Kafka's jars: {said}")
            try:
                copied.rename(jars)
            except OSError:
                # A rename never replaces a directory with files in it: the other run was quicker.
                if not jars.is_dir():
                    raise
    return jars
