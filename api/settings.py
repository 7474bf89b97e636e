"""Settings of the API: where database and broker are, who may ask, what approvals say."""

from pathlib import Path

from pydantic import Field

from contracts.settings import AuthSettings, BrokerSettings, DatabaseSettings, LogSettings


class ApiSettings(DatabaseSettings, AuthSettings, BrokerSettings, LogSettings):
    """What `runfold api` needs; read with `contracts.settings.load`."""

    approval_key: Path | None = None
    """PEM file of the Ed25519 key that approval tokens are signed with; the public keys are
    published at `/.well-known/jwks.json`."""
    approval_issuer: str = Field(default="runfold", min_length=1, max_length=200)
    """Who issues approval tokens (`iss`)."""
    approval_audience: str = Field(default="engine", min_length=1, max_length=200)
    """Service that may act on approval tokens (`aud`)."""
    approval_seconds: int = Field(default=3_600, ge=1, le=604_800)
    """How long an approval token is good, in seconds from the decision."""
    api_host: str = Field(default="127.0.0.1", min_length=1)
    """Address the API listens on."""
    api_port: int = Field(default=8080, ge=0, le=65_535)
    """Port the API listens on; 0 is any free one."""
    stream_connections: int = Field(default=100, ge=1, le=100_000)
    """Most clients that may follow `/v1/stream` at once, in one API process."""
    ready_max_lag: int = Field(default=100_000, ge=0)
    """Most events that the views may be behind, over all partitions, for `/readyz` to say so."""
