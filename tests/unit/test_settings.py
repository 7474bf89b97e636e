"""Settings come from the environment; a wrong one is one line that names its variable."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import SettingError
from contracts.settings import (
    AuthSettings,
    DatabaseSettings,
    KafkaSettings,
    Settings,
    kafka_connection,
    load,
)
from projector.settings import ProjectorSettings

DATABASE = {"RUNFOLD_DATABASE_URL": "postgresql://user:hunter2@127.0.0.1:5432/runfold"}
KAFKA = {"RUNFOLD_KAFKA_BOOTSTRAP": "127.0.0.1:9092"}
SECRET = "s3cret-" * 8
Given = Callable[[dict[str, str]], None]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Sets variables, where none was set before."""
    for name in [name for name in os.environ if name.startswith("RUNFOLD_")]:
        monkeypatch.delenv(name)

    def give(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


def fault(settings: type[Settings]) -> str:
    with pytest.raises(SettingError) as raised:
        load(settings)
    assert raised.value.exit_status == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_worker_needs_a_database_and_a_broker_and_nothing_else(given: Given) -> None:
    given({**DATABASE, **KAFKA})
    settings = load(ProjectorSettings)
    assert settings.database_url == DATABASE["RUNFOLD_DATABASE_URL"]
    assert (settings.topic_prefix, settings.group_id) == ("awooop.", "runfold")


def test_every_missing_variable_is_named_and_an_empty_one_is_missing(given: Given) -> None:
    given({"RUNFOLD_DATABASE_URL": ""})
    line = fault(ProjectorSettings)
    assert "RUNFOLD_DATABASE_URL: missing: URL of the database: `postgresql://" in line
    assert "RUNFOLD_KAFKA_BOOTSTRAP: missing: " in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1/runfold",
        "postgres://user:password@db.example.com:6432/runfold?sslmode=require",
        "postgresql:///runfold?host=/var/run/postgresql",
        "postgresql://user@/runfold?host=/tmp&port=5433",
        "postgresql://[::1]:5432/runfold",
        "postgresql://user@one:5432,two:5433/runfold?target_session_attrs=read-write",
        "postgresql://user:%2F%40%23%3F@127.0.0.1",
    ],
)
def test_a_database_is_reached_by_tcp_or_socket(given: Given, url: str) -> None:
    given({"RUNFOLD_DATABASE_URL": url})
    assert load(DatabaseSettings).database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@127.0.0.1/runfold",
        "user:hunter2@127.0.0.1/runfold",
        "postgresql+asyncpg://user:hunter2@127.0.0.1/runfold",
        "postgresql://user:hunter2@127.0.0.1:99999/runfold",
        "postgresql://user:hunter2@127.0.0.1:0/runfold",
        "postgresql://user:hunter2@127.0.0.1:pg/runfold",
        "postgresql://user:hunter2@[::1/runfold",
        f"postgresql://user:hunter2@{'h' * 64}/runfold",
        # a password that ends too early would be taken, and logged, for a host
        "postgresql://user:123/hunter2@127.0.0.1/runfold",
        "postgresql://user:123#hunter2@127.0.0.1:1/runfold",
        "postgresql://user:123?hunter2@127.0.0.1/runfold",
        "postgresql://user:123?x=hunter2@127.0.0.1/runfold",
        "postgresql://user:hunter2/a?b@127.0.0.1/runfold",
        "postgresql://user:1@hunter2/2@127.0.0.1/runfold",
        "postgresql://user:1@hunter2@127.0.0.1/runfold",
        "postgresql://user@127.0.0.1/runfold#hunter2",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_and_its_password_not_shown(
    given: Given, url: str
) -> None:
    given({"RUNFOLD_DATABASE_URL": url})
    line = fault(DatabaseSettings)
    assert line.startswith("RUNFOLD_DATABASE_URL: it must be postgresql://")
    assert "hunter2" not in line
    assert "123" not in line


@pytest.mark.parametrize(
    "option",
    ["sslmode=bogus", "ssl_min_protocol_version=1", "sslrootcert=/nowhere/ca.pem", "port=pg"],
)
def test_an_option_that_no_database_could_be_reached_with_is_named(
    given: Given, option: str
) -> None:
    given({"RUNFOLD_DATABASE_URL": f"postgresql://u:hunter2@h/x?{option}"})
    line = fault(DatabaseSettings)
    assert line.startswith(f"RUNFOLD_DATABASE_URL: {option.partition('=')[0]} in it ")
    assert "hunter2" not in line


