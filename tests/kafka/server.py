"""One Apache Kafka broker in KRaft mode, on loopback, to be stopped, killed and paused."""

import asyncio
import base64
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from projector.demo.process import LOOPBACK, ServerError, free_port
from tests.kafka.jars import kafka_jars
from tests.stack.servers import MortalServer

_CLUSTER_ID = base64.urlsafe_b64encode(b"runfold-in-tests").decode().rstrip("=")
# Small and quick to start, which matters more here than throughput.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class KafkaServer(MortalServer):
    """Broker and controller in one process; its log survives `stop` and `kill`.

    Topics are created by whoever needs them, never by being asked for. A group rebalances
    without waiting for members to come, and a session timeout may be as short as 1 s.
    """

    def __init__(self) -> None:
        super().__init__("Apache Kafka")
        self._jars = Path()
        self._settings = self.directory / "server.properties"

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`, as clients want it."""
        return self.address

    def launch(self, port: int) -> None:
        if self.port is None:
            self._jars = kafka_jars()
            self._settings.write_text(_properties(port, free_port(), self.directory))
            self._format()
        self.spawn(*self._java("kafka.Kafka", str(self._settings)))
        self.wait_until(lambda: self.listens_on(port) and answers(f"{LOOPBACK}:{port}"))

    def _format(self) -> None:
        tool = self._java("kafka.tools.StorageTool", "format", "--ignore-formatted")
        command = [*tool, "--cluster-id", _CLUSTER_ID, "--config", str(self._settings)]
        formatted = subprocess.run(command, check=False, capture_output=True, text=True)
        if formatted.returncode != 0:
            said = formatted.stderr.strip().splitlines() or ["no message"]
            raise ServerError(f"Kafka's storage could not be formatted: {said[-1]}")

    def _java(self, main: str, *arguments: str) -> list[str]:
        return ["java", *_JVM, _LOG_LEVEL, "-cp", f"{self._jars}/*", main, *arguments]


def answers(bootstrap: str) -> bool:
    """Whether a broker answers a metadata request within 5 s; callable from any thread."""

    async def answered() -> bool:
        client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
        try:
            await client.bootstrap()
        except KafkaError:
            return False
        finally:
            await client.close()
        return True

    with ThreadPoolExecutor(1) as thread:
        # A thread of its own: the caller's may be running an event loop.
        return thread.submit(lambda: asyncio.run(answered())).result()


def _properties(port: int, controller_port: int, directory: Path) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": directory / "log",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A killed broker may come back when its session has ended: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # One broker can hold one copy.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        # So that a test sees retention and compaction at work within seconds.
        "log.retention.check.interval.ms": 1000,
        "log.cleaner.backoff.ms": 1000,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
