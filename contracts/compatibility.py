"""Whether a changed schema would strand the events, or the readers, of the one before it.

Events stay in their topics for ever, and services are not all replaced in one instant. So a change
is compatible only when a new reader takes every event that the old schema allowed and loses
nothing of it, and an old reader takes every event that the new schema allows. A new optional field
is compatible; what is not needs an event type of its own.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_ANNOTATIONS: Final = frozenset({"$id", "$schema", "default", "description", "title"})
_COMPARED_APART: Final = frozenset({"const", "enum", "properties", "required", "type"})
_FLOORS: Final = frozenset({"minimum", "minLength"})
_CEILINGS: Final = frozenset({"maximum", "maxLength"})


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What in `new` breaks with `old`: one line each, with the path of the field; empty if nothing.

    Both are JSON Schemas as models export them, without recursion. Keywords other than types,
    bounds, values, fields and `anyOf` may not change at all, except those that only describe.
    """
    before, after = _resolved(old, old), _resolved(new, new)
    return [
        *(f"older events are refused: {line}" for line in _refused(before, after, "")),
        *(f"older readers refuse: {line}" for line in _refused(after, before, "")),
        *_lost(before, after, ""),
    ]


def _resolved(node: Any, root: Schema) -> Any:
    """The schema with every reference replaced by what it refers to."""
    if isinstance(node, list):
        return [_resolved(each, root) for each in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        target = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
        return _resolved({**target, **{key: node[key] for key in node if key != "$ref"}}, root)
    return {key: _resolved(node[key], root) for key in node if key != "$defs"}


def _refused(given: Schema, reader: Schema, path: str) -> Iterator[str]:
    """Why a reader with one schema does not take all that another allows to be given."""
    for option in _options(given):
        refusals = [
            list(_refused_option(option, taker, path))
            for taker in _options(reader)
            if _type_covers(option.get("type"), taker.get("type"))
        ]
        # The option is taken if any of the reader's takes it; else the nearest miss says why.
        nearest = min(refusals, key=len, default=[f"{path}: type {option.get('type', 'any')}"])
        yield from nearest


def _options(schema: Schema) -> list[Schema]:
    """The schema taken apart into schemas of at most one type each."""
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    if "anyOf" in schema:
        return [option for each in schema["anyOf"] for option in _options({**beside, **each})]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": each} for each in schema["type"]]
    return [schema]


def _type_covers(given: str | None, taken: str | None) -> bool:
    return taken in (None, given) or (given, taken) == ("integer", "number")


def _refused_option(given: Schema, taker: Schema, path: str) -> Iterator[str]:
    for keyword in sorted(taker.keys() - _ANNOTATIONS - _COMPARED_APART):
        if not _keyword_covers(keyword, given.get(keyword), taker[keyword]):
            yield f"{path}: {keyword} {given.get(keyword, 'unbounded')}, not {taker[keyword]}"
    values, taken = _values(given), _values(taker)
    if taken is not None and (values is None or not values <= taken):
        yield f"{path}: value {_listed(values)}, not {_listed(taken)}"
    for name in sorted(set(taker.get("required", ())) - set(given.get("required", ()))):
        yield f"{_join(path, name)}: absent, but required"
    for name in sorted(_fields(given).keys() & _fields(taker).keys()):
        yield from _refused(_fields(given)[name], _fields(taker)[name], _join(path, name))


def _keyword_covers(keyword: str, given: Any, taken: Any) -> bool:
    if given is not None and keyword in _FLOORS:
        return bool(given >= taken)
    if given is not None and keyword in _CEILINGS:
        return bool(given <= taken)
    return bool(given == taken)


def _values(schema: Schema) -> frozenset[str] | None:
    """The values the schema is limited to, as JSON; None if it is not limited to any."""
    if "const" in schema:
        return frozenset({json.dumps(schema["const"])})
    return frozenset(map(json.dumps, schema["enum"])) if "enum" in schema else None


def _listed(values: frozenset[str] | None) -> str:
    return "any" if values is None else " or ".join(sorted(values))


def _lost(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """Fields whose old content would be dropped, or whose absence would mean something else."""
    before, after = _all_fields(old), _all_fields(new)
    for name, field in before.items():
        where = _join(path, name)
        if name not in after:
            yield f"what older events say is lost: {where}: no such field"
            continue
        default, now = (json.dumps(each.get("default")) for each in (field, after[name]))
        if "default" in field and default != now:
            yield f"what older events leave out changes: {where}: default {default}, now {now}"
        yield from _lost(field, after[name], where)


def _all_fields(schema: Schema) -> dict[str, Schema]:
    return {name: field for each in _options(schema) for name, field in _fields(each).items()}


def _fields(schema: Schema) -> dict[str, Schema]:
    return dict(schema.get("properties", {}))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
