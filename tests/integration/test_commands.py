"""The commands together, over one history that a worker in a process of its own has read."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from contracts import buckets
from projector.database import connected
from projector.demo.history import history
from tests.command import called, running
from tests.stack import databases
from tests.stack.servers import EmbeddedBroker, EmbeddedPostgres
from tests.stack.topics import Record, send
from tests.stack.waiting import until

RUNS = 40
HISTORY = list(history(1, RUNS, datetime(2026, 5, 18, 6, tzinfo=UTC)))
PREFIX = "commands."
BAD = [
    Record(f"{PREFIX}project", b"p", value, partition=0)
    for value in (b"{not json", b'{"specversion":"1.0"}\x1b[31m')
]
TOMBSTONE = b'{"topic":"project","key":"gone","value":null}\n'
ALL = len(HISTORY) + 2 + len(BAD)
# Two to one: the longer id is linked by its digest.
LONG_INCIDENT = "x" * 300


@pytest.fixture(scope="module")
def servers(broker: EmbeddedBroker) -> dict[str, str]:
    return {
        "RUNFOLD_KAFKA_BOOTSTRAP": broker.bootstrap,
        "RUNFOLD_TOPIC_PREFIX": PREFIX,
        "RUNFOLD_GROUP_ID": f"commands-{uuid4().hex}",
        "RUNFOLD_PARTITIONS": "2",
    }


@pytest.fixture(scope="module")
def filled(
    postgres: EmbeddedPostgres,
    database_template: str,
    servers: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Name of a database into which a worker has read the history and what is bad among it."""
    name = f"filled_{uuid4().hex}"
    asyncio.run(databases.clone_database(postgres.url, database_template, name))
    variables = {**servers, "RUNFOLD_DATABASE_URL": postgres.url_of(name)}
    publish(variables, tmp_path_factory.mktemp("history") / "history.jsonl.zst")
    with running("projector", variables=variables) as worker:
        read = until(lambda: asyncio.to_thread(has_read_all, variables), 60, "all to be read")
        asyncio.run(read)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    yield name
    asyncio.run(databases.drop_database(postgres.url, name))


def publish(variables: dict[str, str], path: Path) -> None:
    done("topics", variables=variables)
    done("generate", "--runs", str(RUNS), "--out", str(path))
    published = done("publish", str(path), variables=variables)
    assert published.endswith(f"{len(HISTORY)} records published\n")
    lines = inbound_with_long_incident() + TOMBSTONE
    more = called("publish", "-", variables=variables, stdin=lines)
    assert more.out.endswith("2 records published\n")
    asyncio.run(send(variables["RUNFOLD_KAFKA_BOOTSTRAP"], BAD))


def inbound_with_long_incident() -> bytes:
    """An inbound event of the history, as it stands but for a long incident id and its version."""
    for line in (event.line for event in HISTORY if event.topic == "conversation-event"):
        record = json.loads(line)
        data = record["value"]["data"]
        if data["run_id"]:
            data["source_envelope"] = {"source_refs": {"incident_ids": [LONG_INCIDENT]}}
            record["value"] |= {"id": "with-long-incident", "entityversion": 9}
            return json.dumps(record).encode() + b"\n"
    raise AssertionError("no inbound event of the history names its run")


def has_read_all(variables: dict[str, str]) -> bool:
    told = json.loads(done("status", "--json", variables=variables))
    return sum(it["position"] or 0 for it in told["partitions"]) == ALL


@pytest.fixture
async def variables(
    postgres: EmbeddedPostgres, filled: str, servers: dict[str, str]
) -> AsyncIterator[dict[str, str]]:
    """Settings with a copy of the filled database, to be damaged at will."""
    name = f"copy_{uuid4().hex}"
    await databases.clone_database(postgres.url, filled, name)
    yield {**servers, "RUNFOLD_DATABASE_URL": postgres.url_of(name)}
    await databases.drop_database(postgres.url, name)


