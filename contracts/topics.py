"""The topics: what each carries, how it is keyed and how long it keeps its records."""

import builtins
from dataclasses import dataclass
from typing import Final, Literal

from contracts.events import (
    ApprovalDecided,
    EventReceived,
    EvidenceRecorded,
    GatewayCallAudited,
    LegacyCallAudited,
    MessageOutbound,
    Payload,
    ProjectUpserted,
    RevisionUpserted,
    RunStateChanged,
    StepRecorded,
)

DEFAULT_PREFIX: Final = "awooop."
"""What the names of the topics begin with unless settings say otherwise."""
DEFAULT_PARTITIONS: Final = 6
"""Partitions of a topic unless settings say otherwise."""
MAX_MESSAGE_BYTES: Final = 2 * 1_048_576 + 65_536
"""What a topic takes. More than an event may have: a record that is too large for an event has to
come through, or it could not be parked."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and the one kind of event it carries."""

    suffix: str
    """Name without the prefix."""
    model: builtins.type[Payload]
    """Model of its events' payload."""
    key: str
    """The record's key, in words: the payload field it is made of."""
    compacted: bool = False
    """Whether the broker keeps only the newest record of each key."""
    direction: Literal["input", "output"] = "input"
    """`input`: producers write it. `output`: runfold writes it, and reads it back."""

    @property
    def type(self) -> str:
        """CloudEvents type of its events."""
        return self.model.event_type

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration in Kafka's own words.

        Nothing is dropped for its age: the views can be rebuilt from the topics alone.
        """
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        }


TOPICS: Final = (
    Topic("run-state", RunStateChanged, "run_id"),
    Topic("step-journal", StepRecorded, "run_id"),
    Topic("outbound-message", MessageOutbound, "run_id"),
    Topic("conversation-event", EventReceived, "run_id, else provider_event_id"),
    Topic("mcp-gateway-audit", GatewayCallAudited, "run_id"),
    Topic("mcp-legacy-audit", LegacyCallAudited, "incident_id, else id"),
    Topic("remediation-evidence", EvidenceRecorded, "incident_id"),
    Topic("project", ProjectUpserted, "project_id", compacted=True),
    Topic("contract-revision", RevisionUpserted, "revision_id", compacted=True),
    Topic("approval-command", ApprovalDecided, "run_id", direction="output"),
)
"""Every topic, inputs first."""

_BY_SUFFIX: Final = {topic.suffix: topic for topic in TOPICS}


def by_suffix(suffix: str) -> Topic:
    """The topic with this suffix. Raises KeyError when there is none."""
    return _BY_SUFFIX[suffix]


def topic_name(prefix: str, suffix: str) -> str:
    """Full name of a topic: `awooop.` and `run-state` make `awooop.run-state`."""
    return prefix + suffix
