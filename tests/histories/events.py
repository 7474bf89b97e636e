"""Events around their data, and records around events."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.histories.channels import inbound, outbound
from tests.histories.evidence import evidence, gateway_call, legacy_call
from tests.histories.runs import decision, run_state, step
from tests.histories.world import BIG, EXACT, FLAGS, MONEY, Data, World
from tests.reference import Record
from tests.reference.contract import TYPES


def project(world: World) -> Data:
    data: Data = {
        "project_id": world.pick(world.projects),
        "display_name": world.pick(("專案", "Project", "")),
        "created_at": world.time(),
    }
    world.optional(data, "migration_mode", ("shadow", ""))
    world.optional(data, "budget_limit_usd", (*MONEY, -1, "-0.5"))
    if world.chance(0.5):
        data["is_active"] = world.pick(FLAGS)
    return data


def contract_revision(world: World) -> Data:
    return {
        "revision_id": f"rev-{world.entity_id()}",
        "contract_id": "c-1",
        "contract_family": world.pick(("agent", "")),
        "lifecycle_status": world.pick(("draft", "active")),
        "body_hash": "00" * 32,
        "version_major": world.pick(BIG),
        "version_minor": world.pick(BIG),
        "project_id": world.pick(world.projects),
        "created_at": world.time(),
    }


FAMILIES: dict[str, tuple[Callable[[World], Data], int, tuple[str, ...]]] = {
    "run-state": (run_state, 14, ("run_id",)),
    "step-journal": (step, 6, ("run_id",)),
    "outbound-message": (outbound, 8, ("run_id",)),
    "conversation-event": (inbound, 9, ("run_id", "provider_event_id", "event_id")),
    "mcp-gateway-audit": (gateway_call, 5, ("run_id",)),
    "mcp-legacy-audit": (legacy_call, 6, ("incident_id", "id")),
    "remediation-evidence": (evidence, 8, ("incident_id",)),
    "project": (project, 2, ("project_id",)),
    "contract-revision": (contract_revision, 2, ("revision_id",)),
    "approval-command": (decision, 4, ("run_id",)),
}
"""What draws the data of each topic's events, how often it is drawn, and the fields that a record's
key is taken from: the first that is there."""
TOPICS = [topic for topic, (_, often, _) in FAMILIES.items() for _ in range(often)]
VERSIONS = (0, 0, 1, 1, 2, 3)
UNKNOWN = {"a": [1, {"b": None}], "nul": "\0", "big": 10**30}

COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
ESCAPED = json.JSONEncoder(ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it is written, with its topic and key."""

    topic: str
    key: str
    event: Data

    def record(self, world: World) -> Record:
        """The event as a record. The same event twice need not be the same bytes."""
        return Record(self.topic, self.key, written(self.event, escaped=world.chance(0.3)))


def draft(world: World, topic: str | None = None) -> Draft:
    """A valid event of this topic, or of any."""
    topic = topic or world.pick(TOPICS)
    draw, _, names = FAMILIES[topic]
    data = draw(world)
    key = next(str(data[name]) for name in names if data.get(name) is not None)
    event: Data = {
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


def written(event: Data, *, escaped: bool = False) -> bytes:
    """The event as UTF-8 JSON, compact or with everything beyond ASCII escaped."""
    text = (ESCAPED if escaped else COMPACT).encode(event)
    for name, digits in EXACT.items():
        text = text.replace(f'"{name}"', digits)
    return text.encode()
