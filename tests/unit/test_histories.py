"""The random histories hold every kind of event, of tie, of link and of bad record."""

from collections import Counter
from random import Random

import pytest

from tests.histories import history
from tests.histories.bad import BY_REASON, KINDS, Kind
from tests.histories.world import World
from tests.reference import Platform, load, run_detail
from tests.reference.belonging import inbound_events
from tests.reference.contract import ENTITIES

ITEMS = {"run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"}
SUMMARIES = {"no_evidence", "mcp_observed", "blocked", "write_observed", "read_only_dry_run"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_bad_record_gets_its_reason(kind: Kind) -> None:
    record = kind.record(World.draw(Random(1)))
    assert [letter.reason for letter in load([record]).dead] == [kind.reason]


def test_bad_records_are_there_only_when_asked_for() -> None:
    reasons = Counter(
        each.reason for seed in range(40) for each in load(history(seed, bad=True)).dead
    )
    assert reasons.keys() == BY_REASON.keys()
    assert not any(load(history(seed)).dead for seed in range(40))
    assert history(7, bad=True) == history(7, bad=True)


def test_everything_comes_up() -> None:
    found: Counter[str] = Counter()
    for seed in range(100):
        platform = load(history(seed))
        found["tombstone"] += platform.tombstones
        found["repeated"] += len(platform.events) - len({each.id for each in platform.events})
        count_ties(platform, found)
        count_views(platform, found)
    wanted = {"tombstone", "repeated", "by version", "by time", "by id", *ITEMS, *SUMMARIES}
    wanted |= {"observed", "linked by run", "linked by event", "linked by provider"}
    wanted |= {f"{topic} changed" for topic in ENTITIES} | {"run in another project"}
    assert {name for name in wanted if found[name] < 4} == set()


def count_ties(platform: Platform, found: Counter[str]) -> None:
    """What decides between the events of an entity, and what changes with them."""
    for topic, names in ENTITIES.items():
        for winner in platform.winners[topic]:
            for event in platform.events:
                same = event.topic == topic and all(event.data[n] == winner.data[n] for n in names)
                if not same or event == winner:
                    continue
                found[f"{topic} changed"] += event.data != winner.data
                if event.version != winner.version:
                    found["by version"] += 1
                else:
                    found["by id" if event.time == winner.time else "by time"] += 1
                if topic == "run-state":
                    moved = event.data["project_id"] != winner.data["project_id"]
                    found["run in another project"] += moved


def count_views(platform: Platform, found: Counter[str]) -> None:
    """What runs show, and how they are linked."""
    for run in platform.winners["run-state"]:
        detail = run_detail(platform, run.data["run_id"])
        assert detail is not None
        found.update(item["kind"] for item in detail["timeline"])
        found[detail["remediation_summary"]["status"]] += 1
        for inbound in inbound_events(platform, run):
            trigger = run.data["trigger_ref"]
            found["linked by run"] += inbound["run_id"] == run.data["run_id"]
            found["linked by provider"] += trigger == inbound["provider_event_id"]
            found["linked by event"] += (trigger or "").lower() == inbound["event_id"]
