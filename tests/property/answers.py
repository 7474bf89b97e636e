"""Everything the API says of one history, held against the reference model."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
from pydantic import SecretStr

from api.app import create_app
from api.settings import ApiSettings
from projector.tokens import make_token
from tests import reference
from tests.reference import Platform
from tests.reference.belonging import INCIDENT

SECRET = "property tests, thirty-two bytes and more"
ENGLISH = {"Accept-Language": "en"}
MOST_RUNS = 200
"""On one page."""


class Asker:
    """A bearer who may see everything, and the answers it gets."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
        answer = await self._client.get(path, params=query, headers=headers or {})
        assert answer.status_code == 200, (path, query, answer.status_code, answer.text)
        return json.loads(answer.content, parse_float=Decimal)

    async def timeline(self, run_id: str, headers: dict[str, str]) -> list[Any]:
        """The whole timeline, page after page."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(f"/v1/runs/{run_id}/timeline", headers, limit=7, **cursor)
            found += page["timeline"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


@asynccontextmanager
async def asking(database_url: str) -> AsyncIterator[Asker]:
    """An API over the database, in this process, and someone to ask it."""
    settings = ApiSettings(database_url=database_url, auth_hs256_secret=SecretStr(SECRET))
    app = create_app(settings)
    token = make_token(settings, "tester", ["*"], ["operator"], 3600)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://api",
            headers={"Authorization": f"Bearer {token}"},
        ) as client,
    ):
        yield Asker(client)


async def differences(asker: Asker, platform: Platform) -> list[str]:
    """What the API says otherwise than the model, a line each; none when the law holds."""
    found: list[str] = []
    runs = reference.run_list(platform)
    found += await lists(asker, platform)
    await _filters(asker, platform, runs, found)
    for run in runs:
        found += await detail(asker, platform, run["run_id"])
    return found


async def lists(asker: Asker, platform: Platform) -> list[str]:
    """Where a list differs, of the runs the first page."""
    answer = await asker.get("/v1/runs", per_page=MOST_RUNS)
    expected = reference.run_list(platform)
    found = diff("runs", answer["runs"], expected[:MOST_RUNS])
    found += diff("total", answer["total"], len(expected))
    counts = await asker.get("/v1/runs/counts")
    key = ("project_id", "state", "remediation_status")
    counted = sorted(counts["counts"], key=lambda row: [row[name] for name in key])
    found += diff("counts", counted, reference.counts(platform))
    for decided in (False, True):
        queue = await asker.get("/v1/approvals", include_decided=str(decided).lower())
        waiting = reference.approvals(platform, include_decided=decided)
        found += diff(f"approvals {decided}", queue["approvals"], waiting)
    channel = await asker.get("/v1/channel-events", limit=100)
    found += diff(
        "channel events", channel["events"], reference.channel_events(platform, limit=100)
    )
    projects = await asker.get("/v1/projects")
    found += diff("projects", projects["tenants"], reference.projects(platform))
    contracts = await asker.get("/v1/contracts")
    found += diff("contracts", contracts["contracts"], reference.contracts(platform))
    return found + diff("contracts total", contracts["total"], len(contracts["contracts"]))


async def _filters(
    asker: Asker, platform: Platform, runs: list[dict[str, Any]], found: list[str]
) -> None:
    """Filter by what some run has, alone and combined."""
    for run in runs[:2]:
        status = run["remediation_summary"]["status"]
        common: dict[str, Any] = {"project_ids": {run["project_id"]}, "states": {run["state"]}}
        query = {"project_id": run["project_id"], "state": run["state"]}
        await _filtered(asker, query, reference.run_list(platform, **common), found)
        await _filtered(
            asker,
            {"remediation_status": status},
            reference.run_list(platform, remediation_statuses={status}),
            found,
        )
        for incident in searchable(run["remediation_summary"]["incident_ids"]):
            await _filtered(
                asker,
                {**query, "incident_id": incident},
                reference.run_list(platform, incident_id=incident, **common),
                found,
            )


def searchable(incident_ids: list[str]) -> Iterator[str]:
    """The ids that the list can be asked for."""
    yield from (each for each in incident_ids[:2] if INCIDENT.fullmatch(each))


async def _filtered(
    asker: Asker, query: dict[str, Any], expected: list[Any], found: list[str]
) -> None:
    answer = await asker.get("/v1/runs", per_page=200, **query)
    found += diff(f"runs by {query}", answer["runs"], expected)
    found += diff(f"total by {query}", answer["total"], len(expected))


async def detail(asker: Asker, platform: Platform, run_id: str) -> list[str]:
    """Where a run's detail or one of its timelines differs."""
    found: list[str] = []
    expected = reference.run_detail(platform, run_id)
    assert expected is not None
    answer = await asker.get(f"/v1/runs/{run_id}")
    for name in expected:
        if name != "timeline":
            found += diff(f"{run_id} {name}", answer[name], expected[name])
    for headers, lang in (({}, "zh-TW"), (ENGLISH, "en")):
        whole = reference.run_detail(platform, run_id, lang)
        assert whole is not None
        told = await asker.timeline(run_id, headers)
        found += diff(f"{run_id} timeline {lang}", told, whole["timeline"])
    return found + diff(
        f"{run_id} first timeline page", answer["timeline"], expected["timeline"][:100]
    )


def diff(what: str, got: Any, wanted: Any) -> list[str]:
    """Where two answers part, as paths with both values."""
    if type(got) is type(wanted) is dict:
        keys = sorted(got.keys() | wanted.keys())
        return [
            line
            for key in keys
            for line in diff(f"{what}.{key}", got.get(key, "absent"), wanted.get(key, "absent"))
        ]
    if type(got) is type(wanted) is list and len(got) == len(wanted):
        return [
            line
            for place, (one, other) in enumerate(zip(got, wanted, strict=True))
            for line in diff(f"{what}[{place}]", one, other)
        ]
    return [] if got == wanted else [f"{what}: {got!r} should be {wanted!r}"]
