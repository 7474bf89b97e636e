"""The exported schemas are the models', say what decoding does, and do not strand anyone."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.compatibility import breaking_changes
from contracts.decoding import Undecodable, decode
from contracts.schemas import DIRECTORY, baseline_of, schema_of, text_of, write
from contracts.topics import TOPICS, Topic
from tests.unit.event_samples import REQUIRED, envelope, least, most

each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.suffix)


@each_topic
def test_files_are_what_the_models_say(topic: Topic) -> None:
    found = (DIRECTORY / f"{topic.suffix}.json").read_text("utf-8")
    assert found == text_of(topic), "run `python -m contracts.schemas` and look at the difference"


@each_topic
def test_models_strand_no_older_event_and_no_older_reader(topic: Topic) -> None:
    assert breaking_changes(baseline_of(topic), schema_of(topic)) == []


def test_no_published_event_has_been_dropped() -> None:
    published = {path.stem for path in DIRECTORY.glob("v*/*.json")}
    assert published == {topic.suffix for topic in TOPICS}


def test_writing_never_touches_a_baseline(tmp_path: Path) -> None:
    write(tmp_path)
    baseline = tmp_path / "v1" / "run-state.json"
    assert baseline.read_text("utf-8") == (tmp_path / "run-state.json").read_text("utf-8")
    baseline.write_text("as published")
    (tmp_path / "run-state.json").write_text("stale")
    write(tmp_path)
    assert baseline.read_text() == "as published"
    assert json.loads((tmp_path / "run-state.json").read_text("utf-8"))["title"]


@each_topic
def test_schema_takes_and_refuses_what_decoding_does(topic: Topic) -> None:
    Draft202012Validator.check_schema(schema_of(topic))
    validator = Draft202012Validator(schema_of(topic))
    required = REQUIRED[topic.suffix]
    bad = [
        *(envelope(topic.suffix, {**required, name: [{}]}) for name in required),
        least(topic.suffix) | {"time": "2026-05-18T06:01:48"},
        least(topic.suffix) | {"specversion": "0.3"},
        least(topic.suffix) | {"type": "other"},
        least(topic.suffix) | {"id": ""},
        least(topic.suffix) | {"data": None},
    ]
    for event in [least(topic.suffix), most(topic.suffix), *bad]:
        taken = not isinstance(decode(topic.suffix, json.dumps(event).encode()), Undecodable)
        assert validator.is_valid(event) == taken == (event not in bad)


OLD: dict[str, Any] = {
    "type": "object",
    "required": ["id", "data"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 200},
        "kind": {"const": "a.v1"},
        "data": {"$ref": "#/$defs/Data"},
    },
    "$defs": {
        "Part": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
        },
        "Data": {
            "type": "object",
            "required": ["count", "mode"],
            "properties": {
                "count": {"type": "integer", "minimum": 0, "maximum": 10},
                "mode": {"enum": ["read", "write"]},
                "state": {"type": "string", "pattern": "^[a-z]+$"},
                "shadow": {"type": "boolean", "default": False},
                "amount": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                "part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}], "default": None},
                "more": {"type": "object", "additionalProperties": True},
            },
        },
    },
}


def changed(*path: str, to: Any = None) -> dict[str, Any]:
    """The old schema with one node replaced, or taken out when it is replaced by None."""
    new = copy.deepcopy(OLD)
    node = new
    for name in path[:-1]:
        node = node[name]
    if to is None:
        del node[path[-1]]
    else:
        node[path[-1]] = to
    return new


def field(name: str, to: Any = None) -> dict[str, Any]:
    return changed("$defs", "Data", "properties", name, to=to)


DATA_REQUIRED = ("$defs", "Data", "required")
NULLABLE = [{"type": "string"}, {"type": "null"}]


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        field("added", {"type": "string", "default": "x"}),
        field("added", {"anyOf": NULLABLE}),
        field("shadow", {"type": "boolean", "default": False, "description": "d", "title": "t"}),
        field("note", {"type": ["null", "string"], "default": None}),
        field("amount", {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}),
        field("mode", {"enum": ["write", "read"]}),
        field("count", {"type": "integer", "minimum": 0.0, "maximum": 10}),
        changed("properties", "kind", to={"enum": ["a.v1"]}),
        changed(
            "properties",
            "data",
            to={**OLD["$defs"]["Data"], "description": "no longer by reference"},
        ),
    ],
)
def test_compatible_changes(new: dict[str, Any]) -> None:
    assert breaking_changes(OLD, new) == []
    assert breaking_changes(new, new) == []


EVENTS, READERS = "older events are refused: ", "older readers refuse: "
LOST, MEANING = "what older events say is lost: ", "what older events leave out changes: "


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (
            changed(*DATA_REQUIRED, to=["count", "mode", "state"]),
            EVENTS + "data.state: absent, but required",
        ),
        (changed(*DATA_REQUIRED, to=["count"]), READERS + "data.mode: absent, but required"),
        (changed("$defs", "Part", "required"), READERS + "data.part.name: absent, but required"),
        (field("state"), LOST + "data.state: no such field"),
        (
            changed("$defs", "Part", "properties", "name"),
            LOST + "data.part.name: no such field",
        ),
        (
            field("count", {"type": "integer", "minimum": 1, "maximum": 10}),
            EVENTS + "data.count: minimum 0, not 1",
        ),
        (
            field("count", {"type": "integer", "minimum": 0, "maximum": 9}),
            EVENTS + "data.count: maximum 10, not 9",
        ),
        (
            field("count", {"type": "integer", "minimum": 0, "maximum": 11}),
            READERS + "data.count: maximum 11, not 10",
        ),
        (
            field("count", {"type": "integer", "minimum": 0}),
            READERS + "data.count: maximum unbounded, not 10",
        ),
        (
            field("count", {"type": "number", "minimum": 0, "maximum": 10}),
            READERS + "data.count: type number",
        ),
        (
            changed("properties", "id", to={"type": "string", "minLength": 2, "maxLength": 200}),
            EVENTS + "id: minLength 1, not 2",
        ),
        (
            changed("properties", "id", to={"type": "string", "minLength": 1, "maxLength": 100}),
            EVENTS + "id: maxLength 200, not 100",
        ),
        (changed("properties", "id", to={"type": "integer"}), EVENTS + "id: type string"),
        (
            changed("properties", "kind", to={"const": "a.v2"}),
            EVENTS + 'kind: value "a.v1", not "a.v2"',
        ),
        (field("mode", {"enum": ["read"]}), EVENTS + 'data.mode: value "read" or "write", not "re'),
        (
            field("mode", {"enum": ["read", "write", "admin"]}),
            READERS + 'data.mode: value "admin" or "read" or "write", not "read" or "write"',
        ),
        (field("mode", {"type": "string"}), READERS + 'data.mode: value any, not "read" or "write'),
        (
            field("state", {"type": "string", "pattern": "^[a-y]+$"}),
            EVENTS + "data.state: pattern ^[a-z]+$, not ^[a-y]+$",
        ),
        (
            field("state", {"type": "string", "pattern": "^[a-z]+$", "format": "x"}),
            EVENTS + "data.state: format unbounded, not x",
        ),
        (field("amount", {"type": "number", "minimum": 0}), EVENTS + "data.amount: type string"),
        (
            field("amount", {"anyOf": [{"type": "number", "minimum": 1}, {"type": "string"}]}),
            EVENTS + "data.amount: minimum 0, not 1",
        ),
        (field("note", {"type": "string", "default": None}), EVENTS + "data.note: type null"),
        (
            field(
                "state", {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "null"}]}
            ),
            READERS + "data.state: type null",
        ),
        (
            field("shadow", {"type": "boolean", "default": True}),
            MEANING + "data.shadow: default false, now true",
        ),
        (field("shadow", {"type": "boolean"}), MEANING + "data.shadow: default false, now null"),
        (
            field("more", {"type": "object", "additionalProperties": False}),
            EVENTS + "data.more: additionalProperties True, not False",
        ),
        (
            changed("$defs", "Part", "properties", "name", to={"type": "integer"}),
            EVENTS + "data.part.name: type string",
        ),
    ],
)
def test_breaking_changes(new: dict[str, Any], said: str) -> None:
    lines = breaking_changes(OLD, new)
    assert any(line.startswith(said) for line in lines), lines
