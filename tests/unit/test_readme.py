"""What the README names is there: commands, settings, topics, reasons, answers, targets, files."""

import json
import re
from typing import Final

import pytest

from api.decisions.request import Refusal
from contracts.decoding import Reason, Undecodable, decode
from contracts.events import ProjectUpserted
from contracts.topics import DEFAULT_PREFIX, TOPICS
from tests.readme import README, with_tables

TEXT: Final = README.read_text("utf-8")
ROOT: Final = README.parent


def test_its_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run `python -m tests.readme`"


def test_every_topic_and_every_reason_is_explained() -> None:
    assert _first_cells("## Events") == [topic.suffix for topic in TOPICS]
    assert f"`{DEFAULT_PREFIX}`" in TEXT
    assert _first_cells("### Dead letters") == [reason.value for reason in Reason]


@pytest.mark.parametrize(
    "answer",
    [
        (404, "run_not_found"),
        *((refusal.value[0], refusal.name.lower()) for refusal in Refusal),
        (422, "idempotency_key_reused"),
        (503, "no_approval_key"),
    ],
    ids=str,
)
def test_every_answer_to_a_decision_is_explained(answer: tuple[int, str]) -> None:
    status, code = answer
    assert f"| {status} | `{code}` | " in TEXT


def test_the_record_it_shows_can_be_used() -> None:
    (line,) = re.findall(r"```json\n(.*)\n```", TEXT)
    record = json.loads(line)
    event = decode(record["topic"], json.dumps(record["value"]).encode())
    assert not isinstance(event, Undecodable)
    assert isinstance(event.data, ProjectUpserted)
    assert event.data.project_id == record["key"]


def test_every_target_of_make_and_every_file_that_it_names_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {*re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE)} <= {*targets}
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", TEXT)
    assert [link for link in links if not (ROOT / link).exists()] == []


def _first_cells(heading: str) -> list[str]:
    """The first cell of each row of the first table after a heading."""
    table = re.search(r"(?:^\|.*\n)+", TEXT.partition(f"{heading}\n")[2], re.MULTILINE)
    assert table is not None, heading
    return [line.split("|")[1].strip(" `") for line in table[0].splitlines()[2:]]
