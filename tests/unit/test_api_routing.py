"""A route answered by a plan does what FastAPI would do with it."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient
from httpx import Response as Answer
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


def blocking() -> str:
    return "in a thread"


async def unplanned(one: Annotated[str, Depends(blocking)], a: int = 1) -> dict[str, Any]:
    return {"one": one, "a": a}


def router(route_class: type[Any] = PlannedRoute, **options: Any) -> APIRouter:
    made = APIRouter(route_class=route_class, **options)
    made.add_api_route("/things/{number}", show, methods=["GET"])
    made.add_api_route("/unplanned", unplanned, methods=["GET"])
    return made


def holding(made: APIRouter) -> FastAPI:
    """Return an application that has the routes themselves, as the API has."""
    app = FastAPI()
    app.router.routes.extend(made.routes)
    return app


def including(made: APIRouter, app: FastAPI | None = None, **options: Any) -> FastAPI:
    app = app or FastAPI()
    app.include_router(made, **options)
    return app


def parent(made: APIRouter) -> APIRouter:
    above = APIRouter(dependencies=[Depends(refuse)])
    above.include_router(made)
    return above


async def get(app: FastAPI, path: str) -> Answer:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://here") as client:
        return await client.get(path, headers={"x-first": "1st"})


@pytest.mark.parametrize(
    "guarded",
    [
        including(router(), FastAPI(dependencies=[Depends(refuse)])),
        including(router(), dependencies=[Depends(refuse)]),
        including(parent(router())),
        holding(router(dependencies=[Depends(refuse)])),
    ],
    ids=["by the app", "where included", "by a parent", "by itself"],
)
async def test_no_dependency_is_passed_over(guarded: FastAPI) -> None:
    assert (await get(guarded, "/things/1")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/things/1",
        "/things/1?name=a&tags=b&tags=c",
        "/things/1?name=",
        "/things/one",
        "/things/one?other=1",
        "/unplanned?a=5",
    ],
)
async def test_an_answer_is_the_one_fastapi_gives(path: str) -> None:
    planned = await get(holding(router()), path)
    genuine = await get(including(router(APIRoute)), path)
    assert (planned.status_code, planned.text) == (genuine.status_code, genuine.text)


async def test_each_dependency_is_called_once() -> None:
    calls.clear()
    answer = await get(holding(router()), "/things/7")
    assert answer.text == "7 1st 1st, then second nobody None"
    assert calls == ["first", "second"]
