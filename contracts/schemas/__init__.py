"""JSON Schemas of the events, for producers and readers in any language.

`<topic>.json` is the schema of the event that the topic carries, made from the models by
`python -m contracts.schemas`.
"""

import json
from pathlib import Path
from typing import Any, Final

from contracts.topics import TOPICS, Topic

DIRECTORY: Final = Path(__file__).parent
"""Where the schemas are kept."""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(topic: Topic) -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole event, envelope and payload, that a topic carries."""
    schema = topic.event.model_json_schema()
    return {"$schema": DIALECT, **schema, "title": topic.type}


def write(directory: Path) -> None:
    """Write the schema of every event."""
    for topic in TOPICS:
        text = json.dumps(schema_of(topic), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        (directory / f"{topic.suffix}.json").write_text(text, "utf-8")
