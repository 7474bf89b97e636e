"""Everything the API says of one history, held against the reference model."""

import json
from collections.abc import AsyncIterator
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
FILTERS = {
    "project_ids": "project_id",
    "states": "state",
    "remediation_statuses": "remediation_status",
}
"""The model's filters, and the parameters of the API that set them."""
FIRST_PAGE = 100
"""Items of the timeline that come with a run's detail."""


class Asker:
    """A bearer who may see everything, and the answers it gets."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
        answer = await self._client.get(path, params=query, headers=headers or {})
        assert answer.status_code == 200, (path, query, answer.status_code, answer.text)
        return json.loads(answer.content, parse_float=Decimal)

    async def timeline(self, run_id: str, headers: dict[str, str], limit: int) -> list[Any]:
        """The whole timeline, page after page."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(f"/v1/runs/{run_id}/timeline", headers, limit=limit, **cursor)
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
    runs = reference.run_list(platform)
    found = await lists(asker, platform) + await _filters(asker, platform, runs[:2])
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


async def _filters(asker: Asker, platform: Platform, runs: list[dict[str, Any]]) -> list[str]:
    """Filter by what these runs have, alone and combined."""
    found: list[str] = []
    for run in runs:
        query = {"project_id": run["project_id"], "state": run["state"]}
        found += await _filtered(asker, platform, **query)
        summary = run["remediation_summary"]
        found += await _filtered(asker, platform, remediation_status=summary["status"])
        for incident in summary["incident_ids"][:2]:
            # the list can be asked for no others
            if INCIDENT.fullmatch(incident):
                found += await _filtered(asker, platform, **query, incident_id=incident)
    return found


async def _filtered(asker: Asker, platform: Platform, **query: Any) -> list[str]:
    answer = await asker.get("/v1/runs", per_page=MOST_RUNS, **query)
    chosen: dict[str, Any] = {
        name: {query[given]} for name, given in FILTERS.items() if given in query
    }
    expected = reference.run_list(platform, incident_id=query.get("incident_id"), **chosen)
    return [
        *diff(f"runs by {query}", answer["runs"], expected),
        *diff(f"total by {query}", answer["total"], len(expected)),
    ]


async def detail(asker: Asker, platform: Platform, run_id: str) -> list[str]:
    """Where a run's detail or one of its timelines differs."""
    expected = reference.run_detail(platform, run_id)
    english = reference.run_detail(platform, run_id, "en")
    assert expected is not None
    assert english is not None
    timeline = expected["timeline"]
    first = {**expected, "timeline": timeline[:FIRST_PAGE]}
    answer = await asker.get(f"/v1/runs/{run_id}")
    found = diff(run_id, {name: answer[name] for name in first}, first)
    # page after page in one language is enough: a page does not depend on it
    found += diff(f"{run_id} timeline", await asker.timeline(run_id, {}, limit=7), timeline)
    told = await asker.timeline(run_id, ENGLISH, limit=FIRST_PAGE)
    return found + diff(f"{run_id} timeline in English", told, english["timeline"])


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
