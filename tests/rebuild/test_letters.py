"""Dead letters, and what was decided on them, where a generation is read from elsewhere."""

import json
from collections import Counter
from pathlib import Path

from projector.database import as_writer
from projector.operations.dead_letters import discard
from tests.rebuild.place import Place

LETTERS = """
    SELECT id, value, state, changed_by, created_at
    FROM runfold.dead_letter
    WHERE $1 = ANY(generations)
    ORDER BY id
"""
OF_FILE = "SELECT id FROM runfold.dead_letter WHERE partition < 0 ORDER BY id LIMIT 3"


def event(number: int) -> dict[str, str]:
    """It lacks what it must have."""
    return {"specversion": "1.0", "id": f"e{number}"}


def broken_file(path: Path, *numbers: int) -> Path:
    lines = ({"topic": "project", "key": None, "value": event(number)} for number in numbers)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def letters(place: Place, generation: str) -> list[tuple[object, ...]]:
    rows = await place.connection.fetch(LETTERS, generation)
    return [tuple(row) for row in rows]


async def discarded(place: Place) -> None:
    some = await place.connection.fetch(OF_FILE)
    assert len(some) == 3
    async with as_writer(place.settings.database_url) as writer:
        for row in some:
            await discard(writer, row["id"], "ann")


async def test_letters_of_a_file_keep_what_was_decided(bare: Place, tmp_path: Path) -> None:
    first = broken_file(tmp_path / "first.jsonl", 1, 2, 3, 3, 4)
    other = broken_file(tmp_path / "other.jsonl", 5)
    await bare.rebuild("one", files=(first,))
    await discarded(bare)
    known = await letters(bare, "one")
    assert Counter(each[2] for each in known) == {"discarded": 3, "parked": 2}
    await bare.rebuild("two", files=(other, first))
    now = await letters(bare, "two")
    assert [each for each in now if each in known] == known
    assert len(now) == len(known) + 1
    await bare.is_sound()

    # another file to all appearance, with the same lines and one more
    grown = broken_file(tmp_path / "grown.jsonl", 6, 1, 2, 3, 3, 4)
    await bare.rebuild("three", files=(grown,))
    again = await letters(bare, "three")
    assert again[:-1] == now
    assert again[-1][1:3] == (json.dumps(event(6)).encode(), "parked")
    await bare.is_sound()


async def test_letters_that_are_read_from_nowhere_are_kept(bare: Place, tmp_path: Path) -> None:
    await bare.rebuild("one", files=(broken_file(tmp_path / "f.jsonl", 1, 2, 3),))
    await discarded(bare)
    known = await letters(bare, "one")
    await bare.rebuild("two")
    assert await letters(bare, "two") == known
    await bare.is_sound()

    await bare.activate("one")
    assert await letters(bare, "one") == known


async def test_a_record_is_one_letter_wherever_it_is_read_and_another_one_another(
    filled: Place, tmp_path: Path
) -> None:
    history = tmp_path / "history.jsonl"
    await filled.export(history)
    known = await letters(filled, "first")
    await filled.rebuild("of_file", files=(history,))
    assert await letters(filled, "of_file") == known
    await filled.is_sound()
    await filled.activate("first")
    await filled.drop("of_file")

    # as a topic has them that was made anew
    number, value, *_ = known[0]
    gone = "UPDATE runfold.dead_letter SET value = 'another', state = 'discarded' WHERE id = $1"
    await filled.connection.execute(gone, number)
    await filled.rebuild("second")
    *rest, new = await letters(filled, "second")
    assert rest == known[1:]
    assert new[1:3] == (value, "parked")
    await filled.is_sound()


async def test_a_dropped_generation_takes_its_own_letters_along(
    bare: Place, tmp_path: Path
) -> None:
    await bare.rebuild("one", files=(broken_file(tmp_path / "f.jsonl", 1, 2),))
    more = broken_file(tmp_path / "more.jsonl", 3)
    await bare.rebuild("two", files=(more,), activate=False)
    known = await letters(bare, "one")
    await bare.drop("two")
    every = await bare.connection.fetch("SELECT id FROM runfold.dead_letter ORDER BY id")
    assert [row["id"] for row in every] == [each[0] for each in known]
