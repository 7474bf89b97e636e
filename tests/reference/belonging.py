"""What belongs to a run and what bears on it. A run is its winning event."""

import re
from typing import Any

from tests.reference.decoding import Event
from tests.reference.fields import UUID
from tests.reference.platform import Platform, Row

INCIDENT = re.compile(r"\bINC-\d{8}-[A-Z0-9]{4,}\b", re.ASCII)


def own(platform: Platform, run: Event, topic: str) -> list[Row]:
    """The rows of a topic with the run's id and the run's project, in the topic's order."""
    ours = (run.data["run_id"], run.data["project_id"])
    return [row for row in platform.rows(topic) if (row["run_id"], row["project_id"]) == ours]


def states(platform: Platform, run: Event) -> set[tuple[Any, str]]:
    """Every (state_changed_at, state) the run's events told, its losing events among them.

    An event of another project never shows in a run, not even if the run was there once.
    """
    return {
        (event.data["state_changed_at"], event.data["state"])
        for event in platform.events
        if event.topic == "run-state"
        and all(event.data[name] == run.data[name] for name in ("run_id", "project_id"))
    }


def inbound_events(platform: Platform, run: Event) -> list[Row]:
    return [row for row in platform.rows("conversation-event") if reaches(row, run.data)]


def reaches(inbound: Row, run: Row) -> bool:
    """Whether the inbound event belongs to the run: by run_id or by what triggered the run."""
    if inbound["project_id"] != run["project_id"]:
        return False
    if inbound["run_id"] == run["run_id"]:
        return True
    trigger = run["trigger_ref"]
    if trigger is None:
        return False
    names_event = UUID.fullmatch(trigger.lower()) and trigger.lower() == inbound["event_id"]
    return bool(names_event) or bool(trigger == inbound["provider_event_id"])


def incident_ids(platform: Platform, run: Event) -> list[str]:
    """The run's incident ids, unique, in order of first appearance."""
    found = [*mentions(run.data["trigger_ref"]), *mentions(run.data["error_detail"])]
    for row in inbound_events(platform, run):
        found += referred(row["source_envelope"])
        found += mentions(row["content_preview"]) + mentions(row["content_redacted"])
    for row in own(platform, run, "outbound-message"):
        found += mentions(row["content_preview"]) + mentions(row["send_error"])
    return list(dict.fromkeys(found))


def mentions(text: str | None) -> list[str]:
    return INCIDENT.findall(text or "")


def referred(source_envelope: Row | None) -> list[str]:
    """`source_refs.incident_ids` as texts: strings trimmed, numbers as they are written, the rest
    (null, true and false, objects, lists) and what is empty left out.
    """
    refs = (source_envelope or {}).get("source_refs")
    given = refs.get("incident_ids") if isinstance(refs, dict) else None
    entries = given if isinstance(given, list) else [given]
    found = [
        str(entry).strip()
        for entry in entries
        if not isinstance(entry, bool | dict | list) and entry is not None
    ]
    return [entry for entry in found if entry]


def items(platform: Platform, run: Event) -> list[Row]:
    return bearing(platform, run, "remediation-evidence")


def legacy_records(platform: Platform, run: Event) -> list[Row]:
    return bearing(platform, run, "mcp-legacy-audit")


def bearing(platform: Platform, run: Event, topic: str) -> list[Row]:
    """The rows of a topic that bear on the run, newest first."""
    ids, projects = incident_ids(platform, run), {None, run.data["project_id"]}
    return [
        row
        for row in reversed(platform.rows(topic))
        if row["incident_id"] in ids and row["project_id"] in projects
    ]
