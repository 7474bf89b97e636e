"""Every view but the run list, read over the API and held against the reference model."""

import itertools
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from api.app import create_app
from tests import reference
from tests.api_rows import Client, of_history, project, serving, settings_for
from tests.histories import history
from tests.reference import Record, load
from tests.unit.event_samples import OTHER, RUN, as_bytes, least, most

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCIDENT = "INC-20260518-AB12"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
COSTLY = "ffffffff-0000-4000-8000-000000000000"
COST = "1234567890123456789.0123456789012345678"
MANY = 120
PREFIXES = ["a%", "a_", "a\\", "\ud7ff", "z\U0010ffff", "\U0010ffff", "é"]
PROVIDER_IDS = {"aX", "ab", "\ue000", "zz", "e"} | {
    text for prefix in PREFIXES for text in (prefix, prefix + "x", prefix + "\U0010ffff")
}
KINDS = ["run", "state", "inbound", "step", "approval", "mcp", "remediation", "outbound"]


def many() -> list[tuple[str, dict[str, Any]]]:
    """More of everything than the detail of `RUN` lists, and one of all that can be said."""
    found = [(suffix, most(suffix)) for suffix in ("run-state", "approval-command", "project")]
    for n in range(MANY):
        uuid = str(UUID(int=n + 1))
        found += [
            ("step-journal", least("step-journal", step_id=f"n{n:03}", step_seq=n)),
            ("outbound-message", least("outbound-message", message_id=f"n{n:03}")),
            ("conversation-event", least("conversation-event", event_id=uuid, run_id=RUN)),
            ("mcp-gateway-audit", least("mcp-gateway-audit", call_id=f"n{n:03}")),
            ("mcp-legacy-audit", least("mcp-legacy-audit", id=f"r{n:03}", incident_id=INCIDENT)),
        ]
        evidence = least("remediation-evidence", id=1000 + n, work_item_id=f"w{n}")
        found.append(("remediation-evidence", evidence))
    return found


def records() -> list[Record]:
    found = history(21, 700, bad=True)
    found += [Record(suffix, None, as_bytes(event)) for suffix, event in many()]
    for number, some in enumerate(sorted(PROVIDER_IDS)):
        event_id = f"{number:08}{OTHER[8:]}"
        event = least("conversation-event", event_id=event_id, provider_event_id=some)
        found.append(Record("conversation-event", None, as_bytes(event)))
    run = json.dumps(least("run-state", run_id=COSTLY))
    costly = run.replace('"agent_id"', f'"cost_usd": {COST}, "agent_id"').encode()
    return [*found, Record("run-state", None, costly)]


RECORDS = records()
PLATFORM = load(RECORDS)
BEARERS: list[list[str] | None] = [None, ["專案", "Beta"], ["alpha"], []]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_url: str) -> AsyncIterator[Client]:
    await project(shared_url, of_history(RECORDS))
    async with serving(shared_url) as client:
        yield client


def seen_by(mine: list[str] | None, **query: Any) -> dict[str, Any]:
    """A question of a bearer of these projects."""
    return {"projects": ["*"] if mine is None else mine, **query}


@pytest.mark.parametrize("mine", BEARERS)
async def test_projects_and_approvals(client: Client, mine: list[str] | None) -> None:
    told = await client.get("/v1/projects", **seen_by(mine))
    expected = reference.projects(PLATFORM, mine)
    assert (told["tenants"], told["total"]) == (expected, len(expected))
    statuses = [None, ["blocked"], ["no_evidence", "mcp_observed", "observed"]]
    for decided, status in itertools.product([False, True], statuses):
        asked = seen_by(mine, include_decided=str(decided).lower(), remediation_status=status)
        expected = reference.approvals(
            PLATFORM, mine, remediation_statuses=status, include_decided=decided
        )
        told = await client.get("/v1/approvals", **asked)
        assert told["approvals"] == told["items"] == expected
        assert told["total"] == len(expected)


