"""A project that is not the bearer's does not exist: in the API, and inside the database."""

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
import pytest_asyncio
from sqlalchemy import Table

from contracts.read_model import (
    ALL_PROJECTS_SETTING,
    OPERATOR_SETTING,
    PROJECTS_SETTING,
    READER_ROLE,
    metadata,
)
from tests.api_rows import SECRET as SECRET_OF_TOKENS
from tests.api_rows import Client, numbered, project, serving
from tests.unit.event_samples import OPTIONAL, REQUIRED, envelope, least

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE, THEIRS = "mine", "theirs"
MY_RUN = "11111111-0000-4000-8000-000000000000"
THEIR_RUN = "22222222-0000-4000-8000-000000000000"
MY_COMMAND = "33333333-0000-4000-8000-000000000000"
THEIR_COMMAND = "44444444-0000-4000-8000-000000000000"
UNKNOWN = "55555555-0000-4000-8000-000000000000"
INCIDENT = "INC-20260518-AAAA"
SECRET = "classified"
"""Stands in every text that is theirs."""

# Ids that would be somebody else's if they were pasted into an array or a pattern.
AWKWARD = ["mine,theirs", '"theirs"', "{theirs}", "theirs\\", "theirs'", " theirs"]
AWKWARD += ["*", "%", "NULL"]
TABLES = list(metadata.sorted_tables)
OF_PROJECTS = [table for table in TABLES if "project_id" in table.c]


def events_of(owner: str, run_id: str, command_id: str, text: str) -> list[tuple[str, Any]]:
    """One event of each kind, every field filled, all free text replaced by `text`."""
    ids = {"run_id": run_id, "command_id": command_id, "event_id": command_id, "project_id": owner}
    ids |= {"incident_id": INCIDENT, "trigger_ref": INCIDENT}
    ids |= {"provider_event_id": "shared", "state": "waiting_approval"}
    given = []
    for suffix in REQUIRED:
        data = REQUIRED[suffix] | OPTIONAL[suffix]
        for name, value in data.items():
            if name in ids:
                data[name] = ids[name]
            elif name.endswith("_id") or name == "id":
                data[name] = f"{owner}-{value}"
            elif is_free(value):
                data[name] = text
        given.append((suffix, envelope(suffix, data) | {"entityversion": 3, "id": f"e-{owner}"}))
    return given


def is_free(value: Any) -> bool:
    words = {"approve", "reject", "running", "cancelled", "0.375"}
    return isinstance(value, str) and not value.startswith("2026-") and value not in words


