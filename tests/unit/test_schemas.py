"""The exported schemas are the models' and say what decoding does."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.decoding import Undecodable, decode
from contracts.schemas import DIRECTORY, schema_of, write
from contracts.topics import TOPICS, Topic, by_suffix
from tests.unit.event_samples import REQUIRED, envelope, least, most
from tests.unit.test_decoding import GOLDEN

each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.suffix)


def test_files_are_what_the_models_say(tmp_path: Path) -> None:
    write(tmp_path)
    kept = {path.name: path.read_text("utf-8") for path in DIRECTORY.glob("*.json")}
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert kept == made, "run `python -m contracts.schemas` and look at the difference"


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


@pytest.mark.parametrize("golden", GOLDEN)
def test_schemas_still_allow_what_they_did(golden: dict[str, Any]) -> None:
    schema = schema_of(by_suffix(golden["topic"]))
    assert Draft202012Validator(schema).is_valid(golden["event"])
