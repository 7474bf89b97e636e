"""The AsyncAPI document: every topic, with the schema of its events, and nothing dangling."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.asyncapi import document
from contracts.topics import TOPICS, Topic
from tests.unit.event_samples import least, most

ALLOWED_NAME = re.compile(r"[A-Za-z0-9._-]+")


@pytest.fixture(scope="module")
def spoken() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document("acme."))
    return parsed


def references(node: Any) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from references(child)
    if isinstance(node, dict) and "$ref" in node:
        yield node["$ref"]


def target(spoken: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = spoken
    for name in reference[2:].split("/"):
        node = node[name]
    return target(spoken, node["$ref"]) if node.keys() == {"$ref"} else node


def test_every_reference_leads_somewhere(spoken: dict[str, Any]) -> None:
    found = list(references(spoken))
    assert len(found) > 4 * len(TOPICS)
    for reference in found:
        assert target(spoken, reference)


def test_names_are_such_as_asyncapi_allows(spoken: dict[str, Any]) -> None:
    components = spoken["components"].values()
    named = [spoken["channels"], spoken["operations"], *components]
    names = [name for each in named for name in each]
    assert [name for name in names if not ALLOWED_NAME.fullmatch(name)] == []


def test_all_are_received_and_the_output_is_sent_too(spoken: dict[str, Any]) -> None:
    assert spoken["asyncapi"] == "3.0.0"
    assert spoken["defaultContentType"] == "application/cloudevents+json; charset=UTF-8"
    assert list(spoken["channels"]) == [topic.suffix for topic in TOPICS]
    done = {
        (operation["action"], target(spoken, operation["channel"]["$ref"])["address"])
        for operation in spoken["operations"].values()
    }
    received = {("receive", f"acme.{topic.suffix}") for topic in TOPICS}
    assert done == received | {("send", "acme.approval-command")}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.suffix)
def test_channel_of_a_topic(spoken: dict[str, Any], topic: Topic) -> None:
    channel = spoken["channels"][topic.suffix]
    assert channel["description"] == topic.model.__doc__
    binding = channel["bindings"]["kafka"]
    assert binding["topic"] == channel["address"] == f"acme.{topic.suffix}"
    assert binding["topicConfiguration"]["cleanup.policy"] == [topic.config["cleanup.policy"]]
    assert binding["topicConfiguration"]["retention.ms"] == -1
    (reference,) = channel["messages"].values()
    message = target(spoken, reference["$ref"])
    assert message["name"] == topic.type
    assert message["bindings"]["kafka"]["key"]["description"] == topic.key
    validator = Draft202012Validator({**message["payload"], "components": spoken["components"]})
    assert validator.is_valid(least(topic.suffix))
    assert validator.is_valid(most(topic.suffix))
    assert not validator.is_valid(least(topic.suffix) | {"type": "other"})
    assert not validator.is_valid(least(topic.suffix) | {"data": {}})
