"""What this process depends on, and whether each of it is there."""

from collections.abc import Iterator

from contracts.health import Outage


class Outages:
    """One for each way that something takes, since each is lost and found by itself."""

    def __init__(self) -> None:
        self.database = Outage("database")
        """Of requests."""
        self.changes = Outage("log of changes")
        """Of the streams' feed."""
        self.outbox = Outage("database of the outbox")
        """Of the relay."""
        self.broker = Outage("broker")
        """Of the relay."""

    def __iter__(self) -> Iterator[Outage]:
        yield from (self.database, self.changes, self.outbox, self.broker)
