"""Every endpoint: who may ask, what may be asked, and that an error is a problem."""

import itertools
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from tests.api_rows import Client, bearer, problem_of, serving, settings_for
from tests.applying import fetch
from tests.streams import listening
from tests.unit.event_samples import RUN

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = {"/healthz", "/readyz", "/metrics", "/.well-known/jwks.json"}
GOOD = {"run_id": RUN, "command_id": RUN, "id": "1"}
OPERATIONS = [
    (method.upper(), path, operation)
    for path, known in create_app(settings_for("postgresql://127.0.0.1/x"))
    .openapi()["paths"]
    .items()
    for method, operation in known.items()
]
CLOSED = [(method, path.format(**GOOD)) for method, path, _ in OPERATIONS if path not in OPEN]
# The answer of the stream has no end, but where it is a problem.
PATHS = [path for method, path in CLOSED if method == "GET" and path != "/v1/stream"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_url: str) -> AsyncIterator[Client]:
    async with serving(shared_url) as client:
        yield client


async def test_every_endpoint_is_known_to_be_open_or_closed() -> None:
    assert {path for _, path, operation in OPERATIONS if "security" not in operation} == OPEN
    assert (len(PATHS), len(CLOSED)) == (12, 16)


async def test_without_a_good_token_nothing_is_told(client: Client, shared_url: str) -> None:
    given = dict.fromkeys((None, "Basic YTpi", "Bearer"), "missing_token")
    others = {"auth_issuer": "other"}, {"auth_audience": "other"}, {"auth_hs256_secret": "x" * 40}
    strangers = (bearer(settings_for(shared_url, **other))["Authorization"] for other in others)
    given |= dict.fromkeys(("Bearer x", "bearer a.b.c", *strangers), "invalid_token")
    for (method, path), (header, code) in itertools.product(CLOSED, given.items()):
        headers = {"Authorization": header} if header else {}
        # Not even whether the parameters are right.
        url = f"{path}?unknown=1&page=x&page=y"
        answer = await client.http.request(method, url, headers=headers)
        problem_of(answer, 401, code)
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="runfold"')
        assert ('error="invalid_token"' in challenge) == (code == "invalid_token")


async def test_of_two_tokens_none_counts(client: Client) -> None:
    said = ("Authorization", bearer(client.settings)["Authorization"])
    for headers in ([said, said], [said, ("authorization", "")]):
        answer = await client.http.get("/v1/runs", headers=headers)
        problem_of(answer, 401, "invalid_token")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_roles(client: Client) -> None:
    for path in PATHS:
        for roles in ([], ["admin"], ["Operator"]):
            await client.fails(path, 403, "forbidden", roles=roles)
        for roles in (["viewer"], ["approver"], ["viewer", "approver"], ["operator"]):
            answer = await client.ask(path, roles=roles)
            if path.startswith("/v1/ops/") and "operator" not in roles:
                problem_of(answer, 403, "forbidden")
            else:
                assert answer.status_code in {200, 404}