@pytest.mark.parametrize("mine", BEARERS)
async def test_contracts(client: Client, mine: list[str] | None) -> None:
    revisions = reference.contracts(PLATFORM)
    assert len(revisions) > 3
    statuses = {revision["lifecycle_status"] for revision in revisions}
    for status, limit in itertools.product([None, *statuses, "none such"], [1, 3, 500]):
        expected = reference.contracts(PLATFORM, mine, lifecycle_status=status)
        asked = seen_by(mine, limit=limit, lifecycle_status=status)
        assert await client.pages("/v1/contracts", "contracts", **asked) == expected


@pytest.mark.parametrize("mine", BEARERS)
async def test_channel_events(client: Client, mine: list[str] | None) -> None:
    events = reference.channel_events(PLATFORM, limit=100)
    channels = [None, *{event["channel_type"] for event in events}]
    ids = {event["provider_event_id"] for event in events if event["provider_event_id"]}
    prefixes = {None, "%", "_", *PREFIXES, *(some[:length] for some in ids for length in (1, 99))}
    for channel, prefix, limit in itertools.product(channels, prefixes, [1, 100]):
        expected = reference.channel_events(
            PLATFORM, mine, channel_type=channel, provider_prefix=prefix, limit=limit
        )
        asked = seen_by(mine, channel_type=channel, provider_prefix=prefix, limit=limit)
        told = await client.get("/v1/channel-events", **asked)
        assert (told["events"], told["total"], told["limit"]) == (expected, len(expected), limit)


async def test_a_detail_shows_the_first_of_each_list_and_counts_all(client: Client) -> None:
    for asked, used in (({}, 50), ({"limit": 101}, 100)):
        told = await client.get("/v1/channel-events", **asked)
        assert (len(told["events"]), told["total"], told["limit"]) == (used, used, used)
    expected = reference.run_detail(PLATFORM, RUN)
    assert expected is not None
    detail = await client.get(f"/v1/runs/{RUN}")
    for name in expected.keys() - {"timeline"}:
        assert detail[name] == expected[name], name
    for name in ("steps", "inbound_events", "outbound_messages", "mcp_calls"):
        assert (len(detail[name]), detail["counts"][name]) == (100, MANY)
    legacy, remedies = detail["mcp_legacy"], detail["remediation_history"]
    assert (len(legacy["records"]), legacy["total"], legacy["limit"]) == (100, MANY, 100)
    assert (len(remedies["items"]), remedies["total"], remedies["limit"]) == (20, MANY, 20)
    assert detail["timeline"] == expected["timeline"][:100]
    path = f"/v1/runs/{RUN}/timeline"
    assert (await client.get(path))["timeline"] == detail["timeline"]
    cursor = detail["timeline_next_cursor"]
    rest = await client.pages(path, "timeline", cursor=cursor, limit=500)
    assert rest == expected["timeline"][100:]


LONGEST = max(
    (reference.run_detail(PLATFORM, run["run_id"]) or {} for run in reference.run_list(PLATFORM)),
    key=lambda it: (
        it["run"]["run_id"] != RUN,
        len({e["kind"] for e in it["timeline"]}),
        len(it["timeline"]),
    ),
)
"""Of the history's runs one with the most kinds of entry."""
TIMELINE = f"/v1/runs/{LONGEST['run']['run_id']}/timeline"


async def test_pages_make_up_the_timeline_of_every_choice_of_kinds(client: Client) -> None:
    assert len({entry["kind"] for entry in LONGEST["timeline"]}) >= 6
    for limit in (1, 2, 5, 500):
        whole = await client.pages(TIMELINE, "timeline", limit=limit)
        assert whole == LONGEST["timeline"]
    for kinds in itertools.chain.from_iterable(itertools.combinations(KINDS, n) for n in (1, 2, 7)):
        expected = [entry for entry in LONGEST["timeline"] if entry["kind"] in kinds]
        found = await client.pages(TIMELINE, "timeline", kind=list(kinds), limit=3)
        assert found == expected, kinds


