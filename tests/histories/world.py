"""The small world a history happens in: few of everything, so that things meet and collide."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.histories.times import FAR_AWAY, IN_DATA, INSTANTS, WITH_OFFSET

T = TypeVar("T")

# By code point these stand in this order; by the rules of a language, or of UTF-16, in another.
LEADS = ("10", "9", "B", "Z", "a", "b", "é", "專", "～", "🚨")
EVENT_LEADS = (*LEADS, *("B", "Z", "a") * 3)

PROJECTS = ("Beta", "alpha", "élan", "專案")
INCIDENTS = ("INC-20260518-ABCD", "INC-20260518-ABCDE", "INC-20250101-0000", "INC-99999999-Z9Z9Z9")
GIVEN_INCIDENTS = ("custom-77", "77", "inc-20260518-abcd", "事故 1")
PROVIDER_EVENTS = ("tg:1", "tg_1", "tg%1", "TG:1", "事件-1")

Linked = tuple[str, str]
Data = dict[str, Any]

STATES = ("pending", "running", "waiting_approval", "waiting_approval", "failed", "cancelled")
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


@dataclass(slots=True)
class World:
    """Ids to draw from; everything drawn comes from `rng`, so a seed tells the whole history."""

    rng: Random
    projects: list[str] = field(default_factory=list)
    runs: list[Linked] = field(default_factory=list)
    inbound: list[Linked] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    provider_events: list[str] = field(default_factory=list)
    serial: int = 0

    @classmethod
    def draw(cls, rng: Random) -> "World":
        """2 or 3 projects, 2 to 5 runs, 2 to 4 incidents. Runs have a project they mostly keep."""
        world = cls(rng)
        world.projects = rng.sample(PROJECTS, rng.randint(2, 3))
        world.runs = [(world.uuid(), world.pick(world.projects)) for _ in range(rng.randint(2, 5))]
        world.inbound = [(world.uuid(), world.pick(world.runs)[1]) for _ in range(4)]
        world.commands = [world.uuid() for _ in range(4)]
        world.incidents = rng.sample(INCIDENTS, 2) + rng.sample(GIVEN_INCIDENTS, rng.randint(0, 2))
        world.provider_events = rng.sample(PROVIDER_EVENTS, 2)
        return world

    def pick(self, among: Sequence[T]) -> T:
        """As Random.choice, at a third of its cost."""
        return among[int(self.rng.random() * len(among))]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def uuid(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def cased(self, uuid: str) -> str:
        """The UUID in lower, upper or mixed letter case."""
        roll = self.rng.random()
        if roll < 0.7:
            return uuid
        return uuid.upper() if roll < 0.85 else uuid[:12] + uuid[12:].upper()

    def instant(self) -> int:
        """The number of an instant, to spell with `at`."""
        return int(self.rng.random() * len(INSTANTS))

    def at(self, instant: int) -> str:
        """One spelling of the instant as a timestamp in `data`."""
        return self.pick(IN_DATA[instant])

    def time(self) -> str:
        return self.at(self.instant())

    def far_time(self) -> str:
        """A timestamp for `data`, now and then at the end of what there is."""
        return self.pick(FAR_AWAY) if self.chance(0.1) else self.time()

    def event_time(self) -> str:
        """A timestamp for the envelope, which needs an offset; half of them are of two instants."""
        instant = int(self.rng.random() * 2) if self.chance(0.5) else self.instant()
        return self.pick(WITH_OFFSET[instant])

    def event_id(self) -> str:
        """A new id; which of two comes first is up to chance."""
        self.serial += 1
        return f"{self.pick(EVENT_LEADS)}{self.serial}"

    def entity_id(self, kinds: int = 4) -> str:
        """One of a few ids that runs and projects share."""
        return LEADS[int(self.rng.random() * kinds) + 2]

    def project_near(self, home: str) -> str:
        """Mostly the home project, at times another one."""
        return self.pick(self.projects) if self.chance(0.12) else home

    def optional(self, data: dict[str, Any], name: str, among: Sequence[Any]) -> None:
        """The field absent, null, or one of these values."""
        roll = self.rng.random()
        if roll >= 0.15:
            data[name] = None if roll < 0.3 else self.pick(among)

    def incident(self) -> str:
        return self.pick(self.incidents)

    def of_run(self) -> Data:
        """The run and project of an item: in any letter case, now and then the wrong project."""
        run_id, home = self.pick(self.runs)
        return {"run_id": self.cased(run_id), "project_id": self.project_near(home)}
