"""Settings that more than one process reads, each from the environment variable of its name.

A settings class is read with `load`: what is missing or wrong becomes one `SettingError` whose
single line names the variables, and never shows a value that may hold a secret.
"""

import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypedDict, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import SettingError
from contracts.topics import DEFAULT_PREFIX

PREFIX: Final = "RUNFOLD_"
SECRET_BYTES: Final = 32
"""Shortest HS256 secret: a shorter one is weaker than the signature it makes."""

_BOOTSTRAP: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")

SettingsT = TypeVar("SettingsT", bound="Settings")


_TLS_VERSIONS: Final = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
# What the client of the database refuses besides, and would be asked for again and again.
_DATABASE_OPTIONS: Final = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "target_session_attrs": {
        "any",
        "primary",
        "standby",
        "read-write",
        "read-only",
        "prefer-standby",
    },
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
}
_DATABASE_FILES: Final = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}


_ENCODE: Final = "/, ?, # and @ in the user, the password or an option must be percent-encoded"


def _is_cut(parts: SplitResult) -> bool:
    """Whether an unescaped character may have ended the password, whose beginning is now a host."""
    after_host = parts.path + parts.query if parts.netloc else ""
    return bool(parts.fragment) or "@" in after_host or parts.netloc.count("@") > 1


def _is_name(host: str) -> bool:
    """Whether a host's name is one that can be looked up at all."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


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


class DatabaseSettings(Settings):
    """Where PostgreSQL is."""

    database_url: str = Field(repr=False, examples=["postgresql://runfold@127.0.0.1:5432/runfold"])
    """URL of the database: `postgresql://…`, over TCP, or over a socket with `?host=/directory`."""

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        is_cut = has_right_port = False
        with suppress(ValueError):
            parts = urlsplit(url)
            is_cut = _is_cut(parts)
            has_right_port = parts.port != 0
        if is_cut:
            raise ValueError(_ENCODE)
        if not has_right_port or not _is_name(parts.hostname or ""):
            raise ValueError("the host or the port in it cannot be read")
        if parts.scheme not in {"postgresql", "postgres"}:
            raise ValueError("it must start with postgresql://")
        for option, value in parse_qsl(parts.query):
            if value not in _DATABASE_OPTIONS.get(option, {value}):
                known = ", ".join(sorted(_DATABASE_OPTIONS[option]))
                raise ValueError(f"{option} in it must be one of {known}")
            if option == "port" and not all(map(str.isdecimal, value.split(","))):
                raise ValueError("the port in it cannot be read")
            if option in _DATABASE_FILES and not Path(value).is_file():
                raise ValueError(f"{option} in it is no file: {value}")
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

    topic_prefix: str = Field(
        default=DEFAULT_PREFIX, pattern=r"^[A-Za-z0-9._-]{0,200}$", examples=["awooop."]
    )
    """What the name of every topic starts with."""


class BrokerSettings(TopicPrefixSettings):
    """Where the broker is, if there is one, and how to log in there."""

    kafka_bootstrap: str | None = Field(default=None, examples=["127.0.0.1:9092"])
    """Brokers to start from: `host:port`, several with a comma between. Without any, the API takes
    decisions and leaves their publication to another."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", examples=["SASL_SSL"]
    )
    """How connections to the broker are protected."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", examples=["SCRAM-SHA-512"]
    )
    """How to log in to the broker, with a SASL protocol."""
    kafka_sasl_username: str | None = Field(default=None, examples=["runfold"])
    """User at the broker; needed with a SASL protocol."""
    kafka_sasl_password: SecretStr | None = Field(default=None, examples=["<the password>"])
    """Password at the broker; needed with a SASL protocol."""
    kafka_ssl_cafile: Path | None = Field(default=None, examples=["/etc/ssl/kafka-ca.pem"])
    """PEM file of the authorities that may have signed the broker's certificate; the system's own
    when unset."""

    @field_validator("kafka_bootstrap")
    @classmethod
    def _is_host_and_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        servers = [server.strip() for server in value.split(",")]
        for server in servers:
            match = _BOOTSTRAP.fullmatch(server)
            host = server.rpartition(":")[0]
            if not match or not 1 <= int(match[1]) <= 65_535 or not _is_name(host):
                raise ValueError(f"{server!r} is not host:port")
        return ",".join(servers)

    @field_validator("kafka_ssl_cafile")
    @classmethod
    def _is_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {str(path)!r}")
        return path

    @model_validator(mode="after")
    def _can_log_in(self) -> "BrokerSettings":
        needed = {
            "RUNFOLD_KAFKA_SASL_USERNAME": self.kafka_sasl_username,
            "RUNFOLD_KAFKA_SASL_PASSWORD": self.kafka_sasl_password,
        }
        missing = [name for name, value in needed.items() if value is None]
        if self.kafka_security_protocol.startswith("SASL_") and missing:
            raise ValueError(
                f"{' and '.join(missing)}: missing, but needed with"
                f" RUNFOLD_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
            )
        return self


class KafkaSettings(BrokerSettings):
    """Where the broker is, how to log in there, and which group is ours."""

    kafka_bootstrap: str = Field(
        examples=["127.0.0.1:9092"],
        description=BrokerSettings.model_fields["kafka_bootstrap"].description,
    )
    group_id: str = Field(default="runfold", min_length=1, max_length=200, examples=["runfold"])
    """Consumer group that the workers share."""


class AuthSettings(Settings):
    """How bearer tokens are verified."""

    auth_hs256_secret: SecretStr | None = Field(
        default=None, examples=["$(openssl rand -base64 48)"]
    )
    """Shared secret of HS256 tokens, at least 32 bytes; this or a JWKS."""
    auth_jwks: str | None = Field(default=None, examples=["https://id.example.com/jwks.json"])
    """File or URL of the public keys (JWKS) that tokens are signed with; this or a secret."""
    auth_issuer: str = Field(default="runfold", min_length=1, examples=["runfold"])
    """Issuer a token must name (`iss`)."""
    auth_audience: str = Field(default="runfold", min_length=1, examples=["runfold"])
    """Audience a token must name (`aud`)."""

    @field_validator("auth_hs256_secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(f"it must have at least {SECRET_BYTES} bytes")
        return secret

    @model_validator(mode="after")
    def _has_one_source_of_keys(self) -> "AuthSettings":
        if (self.auth_hs256_secret is None) == (self.auth_jwks is None):
            found = "neither is" if self.auth_jwks is None else "both are"
            raise ValueError(
                "RUNFOLD_AUTH_HS256_SECRET, RUNFOLD_AUTH_JWKS: exactly one is needed,"
                f" {found} set, for example"
                ' RUNFOLD_AUTH_HS256_SECRET="$(openssl rand -base64 48)"'
            )
        return self


class LogSettings(Settings):
    """How log lines look."""

    log_format: Literal["console", "json"] | None = Field(default=None, examples=["json"])
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
        raise SettingError(f"{name}: {settings.kafka_ssl_cafile} is no PEM file") from error


def _fault(settings: type[Settings], details: ErrorDetails) -> str:
    if not details["loc"]:
        return _plain(details)
    field = str(details["loc"][0])
    wrong = "missing" if details["type"] == "missing" else _plain(details)
    example = _example(settings.model_fields[field])
    return f"{variable(field)}: {wrong}, for example {variable(field)}={example}"


def _plain(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ")
    return text.replace("Input should", "it should").replace("String should", "it should")


def _example(field: FieldInfo) -> object:
    return field.examples[0] if field.examples else field.default