async def test_a_cursor_belongs_to_its_list_and_filter(client: Client) -> None:
    cursor = (await client.get(TIMELINE, limit=1))["next_cursor"]
    same = f"/v1/runs/{LONGEST['run']['run_id'].upper()}/timeline"
    assert (await client.get(same, cursor=cursor))["timeline"]
    of_contracts = (await client.get("/v1/contracts", limit=1))["next_cursor"]
    await client.fails(TIMELINE, 422, "bad_cursor", cursor=cursor, kind="run")
    for run in (RUN, UNKNOWN):
        await client.fails(f"/v1/runs/{run}/timeline", 422, "bad_cursor", cursor=cursor)
    where = {"cursor": of_contracts, "lifecycle_status": "active"}
    await client.fails("/v1/contracts", 422, "bad_cursor", **where)
    await client.fails("/v1/runs", 422, "bad_cursor", cursor=of_contracts)


@pytest.mark.parametrize("path", ["/v1/runs/{}", "/v1/runs/{}/timeline"])
async def test_a_run_that_is_not_there(client: Client, path: str) -> None:
    await client.fails(path.format(UNKNOWN), 404, "run_not_found")
    await client.fails(path.format(RUN), 404, "run_not_found", project_id="not-p0")
    for bad in ("1", UNKNOWN.replace("-", ""), "{" + UNKNOWN + "}", UNKNOWN + "%0A"):
        await client.fails(path.format(bad), 422, "invalid_parameter")
    await client.get(path.format(RUN), project_id="p0")


async def test_money_is_a_number_with_all_its_digits(client: Client) -> None:
    detail = await client.get(f"/v1/runs/{COSTLY}")
    runs = (await client.get("/v1/runs", per_page=200))["runs"]
    (listed,) = [run for run in runs if run["run_id"] == COSTLY]
    for cost in (detail["run"]["cost_usd"], listed["cost_usd"]):
        assert (cost, type(cost)) == (Decimal(COST), Decimal)


DOCUMENT = create_app(settings_for("postgresql://127.0.0.1/nowhere")).openapi()
# The answer of the stream has no end; those without a version have tests of their own.
GETS = {
    path: item["get"]
    for path, item in DOCUMENT["paths"].items()
    if "get" in item and path.startswith("/v1/") and path != "/v1/stream"
}


def promised(path: str, status: str) -> Draft202012Validator:
    """What the OpenAPI document promises of an answer."""
    (described,) = GETS[path]["responses"][status]["content"].values()
    schema = {**described["schema"], "components": DOCUMENT["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def test_every_answer_has_its_promised_shape(client: Client) -> None:
    runs = (await client.get("/v1/runs", per_page=200))["runs"]
    letters = (await client.get("/v1/ops/dead-letters", roles=["operator"]))["dead_letters"]
    ids: dict[str, list[Any]] = {"command_id": [OTHER], "id": [each["id"] for each in letters]}
    ids["run_id"] = [run["run_id"] for run in runs]
    assert all(ids.values())
    for path, operation in GETS.items():
        names = [name for name in ids if f"{{{name}}}" in path]
        for values in itertools.product(*(ids[name] for name in names)):
            concrete = path.format(**dict(zip(names, values, strict=True)))
            answer = await client.ask(concrete, roles=["operator"])
            assert answer.status_code == 200, concrete
            promised(path, "200").validate(answer.json())
            headers = operation["responses"]["200"]["headers"]
            assert answer.headers.keys() >= {name.lower() for name in headers}


async def test_every_member_is_required_and_every_problem_has_its_shape(client: Client) -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name != "ProblemDetails" and "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"]), name
            assert schema["additionalProperties"] is False, name
    for path, operation in GETS.items():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    shape = promised("/v1/runs", "422")
    for path in ("/v1/runs?page=x&page=y", "/v1/nowhere", "/v1/ops/projection"):
        shape.validate((await client.ask(path)).json())
    for method, path in (("GET", "/v1/runs"), ("POST", "/v1/runs"), ("GET", "/readyz")):
        shape.validate((await client.http.request(method, path)).json())
