"""The tables of the README that say what the code says: `python -m tests.readme` writes them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer.main
from typer.core import TyperGroup

from api.settings import ApiSettings
from contracts.settings import variable
from projector.cli import app
from projector.settings import ProjectorSettings

README: Final = Path(__file__).parents[1] / "README.md"


def with_tables(text: str) -> str:
    """The README's text with every table between its two comments made anew."""
    for name, table in (("settings", settings()), ("commands", commands())):
        begin, end = f"<!-- {name}: made from the code -->", f"<!-- end of {name} -->"
        between = re.compile(f"(?<={begin}\n).*?(?={end})", re.DOTALL)
        text, found = between.subn(table.replace("\\", r"\\"), text)
        if found != 1:
            raise ValueError(f"the README has no place, or two, for the table of {name}")
    return text


def settings() -> str:
    """Every setting: its variable, who reads it, its default, what it says."""
    readers = {"projector": ProjectorSettings.model_fields, "API": ApiSettings.model_fields}
    fields = readers["projector"] | readers["API"]
    rows = [
        (
            f"`{variable(name)}`",
            ", ".join(reader for reader, read in readers.items() if name in read),
            _default(*(read[name] for read in readers.values() if name in read)),
            " ".join((field.description or "").split()),
        )
        for name, field in sorted(fields.items())
    ]
    return _table(("variable", "for", "default", "meaning"), rows)


def commands() -> str:
    """Every command and the first sentence of its help."""
    rows = [
        (f"`{name}`", help_.rstrip(".")) for name, help_ in _commands(typer.main.get_group(app))
    ]
    return _table(("command", "does"), rows)


def _commands(group: TyperGroup, prefix: str = "runfold") -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", " ".join((command.help or "").split())


def _default(*fields: Any) -> str:
    """What holds when it is unset; each once where readers differ, in their order."""
    return "; ".join(dict.fromkeys(map(_default_of, fields)))


def _default_of(field: Any) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default is None else f"`{field.default}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text("utf-8")), "utf-8")
