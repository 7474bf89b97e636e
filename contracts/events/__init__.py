"""The payload of each kind of event, one module per topic."""

from typing import Final, TypeAlias

from contracts.events.approval_command import ApprovalDecided
from contracts.events.contract_revision import RevisionUpserted
from contracts.events.conversation_event import EventReceived
from contracts.events.fields import EventData
from contracts.events.mcp_gateway_audit import GatewayCallAudited
from contracts.events.mcp_legacy_audit import LegacyCallAudited
from contracts.events.outbound_message import MessageOutbound
from contracts.events.project import ProjectUpserted
from contracts.events.remediation_evidence import EvidenceRecorded
from contracts.events.run_state import PendingAction, RunStateChanged
from contracts.events.step_journal import StepRecorded

Payload: TypeAlias = (
    RunStateChanged
    | StepRecorded
    | MessageOutbound
    | EventReceived
    | GatewayCallAudited
    | LegacyCallAudited
    | EvidenceRecorded
    | ProjectUpserted
    | RevisionUpserted
    | ApprovalDecided
)

EVENT_TYPES: Final[dict[str, type[Payload]]] = {
    "run-state": RunStateChanged,
    "step-journal": StepRecorded,
    "outbound-message": MessageOutbound,
    "conversation-event": EventReceived,
    "mcp-gateway-audit": GatewayCallAudited,
    "mcp-legacy-audit": LegacyCallAudited,
    "remediation-evidence": EvidenceRecorded,
    "project": ProjectUpserted,
    "contract-revision": RevisionUpserted,
    "approval-command": ApprovalDecided,
}
"""Payload model of each topic, by the topic's suffix."""

__all__ = [
    "EVENT_TYPES",
    "ApprovalDecided",
    "EventData",
    "EventReceived",
    "EvidenceRecorded",
    "GatewayCallAudited",
    "LegacyCallAudited",
    "MessageOutbound",
    "Payload",
    "PendingAction",
    "ProjectUpserted",
    "RevisionUpserted",
    "RunStateChanged",
    "StepRecorded",
]
