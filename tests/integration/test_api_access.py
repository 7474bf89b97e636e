"""Every endpoint: who may ask, what may be asked, and that an error is a problem."""

import itertools
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from api.app import create_app
from tests.api_rows import Client, bearer, problem_of, serving, settings_for

ANY_ID = "00000000-0000-4000-8000-000000000000"
OPEN = {"/healthz", "/readyz", "/metrics", "/.well-known/jwks.json"}
DOCUMENT = create_app(settings_for("postgresql://127.0.0.1/nowhere")).openapi()
ENDLESS = {"/v1/stream"}
"""An answer that is none of a problem has no end: tested on a server of its own."""
READS = {
    path: item["get"]
    for path, item in DOCUMENT["paths"].items()
    if "get" in item and path not in ENDLESS
}


def named(path: str) -> str:
    """The path with good ids in it."""
    return path.format(run_id=ANY_ID, command_id=ANY_ID, id=1)


PATHS = [named(path) for path in READS if path not in OPEN]
COMMANDS = [named(path) for path, item in DOCUMENT["paths"].items() if "post" in item]
OPERATIONS = [path for path in PATHS if path.startswith("/v1/ops/")]
VIEWS = [path for path in PATHS if path not in OPERATIONS]
BAD_TEXT = ["a\0b", "x" * 8193, "\0"]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with serving(database_url) as client:
        yield client


def test_every_endpoint_is_known_to_be_open_or_closed() -> None:
    open_to_all = {
        path
        for path, item in DOCUMENT["paths"].items()
        for operation in item.values()
        if "security" not in operation
    }
    assert open_to_all == OPEN
    assert (len(PATHS), len(COMMANDS)) == (12, 3)


async def test_without_a_good_token_nothing_is_told(client: Client) -> None:
    given = {
        None: "missing_token",
        "Basic YTpi": "missing_token",
        "Bearer": "missing_token",
        "Bearer x": "invalid_token",
        "bearer a.b.c": "invalid_token",
    }
    asked = [("GET", path) for path in [*PATHS, *ENDLESS]]
    asked += [("POST", path) for path in COMMANDS]
    for method, path in asked:
        for header, code in given.items():
            headers = {"Authorization": header} if header else {}
            # Not even whether the parameters are right.
            answer = await client.http.request(
                method, f"{path}?unknown=1&page=x&page=y", headers=headers
            )
            problem_of(answer, 401, code)
            assert answer.headers["www-authenticate"].startswith('Bearer realm="runfold"')
            assert ('error="invalid_token"' in answer.headers["www-authenticate"]) == (
                code == "invalid_token"
            )


async def test_a_secret_and_a_jwks_verify_nothing_else(client: Client, database_url: str) -> None:
    others = {"auth_issuer": "other"}, {"auth_audience": "other"}, {"auth_hs256_secret": "x" * 40}
    for other in others:
        stranger = bearer(settings_for(database_url, **other))
        problem_of(await client.http.get("/v1/runs", headers=stranger), 401, "invalid_token")


async def test_roles(client: Client) -> None:
    for path in PATHS:
        for roles in ([], ["admin"], ["Operator"]):
            await client.fails(path, 403, "forbidden", roles=roles)
        for roles in (["viewer"], ["approver"], ["viewer", "approver"], ["operator"]):
            answer = await client.ask(path, roles=roles)
            if path in OPERATIONS and "operator" not in roles:
                problem_of(answer, 403, "forbidden")
            else:
                assert answer.status_code in {200, 404}


async def test_what_no_endpoint_takes(client: Client) -> None:
    for path in (*PATHS, *OPEN):
        problem = await client.fails(path, 422, "invalid_parameter", roles=["operator"], foo="1")
        assert problem["errors"] == [{"parameter": "foo", "detail": "there is no such parameter"}]


def placed(path: str, parameter: dict[str, Any], value: str) -> str:
    """The URL with this value in this parameter, and good ones in its path."""
    good = {"run_id": ANY_ID, "command_id": ANY_ID, "id": "1"}
    if parameter["in"] == "path":
        return path.format(**good | {parameter["name"]: quote(value, safe="")})
    return f"{path.format(**good)}?{urlencode({parameter['name']: value})}"


async def test_every_parameter_refuses_what_it_cannot_be(client: Client) -> None:
    """Whatever is put into any parameter, the answer is never a fault of the server's."""
    values = [*BAD_TEXT, "", "٣", "1" * 30, "-1", "1e3", " 1", "null", "%", "'", "\\", "\U0010ffff"]
    asked = 0
    for path, operation in READS.items():
        known = [each for each in operation.get("parameters", []) if each["in"] != "header"]
        for parameter, value in itertools.product(known, values):
            answer = await client.ask(placed(path, parameter, value), roles=["operator"])
            assert answer.status_code in {200, 404, 422}, (path, parameter["name"], value)
            if answer.status_code == 422:
                assert answer.json()["errors"][0]["parameter"] == parameter["name"]
            elif parameter["in"] == "query":
                assert value not in BAD_TEXT
            asked += 1
    assert asked > 500


SINGLE = [
    ("/v1/runs", "page", "1"),
    ("/v1/runs", "per_page", "5"),
    ("/v1/runs", "incident_id", "INC-20260518-AAAA"),
    ("/v1/runs", "created_after", "2026-05-18T00:00:00Z"),
    ("/v1/runs", "cursor", "x"),
    (f"/v1/runs/{ANY_ID}", "project_id", "p"),
    (f"/v1/runs/{ANY_ID}/timeline", "limit", "5"),
    ("/v1/approvals", "include_decided", "true"),
    ("/v1/channel-events", "provider_prefix", "x"),
    ("/v1/contracts", "lifecycle_status", "x"),
    ("/v1/projects", "wait_timeout", "1"),
]
REPEATED = [
    ("/v1/runs", "project_id", "p"),
    ("/v1/runs", "state", "failed"),
    ("/v1/runs", "remediation_status", "blocked"),
    ("/v1/runs/counts", "project_id", "p"),
    ("/v1/runs", "wait_for", "t:0:0"),
]


