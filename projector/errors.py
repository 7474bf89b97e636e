"""What can keep the projector from working, below `contracts.errors.OperationError`.

OperationError
├── NotMigrated           the database has no runfold schema
├── UnknownGeneration
├── GenerationOutdated
├── PositionConflict      another worker has moved the partition
└── PositionBeyondLog     the stored position is after the end of the partition
"""

from contracts.errors import OperationError


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


class PositionConflict(OperationError):
    """A partition's stored position is not where this poll started: nothing was written."""

    def __init__(self, topic: str, partition: int, expected: int, found: int | None) -> None:
        self.topic, self.partition = topic, partition
        super().__init__(
            f"{topic}[{partition}] stands at {found}, this poll started at {expected}:"
            " another worker has moved it"
        )


class PositionBeyondLog(OperationError):
    """The broker's partition ends before the stored position: it is not the same log."""

    def __init__(self, topic: str, partition: int, stored: int) -> None:
        super().__init__(
            f"{topic}[{partition}] ends before the stored position {stored}: the topic was made"
            " anew; restore it, or `runfold rebuild` with --allow-gap and --from-file"
        )
