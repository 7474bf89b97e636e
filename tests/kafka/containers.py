"""Apache Kafka in a container, where a container engine answers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def engine_answers() -> bool:
    """Whether there is a docker command and an engine behind it."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], check=False, capture_output=True).returncode == 0


@contextmanager
def kafka_container() -> Iterator[str]:
    """A broker in a container while the block runs; yields its bootstrap address."""
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer().with_kraft() as kafka:
        yield kafka.get_bootstrap_server()
