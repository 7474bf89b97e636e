"""The generated projects, and the contracts their agents work under."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from projector.demo.generate_dice import Dice
from projector.demo.generate_envelope import SECOND, Generated, generated, timestamp
from projector.demo.generate_words import FAMILIES, PROJECTS

RUNS_PER_REVISION: Final = 50
"""So often a contract gets a new revision while runs go on."""

_LEAD: Final = 3600 * SECOND


def projects(seed: int, start: int) -> Iterator[Generated]:
    """Yield every project, and the first active revision of its contracts, before `start`."""
    for number, (project_id, name) in enumerate(PROJECTS):
        at = start - _LEAD + number * SECOND
        dice = Dice(seed, "project", number)
        data = {
            "project_id": project_id,
            "display_name": name,
            "migration_mode": dice.pick(("live", "live", "shadow")),
            "budget_limit_usd": f"{dice.between(50, 2_000)}.50",
            "is_active": True,
            "created_at": timestamp(at),
        }
        identity = f"{seed}-project-{number}"
        yield generated(
            at, "project", project_id, data, identity=identity, source="awooop.registry"
        )
        for family_number in range(len(FAMILIES)):
            yield from _revision(seed, number, family_number, minor=0, at=at + SECOND)


def revision(seed: int, index: int, at: int) -> Iterator[Generated]:
    """Yield what makes one contract's next revision active and the one before it retired.

    `index` counts the revisions of a history from 0.
    """
    contract = index % (len(PROJECTS) * len(FAMILIES))
    minor = 1 + index // (len(PROJECTS) * len(FAMILIES))
    project, family = divmod(contract, len(FAMILIES))
    yield from _revision(seed, project, family, minor=minor - 1, at=at, retired=True)
    yield from _revision(seed, project, family, minor=minor, at=at + 1)


def _revision(
    seed: int, project: int, family: int, *, minor: int, at: int, retired: bool = False
) -> Iterator[Generated]:
    project_id, _ = PROJECTS[project]
    contract_id = f"{project_id}/{FAMILIES[family]}"
    revision_id = f"{contract_id}@1.{minor}"
    data = {
        "revision_id": revision_id,
        "contract_id": contract_id,
        "contract_family": FAMILIES[family],
        "lifecycle_status": "retired" if retired else "active",
        "body_hash": sha256(revision_id.encode()).hexdigest(),
        "version_major": 1,
        "version_minor": minor,
        "project_id": project_id,
        "created_at": timestamp(at),
    }
    yield generated(
        at,
        "contract-revision",
        revision_id,
        data,
        identity=f"{seed}-{revision_id}-{data['lifecycle_status']}",
        source="awooop.registry",
        version=1 if retired else 0,
    )
