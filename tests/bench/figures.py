"""Figures: what was measured, beside what the same run measured for comparison.

`python -m tests.bench.figures` makes the README's table of the last full run.
"""

import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.timing import Times
from tests.readme import README

COMMITTED = Path(__file__).with_name("figures.json")
"""The last full run."""

TABLE = re.compile(
    r"(?<=<!-- figures: made from tests/bench/figures.json -->\n).*?(?=<!-- end of figures -->)",
    re.DOTALL,
)
HEAD = "| figure | value | reference in the same run | ratio |\n| --- | ---: | ---: | ---: |\n"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a figure is measured against, in the same run and the same unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    reference: Reference | None
    samples: int | None
    """How many measurements it comes from, where it comes from several."""
    load: float
    """Processes that wanted to run on the machine meanwhile, ours and others', on average."""
    ratio: float | None
    """The value as a multiple of its reference."""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, value, reference and ratio, as text; dashes where there is no reference."""
        measured = self.name, f"{number(self.value)} {self.unit}"
        if self.reference is None:
            return *measured, "–", "–"
        ratio = self.value / self.reference.value
        compared = f"{ratio:.2f}" if ratio >= 0.1 else f"1/{1 / ratio:.0f}"
        return *measured, f"{self.reference.name} {number(self.reference.value)}", compared


def number(value: float) -> str:
    """The number with three digits that count, or more where it is large."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Figures:
    """The figures of one run, each shown as soon as it is there."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._began = datetime.now(UTC)
        self._all: list[Figure] = []

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        reference: Reference | None = None,
        samples: int | None = None,
    ) -> None:
        ratio = round(value / reference.value, 4) if reference else None
        load = round(os.getloadavg()[0], 1)
        figure = Figure(name, value, unit, reference, samples, load, ratio)
        self._all.append(figure)
        self._show(" | ".join(figure.cells))

    def percentiles(self, name: str, times: Times, samples: int | None = None) -> None:
        self.add(f"{name}, p50", times.p50, "ms", None, samples)
        self.add(f"{name}, p99", times.p99, "ms", None, samples)

    def write(self, file: Path) -> None:
        figures = [asdict(each) for each in self._all]
        run = {"date": f"{self._began:%Y-%m-%d}", "machine": machine(), "figures": figures}
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(run, ensure_ascii=False, indent=1) + "\n", "utf-8")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} × {processor}, {memory:.0f} GB, Python {python}"


def with_figures(text: str) -> str:
    """The README's text with the date, the machine, and a row for each figure made anew."""
    run = json.loads(COMMITTED.read_text("utf-8"))
    table = f"Measured on {run['date']} on {run['machine']}.\n\n{HEAD}"
    for each in run["figures"]:
        reference = each["reference"] and Reference(**each["reference"])
        table += f"| {' | '.join(Figure(**{**each, 'reference': reference}).cells)} |\n"
    text, found = TABLE.subn(lambda _: table, text)
    if found != 1:
        raise ValueError("the README has no place, or two, for the table of figures")
    return text


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text("utf-8")), "utf-8")
