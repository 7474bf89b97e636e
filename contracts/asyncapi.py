"""The topics as an AsyncAPI 3.0 document, for those who write or read them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from contracts.envelope import CONTENT_TYPE
from contracts.topics import DEFAULT_PARTITIONS, TOPICS, Topic, topic_name

VERSION: Final = "1.0.0"
"""Version of the contract; the first number is that of the event types."""
_BINDING_VERSION: Final = "0.4.0"


def document(prefix: str) -> str:
    """The document as JSON, the names of the topics beginning with `prefix`.

    One channel per topic, named by its suffix, with the schema of its events. runfold receives
    from every channel, and sends to those that it writes itself.
    """
    broker = KafkaBroker()
    for topic in TOPICS:
        broker.subscriber(topic_name(prefix, topic.suffix), title=topic.suffix)(_reader(topic))
    specification = AsyncAPI(
        broker,
        title="runfold",
        version=VERSION,
        description="Events of an agent platform, which runfold folds into views.",
    ).to_specification()
    # FastStream names messages with a colon, which AsyncAPI does not allow in such a name.
    text = specification.to_json().replace(":SubscribeMessage", ".event")
    return json.dumps(
        _completed(json.loads(text.replace("SubscribeMessage", "event"))),
        indent=2,
        ensure_ascii=False,
    )


def _reader(topic: Topic) -> Callable[..., Awaitable[None]]:
    async def read(event: Any) -> None:
        """Stand for a reader of the topic: its annotation is all that is looked at."""

    read.__annotations__["event"] = topic.event
    return read


def _completed(laid_out: dict[str, Any]) -> dict[str, Any]:
    """The document with what FastStream cannot know: it sees functions, not topics."""
    channels, operations = laid_out["channels"], laid_out["operations"]
    messages, schemas = laid_out["components"]["messages"], laid_out["components"]["schemas"]
    sent = {
        f"{topic.suffix}.send": {**operations[topic.suffix], "action": "send"}
        for topic in TOPICS
        if topic.direction == "output"
    }
    return {
        "asyncapi": laid_out["asyncapi"],
        "info": laid_out["info"],
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.suffix: _channel(topic, channels[topic.suffix]) for topic in TOPICS},
        "operations": {**{topic.suffix: operations[topic.suffix] for topic in TOPICS}, **sent},
        "components": {
            "messages": {
                (name := f"{topic.suffix}.event"): _message(topic, messages[name])
                for topic in TOPICS
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _channel(topic: Topic, channel: dict[str, Any]) -> dict[str, Any]:
    configuration = {
        "cleanup.policy": [topic.config["cleanup.policy"]],
        "retention.ms": int(topic.config["retention.ms"]),
        "max.message.bytes": int(topic.config["max.message.bytes"]),
    }
    binding = {"partitions": DEFAULT_PARTITIONS, "topicConfiguration": configuration}
    return {
        "address": channel["address"],
        "description": topic.model.__doc__,
        "messages": channel["messages"],
        "bindings": {"kafka": {**channel["bindings"]["kafka"], **binding}},
    }


def _message(topic: Topic, message: dict[str, Any]) -> dict[str, Any]:
    key = {"type": "string", "description": topic.key}
    return {
        "name": topic.type,
        "contentType": CONTENT_TYPE,
        "payload": message["payload"],
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}},
    }
