"""What a request is served with: made once at the start, found through the application."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import answers
from api.auth import INVALID, Bearer, Forbidden, Role, Unauthenticated, Verifier
from api.dead_letters import DeadLetters
from api.decisions.decide import Decisions
from api.languages import Language, preferred
from api.metrics import Metrics
from api.parameters import LiveParameters
from api.reading import Snapshot, Views
from api.stream.feed import Feed
from contracts.signing_keys import SigningKeys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """Where requests read, who may, and what is told without reading."""

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

_SCHEME = HTTPBearer(auto_error=False, bearerFormat="JWT", scheme_name="bearer")

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]


async def bearer(request: Request, serving: Serving, credentials: Credentials) -> Bearer:
    """Return who asks. Raises `Unauthenticated`."""
    if len(request.headers.getlist("Authorization")) > 1:
        # A proxy may have looked at another of them.
        raise Unauthenticated(INVALID, "more than one Authorization header")
    return await serving.verifier.bearer(credentials.credentials if credentials else None)


async def viewer(who: Annotated[Bearer, Depends(bearer)]) -> Bearer:
    """Return who asks and may read: every role may. Raises `Forbidden`."""
    if not who.roles:
        raise Forbidden(list(Role))
    return who


async def approver(who: Annotated[Bearer, Depends(bearer)]) -> Bearer:
    """Return who asks and may decide. Raises `Forbidden`."""
    if not who.roles & {Role.APPROVER, Role.OPERATOR}:
        raise Forbidden([Role.APPROVER, Role.OPERATOR])
    return who


async def operator(who: Annotated[Bearer, Depends(bearer)]) -> Bearer:
    """Return who asks and may operate. Raises `Forbidden`."""
    if Role.OPERATOR not in who.roles:
        raise Forbidden([Role.OPERATOR])
    return who


@dataclass(frozen=True, slots=True)
class Reader:
    """One request of one bearer."""

    request: Request
    bearer: Bearer
    views: Views

    async def read(
        self, parameters: LiveParameters, question: Callable[[Snapshot], Awaitable[T]]
    ) -> T:
        """Return the answer to `question` (see `api.reading.Views.read`)."""
        return await self.views.read(self.bearer, parameters, question)

    def answer(
        self, body: Mapping[str, Any], as_of: str | None, language: Language | None = None
    ) -> Response:
        """Return what a view says (see `api.answers.view`)."""
        return answers.view(self.request, body, as_of, language)


async def reader(
    request: Request, serving: Serving, who: Annotated[Bearer, Depends(viewer)]
) -> Reader:
    """Return the request of a bearer who may read."""
    return Reader(request, who, serving.views)


async def operations_reader(
    request: Request, serving: Serving, who: Annotated[Bearer, Depends(operator)]
) -> Reader:
    """Return the request of a bearer who may operate."""
    return Reader(request, who, serving.views)


async def language(request: Request) -> Language:
    """Return the language of the titles."""
    return preferred(",".join(request.headers.getlist("Accept-Language")))


Reading = Annotated[Reader, Depends(reader)]
Operating = Annotated[Reader, Depends(operations_reader)]
Titles = Annotated[Language, Depends(language)]