def intruders() -> list[tuple[str, Any]]:
    """Their events that name my run."""
    texts = {"tool_name": SECRET, "content_preview": SECRET, "reason": SECRET}
    named = {"step-journal": "step_id", "outbound-message": "message_id"}
    named |= {"mcp-gateway-audit": "call_id"}
    mine = texts | {"run_id": MY_RUN, "project_id": THEIRS}
    return [
        (suffix, envelope(suffix, REQUIRED[suffix] | mine | {name: "intruder"}))
        for suffix, name in named.items()
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(shared_url: str) -> str:
    """A database with two projects that share an incident and a provider's event id."""
    given = [
        *events_of(MINE, MY_RUN, MY_COMMAND, "mine alone"),
        *events_of(THEIRS, THEIR_RUN, THEIR_COMMAND, SECRET),
        *intruders(),
        ("project", b"no event"),
        *(("project", least("project", project_id=awkward)) for awkward in AWKWARD),
    ]
    await project(shared_url, numbered(given))
    return shared_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(filled: str) -> AsyncIterator[Client]:
    async with serving(filled) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def reader(filled: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with the API's role."""
    session = {"role": READER_ROLE, "search_path": "g_main"}
    connection = await asyncpg.connect(filled, server_settings=session)
    yield connection
    await connection.close()


async def see(
    reader: asyncpg.Connection, table: Table, settings: Mapping[str, str | None]
) -> set[str | None]:
    """The projects of the rows that the reader sees of a table."""
    async with reader.transaction():
        for name, value in settings.items():
            if value is not None:
                await reader.execute("SELECT set_config($1, $2, true)", name, value)
        rows = await reader.fetch(f"SELECT DISTINCT project_id FROM {table.name}")
        return {row["project_id"] for row in rows}


@pytest.mark.parametrize("all_projects", [None, "off", "", "true", "ON"])
async def test_no_setting_of_a_request_shows_another_projects_row(
    reader: asyncpg.Connection, all_projects: str | None
) -> None:
    bearers: list[list[str] | None] = [[MINE], [], [MINE, *AWKWARD], None]
    for projects, operator in itertools.product(bearers, [None, "on", "off"]):
        literal = await reader.fetchval("SELECT $1::text[]::text", projects)
        settings = {PROJECTS_SETTING: literal, ALL_PROJECTS_SETTING: all_projects}
        settings |= {OPERATOR_SETTING: operator}
        for table in OF_PROJECTS:
            nobodys = {None} if table.name == "evidence" else set()
            assert await see(reader, table, settings) <= {*(projects or []), *nobodys}, table.name
    # all is seen by who may see all, until the transaction ends
    everything = {ALL_PROJECTS_SETTING: "on", OPERATOR_SETTING: "on", PROJECTS_SETTING: "{theirs}"}
    for table in OF_PROJECTS:
        assert await see(reader, table, {ALL_PROJECTS_SETTING: "on"}) >= {MINE, THEIRS}, table.name
        assert THEIRS in await see(reader, table, everything)
        assert await see(reader, table, {}) <= {None}


async def test_dead_letters_are_for_operators_of_all_projects(reader: asyncpg.Connection) -> None:
    """A record that is no event is of no project: one who may not see all must not see it."""
    chosen = "SELECT set_config($1, $2, true), set_config($3, $4, true), set_config($5, $6, true)"
    everything, operator = (ALL_PROJECTS_SETTING, "on"), (OPERATOR_SETTING, "on")
    mine = (PROJECTS_SETTING, f"{{{MINE}}}")
    for no in (None, "off", "", "true"):
        for settings, seen in (
            ((*mine, *everything, OPERATOR_SETTING, no), 0),
            ((*mine, ALL_PROJECTS_SETTING, no, *operator), 0),
            ((*mine, *everything, *operator), 1),
        ):
            async with reader.transaction():
                await reader.execute(chosen, *settings)
                found = await reader.fetchval("SELECT count(*) FROM runfold.dead_letter")
                assert found == seen, settings


FORBIDDEN = [
    "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "TRUNCATE {table}",
    "DROP TABLE {table}",
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "CREATE POLICY open ON {table} USING (true)",
    "CREATE TABLE g_main.other ()",
    "CREATE TABLE runfold.other ()",
    "CREATE SCHEMA other",
    "UPDATE runfold.active_generation SET name = name",
    "INSERT INTO runfold.generation SELECT * FROM runfold.generation",
    "DELETE FROM runfold.worker",
    "ALTER ROLE runfold_reader BYPASSRLS",
]


async def test_the_reader_writes_nothing_and_gets_round_nothing(reader: asyncpg.Connection) -> None:
    columns = {table.name: next(iter(table.c)).name for table in TABLES}
    columns["runfold.dead_letter"] = "requested"
    for statement, (table, column) in itertools.product(FORBIDDEN, columns.items()):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement.format(table=table, column=column))


async def test_row_level_security_is_not_to_be_turned_off(reader: asyncpg.Connection) -> None:
    await reader.execute("SET row_security = off")
    for table in [*metadata.tables, "runfold.dead_letter"]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch(f"SELECT * FROM {table}")
    # a role that is reset stays the reader
    for statement in ("RESET ROLE", "RESET ALL", "DISCARD ALL"):
        await reader.execute(statement)
    assert await reader.fetchval("SELECT current_user") == READER_ROLE


async def get_as(client: Client, path: str, projects: list[str], role: str) -> httpx.Response:
    """Ask as the bearer of exactly these projects, a project called `*` among them."""
    claims = {"iss": "runfold", "aud": "runfold", "sub": "t", "exp": 2**33}
    token = jwt.encode(claims | {"projects": projects, "roles": [role]}, SECRET_OF_TOKENS)
    return await client.http.get(path, headers={"Authorization": f"Bearer {token}"})


LISTS = f"""
    projects contracts contracts?project_id={THEIRS} runs runs?project_id={THEIRS}
    runs?incident_id={INCIDENT} runs?state=waiting_approval runs?created_after=2020-01-01T00:00:00Z
    runs/counts runs/counts?project_id={THEIRS} runs/{MY_RUN} runs/{MY_RUN}/timeline
    channel-events channel-events?project_id={THEIRS} channel-events?provider_prefix=shared
    approvals?include_decided=true approvals?project_id={THEIRS} approvals/commands/{MY_COMMAND}
""".split()


@pytest.mark.parametrize("role", ["viewer", "approver", "operator"])
@pytest.mark.parametrize("bearer", [[MINE], [MINE, *AWKWARD], AWKWARD, []])
async def test_no_answer_tells_of_another_project(
    client: Client, role: str, bearer: list[str]
) -> None:
    for name in [*LISTS, *(["ops/projection"] if role == "operator" else [])]:
        path = f"/v1/{name}"
        assert (await client.ask(path, projects=["*"], roles=[role])).status_code == 200, path
        told = (await get_as(client, path, bearer, role)).text
        for private in (SECRET, f'"{THEIRS}"', f"{THEIRS}-", THEIR_RUN, THEIR_COMMAND):
            assert private not in told, (path, private)
        assert "mine alone" not in told or MINE in bearer, path


async def test_an_operator_of_some_projects_is_told_of_no_dead_letter(client: Client) -> None:
    path = "/v1/ops/dead-letters"
    [parked] = (await client.get(path, roles=["operator"]))["dead_letters"]
    mine = await get_as(client, path, [MINE, *AWKWARD], "operator")
    assert (mine.json()["dead_letters"], mine.json()["total"]) == ([], 0)
    letter = await get_as(client, f"{path}/{parked['id']}", [MINE, *AWKWARD], "operator")
    assert letter.status_code == 404


async def test_my_answers_are_not_empty(client: Client) -> None:
    detail = await client.get(f"/v1/runs/{MY_RUN}", projects=[MINE])
    assert [step["step_id"] for step in detail["steps"]] == ["mine-s1"]
    assert all(detail["counts"].values())
    assert (await client.get("/v1/runs", projects=[MINE]))["total"] == 1
    assert (await client.get("/v1/runs"))["total"] == 2


HIDDEN = f"""
    runs/{{}} runs/{{}}?project_id={THEIRS} runs/{{}}?project_id={MINE} runs/{{}}/timeline
    runs/{{}}/timeline?kind=run approvals?run_id={{}} approvals/commands/{{}}
""".split()


@pytest.mark.parametrize("hidden", HIDDEN)
async def test_what_is_theirs_is_what_does_not_exist(client: Client, hidden: str) -> None:
    path, theirs = f"/v1/{hidden}", THEIR_COMMAND if "commands" in hidden else THEIR_RUN
    absent = await client.ask(path.format(UNKNOWN), projects=[MINE])
    answer = await client.ask(path.format(theirs), projects=[MINE])
    assert (answer.status_code, answer.content) == (absent.status_code, absent.content)
    assert answer.headers.raw == absent.headers.raw
    assert (await client.ask(path.format(theirs), projects=[MINE, THEIRS])).status_code == (
        404 if "=mine" in path else 200
    )
