"""What is installed: the wheel holds every file it needs, every package is declared and pinned."""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("contracts", "projector", "api")
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS: Final = PROJECT["project"]["optional-dependencies"]
DECLARED: Final = {
    # What a directory may import; the nearest one counts.
    ".": [*PROJECT["project"]["dependencies"], *EXTRAS["otel"]],
    "projector/demo": [*PROJECT["project"]["dependencies"], *EXTRAS["demo"]],
    "tests": [*PROJECT["project"]["dependencies"], *EXTRAS["demo"], *EXTRAS["dev"]],
}
PART_OF: Final = {
    "cryptography": "pyjwt",
    "packaging": "pytest",
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
}
"""Packages that another brings along, at the version that suits it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel that the checkout gives."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps"]
    command = [*pip, "--no-build-isolation", f"--wheel-dir={built}", str(source)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (file,) = built.iterdir()
    with ZipFile(file) as archive:
        return set(archive.namelist())


def test_every_file_is_installed_and_nothing_else(wheel: set[str]) -> None:
    kept = {name for name in wheel if ".dist-info/" not in name}
    assert kept == {path.relative_to(ROOT).as_posix() for path in _files()}
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)


def test_every_package_that_is_imported_is_declared() -> None:
    owners = packages_distributions()
    for path in (*_files(), *(ROOT / "tests").rglob("*.py")):
        place = path.relative_to(ROOT)
        nearest = next(str(one) for one in place.parents if str(one) in DECLARED)
        declared = {canonicalize_name(Requirement(one).name) for one in DECLARED[nearest]}
        for module in _imported(path) if path.suffix == ".py" else ():
            names = {canonicalize_name(name) for name in owners[module]}
            parents = {PART_OF.get(name, name) for name in names}
            assert parents & declared, f"{place} imports {module}"


def test_the_pins_are_of_versions_that_are_asked_for() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pinned = {
        canonicalize_name(name): version
        for name, _, version in (line.partition("==") for line in lines)
        if version
    }
    for one in map(Requirement, DECLARED["tests"]):
        if one.name != "runfold":
            assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one


def _files() -> Iterator[Path]:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _imported(path: Path) -> Iterator[str]:
    """The first part of the name of every module of others that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case _:
                continue
        for name in modules:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in (*ROOMS, "tests"):
                yield top
