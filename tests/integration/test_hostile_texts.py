"""SQL, overlong and odd texts in every parameter and header of every operation: none is a fault."""

from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx

from api.app import create_app
from tests.api_rows import bearer, settings_for
from tests.streams import listening
from tests.unit.event_samples import RUN

TEXTS = (
    "'; DROP TABLE runfold.command; --",
    "1' OR '1'='1",
    "\\'; SELECT pg_sleep(60) --",
    "x" * 9_000,
    "好\u202e\U0001f600e\u0301",
    "\x00",
    "%00%ff",
    "{1,2}",
)
HEADERS = ("Last-Event-ID", "If-Match", "Idempotency-Key", "traceparent", "Accept-Language")
HEADERS_OF_ALL = (*HEADERS, "If-None-Match", "Authorization", "Content-Type")
GOOD = {"run_id": RUN, "command_id": RUN, "id": "1"}

OPERATIONS = [
    (method.upper(), path, list(operation.get("parameters", [])))
    for path, known in create_app(settings_for("postgresql://127.0.0.1/x"))
    .openapi()["paths"]
    .items()
    if path != "/readyz"  # which is not, as nobody projects
    for method, operation in known.items()
]


def asked(path: str, parameters: list[dict[str, Any]], text: str) -> Iterator[dict[str, Any]]:
    """Requests with the text in one place each."""
    plain = path.format(**GOOD)
    for each in parameters:
        match each["in"]:
            case "query":
                yield {"url": plain, "params": {each["name"]: text}}
            case "path":
                yield {"url": path.format(**GOOD | {each["name"]: quote(text, safe="")})}
    yield {"url": plain, "params": {text: text}}
    if "\x00" not in text:  # which HTTP itself refuses
        for name in HEADERS_OF_ALL:
            yield {"url": plain, "headers": {name: text.encode()}}


async def test_no_text_in_any_place_is_a_fault(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    async with listening(database_url) as served:
        said = bearer(served.settings, roles=["operator"])
        async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
            for (method, path, parameters), text in product(OPERATIONS, TEXTS):
                for each in asked(path, parameters, text):
                    given = said | {"Content-Type": "application/json"} | each.pop("headers", {})
                    content = b'{"decision": "approve"}' if method == "POST" else None
                    # a stream has no end: its beginning says what it is
                    async with http.stream(
                        method, **each, headers=given, content=content
                    ) as answer:
                        seen = answer.status_code
                    assert seen < 500, (method, path, each, text[:40], seen)
    assert await owner.fetchval("SELECT count(*) FROM runfold.command") == 0
    await owner.close()
