"""Values that the data of several event types is drawn from."""

from typing import Any

from tests.histories.world import World

Data = dict[str, Any]

STATES = ("pending", "running", "waiting_approval", "waiting_approval", "failed", "cancelled")
UNKNOWN_STATES = ("completed", "timed_out", "on_hold", "_", "a" * 32)
BIG = (0, 1, 7, 2**31, 2**53 + 1, 2**63 - 1)
SIGNED = (-1, -(2**63), *BIG)
# Texts in angle brackets become JSON numbers of that many digits when the event is written.
EXACT = {
    "<precise>": "0.12345678901234567890123456789",
    "<long>": "98765432109876543210.5",
    "<power>": "1.5E+3",
}
MONEY = (0, 5, 3.5, 0.1, "12.50", "0.010203", "0", *EXACT)
AGENTS = ("triage", "Sre", "偵錯")
TOOLS = ("kubectl.get", "Prom.query", "ssh", "")
OUTCOMES = ("success", "failed", "blocked", "running", "")
FLAGS = (True, False)


def of_run(world: World) -> Data:
    """The run and project of an item: in any letter case, now and then the wrong project."""
    run_id, home = world.pick(world.runs)
    return {"run_id": world.cased(run_id), "project_id": world.project_near(home)}
