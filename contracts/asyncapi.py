"""The topics as an AsyncAPI 3.0 document, for those who write or read them."""

import json
from typing import Any, Final

from contracts.envelope import CONTENT_TYPE
from contracts.schemas import schema_of
from contracts.topics import DEFAULT_PARTITIONS, TOPICS, Topic, topic_name

VERSION: Final = "1.0.0"
"""Version of the contract; the first number is that of the event types."""
_BINDING_VERSION: Final = "0.4.0"


def document(prefix: str) -> str:
    """The document as JSON, the names of the topics beginning with `prefix`.

    One channel per topic, named by its suffix, with the schema of its events. runfold receives
    from every channel, and sends to those that it writes itself.
    """
    sent = [topic for topic in TOPICS if topic.direction == "output"]
    made = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "runfold",
            "version": VERSION,
            "description": "Events of an agent platform, which runfold folds into views.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.suffix: _channel(prefix, topic) for topic in TOPICS},
        "operations": {
            **{topic.suffix: _operation("receive", topic) for topic in TOPICS},
            **{f"{topic.suffix}.send": _operation("send", topic) for topic in sent},
        },
        "components": {
            "messages": {f"{topic.suffix}.event": _message(topic) for topic in TOPICS},
            "schemas": _schemas(),
        },
    }
    text = json.dumps(made, indent=2, ensure_ascii=False)
    return text.replace('"#/$defs/', '"#/components/schemas/')


def _channel(prefix: str, topic: Topic) -> dict[str, Any]:
    binding = {
        "topic": topic_name(prefix, topic.suffix),
        "bindingVersion": _BINDING_VERSION,
        "partitions": DEFAULT_PARTITIONS,
        "topicConfiguration": {
            "cleanup.policy": [topic.config["cleanup.policy"]],
            "retention.ms": int(topic.config["retention.ms"]),
            "max.message.bytes": int(topic.config["max.message.bytes"]),
        },
    }
    return {
        "address": topic_name(prefix, topic.suffix),
        "description": topic.model.__doc__,
        "messages": {"event": {"$ref": f"#/components/messages/{topic.suffix}.event"}},
        "bindings": {"kafka": binding},
    }


def _operation(action: str, topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{topic.suffix}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/event"}],
    }


def _message(topic: Topic) -> dict[str, Any]:
    key = {"type": "string", "description": topic.key}
    return {
        "name": topic.type,
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{_name(topic)}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}},
    }


def _schemas() -> dict[str, Any]:
    """Return the schemas of all events and of what they are made of, by name."""
    found: dict[str, Any] = {}
    for topic in TOPICS:
        schema = schema_of(topic)
        found |= schema.pop("$defs")
        found[_name(topic)] = schema
    return dict(sorted(found.items()))


def _name(topic: Topic) -> str:
    return f"{topic.model.__name__}Event"
