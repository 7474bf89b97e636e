"""A rebuild compared with the active generation before it is activated."""

import re

from tests.rebuild.place import Place

EARLIER = """
    UPDATE g_main.run
    SET state = 'odd', summary = (summary::jsonb || '{"odd": {"a": 1}}')::json
    WHERE run_id IN (SELECT run_id FROM g_main.run ORDER BY run_id LIMIT 2)
"""
"""As if an earlier version had folded two runs otherwise."""

MANY = 100_001
LINKS = f"""
    INSERT INTO g_main.run_incident (incident, created_at, run_id, project_id, state, status)
    SELECT 'odd ' || n, created_at, run_id, project_id, state, status
    FROM (SELECT * FROM g_main.run LIMIT 1) AS run, generate_series(1, {MANY}) AS n
"""


async def test_one_that_does_not_differ_is_activated(place: Place) -> None:
    said = await place.done("rebuild", "--name", "second", "--verify")
    assert said.startswith("no row differs\n")
    assert await place.active() == "second"


async def test_it_is_activated_when_only_what_was_expected_differs(place: Place) -> None:
    await place.connection.execute(EARLIER)
    refused = ["--expect-changes", "run.state", "--expect-changes", "run.summary.od"]
    finished = await place.call("rebuild", "--name", "second", "--verify", *refused)
    assert finished.status == 1
    assert re.search(
        r"generation 'second' was not activated: of 2 rows that differ 2 are not what"
        r" --expect-changes allows, the first is run \S+: run \S+ differs in state, summary\.odd;",
        finished.err,
    ), finished.err
    assert finished.out.startswith("run: 2 rows differ\n")
    assert await place.active() == "main"

    assert "rebuild=verify: generation 'second'" in await place.done("generations", "list")
    await place.done("generations", "activate", "second")
    listed = await place.done("generations", "list")
    assert re.search(r"name=second state=active .* rebuild=ready$", listed, re.MULTILINE), listed
    await place.done("generations", "activate", "main")

    expected = ["--expect-changes", "run.state", "--expect-changes", "run.summary"]
    said = await place.done("rebuild", "--name", "third", "--verify", *expected)
    assert said.startswith("run: 2 rows differ\n")
    assert await place.active() == "third"
    await place.caught_up()
    await place.is_sound()


async def test_any_number_of_rows_may_differ_as_expected(place: Place) -> None:
    await place.connection.execute(LINKS)
    refused = await place.call(
        "rebuild", "--name", "second", "--verify", "--expect-changes", "run_incident.run_id"
    )
    assert f"of {MANY} rows that differ {MANY} are not what" in refused.err
    await place.connection.execute(EARLIER)
    told = await place.call(
        "rebuild", "--name", "third", "--verify", "--expect-changes", "run_incident"
    )
    assert f"of {MANY + 2} rows that differ 2 are not what" in told.err
    assert re.search(r"\nrun \S+: run \S+ differs in state, summary\.odd\n", told.out)
    assert "is only in main" not in told.out
    said = await place.done(
        *("rebuild", "--name", "fourth", "--verify", "--expect-changes", "run"),
        *("--expect-changes", "run_incident"),
    )
    assert f"run_incident: {MANY} rows differ\n" in said
    assert await place.active() == "fourth"
