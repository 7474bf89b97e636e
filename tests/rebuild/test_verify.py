"""A rebuild compared with the active generation before it is activated."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import OperationError, UsageError
from projector.generations.rebuild import UnexpectedChanges
from tests.rebuild.place import ENDED, Place, ended

FAR = datetime(2126, 1, 1, tzinfo=UTC)

EARLIER = """
    UPDATE g_first.run
    SET state = 'odd', summary = (summary::jsonb || '{"odd": {"a": 1}}')::json
    WHERE run_id IN (SELECT run_id FROM g_first.run ORDER BY run_id LIMIT 2)
"""
"""As if an earlier version had folded two runs otherwise."""

MANY = 10_001
LINKS = f"""
    INSERT INTO g_first.run_incident (incident, created_at, run_id, project_id, state, status)
    SELECT 'odd ' || n, created_at, run_id, project_id, state, status
    FROM (SELECT * FROM g_first.run LIMIT 1) AS run, generate_series(1, {MANY}) AS n
"""


async def test_it_is_activated_when_only_what_was_expected_differs(filled: Place) -> None:
    found = await filled.rebuild("same", verify=True, activate=False)
    assert found is not None
    assert found.total == 0

    await filled.connection.execute(EARLIER)
    with pytest.raises(UsageError, match="--expect-changes: it says what --verify lets pass"):
        await filled.rebuild("second", expect_changes=("run",))
    with pytest.raises(
        UnexpectedChanges,
        match=r"generation 'second' was not activated: of 2 rows that differ 2 are not what"
        r" --expect-changes allows, the first is run \S+: run \S+ differs in state, summary\.odd;",
    ) as refused:
        await filled.rebuild("second", verify=True, expect_changes=("run.state", "run.summary.od"))
    assert refused.value.diff.totals == {"run": 2}
    assert await filled.active() == "first"

    left = await filled.known("second")
    assert (left.state, left.phase, left.error) == ("standing by", "verify", str(refused.value))
    await filled.activate("second")
    left = await filled.known("second")
    assert (left.state, left.phase, left.error) == ("active", "ready", None)
    await filled.activate("first")

    expected = ("run.state", "run.summary")
    found = await filled.rebuild("third", verify=True, expect_changes=expected)
    assert found is not None
    assert found.totals == {"run": 2}
    assert await filled.active() == "third"
    await filled.caught_up()
    await filled.is_sound()


@pytest.mark.crash
async def test_any_number_of_rows_may_differ_as_expected(filled: Place) -> None:
    await filled.connection.execute(LINKS)
    await filled.connection.execute(EARLIER)
    with pytest.raises(UnexpectedChanges) as refused:
        await filled.rebuild("second", verify=True, expect_changes=("run_incident",))
    assert f"of {MANY + 2} rows that differ 2 are not what" in str(refused.value)
    assert refused.value.diff.totals == {"run": 2, "run_incident": MANY}
    # what was expected does not crowd out what was not
    assert {each.table for each in refused.value.diff.named} == {"run"}


async def test_what_is_asked_for_now_holds_for_a_rebuild_that_is_resumed(filled: Place) -> None:
    with pytest.raises(OperationError, match=ENDED):
        await filled.rebuild("second", ended)
    begun_otherwise = "this rebuild was begun without it or with another"
    with pytest.raises(UsageError, match=f"--until: {begun_otherwise}"):
        await filled.resume("second", until=FAR)
    with pytest.raises(UsageError, match=f"--from-file: {begun_otherwise}"):
        await filled.resume("second", files=(Path("history.jsonl"),))
    with pytest.raises(UsageError, match="give both"):
        await filled.resume("second", expect_changes=("run",))

    await filled.resume("second", activate=False)
    assert await filled.active() == "first"
    await filled.resume("second")
    assert await filled.active() == "first"
    found = await filled.resume("second", activate=True, verify=True)
    assert found is not None
    assert found.total == 0
    assert await filled.active() == "second"
    await filled.caught_up()
    await filled.is_sound()
