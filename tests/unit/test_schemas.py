"""The exported schemas are the contract's, and say what decoding does."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.decoding import Undecodable, decode
from contracts.schemas import DIRECTORY, schema_of, write
from contracts.topics import TOPICS
from tests.unit.event_samples import as_bytes, least, most
from tests.unit.test_decoding import GOLDEN

VALIDATORS = {topic.suffix: Draft202012Validator(schema_of(topic)) for topic in TOPICS}


def test_files_are_what_the_contract_says(tmp_path: Path) -> None:
    write(tmp_path)
    kept = {path.name: path.read_text("utf-8") for path in DIRECTORY.glob("*.json")}
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert kept == made, "run `python -m contracts.schemas` and look at the difference"
    for validator in VALIDATORS.values():
        Draft202012Validator.check_schema(validator.schema)


@pytest.mark.parametrize("golden", GOLDEN)
def test_schemas_still_allow_what_they_did(golden: dict[str, Any]) -> None:
    assert VALIDATORS[golden["topic"]].is_valid(golden["event"])


@pytest.mark.parametrize("suffix", VALIDATORS)
def test_schema_takes_and_refuses_what_decoding_does(suffix: str) -> None:
    bad = [
        *(least(suffix, **{name: [{}]}) for name in most(suffix)["data"]),
        least(suffix) | {"time": "2026-05-18T06:01:48"},
        least(suffix) | {"specversion": "0.3"},
        least(suffix) | {"type": "other"},
        least(suffix) | {"id": ""},
        least(suffix) | {"data": None},
    ]
    for event in (least(suffix), most(suffix), *bad):
        taken = not isinstance(decode(suffix, as_bytes(event)), Undecodable)
        assert VALIDATORS[suffix].is_valid(event) == taken == (event not in bad), event
