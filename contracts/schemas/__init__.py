"""JSON Schemas of the events, for producers and readers in any language.

`<topic>.json` is the schema of the event that the topic carries, made from the contract by
`python -m contracts.schemas`. Decoding takes some spellings of timestamps and amounts more.
"""

import ast
import inspect
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.json import schema_components

from contracts.envelope import Event
from contracts.events import PendingAction
from contracts.topics import TOPICS, Topic

DIRECTORY: Final = Path(__file__).parent
"""Where the schemas are kept."""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(topic: Topic) -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole event, envelope and payload, that a topic carries."""
    models: tuple[type[Struct], ...] = (Event, topic.model, PendingAction)
    _, parts = schema_components(models[:2], ref_template="#/$defs/{name}")
    for model in models:
        for name, schema in parts.get(model.__name__, {}).get("properties", {}).items():
            if description := _descriptions(model).get(name):
                schema["description"] = description
            for each in (schema, *schema.get("anyOf", ())):
                if each.get("format") == "decimal":
                    each["type"] = ["number", "string"]
                    del each["format"]
    event = parts.pop("Event")
    del event["description"]
    # decoding takes any type, to tell a strange event from a broken one; only this one is right
    event["properties"]["type"]["const"] = topic.type
    event["properties"]["data"]["$ref"] = f"#/$defs/{topic.model.__name__}"
    return {"$schema": DIALECT, **event, "title": topic.type, "$defs": parts}


def _descriptions(model: type[Struct]) -> dict[str, str]:
    """Return the text that stands under each field of a model in its source."""
    (definition,) = ast.parse(inspect.getsource(model)).body
    found = {}
    for pair in pairwise(ast.iter_child_nodes(definition)):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found


def write(directory: Path) -> None:
    """Write the schema of every event."""
    for topic in TOPICS:
        text = json.dumps(schema_of(topic), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        (directory / f"{topic.suffix}.json").write_text(text, "utf-8")
