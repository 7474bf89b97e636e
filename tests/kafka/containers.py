"""Apache Kafka in a container, where a container engine answers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


# What the broker run from its jars is told as well, see `tests.kafka.server`.
_ENVIRONMENT = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
}


@contextmanager
def kafka_container() -> Iterator[str]:
    """A broker in a container while the block runs; yields its bootstrap address."""
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer().with_kraft().with_envs(**_ENVIRONMENT) as kafka:
        yield kafka.get_bootstrap_server()
