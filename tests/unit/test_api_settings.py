"""Settings of the API: what is wrong is one line that names its variable."""

import os
from pathlib import Path

import pytest

from api.app import create_app, from_environment
from api.settings import ApiSettings
from contracts.errors import SettingError
from contracts.settings import load

GOOD = {
    "RUNFOLD_DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "RUNFOLD_AUTH_HS256_SECRET": "s3cret-" * 8,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RUNFOLD_")]:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_what_is_not_set_has_its_default() -> None:
    settings = load(ApiSettings)
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8080)
    assert (settings.auth_issuer, settings.auth_audience) == ("runfold", "runfold")
    assert settings.ready_max_lag == 100_000
    assert settings.approval_key is None


def test_the_application_needs_no_database_to_be_made() -> None:
    assert from_environment().openapi()["info"]["title"] == "runfold"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RUNFOLD_DATABASE_URL", ""),
        ("RUNFOLD_DATABASE_URL", "mysql://x"),
        ("RUNFOLD_AUTH_HS256_SECRET", ""),
        ("RUNFOLD_AUTH_HS256_SECRET", "s3cret-too-short"),
        ("RUNFOLD_AUTH_JWKS", "https://example.com/jwks.json"),
        ("RUNFOLD_API_PORT", "65536"),
        ("RUNFOLD_API_PORT", "http"),
        ("RUNFOLD_READY_MAX_LAG", "-1"),
        ("RUNFOLD_APPROVAL_KEY", "/nowhere/key.pem"),
    ],
)
def test_a_setting_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as raised:
        from_environment()
    assert variable in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://id.example.com/jwks.json", True),
        ("http://127.0.0.1:8000/jwks.json", True),
        ("http://localhost/jwks.json", True),
        ("http://[::1]:80/jwks.json", True),
        ("http://id.example.com/jwks.json", False),
        ("http://127.0.0.1.example.com/jwks.json", False),
        ("http://localhost@example.com/jwks.json", False),
        ("HTTP://example.com/jwks.json", False),
    ],
)
def test_keys_are_not_fetched_from_afar_without_tls(
    monkeypatch: pytest.MonkeyPatch, url: str, is_good: bool
) -> None:
    monkeypatch.delenv("RUNFOLD_AUTH_HS256_SECRET")
    monkeypatch.setenv("RUNFOLD_AUTH_JWKS", url)
    if is_good:
        create_app(load(ApiSettings))
        return
    with pytest.raises(SettingError, match="RUNFOLD_AUTH_JWKS"):
        create_app(load(ApiSettings))


def test_a_jwks_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RUNFOLD_AUTH_HS256_SECRET")
    monkeypatch.setenv("RUNFOLD_AUTH_JWKS", str(tmp_path / "none.json"))
    with pytest.raises(SettingError, match="RUNFOLD_AUTH_JWKS"):
        from_environment()
