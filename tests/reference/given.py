"""The least an event of each type must hold, for cases written by hand."""

import json
from typing import Any

from tests.reference.contract import TYPES
from tests.reference.detail import run_detail
from tests.reference.platform import load
from tests.reference.records import Record

RUN = "00000000-0000-0000-0000-00000000000a"
OTHER_RUN = "00000000-0000-0000-0000-00000000000b"
INBOUND = "00000000-0000-0000-0000-0000000000e1"
COMMAND = "00000000-0000-0000-0000-0000000000c1"
INCIDENT = "INC-20260518-ABCD"


def at(second: int) -> str:
    return f"2026-05-18T06:00:{second:02}Z"


OURS = {"run_id": RUN, "project_id": "p"}
CALL = {"tool_name": "get", "result_status": "success", "created_at": at(1)}
EVIDENCE = {"id": 1, "incident_id": INCIDENT, "created_at": at(1)}

NEEDED: dict[str, dict[str, Any]] = {
    "run-state": OURS
    | {"agent_id": "triage", "state": "running", "state_changed_at": at(0), "created_at": at(0)},
    "step-journal": OURS | CALL | {"step_id": "s", "step_seq": 0},
    "outbound-message": OURS
    | {"message_id": "m", "channel_type": "slack", "message_type": "final"}
    | {"send_status": "sent", "queued_at": at(1)},
    "conversation-event": {"event_id": INBOUND, "project_id": "p", "channel_type": "slack"}
    | {"received_at": at(1)},
    "mcp-gateway-audit": OURS | CALL | {"call_id": "c"},
    "mcp-legacy-audit": EVIDENCE,
    "remediation-evidence": EVIDENCE,
    "project": {"project_id": "p", "display_name": "P", "created_at": at(0)},
    "contract-revision": {"revision_id": "r", "contract_id": "c", "contract_family": "agent"}
    | {"lifecycle_status": "draft", "body_hash": "00", "version_major": 1, "version_minor": 0}
    | {"project_id": "p", "created_at": at(0)},
    "approval-command": OURS
    | {"command_id": COMMAND, "decision": "approve", "approver_id": "alice", "run_version": 0}
    | {"decided_at": at(1), "new_state": "running"},
}


def event(topic: str, *, version: int = 0, second: int = 0, id_: str = "e", **data: Any) -> Record:
    """An event of this topic; `data` is laid over the fields it needs."""
    document = {
        "specversion": "1.0",
        "id": id_,
        "source": "test",
        "type": TYPES[topic],
        "time": at(second),
        "entityversion": version,
        "data": NEEDED[topic] | data,
    }
    return Record(topic, None, json.dumps(document).encode())


def detail(*records: Record, lang: str = "zh-TW", run_id: str = RUN) -> dict[str, Any]:
    """The detail of a run that these records tell of."""
    found = run_detail(load(records), run_id, lang)
    assert found is not None
    return found


def run_with_incident(**data: Any) -> Record:
    """An event of a run that has the one incident id."""
    return event("run-state", trigger_ref=INCIDENT, **data)
