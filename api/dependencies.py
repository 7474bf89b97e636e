"""What endpoints depend on: who asks, with which role, and the views as they may see them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar, TypeVarTuple, cast

from fastapi import Depends, Request, Response
from fastapi.security import HTTPBearer

from api.auth import INVALID, Bearer, Forbidden, Role, Unauthenticated, Verifier
from api.dead_letters import DeadLetters
from api.decisions.deciding import Decisions
from api.metrics import Metrics
from api.parameters import LiveParameters, read
from api.reading import Answer, Snapshot, Views
from api.responses import Language, preferred_language, view_response
from api.stream import Feed
from contracts.signing_keys import SigningKeys

P = TypeVar("P", bound=LiveParameters)
Rest = TypeVarTuple("Rest")


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are served with, made once at the start."""

    views: Views
    verifier: Verifier
    decisions: Decisions
    dead_letters: DeadLetters
    signing_keys: SigningKeys | None
    """Keys of approval tokens, if this service has any."""
    feed: Feed
    max_lag: int
    """Most events the views may be behind to be ready."""
    metrics: Metrics


async def services(request: Request) -> Services:
    """Return what the application serves with."""
    return cast(Services, request.app.state.services)


Serving = Annotated[Services, Depends(services)]

TOKEN = HTTPBearer(auto_error=False)


def having(*needed: Role) -> Callable[[Request], Awaitable[Bearer]]:
    """Return a dependency: who asks and has one of these roles. Raises `Problem`: 401, 403."""

    async def bearer(request: Request) -> Bearer:
        if len(request.headers.getlist("Authorization")) > 1:
            # a proxy may have looked at another of them
            raise Unauthenticated(INVALID, "more than one Authorization header")
        token = await TOKEN(request)
        verifier: Verifier = request.app.state.services.verifier
        who = await verifier.bearer(token.credentials if token else None)
        if who.roles.isdisjoint(needed):
            raise Forbidden(needed)
        return who

    return bearer


viewer = having(*Role)
operator = having(Role.OPERATOR)
Approver = Annotated[Bearer, Depends(having(Role.APPROVER, Role.OPERATOR))]
Operator = Annotated[Bearer, Depends(operator)]


@dataclass(frozen=True, slots=True)
class Reader:
    """One request of one bearer, who may read."""

    request: Request
    bearer: Bearer
    views: Views

    @property
    def language(self) -> Language:
        """The language of the titles."""
        return preferred_language(",".join(self.request.headers.getlist("Accept-Language")))

    async def answer(
        self,
        question: Callable[[Snapshot, P, *Rest], Awaitable[Answer]],
        model: type[P],
        *rest: *Rest,
        language: Language | None = None,
    ) -> Response:
        """Return the response of a question to the views (see `api.reading.Views.read`).

        The question gets the request's parameters, and `rest`. Raises `Problem`.
        """
        parameters = read(model, self.request)
        body, as_of = await self.views.read(
            self.bearer, parameters, lambda snapshot: question(snapshot, parameters, *rest)
        )
        return view_response(self.request, body, as_of, language)


async def reader(request: Request) -> Reader:
    """Return the request of a bearer who may read."""
    return Reader(request, await viewer(request), request.app.state.services.views)


async def operations_reader(request: Request) -> Reader:
    """Return the request of a bearer who may operate."""
    return Reader(request, await operator(request), request.app.state.services.views)


Reading = Annotated[Reader, Depends(reader)]
Operating = Annotated[Reader, Depends(operations_reader)]
