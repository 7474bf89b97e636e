"""One Apache Kafka broker in KRaft mode, on loopback, to be stopped, killed and paused."""

import base64
import signal
import subprocess
from pathlib import Path

from projector.demo.broker import answers
from projector.demo.ports import LOOPBACK, free_port
from projector.demo.server import EmbeddedServer
from projector.demo.server_process import ServerError
from tests.kafka.jars import kafka_jars

_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 30.0
_CLUSTER_ID = base64.urlsafe_b64encode(b"runfold-in-tests").decode().rstrip("=")
# Small and quick to start, which matters more here than throughput.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOG_LEVEL = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class KafkaServer(EmbeddedServer):
    """Broker and controller in one process; its log survives `stop` and `kill`.

    Topics are created by whoever needs them, never by being asked for. A group rebalances
    without waiting for members to come, and a session timeout may be as short as 1 s.
    """

    def __init__(self) -> None:
        super().__init__("Apache Kafka")
        self._jars = Path()
        self._settings = self._process.directory / "server.properties"

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`, as clients want it."""
        return self.address

    def stop(self) -> None:
        """SIGTERM: a controlled shutdown; the log stays."""
        self._process.end(signal.SIGTERM, _STOP_DEADLINE_S)

    def _prepare(self) -> None:
        self._jars = kafka_jars()

    def _start_on(self, port: int) -> None:
        if self._port is None:
            self._settings.write_text(_properties(port, free_port(), self._process.directory))
            self._format()
        self._process.spawn(self._java("kafka.Kafka", str(self._settings)))
        self._process.wait_until(
            lambda: self._process.listens_on(port) and answers(f"{LOOPBACK}:{port}"),
            _START_DEADLINE_S,
        )

    def _format(self) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "--ignore-formatted")
        formatted = subprocess.run(
            [*command, "--cluster-id", _CLUSTER_ID, "--config", self._settings],
            check=False,
            capture_output=True,
            text=True,
        )
        if formatted.returncode != 0:
            said = formatted.stderr.strip().splitlines() or ["no message"]
            raise ServerError(f"Kafka's storage could not be formatted: {said[-1]}")

    def _java(self, main: str, *arguments: str) -> list[str]:
        return ["java", *_JVM, _LOG_LEVEL, "-cp", f"{self._jars}/*", main, *arguments]


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