@pytest.mark.parametrize(("path", "name", "value"), SINGLE)
async def test_a_single_value_is_given_once(
    client: Client, path: str, name: str, value: str
) -> None:
    problem = await client.fails(path, 422, "invalid_parameter", **{name: [value, value]})
    assert problem["errors"] == [{"parameter": name, "detail": "it may be given once"}]


@pytest.mark.parametrize(("path", "name", "value"), REPEATED)
async def test_a_list_is_given_as_often_as_one_likes(
    client: Client, path: str, name: str, value: str
) -> None:
    query: dict[str, Any] = {name: [value, value]}
    answer = await client.ask(path, wait_timeout=0, **query)
    assert answer.status_code == (503 if name == "wait_for" else 200)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("/v1/runs", {"page": "0"}),
    ("/v1/runs", {"page": str(10**30)}),
    ("/v1/runs", {"page": "1.0"}),
    ("/v1/runs", {"page": "+1"}),
    ("/v1/runs", {"page": "１"}),
    ("/v1/runs", {"per_page": "0"}),
    ("/v1/runs", {"per_page": "201"}),
    ("/v1/runs", {"remediation_status": "none"}),
    ("/v1/runs", {"remediation_status": ["blocked", "Blocked"]}),
    ("/v1/runs", {"state": "Failed"}),
    ("/v1/runs", {"state": "x" * 33}),
    ("/v1/runs", {"incident_id": "INC-20260518-AAA"}),
    ("/v1/runs", {"incident_id": "xINC-20260518-AAAA"}),
    ("/v1/runs", {"incident_id": "INC-20260518-AAAA "}),
    ("/v1/runs", {"incident_id": "INC-20260518-AAAA\n"}),
    ("/v1/runs", {"incident_id": "INC-２0260518-AAAA"}),
    ("/v1/runs", {"incident_id": "inc-20260518-aaaa"}),
    ("/v1/runs", {"created_after": "2026-05-18"}),
    ("/v1/runs", {"created_after": "1747548108"}),
    ("/v1/runs", {"created_before": "2026-02-30T00:00:00Z"}),
    ("/v1/runs", {"created_before": "2026-05-18T24:00:01Z"}),
    ("/v1/runs", {"created_before": "0001-01-01T00:00:00+01:00"}),
    ("/v1/runs", {"cursor": ""}),
    ("/v1/runs", {"project_id": ""}),
    ("/v1/runs", {"project_id": "x" * 129}),
    ("/v1/runs", {"wait_for": "t:0"}),
    ("/v1/runs", {"wait_for": "t:-1:0"}),
    ("/v1/runs", {"wait_for": "t:0:1:2"}),
    ("/v1/runs", {"wait_for": "t:٣:1"}),
    ("/v1/runs", {"wait_for": f"t:0:{10**18}"}),
    ("/v1/runs", {"wait_timeout": "10.1"}),
    ("/v1/runs", {"wait_timeout": "-0.1"}),
    ("/v1/runs", {"wait_timeout": "nan"}),
    ("/v1/runs", {"wait_timeout": "inf"}),
    ("/v1/channel-events", {"limit": "0"}),
    ("/v1/contracts", {"limit": "501"}),
    (f"/v1/runs/{ANY_ID}/timeline", {"kind": ["run", "walk"]}),
    ("/v1/approvals", {"include_decided": "1"}),
    ("/v1/approvals", {"include_decided": "True"}),
    ("/v1/approvals", {"run_id": "x"}),
    ("/v1/ops/dead-letters", {"reason": "bad"}),
    ("/v1/ops/dead-letters", {"status": "gone"}),
]


@pytest.mark.parametrize(("path", "query"), BAD)
async def test_a_bad_value_is_named(client: Client, path: str, query: dict[str, Any]) -> None:
    answer = await client.ask(path, roles=["operator"], **query)
    code = "bad_cursor" if query.get("cursor") else "invalid_parameter"
    problem = problem_of(answer, 422, code)
    (name,) = query
    assert [error["parameter"] for error in problem["errors"]] == [name]
    assert problem["detail"].startswith(f"{name}: ")


async def test_several_bad_values_are_all_named(client: Client) -> None:
    problem = await client.fails("/v1/runs", 422, "invalid_parameter", page="x", per_page="y", z=1)
    assert {error["parameter"] for error in problem["errors"]} == {"page", "per_page", "z"}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nowhere", "/v1/runs/", "/docs", "/redoc"])
async def test_a_path_that_is_not_there(client: Client, path: str) -> None:
    answer = await client.ask(path)
    problem_of(answer, 404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_a_method_that_is_not_there(client: Client, method: str) -> None:
    answer = await client.http.request(method, "/v1/runs")
    problem_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


async def test_the_metrics_name_routes_and_no_paths(client: Client) -> None:
    await client.ask(f"/v1/runs/{ANY_ID}")
    await client.ask("/v1/some/thing")
    told = (await client.http.get("/metrics")).text
    assert 'method="GET",route="/v1/runs/{run_id}",status="404"} 1.0' in told
    assert 'method="unknown",route="unknown",status="404"} 1.0' in told
    assert 'runfold_api_request_seconds_count{method="GET",route="/v1/runs/{run_id}"} 1.0' in told
    assert ANY_ID not in told
    assert "some" not in told


async def test_the_keys_of_approvals(client: Client) -> None:
    assert (await client.http.get("/.well-known/jwks.json")).json() == {"keys": []}
