"""Rows for people: a table on a terminal, one plain line a row elsewhere."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Cells = tuple[str, ...]


def print_rows(kind: str, columns: Cells, rows: Iterable[Cells]) -> None:
    """Print the rows of one `kind` of thing to standard output."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if not console.is_terminal:
        for row in rows:
            named = (f"{column}={cell}" for column, cell in zip(columns, row, strict=True))
            console.print(kind, *named)
        return
    title = f"{kind}s".capitalize()
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    if table.rows:
        console.print(table, soft_wrap=False)
    else:
        console.print(f"{title}: none")


def printable(text: str) -> str:
    """Return one printable line: what a record holds may not write to the terminal as it likes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
