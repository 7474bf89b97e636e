"""The compose file and the image: what can be known of them where no container engine runs."""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml

from api.settings import ApiSettings
from contracts.settings import DatabaseSettings, Settings, load, variable
from projector.kafka.consumer import SHUTDOWN_SECONDS
from projector.migrate import OLDEST_SERVER
from projector.operations.status import Status
from projector.settings import ProjectorSettings, TopicSettings

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = ROOT / "docker-compose.yml"
PROJECT: Final[dict[str, Any]] = yaml.safe_load(COMPOSE.read_text("utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = PROJECT["services"]

HOST: Final = socket.gethostname()
SETTINGS: Final[dict[str, type[Settings]]] = {
    "migrate": DatabaseSettings,
    "topics": TopicSettings,
    "projector": ProjectorSettings,
    "api": ApiSettings,
}
"""What each of our services is configured by; its name is its command."""

REQUIRED: Final = re.compile(r"\$\{(\w+):\?([^}]+)\}")
SECRET: Final = re.compile(r"PASSWORD|SECRET|TOKEN|KEY$")


def test_it_is_a_compose_file() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = subprocess.run([sys.executable, "-m", "check_jsonschema", *schema], check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_is_told_what_its_command_reads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, settings = SERVICES[name], SETTINGS[name]
    known = {variable(field) for field in settings.model_fields}
    given = {key for key in service["environment"] if key.startswith("RUNFOLD_")}
    assert given <= known
    for key in known:
        monkeypatch.delenv(key, raising=False)
    for key in given:
        monkeypatch.setenv(key, _interpolated(service["environment"][key]))
    load(settings)
    assert service["command"] == [name]


def test_whatever_is_missing_is_named_by_compose() -> None:
    for variable_named in re.findall(r"\$\{[^}]*\}", COMPOSE.read_text("utf-8")):
        assert REQUIRED.fullmatch(variable_named), variable_named


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_file(name: str) -> None:
    for key, value in SERVICES[name]["environment"].items():
        assert isinstance(value, str), f"{key}: only text means the same to every reader of YAML"
        is_elsewhere = REQUIRED.fullmatch(value) or value.startswith("/run/secrets/")
        assert not SECRET.search(key) or is_elsewhere, key
        if key == "RUNFOLD_DATABASE_URL":
            assert urlsplit(value).password is None
            assert "PGPASSWORD" in SERVICES[name]["environment"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_open_to_this_machine_only_and_waits_for_what_it_needs(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") is None
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
        else:
            assert how["condition"] == "service_completed_successfully"
            # One that is started again whatever it says never completes.
            assert SERVICES[needed]["restart"].startswith("on-failure")


@pytest.mark.parametrize(("host", "is_gone"), [(HOST, False), (HOST, True), ("elsewhere", False)])
def test_a_worker_is_healthy_while_it_reports(host: str, is_gone: bool) -> None:
    _, command = SERVICES["projector"]["healthcheck"]["test"]
    status, check = command.split(" | ")
    assert status == "runfold status --json"
    worker = {"host": host, "is_gone": is_gone}
    told = Status("main", 0, [], [], [worker], rebuilds=[]).as_json()
    checking = [sys.executable, *shlex.split(check)[1:]]
    checked = subprocess.run(checking, check=False, input=told, text=True)
    assert (checked.returncode == 0) is (host == HOST and not is_gone)


def test_what_stands_in_two_places_agrees() -> None:
    grace = int(SERVICES["projector"]["stop_grace_period"].removesuffix("s"))
    assert grace > SHUTDOWN_SECONDS
    api, port = SERVICES["api"], ApiSettings.model_fields["api_port"].default
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/healthz" in api["healthcheck"]["test"][-1]
    kafka = SERVICES["kafka"]["environment"]
    for name in ("topics", "projector", "api"):
        inside = f"INSIDE://{SERVICES[name]['environment']['RUNFOLD_KAFKA_BOOTSTRAP']},"
        assert inside in kafka["KAFKA_ADVERTISED_LISTENERS"]
    [secret] = api["secrets"]
    assert api["environment"]["RUNFOLD_APPROVAL_KEY"] == f"/run/secrets/{secret}"
    assert REQUIRED.fullmatch(PROJECT["secrets"][secret]["file"])
    outside = kafka["KAFKA_ADVERTISED_LISTENERS"].partition("OUTSIDE://127.0.0.1:")[2]
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{outside}:{outside}"]


def test_the_servers_are_those_the_tests_run_on() -> None:
    pom = ElementTree.parse(ROOT / "tests" / "kafka" / "pom.xml")
    versions = [one.text for one in pom.iterfind(".//{*}dependency/{*}version")]
    kafka, _, version = SERVICES["kafka"]["image"].partition(":")
    assert kafka == "apache/kafka"
    assert version == versions[0]
    assert SERVICES["postgres"]["image"] == f"postgres:{OLDEST_SERVER}"


def test_the_image_runs_as_nobody_in_particular() -> None:
    last_stage = _instructions()[-1]
    assert dict(last_stage)["USER"] == "10001:10001"
    assert dict(last_stage)["ENTRYPOINT"] == '["runfold"]'
    for stage in _instructions():
        for instruction, said in stage:
            assert instruction != "ARG", "an argument of a build stays in the image's history"
            assert not (instruction == "ENV" and SECRET.search(said)), said


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        source.removeprefix("./")
        for stage in _instructions()
        for instruction, said in stage
        if instruction == "COPY" and not said.startswith("--from")
        for source in said.split()[:-1]
    }
    assert copied == let_through
    for source in copied:
        assert (ROOT / source).exists(), source


def _interpolated(value: str) -> str:
    return REQUIRED.sub("a-secret-that-is-long-enough-for-hs256", value)


def _instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions, stage by stage."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))
    stages: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        instruction, _, said = line.partition(" ")
        if instruction == "FROM":
            stages.append([])
        stages[-1].append((instruction, said))
    return stages
