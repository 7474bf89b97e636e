"""A route answered by a plan does what FastAPI would do with it."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict

from api.routing import PlannedRoute


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "nobody"
    tags: list[str] | None = None


async def refuse() -> None:
    raise HTTPException(401)


calls: list[str] = []


async def first(request: Request) -> str:
    calls.append("first")
    return request.headers.get("x-first", "none")


async def second(before: Annotated[str, Depends(first)]) -> str:
    calls.append("second")
    return f"{before}, then second"


async def show(
    number: int,
    one: Annotated[str, Depends(first)],
    two: Annotated[str, Depends(second)],
    parameters: Annotated[Parameters, Query()],
) -> Response:
    return Response(f"{number} {one} {two} {parameters.name} {parameters.tags}")


def router(route_class: type[Any], **options: Any) -> APIRouter:
    made = APIRouter(route_class=route_class, **options)
    made.add_api_route("/things/{number}", show, methods=["GET"])
    return made


def guarded_by_the_app() -> FastAPI:
    app = FastAPI(dependencies=[Depends(refuse)])
    app.include_router(router(PlannedRoute))
    return app


def guarded_where_included() -> FastAPI:
    app = FastAPI()
    app.include_router(router(PlannedRoute), dependencies=[Depends(refuse)])
    return app


def guarded_by_a_parent() -> FastAPI:
    app, parent = FastAPI(), APIRouter(dependencies=[Depends(refuse)])
    parent.include_router(router(PlannedRoute))
    app.include_router(parent)
    return app


def guarded_by_itself() -> FastAPI:
    return planned(router(PlannedRoute, dependencies=[Depends(refuse)]))


def planned(made: APIRouter) -> FastAPI:
    """Return an application that has the routes themselves, as the API has."""
    app = FastAPI()
    app.router.routes.extend(made.routes)
    return app


async def get(app: FastAPI, path: str, **headers: str) -> Any:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://here") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize(
    "guarded",
    [guarded_by_the_app, guarded_where_included, guarded_by_a_parent, guarded_by_itself],
)
async def test_no_dependency_is_passed_over(guarded: Any) -> None:
    assert (await get(guarded(), "/things/1")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/things/1",
        "/things/1?name=a&tags=b&tags=c",
        "/things/1?name=",
        "/things/one",
        "/things/one?other=1",
    ],
)
async def test_an_answer_is_the_one_fastapi_gives(path: str) -> None:
    answers = []
    included = FastAPI()
    included.include_router(router(APIRoute))
    for app in (planned(router(PlannedRoute)), included):
        answer = await get(app, path, **{"x-first": "1st"})
        answers.append((answer.status_code, answer.text))
    assert answers[0] == answers[1]


async def test_each_dependency_is_called_once() -> None:
    calls.clear()
    answer = await get(planned(router(PlannedRoute)), "/things/7")
    assert answer.text == "7 none none, then second nobody None"
    assert calls == ["first", "second"]


async def test_what_is_not_planned_is_left_to_fastapi() -> None:
    def blocking() -> str:
        return "in a thread"

    async def told(
        one: Annotated[str, Depends(blocking)], a: int = 1, b: int = 2
    ) -> dict[str, Any]:
        return {"one": one, "sum": a + b}

    made = APIRouter(route_class=PlannedRoute)
    made.add_api_route("/told", told, methods=["GET"])
    assert (await get(planned(made), "/told?a=5")).json() == {"one": "in a thread", "sum": 7}
