"""The README's table of figures, made from the last full run: `python -m tests.bench.readme`."""

import re

from tests.bench.figures import COMMITTED, Figure, number, read
from tests.readme import README

BEGIN = "<!-- figures: made from tests/bench/figures.json -->\n"
END = "<!-- end of figures -->"


def with_figures(text: str) -> str:
    """The README's text with the table of figures made anew."""
    between = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={END})", re.DOTALL)
    table = figures_table()
    text, found = between.subn(lambda _: table, text)
    if found != 1:
        raise ValueError("the README has no place, or two, for the table of figures")
    return text


def figures_table() -> str:
    """The date, the machine, and a row for each figure, where a full run has been kept."""
    if not COMMITTED.exists():
        return "No full run has been kept yet.\n"
    date, machine, figures = read(COMMITTED)
    head = "| figure | value | reference in the same run | ratio |\n| --- | ---: | ---: | ---: |\n"
    return f"Measured on {date} on {machine}.\n\n{head}" + "".join(map(_row, figures))


def _row(figure: Figure) -> str:
    reference, ratio = figure.compared
    return f"| {figure.name} | {number(figure.value)} {figure.unit} | {reference} | {ratio} |\n"


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text("utf-8")), "utf-8")
