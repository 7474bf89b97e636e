"""Runs, their steps and the decisions on them."""

from tests.histories.texts import text
from tests.histories.world import (
    AGENTS,
    BIG,
    FLAGS,
    MONEY,
    OUTCOMES,
    SIGNED,
    STATES,
    TOOLS,
    Data,
    World,
)

UNKNOWN_STATES = ("completed", "timed_out", "on_hold", "_", "a" * 32)


def run_state(world: World) -> Data:
    run_id, home = world.pick(world.runs)
    created = world.instant()
    data: Data = {
        "run_id": world.cased(run_id),
        "project_id": world.project_near(home),
        "agent_id": world.pick(AGENTS),
        "state": world.pick(STATES if world.chance(0.8) else UNKNOWN_STATES),
        "state_changed_at": moment(world, created),
        "created_at": world.at(created),
    }
    if world.chance(0.8):
        data["trigger_ref"] = trigger_ref(world)
    if world.chance(0.6):
        data["error_detail"] = text(world)
    if world.chance(0.5):
        data["started_at"] = moment(world, created)
    if world.chance(0.5):
        data["completed_at"] = moment(world, created)
    if world.chance(0.3):
        data["is_shadow"] = world.pick(FLAGS)
    if world.chance(0.5):
        data["cost_usd"] = world.pick(MONEY)
    if world.chance(0.4):
        data["step_count"] = world.pick(BIG)
        data["attempt_count"] = world.pick(BIG)
    if world.chance(0.3):
        data["timeout_at"] = world.far_time()
        data["heartbeat_at"] = world.far_time()
    world.optional(data, "max_attempts", SIGNED)
    world.optional(data, "trace_id", ("4bf92f35", "t"))
    world.optional(data, "trigger_type", ("cron", "webhook", ""))
    world.optional(data, "worker_id", ("w1", "工人"))
    world.optional(data, "error_code", ("E1", ""))
    if world.chance(0.3):
        data["pending_action"] = pending_action(world)
    return data


def moment(world: World, created: int) -> str:
    """A time that is often the very instant the run was created."""
    return world.at(created) if world.chance(0.35) else world.time()


def trigger_ref(world: World) -> str | None:
    """What set the run off: an inbound event in one way or another, an incident, nothing."""
    event_id = world.pick(world.inbound)[0]
    roll = world.rng.random()
    if roll < 0.3:
        return world.cased(event_id)
    if roll < 0.55:
        return world.pick(world.provider_events)
    if roll < 0.6:
        return world.pick((event_id.replace("-", ""), f"{{{event_id}}}", f"{event_id} "))
    return None if roll < 0.7 else text(world)


def pending_action(world: World) -> Data | None:
    if world.chance(0.3):
        return None
    data: Data = {"tool_name": world.pick(TOOLS)}
    world.optional(data, "summary", ("restart it", "重啟", ""))
    world.optional(data, "arguments_sha256", ("ab" * 32,))
    world.optional(data, "requested_by", ("alice", "bob"))
    return data


def step(world: World) -> Data:
    tools = (*TOOLS, "operator_console.approve", "operator_console.reject", "operator_console.x")
    data = world.of_run() | {
        "step_id": world.entity_id(),
        "step_seq": world.pick((0, 0, 1, 2, 10, 2**40)),
        "tool_name": world.pick(tools),
        "result_status": world.pick(OUTCOMES),
        "created_at": world.time(),
    }
    if world.chance(0.3):
        data["was_blocked"] = world.pick(FLAGS)
    world.optional(data, "block_reason", ("gate", "政策", ""))
    world.optional(data, "error_code", ("E1", ""))
    world.optional(data, "latency_ms", SIGNED)
    world.optional(data, "completed_at", (world.time(),))
    return data


def decision(world: World) -> Data:
    approve = world.chance(0.5)
    data = world.of_run() | {
        "command_id": world.cased(world.pick(world.commands)),
        "decision": "approve" if approve else "reject",
        "approver_id": world.pick(("alice", "Bob", "核")),
        "run_version": world.pick((0, 1, 2, 3)),
        "decided_at": world.time(),
        "new_state": "running" if approve else "cancelled",
    }
    world.optional(data, "reason", ("too risky", "風險", ""))
    world.optional(data, "tool_name", TOOLS)
    world.optional(data, "arguments_sha256", ("ab" * 32,))
    world.optional(data, "approval_token", ("e30.e30.c2ln",))
    world.optional(data, "approval_token_jti", ("j1",))
    return data
