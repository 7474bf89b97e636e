"""What the README says of commands, settings, events and dependencies is so."""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contracts.decoding import Reason, Undecodable, decode
from contracts.topics import DEFAULT_PREFIX, TOPICS
from tests.readme import README, with_tables

TEXT: Final = README.read_text("utf-8")
ROOT: Final = README.parent


def test_its_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run `python -m tests.readme`"


def test_a_table_without_its_place_is_not_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_tables("# runfold\n")


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Dependencies", "run"),
        ("For the demo and the tests (`pip install 'runfold[demo]'`):", "demo"),
        ("For development:", "dev"),
    ],
)
def test_every_dependency_has_its_reason(heading: str, kind: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {"run": project["dependencies"], **project["optional-dependencies"]}
    rows, declared = _rows(heading), {canonicalize_name(Requirement(o).name) for o in asked[kind]}
    assert set(rows) == declared - {"runfold"}
    assert all(rows.values())


def test_every_topic_and_every_reason_is_explained() -> None:
    assert list(_rows("## Events")) == [topic.suffix for topic in TOPICS]
    assert f"`{DEFAULT_PREFIX}`" in TEXT
    assert list(_rows("### Dead letters")) == [reason.value for reason in Reason]


def test_the_record_it_shows_can_be_used() -> None:
    (line,) = re.findall(r"```json\n(.*)\n```", TEXT)
    record = json.loads(line)
    event = decode(record["topic"], json.dumps(record["value"]).encode())
    assert not isinstance(event, Undecodable)
    assert event.data.project_id == record["key"]


def test_every_target_of_make_that_it_names_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named
    assert named <= set(targets)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https:)([^)#]+)\)", TEXT))
def test_a_file_it_links_to_is_there(link: str) -> None:
    assert (Path(ROOT) / link).exists()


def _rows(heading: str) -> dict[str, str]:
    """First and second cell of each row of the first table after a heading."""
    _, _, after = TEXT.partition(f"{heading}\n")
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None, heading
    rows = [line.strip("| ").split(" | ") for line in table[0].splitlines()[2:]]
    return {cells[0].strip("`"): cells[1] for cells in rows}
