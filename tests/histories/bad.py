"""Records that cannot be used: every reason of the contract, each in several kinds.

A kind takes an event that would win its entity and spoils one thing, so that a record which is
applied all the same shows in the views.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.histories.events import draft, written
from tests.histories.world import World
from tests.reference import Record

Event = dict[str, Any]
Spoil = Callable[[Event], bytes]

WINNING_VERSION = 9
MAX_VALUE_BYTES = 1024 * 1024
STEP_TYPE = "awooop.run.step_recorded.v1"
NUL_WITHIN = {"rules": ["a\0b"]}


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be unusable, the reason it gets, and the topic it needs, if it needs one."""

    name: str
    reason: str
    spoil: Spoil
    topic: str | None = None

    def record(self, world: World) -> Record:
        made = draft(world, self.topic)
        made.event["entityversion"] = WINNING_VERSION
        return Record(made.topic, made.key, self.spoil(made.event))


def value(content: bytes) -> Spoil:
    return lambda event: content


def bytes_of(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda event: change(written(event))


def attribute(name: str, content: Any) -> Spoil:
    return lambda event: written(event | {name: content})


def no_attribute(name: str) -> Spoil:
    return lambda event: written(without(event, name))


def field(name: str, content: Any) -> Spoil:
    return lambda event: written(event | {"data": event["data"] | {name: content}})


def no_field(name: str) -> Spoil:
    return lambda event: written(event | {"data": without(event["data"], name)})


def without(held: Event, name: str) -> Event:
    return {key: held[key] for key in held if key != name}


def padded(event: Event) -> bytes:
    """The event, sound in itself, with blanks that make it one byte too long."""
    return written(event).ljust(MAX_VALUE_BYTES + 1)


MALFORMED = {
    "empty value": value(b""),
    "word": value(b"hello"),
    "null": value(b"null"),
    "text": value(b'"text"'),
    "number": value(b"1"),
    "list": bytes_of(lambda event: b"[" + event + b"]"),
    "deeply nested": value(b"[" * 50_000),
    "cut short": bytes_of(lambda event: event[:-1]),
    "two documents": bytes_of(lambda event: event + event),
    "byte order mark": bytes_of(lambda event: b"\xef\xbb\xbf" + event),
    "not UTF-8": bytes_of(lambda event: event.replace(b'"/engine"', b'"/engine\xff"')),
    "UTF-16": bytes_of(lambda event: event.decode().encode("utf-16")),
    "raw control character": bytes_of(lambda event: event.replace(b'"/engine"', b'"/\x01"')),
    "half a surrogate pair": bytes_of(lambda event: event.replace(b"/engine", rb"\ud83d")),
    "not a number": bytes_of(lambda event: event.replace(b'"entityversion":9', b'"x":NaN')),
    "trailing comma": bytes_of(lambda event: event[:-1] + b",}"),
}

NEEDED = ("specversion", "id", "source", "type", "time", "data")
ENVELOPE = {
    **{f"no {name}": no_attribute(name) for name in NEEDED},
    "other specversion": attribute("specversion", "0.3"),
    "specversion as number": attribute("specversion", 1.0),
    "empty id": attribute("id", ""),
    "long id": attribute("id", "x" * 201),
    "id as number": attribute("id", 7),
    "empty source": attribute("source", ""),
    "type as list": attribute("type", []),
    "time without offset": attribute("time", "2026-05-18T06:00:00"),
    "time as number": attribute("time", 1779084000),
    "time as number in text": attribute("time", "1779084000"),
    "time on no day": attribute("time", "2026-02-30T06:00:00Z"),
    "negative version": attribute("entityversion", -1),
    "version as text": attribute("entityversion", "9"),
    "version with fraction": attribute("entityversion", 9.5),
    "version as flag": attribute("entityversion", True),
    "version beyond 64 bits": attribute("entityversion", 2**63),
    "subject as number": attribute("subject", 7),
    "data null": attribute("data", None),
    "data as list": attribute("data", []),
    "data as text": attribute("data", "{}"),
}

UNKNOWN_TYPE = {
    "later version of a type": attribute("type", "awooop.run.state_changed.v2"),
    "foreign type": attribute("type", "com.example.thing"),
    "empty type": attribute("type", ""),
    "type in capitals": attribute("type", "AWOOOP.RUN.STATE_CHANGED.V1"),
}

# (topic, field, contents)
PAYLOAD: tuple[tuple[str, str, list[Any]], ...] = (
    ("run-state", "run_id", ["0" * 32, "{00000000-0000-0000-0000-000000000000}", None]),
    ("run-state", "project_id", ["", "p" * 129]),
    ("run-state", "agent_id", ["a" * 201]),
    ("run-state", "state", ["Running", "", "running\n", "a" * 33]),
    ("run-state", "created_at", ["2026-05-18", "2026-05-18T06:00", "1779084000"]),
    ("run-state", "created_at", ["2026-05-18T06:00:00+24:00"]),
    ("run-state", "started_at", ["2026-13-01T00:00:00Z", ""]),
    ("run-state", "heartbeat_at", ["0001-01-01T00:00:00+00:01"]),
    ("run-state", "is_shadow", ["false", None]),
    ("run-state", "cost_usd", [-0.01, "NaN", "much", True, None]),
    ("run-state", "step_count", [-1, 1.5, "1"]),
    ("run-state", "max_attempts", [2**63]),
    ("run-state", "error_detail", ["x" * 8193]),
    ("run-state", "trace_id", [""]),
    ("run-state", "pending_action", [[], {"summary": "no tool"}]),
    ("step-journal", "step_id", [7]),
    ("step-journal", "step_seq", [True]),
    ("outbound-message", "send_status", [None]),
    ("conversation-event", "source_envelope", ["{}"]),
    ("conversation-event", "provider_event_id", [""]),
    ("conversation-event", "run_id", ["run-1"]),
    ("mcp-gateway-audit", "gate_result", [[]]),
    ("mcp-legacy-audit", "id", [1.5, True]),
    ("mcp-legacy-audit", "success", ["yes"]),
    ("remediation-evidence", "id", [""]),
    ("remediation-evidence", "incident_id", [None]),
    ("project", "budget_limit_usd", ["much"]),
    ("contract-revision", "version_major", [-1]),
    ("approval-command", "decision", ["maybe"]),
    ("approval-command", "new_state", ["completed"]),
)

# Fields whose text is shown, so that every design has to store it.
REJECTED = (
    *(("run-state", name) for name in ("error_detail", "agent_id", "trigger_ref")),
    *(("step-journal", name) for name in ("step_id", "block_reason")),
    *(("outbound-message", "content_preview"), ("conversation-event", "channel_chat_id")),
    *(("mcp-gateway-audit", "tool_name"), ("mcp-legacy-audit", "error_message")),
    *(("remediation-evidence", "verification_result_preview"), ("project", "display_name")),
    ("contract-revision", "contract_family"),
    *(("approval-command", name) for name in ("reason", "approval_token_jti")),
)

KINDS = (
    *(Kind(name, "malformed", spoil) for name, spoil in MALFORMED.items()),
    *(Kind(name, "envelope", spoil) for name, spoil in ENVELOPE.items()),
    *(Kind(name, "unknown_type", spoil) for name, spoil in UNKNOWN_TYPE.items()),
    Kind("type of another topic", "unknown_type", attribute("type", STEP_TYPE), "run-state"),
    Kind("no project_id", "payload", no_field("project_id"), "step-journal"),
    *(
        Kind(f"{topic} {name} {content!r:.40}", "payload", field(name, content), topic)
        for topic, name, contents in PAYLOAD
        for content in contents
    ),
    *(
        Kind(f"NUL in {topic} {name}", "rejected", field(name, "a\0b"), topic)
        for topic, name in REJECTED
    ),
    Kind("NUL in gate_result", "rejected", field("gate_result", NUL_WITHIN), "mcp-gateway-audit"),
    Kind("one byte over the limit", "too_large", padded),
)
BY_REASON = {
    reason: tuple(kind for kind in KINDS if kind.reason == reason)
    for reason in dict.fromkeys(kind.reason for kind in KINDS)
}
# Records over the limit are few, because they are long.
REASONS = tuple(reason for reason in BY_REASON if reason != "too_large") * 6 + ("too_large",)


def bad_record(world: World) -> Record:
    """A record that becomes a dead letter, whatever the reason."""
    return world.pick(BY_REASON[world.pick(REASONS)]).record(world)
