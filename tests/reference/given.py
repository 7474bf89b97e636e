"""Events for cases written by hand."""

import json
from typing import Any

from tests.reference.contract import TYPES
from tests.reference.detail import run_detail
from tests.reference.platform import Record, load
from tests.unit.event_samples import AT, REQUIRED

RUN = "00000000-0000-0000-0000-00000000000a"
OTHER_RUN = "00000000-0000-0000-0000-00000000000b"
INBOUND = "00000000-0000-0000-0000-0000000000e1"
COMMAND = "00000000-0000-0000-0000-0000000000c1"
INCIDENT = "INC-20260518-ABCD"


def at(second: int) -> str:
    return f"2026-05-18T06:00:{second:02}Z"


OURS = {"run_id": RUN, "event_id": INBOUND, "command_id": COMMAND, "incident_id": INCIDENT}
OURS |= {"project_id": "p", "channel_type": "slack", "tool_name": "get"}


def needed(topic: str) -> dict[str, Any]:
    """The fields an event of this topic needs; all but runs and catalogues come a second later."""
    then = at(0) if topic in {"run-state", "project", "contract-revision"} else at(1)
    sample = REQUIRED[topic] | ({"incident_id": ""} if topic == "mcp-legacy-audit" else {})
    values = OURS | {"run_version": 0, "step_seq": 0}
    return {name: then if each == AT else values.get(name, each) for name, each in sample.items()}


def event(topic: str, *, version: int = 0, second: int = 0, id_: str = "e", **data: Any) -> Record:
    """An event of this topic; `data` is laid over the fields it needs."""
    document = {
        "specversion": "1.0",
        "id": id_,
        "source": "test",
        "type": TYPES[topic],
        "time": at(second),
        "entityversion": version,
        "data": needed(topic) | data,
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
