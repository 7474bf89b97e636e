"""JSON Schemas of the events, for producers and readers in any language.

`<topic>.json` is the schema of the event that the topic carries, made from the models by
`python -m contracts.schemas`. `v1/<topic>.json` is that schema as it was first published, and is
never written again: the models are held against it, because holding them against files that were
made from them would hold nothing.
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


def baseline_of(topic: Topic) -> dict[str, Any]:
    """The schema that the topic's event type was first published with."""
    published: dict[str, Any] = json.loads(_baseline_file(DIRECTORY, topic).read_text("utf-8"))
    return published


def write(directory: Path) -> None:
    """Write the schema of every event, and the baseline of those that have none yet."""
    for topic in TOPICS:
        text = text_of(topic)
        (directory / f"{topic.suffix}.json").write_text(text, "utf-8")
        baseline = _baseline_file(directory, topic)
        if not baseline.exists():
            baseline.parent.mkdir(exist_ok=True)
            baseline.write_text(text, "utf-8")


def text_of(topic: Topic) -> str:
    """The schema as its file has it."""
    return json.dumps(schema_of(topic), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _baseline_file(directory: Path, topic: Topic) -> Path:
    version = topic.type.rpartition(".")[2]
    return directory / version / f"{topic.suffix}.json"