def test_no_secret_shows_in_the_settings_as_text(given: Given) -> None:
    secrets = {"RUNFOLD_KAFKA_SASL_PASSWORD": "hunter2", "RUNFOLD_AUTH_HS256_SECRET": SECRET}
    given({**DATABASE, **KAFKA, **secrets})
    shown = f"{load(ProjectorSettings)!r} {load(AuthSettings)!r}"
    assert "hunter2" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "bootstrap",
    ["127.0.0.1", "a:", "a:0", "a:70000", "a:1,b", "a:1,,b:2", "a b:1", f"{'h' * 64}:9092"],
)
def test_a_broker_is_host_and_port(given: Given, bootstrap: str) -> None:
    given({"RUNFOLD_KAFKA_BOOTSTRAP": bootstrap})
    assert fault(KafkaSettings).startswith("RUNFOLD_KAFKA_BOOTSTRAP: ")


def test_several_brokers_have_commas_between(given: Given) -> None:
    given({"RUNFOLD_KAFKA_BOOTSTRAP": "kafka-1:9092, [::1]:9092"})
    assert load(KafkaSettings).kafka_bootstrap == "kafka-1:9092,[::1]:9092"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNFOLD_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("RUNFOLD_KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("RUNFOLD_KAFKA_SSL_CAFILE", "/nowhere/ca.pem"),
        ("RUNFOLD_TOPIC_PREFIX", "a/b."),
        ("RUNFOLD_PARTITIONS", "0"),
        ("RUNFOLD_PARTITIONS", "six"),
        ("RUNFOLD_POLL_MAX_RECORDS", "-1"),
        ("RUNFOLD_POLL_MAX_BYTES", "8MB"),
        ("RUNFOLD_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_names_its_variable_alone(given: Given, name: str, value: str) -> None:
    given({**DATABASE, **KAFKA, name: value})
    line = fault(ProjectorSettings)
    assert line.startswith(f"{name}: ")
    assert "; " not in line


def test_logging_in_needs_a_user_and_a_password(given: Given) -> None:
    given({**KAFKA, "RUNFOLD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    both = "RUNFOLD_KAFKA_SASL_USERNAME and RUNFOLD_KAFKA_SASL_PASSWORD: missing"
    assert fault(KafkaSettings).startswith(both)
    given({"RUNFOLD_KAFKA_SASL_USERNAME": "runfold"})
    assert fault(KafkaSettings).startswith("RUNFOLD_KAFKA_SASL_PASSWORD: missing")


def test_clients_get_what_they_need_to_log_in(given: Given) -> None:
    given(KAFKA)
    assert kafka_connection(load(KafkaSettings))["ssl_context"] is None
    login = {"SASL_MECHANISM": "SCRAM-SHA-512", "SASL_USERNAME": "runfold"}
    login |= {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "hunter2"}
    given({f"RUNFOLD_KAFKA_{name}": value for name, value in login.items()})
    connection: dict[str, Any] = {**kafka_connection(load(KafkaSettings))}
    context = connection.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert connection == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "runfold",
        "sasl_plain_password": "hunter2",
    }


def test_a_file_that_holds_no_certificates_is_named(given: Given, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not PEM")
    tls = {"RUNFOLD_KAFKA_SECURITY_PROTOCOL": "SSL", "RUNFOLD_KAFKA_SSL_CAFILE": str(file)}
    given({**KAFKA, **tls})
    with pytest.raises(SettingError, match=r"RUNFOLD_KAFKA_SSL_CAFILE: .*ca\.pem"):
        kafka_connection(load(KafkaSettings))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RUNFOLD_AUTH_HS256_SECRET": SECRET, "RUNFOLD_AUTH_JWKS": "keys.json"},
        {"RUNFOLD_AUTH_HS256_SECRET": SECRET[:31]},
    ],
)
def test_tokens_are_verified_by_one_source_of_keys(given: Given, variables: dict[str, str]) -> None:
    given(variables)
    line = fault(AuthSettings)
    assert "RUNFOLD_AUTH_HS256_SECRET" in line
    assert SECRET[:31] not in line
