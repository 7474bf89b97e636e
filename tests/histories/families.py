"""Which function draws the `data` of each topic's events, and how often each topic is drawn."""

from collections.abc import Callable

from tests.histories.channels import inbound, outbound
from tests.histories.evidence import evidence, gateway_call, legacy_call
from tests.histories.runs import decision, run_state, step
from tests.histories.values import BIG, FLAGS, MONEY, Data
from tests.histories.world import World


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


FAMILIES: dict[str, Callable[[World], Data]] = {
    "run-state": run_state,
    "step-journal": step,
    "outbound-message": outbound,
    "conversation-event": inbound,
    "mcp-gateway-audit": gateway_call,
    "mcp-legacy-audit": legacy_call,
    "remediation-evidence": evidence,
    "project": project,
    "contract-revision": contract_revision,
    "approval-command": decision,
}
# How often each is drawn.
TOPICS = (
    *["run-state"] * 14,
    *["step-journal"] * 6,
    *["outbound-message"] * 8,
    *["conversation-event"] * 9,
    *["mcp-gateway-audit"] * 5,
    *["mcp-legacy-audit"] * 6,
    *["remediation-evidence"] * 8,
    *["project"] * 2,
    *["contract-revision"] * 2,
    *["approval-command"] * 4,
)
