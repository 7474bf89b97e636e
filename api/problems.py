"""Errors as RFC 9457 problem details: `application/problem+json`, whatever went wrong.

Problem
├── BadParameter          422, names the parameter
├── NotFound              404, the same whether it does not exist or belongs to another project
├── Unavailable           503, with Retry-After
└── … and those next to what raises them (401 and 403 in `api.auth`)
"""

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


class BadParameter(Problem):
    """Parameters are wrong; `wrong` says of each what is."""

    def __init__(self, wrong: Mapping[str, str], code: str = "invalid_parameter") -> None:
        errors = [{"parameter": name, "detail": detail} for name, detail in wrong.items()]
        detail = "; ".join(f"{name}: {detail}" for name, detail in wrong.items())
        super().__init__(422, code, detail, errors=errors)


class NotFound(Problem):
    """What was named does not exist for this bearer. The answer never repeats the name."""

    def __init__(self, what: str) -> None:
        super().__init__(404, f"{what}_not_found", f"there is no such {what.replace('_', ' ')}")


class Unavailable(Problem):
    """It cannot be answered now; `retry_after` is in seconds."""

    def __init__(self, code: str, detail: str, retry_after: int = 1) -> None:
        super().__init__(503, code, detail, headers={"Retry-After": str(retry_after)})


def install(app: FastAPI, answered: Callable[[int, str], None]) -> None:
    """Make every error of `app` a problem; `answered` is told its status and code."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        answered(problem.status, problem.code)
        return problem.response()

    for error in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, answer)


def as_problem(error: Exception) -> Problem:
    """Return what the client is told of an error. Of one that nobody foresaw, nothing."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            wrong = {str(details["loc"][1]): plain(details) for details in error.errors()}
            return BadParameter(wrong)
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase.lower()
            code = phrase.replace(" ", "_")
            return Problem(error.status_code, code, phrase, headers=error.headers)
        case _:
            return Problem(500, "internal", "this is a fault of the server; it has been logged")


def plain(details: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, from what pydantic says of it."""
    if details["type"] == "extra_forbidden":
        return "there is no such parameter"
    text = str(details["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
