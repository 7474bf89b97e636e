"""Settings that more than one process reads, each from the environment variable of its name.

A settings class is read with `load`: what is missing or wrong becomes one `SettingError` whose
single line names the variables, and never shows a value that may hold a secret.
"""

import re
import ssl
from pathlib import Path
from typing import Annotated, Final, Literal, TypedDict, TypeVar
from urllib.parse import parse_qsl

from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import SettingError
from contracts.topics import DEFAULT_PREFIX

PREFIX: Final = "RUNFOLD_"

SettingsT = TypeVar("SettingsT", bound="Settings")

_LABEL: Final = r"[A-Za-z0-9_-]{1,63}"
_SERVER: Final = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-fA-F:.]+\])(?::([0-9]{{1,5}}))?"
)
_URL: Final = re.compile(
    r"postgres(?:ql)?://(?:[^/?#@]*@)?(?P<servers>[^/?#@]*)(?:/[^?#@]*)?(?:\?(?P<query>[^#@]*))?"
)
# What the database's client refuses too: as an outage, which it would never get over.
_OPTIONS: Final = {
    "port": r"\d+(,\d+)*",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "target_session_attrs": "any|primary|standby|read-write|read-only|prefer-standby",
    "ssl_min_protocol_version": r"TLSv1(\.[123])?",
    "ssl_max_protocol_version": r"TLSv1(\.[123])?",
}
_FILES: Final = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}