def done(*arguments: str, variables: dict[str, str] | None = None) -> str:
    """What a command prints that ends well and complains of nothing."""
    finished = called(*arguments, variables=variables or {})
    assert (finished.status, finished.err) == (0, "")
    return finished.out


def refused(*arguments: str, variables: dict[str, str], stdin: bytes = b"", status: int = 1) -> str:
    """The one line of a command that fails."""
    finished = called(*arguments, variables=variables, stdin=stdin)
    assert finished.status == status, finished
    (line,) = finished.err.splitlines()
    return line


def test_the_audit_of_what_a_worker_read_is_clean(variables: dict[str, str]) -> None:
    summary, _ = done("audit", variables=variables).splitlines()
    assert f"20 partitions, {ALL} offsets: {len(HISTORY) + 1} applied, 2 dead" in summary
    assert "1 tombstones, 0 gaps" in summary


COUNTER = "level, bucket, project_id, state, status, slot"
LEVELS = (buckets.OF_ALL_TIME, *(level.number for level in buckets.OF_RUNS))
# what the audit says of it: what was done to the views
DAMAGES = {
    f"{PREFIX}run-state[1]: ": "UPDATE position SET next_offset = next_offset + 1"
    f" WHERE topic = '{PREFIX}run-state' AND partition = 1",
    f"{PREFIX}project[0]: 2 dead letters counted, 1 kept": "DELETE FROM runfold.dead_letter"
    " WHERE id = (SELECT max(id) FROM runfold.dead_letter)",
    "elsewhere[7]: 1 dead letters outside what was read": "INSERT INTO runfold.dead_letter"
    ' (topic, partition, "offset", headers, value, reason, message, generations)'
    " VALUES ('elsewhere', 7, 1, '[]', '', 'malformed', '', '{main}')",
    **{
        f"run_counter: level {level} ": "UPDATE run_counter SET total = total + 1"
        f" WHERE ({COUNTER}) = (SELECT {COUNTER} FROM run_counter WHERE level = {level} LIMIT 1)"
        for level in LEVELS
    },
    "run_counter: level 0 -infinity ghost running no_evidence: stands at 1, a recount gives 0": ""
    "INSERT INTO run_counter VALUES (0, '-infinity', 'ghost', 'running', 'no_evidence', 0, 1)",
    "incident_counter: INC-": "UPDATE incident_counter SET total = 99 WHERE incident LIKE 'INC-%'",
    "contract_counter: ": "UPDATE contract_counter SET total = total + 1"
    " WHERE lifecycle_status = 'active'",
    "run_incident: INC-20990101-GHOST of run ": "INSERT INTO run_incident"
    " SELECT 'INC-20990101-GHOST', run_id, project_id, state, status, created_at FROM run LIMIT 1",
}
OUTDATED = [f"DELETE FROM run_incident WHERE incident LIKE '{prefix}%'" for prefix in ("INC-", "#")]
OUTDATED += ["UPDATE run_incident SET state = 'lost'"]


async def execute(variables: dict[str, str], statement: str) -> str:
    """Change the views; return how many rows."""
    async with connected(variables["RUNFOLD_DATABASE_URL"]) as connection:
        await connection.execute("SET search_path = g_main")
        return str(await connection.execute(statement))


@pytest.mark.parametrize(
    ("named", "statement"),
    [*DAMAGES.items(), *(("missing or outdated", each) for each in OUTDATED)],
)
def test_the_audit_finds_and_names(variables: dict[str, str], named: str, statement: str) -> None:
    assert not asyncio.run(execute(variables, statement)).endswith(" 0")
    finished = called("audit", variables=variables)
    assert (finished.status, named in finished.out) == (1, True), finished


