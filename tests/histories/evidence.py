"""Tool calls through the gateway and before it, and remediation evidence."""

from tests.histories.world import AGENTS, FLAGS, OUTCOMES, SIGNED, TOOLS, Data, World


def gateway_call(world: World) -> Data:
    data = world.of_run() | {
        "call_id": world.entity_id(6),
        "tool_name": world.pick(TOOLS),
        "result_status": world.pick(OUTCOMES),
        "created_at": world.time(),
    }
    world.optional(data, "agent_id", AGENTS)
    world.optional(data, "block_gate", ("G3", "g3", "é", ""))
    world.optional(data, "block_reason", ("scope", ""))
    world.optional(data, "latency_ms", SIGNED)
    world.optional(data, "gate_result", (gate_result(world),))
    return data


def gate_result(world: World) -> Data:
    data: Data = {}
    world.optional(data, "required_scope", ("read", "write", ""))
    world.optional(data, "policy_enforced", (*FLAGS, True, 1, "true"))
    world.optional(data, "is_shadow", (*FLAGS, True, 1, "true"))
    world.optional(data, "rules", (["é", {"n": 1}], 2.5, "\\u0000"))
    return data


def legacy_call(world: World) -> Data:
    data: Data = {"id": number_or_text(world), "created_at": world.time()}
    if world.chance(0.9):
        data["incident_id"] = world.pick((*world.incidents * 2, None, "INC-20260518-AB"))
    world.optional(data, "project_id", world.projects)
    world.optional(data, "session_id", ("s",))
    world.optional(data, "flywheel_node", ("observe", ""))
    world.optional(data, "mcp_server", ("k8s", "Prom", "é", ""))
    world.optional(data, "tool_name", ("get", "List", ""))
    world.optional(data, "duration_ms", SIGNED)
    world.optional(data, "success", FLAGS)
    world.optional(data, "error_message", ("refused", "錯" * 600, ""))
    world.optional(data, "agent_role", ("investigator", "調查", ""))
    return data


def evidence(world: World) -> Data:
    data: Data = {
        "id": number_or_text(world),
        "incident_id": world.incident() if world.chance(0.9) else "INC-20260518-AB",
        "created_at": world.time(),
    }
    world.optional(data, "project_id", world.projects)
    world.optional(data, "work_item_id", ("WI-1", "wi-1"))
    world.optional(data, "agent_id", AGENTS)
    world.optional(data, "tool_name", TOOLS)
    world.optional(data, "required_scope", ("read", "read", "read", "write", ""))
    world.optional(data, "mode", ("dry_run", "x" * 600, ""))
    for name in ("success", "allowed"):
        world.optional(data, name, (True, True, True, False))
    world.optional(data, "verification_result_preview", ("success", "degraded", ""))
    for name in ("writes_incident_state", "writes_auto_repair_result"):
        world.optional(data, name, (False, False, False, True))
    return data


def number_or_text(world: World) -> int | str:
    """Among them 7 and "7", which are one id, and integers no machine word holds."""
    ids: tuple[int | str, ...] = (7, "7", 10, "9", -1, 2**70, "B", "a", "é")
    return world.pick(ids)
