"""Every answer is of the shape that the OpenAPI document promises: no member more, none less."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.app import create_app
from tests.api_rows import Client, numbered, of_history, project, serving, settings_for
from tests.histories import history
from tests.unit.event_samples import OTHER, RUN, least, most

DOCUMENT = create_app(settings_for("postgresql://127.0.0.1/nowhere")).openapi()
ENDLESS = {"/v1/stream"}
"""An answer without an end is tested as it comes."""
GETS = {
    path: item["get"]
    for path, item in DOCUMENT["paths"].items()
    if "get" in item and path not in ENDLESS
}


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    suffixes = ("run-state", "approval-command", "project")
    await project(database_url, of_history(history(3, 500, bad=True)))
    await project(database_url, numbered([(each, most(each)) for each in suffixes], partition=1))
    async with serving(database_url) as client:
        yield client


def promised(path: str, status: str) -> Draft202012Validator:
    """What the document promises of an answer."""
    (described,) = GETS[path]["responses"][status]["content"].values()
    schema = {**described["schema"], "components": DOCUMENT["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def examples(client: Client) -> list[tuple[str, str]]:
    """Every path of the document, and the same with ids of what there is."""
    runs = (await client.get("/v1/runs", per_page=200))["runs"]
    letters = (await client.get("/v1/ops/dead-letters", roles=["operator"]))["dead_letters"]
    ids: dict[str, list[Any]] = {
        "run_id": [run["run_id"] for run in runs],
        "command_id": [OTHER],
        "id": [letter["id"] for letter in letters],
    }
    assert all(ids.values())
    found = [(path, path) for path in GETS if "{" not in path and path.startswith("/v1/")]
    for path in GETS:
        for name, values in ids.items():
            if f"{{{name}}}" in path:
                found += [(path, path.format(**{name: value})) for value in values]
    return found


async def test_every_answer_has_its_promised_shape(client: Client) -> None:
    seen: set[str] = set()
    for path, concrete in await examples(client):
        answer = await client.ask(concrete, roles=["operator"])
        assert answer.status_code == 200, concrete
        promised(path, "200").validate(answer.json())
        for header in GETS[path]["responses"]["200"]["headers"]:
            assert header in answer.headers, (path, header)
        seen.add(path)
    assert seen == {path for path in GETS if path.startswith("/v1/")}


async def test_every_member_that_is_promised_is_required() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name != "ProblemDetails" and "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"]), name
            assert schema["additionalProperties"] is False, name


async def test_every_problem_has_its_promised_shape(client: Client) -> None:
    for path in GETS:
        for status, response in GETS[path]["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    shape = promised("/v1/runs", "422")
    for answer in (
        await client.ask("/v1/runs", page=["x", "y"]),
        await client.ask("/v1/runs", page="x"),
        await client.ask("/v1/nowhere"),
        await client.ask("/v1/ops/projection"),
        await client.http.get("/v1/runs"),
        await client.http.post("/v1/runs"),
        await client.http.get("/readyz"),
    ):
        shape.validate(answer.json())


async def test_money_is_a_number_with_all_its_digits(client: Client, database_url: str) -> None:
    digits = "1234567890123456789.0123456789012345678"
    run = json.dumps(least("run-state") | {"entityversion": 9})
    costly = run.replace('"agent_id"', f'"cost_usd": {digits}, "agent_id"').encode()
    await project(database_url, numbered([("run-state", costly)], partition=2))
    detail = await client.get(f"/v1/runs/{RUN}")
    assert detail["run"]["cost_usd"] == Decimal(digits)
    (listed,) = [
        run for run in (await client.get("/v1/runs", per_page=200))["runs"] if run["run_id"] == RUN
    ]
    assert listed["cost_usd"] == Decimal(digits)
    assert isinstance(listed["cost_usd"], Decimal)
