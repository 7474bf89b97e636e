"""Endpoints whose arguments are found by a plan that is made once.

FastAPI works out anew for every request what an endpoint depends on and how each parameter is
read: that took as long as asking the database. Planned is what the endpoints here are made of —
dependencies that are functions of the request and of each other, values of the path, one model of
all query parameters. An endpoint with anything else, such as a body, is left to FastAPI, and so is
the description of all of them.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from api.parameters import repeatable

Call: TypeAlias = Callable[..., Awaitable[object]]
Errors: TypeAlias = list[Mapping[str, Any]]


class PlannedRoute(APIRoute):
    """A route whose endpoint is called by a plan, if there can be one.

    It holds for the route itself: included in another router it may depend on more, and FastAPI
    answers.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        plan = _plan(self.dependant)
        if plan is not None:
            self.app = _answering(plan, self.endpoint)


def _answering(plan: "_Plan", endpoint: Callable[..., Awaitable[Response]]) -> ASGIApp:
    """Return what serves an endpoint by its plan: nothing is left open that must be closed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await endpoint(**await plan.arguments(request))
        await response(scope, receive, send)

    return answer


class _Step(NamedTuple):
    """One dependency, called with the request and with results of steps before it."""

    call: Call
    requests: Sequence[str]
    """Arguments that take the request."""
    results: Mapping[str, int]
    """Steps whose results are arguments."""

    def arguments(self, request: Request, results: Sequence[object]) -> dict[str, object]:
        given: dict[str, object] = {name: results[step] for name, step in self.results.items()}
        for name in self.requests:
            given[name] = request
        return given


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the arguments of an endpoint are found."""

    steps: Sequence[_Step]
    endpoint: _Step
    path: Sequence[Any]
    """Fields of the arguments that the path holds."""
    query: tuple[str, type[BaseModel], frozenset[str]] | None
    """The argument of the query's parameters, their model, and which of them may be repeated."""

    async def arguments(self, request: Request) -> dict[str, object]:
        """Return the arguments. Raises `RequestValidationError` and what a dependency raises."""
        results: list[object] = []
        for step in self.steps:
            results.append(await step.call(**step.arguments(request, results)))
        errors: Errors = []
        given = self.endpoint.arguments(request, results)
        for field in self.path:
            value, place = request.path_params[field.alias], ("path", field.alias)
            given[field.name], wrong = field.validate(value, {}, loc=place)
            errors += wrong or ()
        if self.query is not None:
            name, model, lists = self.query
            given[name] = _query(request, model, lists, errors)
        if errors:
            raise RequestValidationError(errors)
        return given


def _query(
    request: Request, model: type[BaseModel], lists: frozenset[str], errors: Errors
) -> BaseModel | None:
    said: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in lists:
            said.setdefault(name, []).append(value)
        else:
            said[name] = value
    try:
        return model.model_validate(said)
    except ValidationError as error:
        errors += (
            {**each, "loc": ("query", *each["loc"])} for each in error.errors(include_url=False)
        )
        return None


def _plan(endpoint: Dependant) -> _Plan | None:
    tree = [endpoint, *_within(endpoint)]
    if any(map(_is_more, tree)) or any(each.path_params or each.query_params for each in tree[1:]):
        return None
    query = None
    for field in endpoint.query_params:
        model = field.field_info.annotation
        if len(endpoint.query_params) > 1 or not _is_model(model):
            return None
        query = field.name, model, repeatable(model)
    steps: list[_Step] = []
    return _Plan(steps, _step(endpoint, steps, {}), endpoint.path_params, query)


def _within(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _within(each)


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_more(dependant: Dependant) -> bool:
    """Whether something is asked for that is not planned here."""
    call = dependant.call
    return bool(
        not (iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__))
        or not dependant.use_cache
        or dependant.header_params
        or dependant.cookie_params
        or dependant.body_params
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or dependant.security_scopes_param_name
    )


def _step(dependant: Dependant, steps: list[_Step], known: dict[Any, int]) -> _Step:
    """Return the step that calls this; what it depends on is put before, each call once."""
    results = {}
    for each in dependant.dependencies:
        if each.call not in known:
            step = _step(each, steps, known)
            known[each.call] = len(steps)
            steps.append(step)
        if each.name is not None:
            results[each.name] = known[each.call]
    names = dependant.request_param_name, dependant.http_connection_param_name
    return _Step(cast(Call, dependant.call), [name for name in names if name], results)
