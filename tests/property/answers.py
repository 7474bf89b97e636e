"""Everything the API says of one history, held against the reference model."""

from typing import Any

from tests import reference
from tests.api_rows import Client
from tests.reference import Platform
from tests.reference.belonging import INCIDENT

ENGLISH = {"Accept-Language": "en"}
MOST_RUNS = 200
"""On one page."""
FILTERS = {f"{name}s": name for name in ("project_id", "state")}
FILTERS |= {"remediation_statuses": "remediation_status"}
"""The model's filters, and the parameters of the API that set them."""
FIRST_PAGE = 100
"""Items of the timeline that come with a run's detail."""


async def differences(client: Client, platform: Platform) -> list[str]:
    """What the API says otherwise than the model, a line each; none when the law holds."""
    runs = reference.run_list(platform)
    found = await lists(client, platform) + await _filters(client, platform, runs[:2])
    for run in runs:
        found += await detail(client, platform, run["run_id"])
    return found


async def lists(client: Client, platform: Platform) -> list[str]:
    """Where a list differs, of the runs the first page."""
    answer = await client.get("/v1/runs", per_page=MOST_RUNS)
    expected = reference.run_list(platform)
    found = diff("runs", answer["runs"], expected[:MOST_RUNS])
    found += diff("total", answer["total"], len(expected))
    counts = await client.get("/v1/runs/counts")
    key = ("project_id", "state", "remediation_status")
    counted = sorted(counts["counts"], key=lambda row: [row[name] for name in key])
    found += diff("counts", counted, reference.counts(platform))
    for decided in (False, True):
        queue = await client.get("/v1/approvals", include_decided=str(decided).lower())
        waiting = reference.approvals(platform, include_decided=decided)
        found += diff(f"approvals {decided}", queue["approvals"], waiting)
    channel = await client.get("/v1/channel-events", limit=100)
    events = reference.channel_events(platform, limit=100)
    found += diff("channel events", channel["events"], events)
    projects = await client.get("/v1/projects")
    found += diff("projects", projects["tenants"], reference.projects(platform))
    contracts = await client.get("/v1/contracts")
    found += diff("contracts", contracts["contracts"], reference.contracts(platform))
    return found + diff("contracts total", contracts["total"], len(contracts["contracts"]))


async def _filters(client: Client, platform: Platform, runs: list[dict[str, Any]]) -> list[str]:
    """Filter by what these runs have, alone and combined."""
    found: list[str] = []
    for run in runs:
        query = {"project_id": run["project_id"], "state": run["state"]}
        found += await _filtered(client, platform, **query)
        summary = run["remediation_summary"]
        found += await _filtered(client, platform, remediation_status=summary["status"])
        for incident in summary["incident_ids"][:2]:
            # the list can be asked for no others
            if INCIDENT.fullmatch(incident):
                found += await _filtered(client, platform, **query, incident_id=incident)
    return found


async def _filtered(client: Client, platform: Platform, **query: Any) -> list[str]:
    answer = await client.get("/v1/runs", per_page=MOST_RUNS, **query)
    chosen: dict[str, Any] = {
        name: {query[given]} for name, given in FILTERS.items() if given in query
    }
    expected = reference.run_list(platform, incident_id=query.get("incident_id"), **chosen)
    return [
        *diff(f"runs by {query}", answer["runs"], expected),
        *diff(f"total by {query}", answer["total"], len(expected)),
    ]


async def detail(client: Client, platform: Platform, run_id: str) -> list[str]:
    """Where a run's detail or one of its timelines differs."""
    expected = reference.run_detail(platform, run_id)
    english = reference.run_detail(platform, run_id, "en")
    assert expected is not None
    assert english is not None
    timeline = expected["timeline"]
    first = {**expected, "timeline": timeline[:FIRST_PAGE]}
    answer = await client.get(f"/v1/runs/{run_id}")
    found = diff(run_id, {name: answer[name] for name in first}, first)
    # page after page in one language is enough: a page does not depend on it
    path = f"/v1/runs/{run_id}/timeline"
    found += diff(path, await client.pages(path, "timeline", limit=7), timeline)
    told = await client.pages(path, "timeline", headers=ENGLISH, limit=FIRST_PAGE)
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
