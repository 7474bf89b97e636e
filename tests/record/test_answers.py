"""What the API answers: over the whole history, and while a worker and a broker are there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.record import golden, history
from tests.record.asking import Asking, Frame
from tests.record.stage import Servers, api_variables, done, fill, projecting, serving, wait

REQUESTS = golden.sections("requests.txt")
DECISION = 'POST /v1/runs/{live}/decision | as alice | body {"decision":"approve"}'
COMMAND = "GET /v1/approvals/commands/{command}"
STREAM = "GET /v1/stream?project_id=q0"
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def test_what_is_answered(servers: Servers, seeded: str, tmp_path: Path) -> None:
    with servers.database(seeded) as name, ThreadPoolExecutor() as threads:
        url = servers.postgres.url_of(name)
        others = {"no key": url, "no database": NOWHERE, "no schema": servers.postgres.url}
        away = threads.map(lambda what: answers_of(others[what], what), others)
        asking = Asking()
        with serving(api_variables(url, tmp_path)) as client:
            found = asking.all(client, [*REQUESTS["reads"], *REQUESTS["decisions"]])
        for answers in away:
            found |= answers
    golden.check("answers.json", found)


def answers_of(database_url: str, what: str) -> dict[str, Any]:
    """The answers of an API that lacks something."""
    with serving(api_variables(database_url)) as client:
        return Asking().all(client, [f"{line} | # {what}" for line in REQUESTS[what]])


def test_what_is_answered_while_a_worker_is_there(servers: Servers, tmp_path: Path) -> None:
    with servers.database() as name:
        variables = servers.variables(name, "live.")
        signing = api_variables(variables["RUNFOLD_DATABASE_URL"], tmp_path)
        done("topics", variables=variables)
        with projecting(variables), serving(variables | signing) as client:
            fill(variables, history.EXTRA, [*history.bad("live.")])
            asking = Asking()

            def is_all_reported() -> bool:
                told = asking.send(client, "GET /v1/ops/projection | as operator").json()
                return all(each["end"] == (each["position"] or 0) for each in told["partitions"])

            wait(is_all_reported, "the worker to report where it is")
            found = asking.all(client, REQUESTS["live"])
            found |= decided_and_followed(asking, client, variables)
    golden.check("live.json", found)


def decided_and_followed(
    asking: Asking, client: httpx.Client, variables: dict[str, str]
) -> dict[str, Any]:
    """A decision from the request to the run that has moved, and what the stream says of it."""
    found: dict[str, Any] = {}
    with asking.streamed(client, STREAM) as frames:
        place, found["stream, opening"] = next(frames)
        found[DECISION] = asking.answer(client, DECISION)
        wait(lambda: asking.send(client, COMMAND).json()["status"] == "published", "publication")
        timeline = "GET /v1/runs/{live}/timeline?kind=approval"
        wait(lambda: asking.send(client, timeline).json()["timeline"], "the decision in the view")
        found |= asking.all(client, [f"{COMMAND} | # published", *REQUESTS["decided"]])
        done("publish", "-", variables=variables, stdin=history.MOVED)
        found["stream, live"] = until_it_runs(frames)
    found |= asking.all(client, [f"{COMMAND} | # applied", *REQUESTS["moved"]])
    with asking.streamed(client, f"{STREAM} | Last-Event-ID: {place}") as frames:
        found["stream, from where it began"] = until_it_runs(frames)
    with asking.streamed(client, f"{STREAM} | Last-Event-ID: nonsense") as frames:
        found["stream, from nowhere"] = next(frames)[1]
    return found


def until_it_runs(frames: Iterator[Frame]) -> list[list[str]]:
    """The events up to the one of a run that runs; how often the stream is kept alive varies."""
    found: list[list[str]] = []
    while not found or '"running"' not in found[-1][-1]:
        found += [frame for _, frame in [next(frames)] if "event: run" in frame]
    return found
