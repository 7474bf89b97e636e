"""Bearer tokens of the configured secret, for development."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt

from contracts.errors import SettingError
from contracts.settings import AuthSettings

ALL_PROJECTS: Final = "*"


def make_token(
    settings: AuthSettings, subject: str, projects: Sequence[str], roles: Sequence[str], ttl: int
) -> str:
    """Return an HS256 token that the API takes for `ttl` seconds from now.

    `*` among the projects is every project. Raises `SettingError` without an HS256 secret:
    whoever holds the private keys of a JWKS makes the tokens then.
    """
    if settings.auth_hs256_secret is None:
        raise SettingError(
            "RUNFOLD_AUTH_HS256_SECRET: missing; with RUNFOLD_AUTH_JWKS the tokens come from"
            " whoever holds the private keys"
        )
    now = datetime.now(UTC)
    claims = {
        "iss": settings.auth_issuer,
        "aud": settings.auth_audience,
        "sub": subject,
        "iat": now,
        "exp": now + timedelta(seconds=ttl),
        "projects": ALL_PROJECTS if ALL_PROJECTS in projects else list(projects),
        "roles": list(roles),
    }
    return jwt.encode(claims, settings.auth_hs256_secret.get_secret_value(), algorithm="HS256")