class Settings(BaseSettings):
    """Base of all settings: field `x_y` is read from `RUNFOLD_X_Y`; an empty variable is unset."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


def _is_server(text: str, *, needs_port: bool = False) -> bool:
    match = _SERVER.fullmatch(text)
    if match is None or match[1] is None:
        return match is not None and not needs_port
    return 1 <= int(match[1]) <= 65_535


class DatabaseSettings(Settings):
    """Where PostgreSQL is."""

    database_url: str = Field(repr=False)
    """URL of the database: `postgresql://…`, over TCP, or over a socket with `?host=/directory`."""

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        match = _URL.fullmatch(url)
        servers = match["servers"].split(",") if match and match["servers"] else []
        if not match or not all(_is_server(each) for each in servers):
            raise ValueError(
                "it must be postgresql://user:password@host:port/database?option=value, with every"
                " /, ?, # and @ in user, password and value percent-encoded"
            )
        for option, value in parse_qsl(match["query"] or ""):
            if not re.fullmatch(_OPTIONS.get(option, ".*"), value, re.DOTALL):
                raise ValueError(f"{option} in it must be {_OPTIONS[option]}")
            if option in _FILES and not Path(value).is_file():
                raise ValueError(f"{option} in it is not a file: {value}")
        return url


class KafkaConnection(TypedDict):
    """Arguments every aiokafka client takes to reach the broker."""

    bootstrap_servers: str
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


class TopicPrefixSettings(Settings):
    """Which topics are ours."""

    topic_prefix: str = Field(default=DEFAULT_PREFIX, pattern=r"^[A-Za-z0-9._-]{0,200}$")
    """What the name of every topic starts with."""


def _servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        if not _is_server(server, needs_port=True):
            raise ValueError(f"{server!r} is not host:port")
    return ",".join(servers)


Servers = Annotated[str, AfterValidator(_servers)]


class BrokerSettings(TopicPrefixSettings):
    """Where the broker is, if there is one, and how to log in there."""

    kafka_bootstrap: Servers | None = None
    """Brokers to start from: `host:port`, several with a comma between. Without any, the API takes
    decisions and leaves their publication to another."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How connections to the broker are protected."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How to log in to the broker, with a SASL protocol."""
    kafka_sasl_username: str | None = None
    """User at the broker; needed with a SASL protocol."""
    kafka_sasl_password: SecretStr | None = None
    """Password at the broker; needed with a SASL protocol."""
    kafka_ssl_cafile: FilePath | None = None
    """PEM file of the authorities that may have signed the broker's certificate; the system's own
    when unset."""

    @model_validator(mode="after")
    def _can_log_in(self) -> "BrokerSettings":
        needed = ("kafka_sasl_username", "kafka_sasl_password")
        missing = [variable(name) for name in needed if getattr(self, name) is None]
        if missing and self.kafka_security_protocol.startswith("SASL_"):
            raise ValueError(
                f"{' and '.join(missing)}: missing, but needed with"
                f" {variable('kafka_security_protocol')}={self.kafka_security_protocol}"
            )
        return self


class KafkaSettings(BrokerSettings):
    """Where the broker is, how to log in there, and which group is ours."""

    kafka_bootstrap: Servers = Field(
        description=BrokerSettings.model_fields["kafka_bootstrap"].description
    )
    group_id: str = Field(default="runfold", min_length=1, max_length=200)
    """Consumer group that the workers share."""


class AuthSettings(Settings):
    """How bearer tokens are verified."""

    auth_hs256_secret: SecretStr | None = None
    """Shared secret of HS256 tokens, at least 32 bytes; this or a JWKS."""
    auth_jwks: str | None = None
    """File or URL of the public keys (JWKS) that tokens are signed with; this or a secret."""
    auth_issuer: str = Field(default="runfold", min_length=1)
    """Issuer a token must name (`iss`)."""
    auth_audience: str = Field(default="runfold", min_length=1)
    """Audience a token must name (`aud`)."""

    @field_validator("auth_hs256_secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        # a shorter one is weaker than the signature it makes
        if secret is not None and len(secret.get_secret_value().encode()) < 32:
            raise ValueError("it must have at least 32 bytes")
        return secret

    @model_validator(mode="after")
    def _has_one_source_of_keys(self) -> "AuthSettings":
        if (self.auth_hs256_secret is None) == (self.auth_jwks is None):
            found = "neither is" if self.auth_jwks is None else "both are"
            raise ValueError(
                f"RUNFOLD_AUTH_HS256_SECRET, RUNFOLD_AUTH_JWKS: exactly one is needed, {found} set,"
                ' for example RUNFOLD_AUTH_HS256_SECRET="$(openssl rand -base64 48)"'
            )
        return self


class LogSettings(Settings):
    """How log lines look."""

    log_format: Literal["console", "json"] | None = None
    """`console` for people, `json` for machines; by default `console` on a terminal, `json`
    elsewhere."""


def load(settings: type[SettingsT]) -> SettingsT:
    """Read the settings from the environment.

    Raises `SettingError` with one line that names every variable that is missing or wrong.
    """
    try:
        return settings()
    except ValidationError as error:
        faults = [_fault(settings, details) for details in error.errors(include_url=False)]
        raise SettingError("; ".join(faults)) from None


def variable(field: str) -> str:
    """The environment variable a field is read from."""
    return PREFIX + field.upper()


def kafka_connection(settings: BrokerSettings) -> KafkaConnection:
    """What aiokafka's consumer, producer and admin client need to reach the broker.

    Raises `SettingError` when no broker is set, or the file of certificate authorities cannot be
    used.
    """
    if settings.kafka_bootstrap is None:
        raise SettingError(f"{variable('kafka_bootstrap')}: missing")
    password = settings.kafka_sasl_password
    return KafkaConnection(
        bootstrap_servers=settings.kafka_bootstrap,
        security_protocol=settings.kafka_security_protocol,
        ssl_context=_ssl_context(settings),
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_plain_username=settings.kafka_sasl_username,
        sasl_plain_password=password.get_secret_value() if password else None,
    )


def _ssl_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    if not settings.kafka_security_protocol.endswith("SSL"):
        return None
    try:
        return ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    except OSError as error:
        name = variable("kafka_ssl_cafile")
        raise SettingError(f"{name}: {settings.kafka_ssl_cafile} is not a PEM file") from error


def _fault(settings: type[Settings], details: ErrorDetails) -> str:
    what = details["msg"].removeprefix("Value error, ")
    if not details["loc"]:
        return what  # of several fields: it names their variables itself
    field = str(details["loc"][0])
    if details["type"] == "missing":
        what = f"missing: {settings.model_fields[field].description}"
    return f"{variable(field)}: {' '.join(what.split())}"
