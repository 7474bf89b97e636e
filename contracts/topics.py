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
DEFAULT_PARTITIONS: Final = 6
MAX_MESSAGE_BYTES: Final = 2 * 1_048_576 + 65_536
"""What a topic takes. More than an event may have: a record that is too large for an event has to
come through, or it could not be parked."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and the one kind of event it carries."""

    suffix: str
    """Name without the prefix."""
    type: str
    """CloudEvents type of its events."""
    model: builtins.type[Payload]
    """Model of its events' payload."""
    key: str
    """The record's key, in words: which payload field it is."""
    compacted: bool = False
    """Whether the broker keeps only the newest record of each key."""
    direction: Literal["input", "output"] = "input"
    """`input`: producers write it. `output`: runfold writes it, and reads it back."""

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
    Topic("run-state", "awooop.run.state_changed.v1", RunStateChanged, "run_id"),
    Topic("step-journal", "awooop.run.step_recorded.v1", StepRecorded, "run_id"),
    Topic("outbound-message", "awooop.channel.message_outbound.v1", MessageOutbound, "run_id"),
    Topic(
        "conversation-event",
        "awooop.channel.event_received.v1",
        EventReceived,
        "run_id, or provider_event_id where there is none",
    ),
    Topic("mcp-gateway-audit", "awooop.mcp.gateway_call_audited.v1", GatewayCallAudited, "run_id"),
    Topic(
        "mcp-legacy-audit",
        "awooop.mcp.legacy_call_audited.v1",
        LegacyCallAudited,
        "incident_id, or id where there is none",
    ),
    Topic(
        "remediation-evidence",
        "awooop.remediation.evidence_recorded.v1",
        EvidenceRecorded,
        "incident_id",
    ),
    Topic("project", "awooop.project.upserted.v1", ProjectUpserted, "project_id", compacted=True),
    Topic(
        "contract-revision",
        "awooop.contract.revision_upserted.v1",
        RevisionUpserted,
        "revision_id",
        compacted=True,
    ),
    Topic(
        "approval-command",
        "awooop.run.approval_decided.v1",
        ApprovalDecided,
        "run_id",
        direction="output",
    ),
)
"""Every topic, inputs first."""

_BY_SUFFIX: Final = {topic.suffix: topic for topic in TOPICS}


def by_suffix(suffix: str) -> Topic:
    """The topic with this suffix. Raises KeyError when there is none."""
    return _BY_SUFFIX[suffix]


def topic_name(prefix: str, suffix: str) -> str:
    """Full name of a topic: `awooop.` and `run-state` make `awooop.run-state`."""
    return prefix + suffix
