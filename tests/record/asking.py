"""Requests, each written on a line, and their answers.

A line is `METHOD path`, then parts after ` | `: `as` who asks (a viewer, where it is not said),
`body` of what, headers, a `#` note that tells equal requests apart. `{cursor}`, `{etag}` and
`{command}` are those of the last answer that had one; any other name in braces is a run's, or that
of a text. `PAGES` follows the cursors to the end of a list.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import httpx

from tests.record.history import HERE, RUNS
from tests.record.plain import Plain
from tests.record.stage import token

KEPT: Final = (
    *("content-type", "content-language", "vary", "www-authenticate", "allow", "retry-after"),
    *("cache-control", "connection"),
)
"""Headers of which the value counts."""
SEEN: Final = ("etag", "x-view-as-of", "link", "location")
"""Headers of which it counts that they are there."""
BEARERS: Final[dict[str, dict[str, Any]]] = json.loads((HERE / "bearers.json").read_text("utf-8"))
"""The claims of who asks."""

NAMED: Final = {**RUNS, "long text": "x" * 8193, "huge text": "x" * 70_000}
REMEMBERED: Final = ("next_cursor", "timeline_next_cursor", "command_id")
"""Fields that later requests may be made of, as `{cursor}` and `{command}`."""
Frame: TypeAlias = tuple[str, list[str]]
"""The lines of one, after its id."""
_NAMES: Final = re.compile(r"\{([a-z ]+)\}")


class Asking:
    """Asks one API or several; remembers what later requests are made of."""

    def __init__(self) -> None:
        self._names = dict(NAMED)
        self._plain = Plain()
        self._tokens = {who: token(**({"sub": who} | claims)) for who, claims in BEARERS.items()}

    def all(self, client: httpx.Client, lines: list[str]) -> dict[str, Any]:
        assert len(set(lines)) == len(lines)
        return {line: self.answer(client, line) for line in lines}

    def answer(self, client: httpx.Client, line: str) -> Any:
        if line.startswith("PAGES "):
            return [*self._pages(client, line.removeprefix("PAGES "))]
        answer = self.send(client, line)
        headers = {name: answer.headers[name] for name in KEPT if name in answer.headers}
        headers |= {name: "(there)" for name in SEEN if name in answer.headers}
        if "www-authenticate" in headers:
            said = headers["www-authenticate"]
            headers["www-authenticate"] = re.sub('error_description="[^"]*"', "…", said)
        return {"status": answer.status_code, "headers": headers, "body": self._body(answer)}

    def send(self, client: httpx.Client, line: str) -> httpx.Response:
        answer = client.send(self._request(client, line))
        if answer.headers.get("content-type") == "application/json" and answer.content:
            self._names |= {
                re.sub("(timeline_)?next_|_id", "", name): answer.json()[name]
                for name in REMEMBERED
                if answer.json().get(name)
            }
        self._names["etag"] = answer.headers.get("etag", self._names.get("etag", ""))
        return answer

    @contextmanager
    def streamed(self, client: httpx.Client, line: str) -> Iterator[Iterator[Frame]]:
        with closing(client.send(self._request(client, line), stream=True)) as answer:
            yield self._frames(answer.iter_lines())

    def _frames(self, lines: Iterator[str]) -> Iterator[Frame]:
        place = ""
        frame: list[str] = []
        for line in lines:
            name, _, value = line.partition(": ")
            if name == "id":
                place = value
            if line:
                frame.append("id: <place>" if name == "id" else self._plain.moments(line))
            else:
                yield place, frame
                frame = []

    def _request(self, client: httpx.Client, line: str) -> httpx.Request:
        line = _NAMES.sub(lambda found: self._names.get(found[1], found[0]), line)
        asked, *parts = line.split(" | ")
        method, path = asked.split(" ", 1)
        said = {name: value for name, _, value in (part.partition(" ") for part in parts)}
        who, body = said.pop("as", "viewer"), said.pop("body", None)
        said.pop("#", None)
        if body is not None:
            said = {"Content-Type:": "application/json"} | said
        if who != "nobody":
            said["Authorization:"] = f"Bearer {self._tokens[who]}"
        headers = [(name[:-1].encode(), value.encode()) for name, value in said.items()]
        return client.build_request(method, path, headers=headers, content=body and body.encode())

    def _body(self, answer: httpx.Response) -> Any:
        path = answer.url.path
        if "json" not in answer.headers.get("content-type", "") or not answer.content:
            return [
                line
                for line in answer.text.splitlines()
                if path != "/metrics" or line.startswith("# TYPE")
            ]
        if path == "/openapi.json":
            return answer.json()
        body = self._plain.json(answer.text)
        if answer.is_error:
            for problem in (body, *body.get("errors", ())):
                assert problem.pop("detail"), answer.text
            if body["title"] == HTTPStatus(answer.status_code).phrase:
                body["title"] = "<phrase>"  # which another Python may have in other words
        return body

    def _pages(self, client: httpx.Client, rest: str) -> Iterator[Any]:
        path, bar, parts = rest.partition(" |")
        cursor = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            answer = self.send(client, f"GET {path}{more}{bar}{parts}")
            cursor = answer.json()["next_cursor"]
            yield self._plain.json(answer.text)
