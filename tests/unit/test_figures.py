"""Figures as they are told, kept, and shown in the README."""

from pathlib import Path

import pytest

from tests.bench import figures
from tests.bench.figures import Figure, Figures, Reference, percentile
from tests.bench.readme import with_figures
from tests.readme import README


def test_the_readme_shows_the_committed_figures() -> None:
    text = README.read_text("utf-8")
    assert with_figures(text) == text, "run python -m tests.bench.readme"


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("lag", 12.34, "ms"), "lag 12.3 ms | – | –"),
        (Figure("a", 500, "1/s", Reference("b", 1_000)), "a 500 1/s | b 1,000 | 0.50"),
        (Figure("a", 2, "ms", Reference("joins", 500)), "a 2.00 ms | joins 500 | 1/250"),
    ],
)
def test_a_figure_is_one_line(figure: Figure, line: str) -> None:
    assert figure.line == line


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    told: list[str] = []
    collected = Figures(told.append)
    collected.add("a", 2.0, "ms", Reference("b", 4.0), 30)
    collected.add("c", 1.0, "MB")
    collected.write(tmp_path / "results" / "figures.json")
    _, machine, read = figures.read(tmp_path / "results" / "figures.json")
    assert (machine, read) == (figures.machine(), collected.all)
    assert told == [each.line for each in collected.all]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (51.0, 100.0)
    assert percentile([3.0], 0.99) == 3.0
