"""An API in this process over a database that a worker has filled."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx

from api.app import create_app
from api.settings import ApiSettings
from projector.tokens import make_token
from tests.applying import workers
from tests.records import FakeRecord, record
from tests.reference import Record

SECRET = "tests of the API, thirty-two bytes and more"


def settings_for(database_url: str, **others: Any) -> ApiSettings:
    """Settings with a shared secret, whatever the environment says."""
    chosen = {"auth_hs256_secret": SECRET, "auth_jwks": None, "approval_key": None, **others}
    return ApiSettings(database_url=database_url, **chosen)


def bearer(
    settings: ApiSettings,
    projects: Sequence[str] = ("*",),
    roles: Sequence[str] = ("viewer",),
    seconds: int = 3600,
) -> dict[str, str]:
    """The header of who may see these projects, in these roles, for so long."""
    return {"Authorization": f"Bearer {make_token(settings, 'tester', projects, roles, seconds)}"}


class Client:
    """Asks the API; who asks is said each time, by default a viewer of everything."""

    def __init__(self, http: httpx.AsyncClient, settings: ApiSettings) -> None:
        self.http, self.settings = http, settings

    async def ask(
        self,
        path: str,
        *,
        projects: Sequence[str] = ("*",),
        roles: Sequence[str] = ("viewer",),
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """The answer; a list in the query is a repeated parameter, None is none."""
        said = bearer(self.settings, projects, roles) | (headers or {})
        given = {name: value for name, value in query.items() if value is not None}
        return await self.http.get(path, params=given or None, headers=said)

    async def get(self, path: str, **asked: Any) -> Any:
        """The body of an answer that is no error, numbers with all their digits."""
        answer = await self.ask(path, **asked)
        assert answer.status_code == 200, (path, asked, answer.text)
        return json.loads(answer.content, parse_float=Decimal)

    async def pages(self, path: str, name: str, **asked: Any) -> list[Any]:
        """A list, page after page; each says the total, where it says one, and is full."""
        found: list[Any] = []
        totals = set()
        while True:
            page = await self.get(path, **asked)
            found += page[name]
            totals.add(page.get("total"))
            if page["next_cursor"] is None:
                assert totals <= {None, len(found)}
                return found
            assert len(page[name]) == asked.get("limit", asked.get("per_page", len(page[name])))
            asked["cursor"] = page["next_cursor"]

    async def fails(self, path: str, status: int, code: str, /, **asked: Any) -> dict[str, Any]:
        """The problem that the answer is."""
        return problem_of(await self.ask(path, **asked), status, code)


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer is, once it is known to be this one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["title"]
    assert body["detail"]
    return body


@asynccontextmanager
async def serving(database_url: str, **others: Any) -> AsyncIterator[Client]:
    settings = settings_for(database_url, **others)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://api"
        ) as http,
    ):
        yield Client(http, settings)


def numbered(given: Iterable[tuple[str, Any]], partition: int = 0) -> list[FakeRecord]:
    """Records of (topic, event or None), each topic's one after the other in one partition."""
    offsets: dict[str, int] = {}
    records = []
    for suffix, event in given:
        offsets[suffix] = offsets.get(suffix, -1) + 1
        records.append(record(suffix, offsets[suffix], event, partition))
    return records


def of_history(history: Iterable[Record]) -> list[FakeRecord]:
    """The records of a history, each topic's in partition 0."""
    return numbered((each.topic, each.value) for each in history)


async def project(database_url: str, records: Sequence[FakeRecord]) -> None:
    """Have a worker apply the records, in one poll."""
    async with workers(database_url, 1) as (worker,):
        await worker.own(records)
        await worker.poll(records)
