"""What can keep the projector from working, below `contracts.errors.OperationError`.

OperationError
├── NotMigrated           the database has no runfold schema
├── UnknownGeneration
├── GenerationOutdated
├── GenerationIncomplete  it is still being rebuilt
├── GenerationOfThePast   it is as of an instant
├── PositionConflict      another worker has moved the partition
├── RecordUnreadable      the Kafka client fails on a record's bytes
├── ClientStuck           the Kafka client was refused what it asked for, and asks no more
└── PositionBeyondLog     the stored position is after the end of the partition
"""

from collections.abc import Mapping

from contracts.errors import OperationError
from projector.writing.batch import Partition


class NotMigrated(OperationError):
    """The database has no runfold schema."""

    def __init__(self) -> None:
        super().__init__("the database has no runfold schema yet: run `runfold migrate`")


class UnknownGeneration(OperationError):
    """No generation has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no generation {name!r}: see `runfold generations list`")


class GenerationOutdated(OperationError):
    """The generation's tables have another shape than this version writes."""

    def __init__(self, name: str, found: int, needed: int) -> None:
        super().__init__(
            f"generation {name!r} has read model {found}, this version needs {needed}:"
            " run `runfold rebuild`"
        )


class GenerationIncomplete(OperationError):
    """The generation lacks history."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"generation {name!r} is not complete: go on with"
            f" `runfold rebuild --name {name} --resume`"
        )


class GenerationOfThePast(OperationError):
    """The generation leaves out all that came after an instant."""

    def __init__(self, name: str, as_of: str) -> None:
        super().__init__(
            f"generation {name!r} is as of {as_of}: it leaves out what came later and can be"
            " neither activated nor kept up to date"
        )


class PositionConflict(OperationError):
    """A partition's stored position is not where this poll started: nothing was written."""

    def __init__(self, topic: str, partition: int, expected: int, found: int | None) -> None:
        self.topic, self.partition = topic, partition
        super().__init__(
            f"{topic}[{partition}] stands at {found}, this poll started at {expected}:"
            " another worker has moved it"
        )


class RecordUnreadable(OperationError):
    """The Kafka client fails on the bytes of a record, before anything of ours sees it."""

    def __init__(self, error: Exception, positions: Mapping[Partition, int]) -> None:
        places = ", ".join(
            f"{at.topic}[{at.partition}] {position}" for at, position in sorted(positions.items())
        )
        super().__init__(
            f"the Kafka client cannot read a record at one of these positions: {places}:"
            f" {type(error).__name__}: {error}"
        )


class ClientStuck(OperationError):
    """The Kafka client fails with an error that it does not get over, whatever the broker does."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"the Kafka client does not go on after {type(error).__name__}: {error}: mend what it"
            " says (permissions of the group or its topics?) and start the worker again"
        )


class PositionBeyondLog(OperationError):
    """The broker's partition ends before the stored position: it is not the same log."""

    def __init__(self, topic: str, partition: int, stored: int) -> None:
        super().__init__(
            f"{topic}[{partition}] ends before the stored position {stored}: the topic was made"
            " anew; restore it, or `runfold rebuild` with --allow-gap and --from-file"
        )
