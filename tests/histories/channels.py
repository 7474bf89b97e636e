"""Messages out and inbound events."""

from typing import Any

from tests.histories.texts import noise, text
from tests.histories.world import FLAGS, STATES, Data, World

CHANNELS = ("telegram", "slack", "línea")


def outbound(world: World) -> Data:
    types = ("approval_request", "error", "final", "interim", "digest", "")
    data = world.of_run() | {
        "message_id": world.entity_id(6),
        "channel_type": world.pick(CHANNELS),
        "message_type": world.pick(types),
        "send_status": world.pick(("queued", "sent", "failed")),
        "queued_at": world.time(),
    }
    world.optional(data, "content_preview", (text(world),))
    world.optional(data, "send_error", (text(world),))
    world.optional(data, "provider_message_id", ("m1", "訊息"))
    world.optional(data, "sent_at", (world.time(),))
    world.optional(data, "triggered_by_state", STATES)
    return data


def inbound(world: World) -> Data:
    event_id, home = world.pick(world.inbound)
    data: Data = {
        "event_id": world.cased(event_id),
        "project_id": world.project_near(home),
        "channel_type": world.pick(CHANNELS),
        "received_at": world.time(),
    }
    world.optional(data, "run_id", (world.cased(world.pick(world.runs)[0]),))
    world.optional(data, "provider_event_id", world.provider_events)
    world.optional(data, "channel_chat_id", ("-100", "室"))
    world.optional(data, "content_preview", (text(world),))
    world.optional(data, "content_redacted", (text(world),))
    world.optional(data, "source_envelope", (source_envelope(world),))
    if world.chance(0.3):
        data["is_duplicate"] = world.pick(FLAGS)
    return data


def source_envelope(world: World) -> Data:
    """Mostly one that names incidents, in a list or alone; else one that looks like it."""
    if world.chance(0.25):
        refs: tuple[Any, ...] = (None, [], "x", {})
        shapes: list[Data] = [{}, *({"source_refs": odd} for odd in refs)]
        return world.pick([*shapes, {"incident_ids": world.incident()}])
    given = [named_incident(world) for _ in range(world.rng.randint(0, 3))]
    alone = world.chance(0.3) and len(given) == 1
    return {"source_refs": {"incident_ids": given[0] if alone else given}, "raw": [1.5, None]}


def named_incident(world: World) -> Any:
    roll = world.rng.random()
    if roll < 0.5:
        return world.incident()
    if roll < 0.7:
        return f" \t{world.incident()}\n"
    if roll < 0.995:
        odd = ("", " ", None, True, False, 77, -5, {"id": world.incident()}, [world.incident()])
        return world.pick((*odd, "\u3000", "not an incident", "custom-77"))
    return noise(world)
