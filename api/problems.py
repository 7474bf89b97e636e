"""Errors as RFC 9457 problem details: `application/problem+json`, whatever went wrong."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """An error as the client gets it; `code` is stable and meant for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.members, self.headers = errors, members or {}, headers

    def response(self) -> Response:
        """The problem as the answer to a request."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }
        if self.errors:
            body["errors"] = self.errors
        headers = {"Cache-Control": "no-store", **(self.headers or {})}
        return Response(orjson.dumps(body), self.status, headers, media_type=MEDIA_TYPE)


def bad_parameter(wrong: Mapping[str, str], code: str = "invalid_parameter") -> Problem:
    """Return a 422; `wrong` says of each bad parameter what is wrong with it."""
    errors = [{"parameter": name, "detail": detail} for name, detail in wrong.items()]
    detail = "; ".join(f"{name}: {detail}" for name, detail in wrong.items())
    return Problem(422, code, detail, errors=errors)


def not_found(what: str) -> Problem:
    """Return a 404, the same whether it does not exist or is hidden from the bearer."""
    return Problem(404, f"{what}_not_found", f"there is no such {what.replace('_', ' ')}")


def unavailable(code: str, detail: str, retry_after: int = 1) -> Problem:
    """Return a 503; `retry_after` is in seconds."""
    return Problem(503, code, detail, headers={"Retry-After": str(retry_after)})


def install(app: FastAPI, count: Callable[[int, str], None]) -> None:
    """Make every error of `app` a problem; `count` is called with its status and code."""

    async def answer(_: Request, error: Exception) -> Response:
        problem = as_problem(error)
        count(problem.status, problem.code)
        return problem.response()

    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def as_problem(error: Exception) -> Problem:
    """Return the problem that an error is to the client; an unforeseen one gives nothing away."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return bad_parameter({str(each["loc"][1]): plain(each) for each in error.errors()})
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase.lower()
            code = phrase.replace(" ", "_")
            return Problem(error.status_code, code, phrase, headers=error.headers)
        case _:
            return Problem(500, "internal", "this is a fault of the server; it has been logged")


def plain(details: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, from what pydantic says about it."""
    if details["type"] == "extra_forbidden":
        return "there is no such parameter"
    text = str(details["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