async def test_what_is_not_there(client: Client) -> None:
    for path in ("/", "/v1", "/v1/nowhere", "/v1/runs/", "/docs", "/redoc"):
        problem_of(await client.http.get(path), 404, "not_found")
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = await client.http.request(method, "/v1/runs")
        problem_of(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"


async def test_what_is_no_list_may_be_given_once(client: Client) -> None:
    for method, path, operation in OPERATIONS:
        for parameter in operation.get("parameters", []):
            if (method, parameter["in"]) != ("GET", "query") or path == "/v1/stream":
                continue
            name = parameter["name"]
            asked: dict[str, Any] = {name: ["1", "1"]}
            answer = await client.ask(path.format(**GOOD), roles=["operator"], **asked)
            once = {"parameter": name, "detail": "it may be given once"}
            is_list = parameter["schema"].get("type") == "array"
            assert (once in answer.json().get("errors", [])) is not is_list, (path, name)


async def test_a_parameter_that_is_not_there(client: Client) -> None:
    for path in (*PATHS, *OPEN):
        problem = await client.fails(path, 422, "invalid_parameter", roles=["operator"], foo="1")
        assert [each["parameter"] for each in problem["errors"]] == ["foo"]
    problem = await client.fails("/v1/runs", 422, "invalid_parameter", page="x", per_page="y", z=1)
    assert {error["parameter"] for error in problem["errors"]} == {"page", "per_page", "z"}


BAD: dict[str, dict[str, list[str | list[str]]]] = {
    "/v1/runs": {
        "page": ["0", str(10**30), "1.0", "+1", "１"],
        "per_page": ["0", "201"],
        "remediation_status": ["none", ["blocked", "Blocked"]],
        "state": ["Failed", "x" * 33],
        "incident_id": ["INC-20260518-AAA", "xINC-20260518-AAAA", "INC-20260518-AAAA\n"],
        "created_after": ["2026-05-18", "1747548108", "2026-02-30T00:00:00Z"],
        "created_before": ["2026-05-18T24:00:01Z", "0001-01-01T00:00:00+01:00"],
        "cursor": [""],
        "project_id": ["", "x" * 129],
        "wait_for": ["t:0", "t:-1:0", "t:0:1:2", "t:٣:1", f"t:0:{10**18}"],
        "wait_timeout": ["10.1", "-0.1", "nan", "inf"],
    },
    "/v1/channel-events": {"limit": ["0"]},
    "/v1/contracts": {"limit": ["501"]},
    f"/v1/runs/{RUN}/timeline": {"kind": [["run", "walk"]]},
    "/v1/approvals": {"include_decided": ["1", "True"], "run_id": ["x"]},
    "/v1/ops/dead-letters": {"reason": ["bad"], "status": ["gone"]},
}


async def test_a_bad_value_is_named(client: Client) -> None:
    for path, name, value in [
        (path, name, it) for path, of in BAD.items() for name, each in of.items() for it in each
    ]:
        asked: dict[str, Any] = {name: value, "roles": ["operator"]}
        problem = await client.fails(path, 422, "invalid_parameter", **asked)
        assert [error["parameter"] for error in problem["errors"]] == [name], (path, value)
        assert problem["detail"].startswith(f"{name}: ")


IMPOSSIBLE = {"a\0b", "x" * 8193, "\0"}
ODD = ["", "٣", "1" * 30, "-1", "1e3", " 1", "null", "%", "'", "\\", "\U0010ffff"]
HOSTILE = ["'; DROP TABLE runfold.command; --", "1' OR '1'='1", "\\'; SELECT pg_sleep(60) --"]
HOSTILE += ["好\u202e\U0001f600e\u0301", "%00%ff", "{1,2}"]
HEADERS = ("Last-Event-ID", "If-Match", "Idempotency-Key", "traceparent", "Accept-Language")
HEADERS_OF_ALL = (*HEADERS, "If-None-Match", "Authorization", "Content-Type")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(shared_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An operator who asks over HTTP."""
    async with listening(shared_url) as served:
        said = bearer(served.settings, roles=["operator"])
        json = {"Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=served.url, headers=said | json, timeout=20) as http:
            yield http


async def answered(http: httpx.AsyncClient, method: str, **asked: Any) -> httpx.Response:
    """The answer; of one without an end, which a stream's is, only the beginning."""
    content = b'{"decision": "approve"}' if method == "POST" else None
    async with http.stream(method, **asked, content=content) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            await answer.aread()
    return answer


async def test_no_text_in_any_parameter_is_a_fault(
    operator: httpx.AsyncClient, shared_url: str
) -> None:
    asked = 0
    for (method, path, operation), text in itertools.product(
        OPERATIONS, [*IMPOSSIBLE, *ODD, *HOSTILE]
    ):
        for parameter in operation.get("parameters", []):
            name, where = parameter["name"], parameter["in"]
            url = path.format(**GOOD | ({name: quote(text, safe="")} if where == "path" else {}))
            params = {name: text} if where == "query" else {}
            answer = await answered(operator, method, url=url, params=params)
            assert answer.status_code in {200, 404, 422}, (method, path, name, text)
            if where != "header" and answer.status_code == 422:
                assert [it["parameter"] for it in answer.json()["errors"]] == [name]
            elif where == "query":
                assert text not in IMPOSSIBLE, (method, path, name)
            asked += 1
    assert asked > 1_000
    assert await fetch(shared_url, "SELECT FROM runfold.command") == []


async def test_no_text_in_any_header_or_name_is_a_fault(operator: httpx.AsyncClient) -> None:
    for (method, path, _), text in itertools.product(OPERATIONS, [*HOSTILE[2:], "x" * 9_000]):
        url = path.format(**GOOD)
        named = await answered(operator, method, url=url, params={text: text})
        assert named.status_code == 422, (method, path, text)
        for name in HEADERS_OF_ALL:
            answer = await answered(operator, method, url=url, headers={name: text.encode()})
            # nobody projects here, so that nothing is ready
            assert answer.status_code < 500 or path == "/readyz", (method, path, name, text)