def test_status_says_positions_ends_dead_letters_and_workers(variables: dict[str, str]) -> None:
    told = json.loads(done("status", "--json", variables=variables))
    assert (told["generation"], told["lag"], told["workers"]) == ("main", 0, [])
    assert len(told["partitions"]) == 20
    assert all(it["position"] == it["end"] for it in told["partitions"])
    assert told["dead_letters"] == [{"reason": "malformed", "state": "parked", "total": 2}]

    first, *lines = done("status", variables=variables).splitlines()
    assert first == "generation main, 0 events behind"
    assert "dead letter reason=malformed state=parked total=2" in lines
    named = f"partition topic={PREFIX}run-state partition=0 position="
    assert [line for line in lines if line.startswith(named)]

    # what the database knows is said when the broker is away
    away = {**variables, "RUNFOLD_KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    finished = called("status", "--json", variables=away)
    assert finished.status == 0
    (said,) = finished.err.splitlines()
    assert said.startswith("runfold: the broker at 127.0.0.1:1 does not answer")
    told = json.loads(finished.out)
    assert {it["end"] for it in told["partitions"]} == {None}
    assert sum(it["position"] for it in told["partitions"]) == ALL

    # a worker that has not reported for long is gone
    partitions = json.dumps([{"topic": f"{PREFIX}project", "partition": 0, "end": 1000}])
    statement = (
        "INSERT INTO runfold.worker (worker_id, host, pid, generation, partitions, seen_at) VALUES"
        f" ('w1', 'h', 7, 'main', '{partitions}', clock_timestamp() - interval '31 seconds')"
    )
    asyncio.run(execute(variables, statement))
    told = json.loads(done("status", "--json", variables=variables))
    (worker,) = told["workers"]
    assert (worker["worker_id"], worker["partitions"], worker["is_gone"]) == ("w1", 1, True)
    assert told["lag"] == 0


def test_dead_letters_are_listed_shown_and_decided_on(variables: dict[str, str]) -> None:
    def letters(*arguments: str) -> str:
        return done("dead-letters", *arguments, variables=variables)

    lines = letters("list").splitlines()
    assert len(lines) == 2
    assert all("reason=malformed state=parked" in line for line in lines)
    newer, older = (line.split("id=")[1].split()[0] for line in lines)
    shown = letters("show", newer)
    assert '{"specversion":"1.0"}\\x1b[31m' in shown
    assert "\x1b" not in shown

    both = refused("dead-letters", "retry", older, newer, "--by", "ann", variables=variables)
    assert f"dead letter {older} stays parked: malformed" in both
    assert f"dead letter {newer} stays parked: malformed" in both
    assert letters("discard", older, "--by", "ann") == f"dead letter {older} discarded\n"
    again = refused("dead-letters", "discard", older, "--by", "bob", variables=variables)
    assert f"dead letter {older} is discarded already" in again

    assert "changed_by: ann" in letters("show", older)
    assert letters("list", "--state", "discarded").startswith(f"dead letter id={older} ")
    assert letters("list", "--reason", "payload") == ""
    assert letters("list", "--limit", "1").startswith(f"dead letter id={newer} ")
    assert "every offset" in done("audit", variables=variables)


@pytest.mark.parametrize("command", ["audit", "dead-letters list", "generations list"])
def test_a_database_without_views_says_what_to_do(postgres: EmbeddedPostgres, command: str) -> None:
    line = refused(*command.split(), variables={"RUNFOLD_DATABASE_URL": postgres.url})
    assert "no runfold schema" in line
    assert "`runfold migrate`" in line


def test_publishing_stops_at_a_wrong_line_or_a_missing_topic(variables: dict[str, str]) -> None:
    lines = TOMBSTONE + b'{"topic":"projects"}\n'
    line = refused("publish", "-", variables=variables, stdin=lines, status=2)
    assert line.startswith("runfold: standard input, line 2: ")
    nowhere = {**variables, "RUNFOLD_TOPIC_PREFIX": "nowhere."}
    line = refused("publish", "-", variables=nowhere, stdin=HISTORY[0].line)
    assert "nowhere.project" in line
