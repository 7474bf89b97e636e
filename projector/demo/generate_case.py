"""What a generated run is about: its project, its incident, what set it off."""

from dataclasses import dataclass
from typing import Final

from projector.demo.generate_dice import Dice
from projector.demo.generate_envelope import SECOND, timestamp
from projector.demo.generate_words import AGENTS, ALERTS, PROJECTS

RUNS_PER_GROUP: Final = 4
"""So many runs in a row share a project and, those that have one, an incident."""

INCIDENT_SHARE: Final = 0.6
"""Share of the runs with an alert or a message behind them that are about an incident."""
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Case:
    """The facts of one run that hold from its beginning to its end."""

    dice: Dice
    run_id: str
    project_id: str
    agent_id: str
    created_at: int
    incident_id: str | None
    alert: str
    trigger_type: str
    trigger_ref: str | None
    inbound_id: str | None
    provider_event_id: str | None
    is_shadow: bool


def case(seed: int, index: int, start: int, gap: int) -> Case:
    """Return the case of run number `index`, created `index` times `gap` after `start`."""
    dice = Dice(seed, "run", index)
    group = index // RUNS_PER_GROUP
    shared = Dice(seed, "group", group)
    project_id, _ = PROJECTS[shared.mostly_low(0, len(PROJECTS) - 1)]
    incident = _incident(group, start + group * RUNS_PER_GROUP * gap)
    trigger_type = dice.pick(("alert", "alert", "alert", "chat", "schedule", "manual"))
    heard = trigger_type in {"alert", "chat"}
    inbound_id = dice.uuid() if heard else None
    provider_id = f"{trigger_type}-{seed}-{index}" if heard else None
    return Case(
        dice=dice,
        run_id=dice.uuid(),
        project_id=project_id,
        agent_id=dice.pick(AGENTS),
        created_at=start + index * gap + dice.between(0, gap),
        incident_id=incident if heard and dice.chance(INCIDENT_SHARE) else None,
        alert=shared.pick(ALERTS),
        trigger_type=trigger_type,
        trigger_ref=_reference(dice, trigger_type, inbound_id, provider_id),
        inbound_id=inbound_id,
        provider_event_id=provider_id,
        is_shadow=dice.chance(0.1),
    )


def _reference(
    dice: Dice, trigger_type: str, inbound_id: str | None, provider_id: str | None
) -> str | None:
    match trigger_type:
        case "alert":
            return provider_id
        case "chat" if inbound_id:
            # Some writers have the UUID in capitals; it is the same UUID.
            return inbound_id.upper() if dice.chance(0.3) else inbound_id
        case "schedule":
            return "cron:0 * * * *"
        case _:
            return None


def _incident(group: int, at: int) -> str:
    day = timestamp(at - at % SECOND)[:10].replace("-", "")
    digits = ""
    while group or len(digits) < 4:
        group, digit = divmod(group, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"INC-{day}-{digits}"
