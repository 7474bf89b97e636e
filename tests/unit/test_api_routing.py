"""A route that is answered by a plan depends on all that FastAPI would have it depend on."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict

from api.routing import PlannedRoute


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "nobody"


async def refuse() -> None:
    raise HTTPException(401)


calls: list[str] = []


async def first(request: Request) -> str:
    calls.append("first")
    return request.headers["x-first"]


async def second(before: Annotated[str, Depends(first)]) -> str:
    calls.append("second")
    return f"{before}, then second"


async def show(
    number: int,
    one: Annotated[str, Depends(first)],
    two: Annotated[str, Depends(second)],
    parameters: Annotated[Parameters, Query()],
) -> Response:
    return Response(f"{number} {one} {two} {parameters.name}")


def router(**options: Any) -> APIRouter:
    made = APIRouter(route_class=PlannedRoute, **options)
    made.add_api_route("/things/{number}", show, methods=["GET"])
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


async def get(app: FastAPI, path: str) -> tuple[int, str]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://here") as client:
        answer = await client.get(path, headers={"x-first": "1st"})
    return answer.status_code, answer.text


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
    assert (await get(guarded, "/things/1"))[0] == 401


async def test_each_dependency_is_called_once() -> None:
    calls.clear()
    app = holding(router())
    assert await get(app, "/things/7?name=x") == (200, "7 1st 1st, then second x")
    assert calls == ["first", "second"]
    for path in ("/things/one", "/things/7?other=x"):
        assert (await get(app, path))[0] == 422
