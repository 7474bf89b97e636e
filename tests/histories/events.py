"""Events around their data, and records around events."""

import json
from dataclasses import dataclass
from typing import Any

from tests.histories.families import FAMILIES, TOPICS
from tests.histories.values import EXACT
from tests.histories.world import World
from tests.reference.contract import TYPES
from tests.reference.records import Record

# The fields a record's key is taken from: the first that is there.
KEYS = {
    "run-state": ("run_id",),
    "step-journal": ("run_id",),
    "outbound-message": ("run_id",),
    "conversation-event": ("run_id", "provider_event_id", "event_id"),
    "mcp-gateway-audit": ("run_id",),
    "mcp-legacy-audit": ("incident_id", "id"),
    "remediation-evidence": ("incident_id",),
    "project": ("project_id",),
    "contract-revision": ("revision_id",),
    "approval-command": ("run_id",),
}
VERSIONS = (0, 0, 1, 1, 2, 3)
UNKNOWN = {"a": [1, {"b": None}], "nul": "\0", "big": 10**30}

COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
ESCAPED = json.JSONEncoder(ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it is written, with its topic and key."""

    topic: str
    key: str
    event: dict[str, Any]

    def record(self, world: World) -> Record:
        """The event as a record. The same event twice need not be the same bytes."""
        return Record(self.topic, self.key, written(self.event, escaped=world.chance(0.3)))


def draft(world: World, topic: str | None = None) -> Draft:
    """A valid event of this topic, or of any."""
    topic = topic or world.pick(TOPICS)
    data = FAMILIES[topic](world)
    key = next(str(data[name]) for name in KEYS[topic] if data.get(name) is not None)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": world.event_id(),
        "source": "/engine",
        "type": TYPES[topic],
        "time": world.event_time(),
    }
    if world.chance(0.85):
        event["entityversion"] = world.pick(VERSIONS)
    if world.chance(0.5):
        event["subject"] = key
    if world.chance(0.3):
        event["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    if world.chance(0.1):
        event["futureattribute"] = UNKNOWN
        data["some_new_field"] = UNKNOWN
    event["data"] = data
    return Draft(topic, key, event)


def written(event: dict[str, Any], *, escaped: bool = False) -> bytes:
    """The event as UTF-8 JSON, compact or with everything beyond ASCII escaped."""
    text = (ESCAPED if escaped else COMPACT).encode(event)
    for name, digits in EXACT.items():
        text = text.replace(f'"{name}"', digits)
    return text.encode()
