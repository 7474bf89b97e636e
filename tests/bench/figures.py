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
    """One measured value."""

    name: str
    value: float
    unit: str
    reference: Reference | None = None
    samples: int | None = None
    """How many measurements it comes from, where it comes from several."""
    load: float = 0.0
    """Processes that wanted to run on the machine meanwhile, ours and others', on average."""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of its reference."""
        return self.value / self.reference.value if self.reference else None

    @property
    def line(self) -> str:
        """`name value unit | reference value | ratio`."""
        return " | ".join([f"{self.name} {number(self.value)} {self.unit}", *self.compared])

    @property
    def compared(self) -> tuple[str, str]:
        """The reference and the ratio, as text; dashes where there is none."""
        if self.reference is None or self.ratio is None:
            return "–", "–"
        ratio = f"{self.ratio:.2f}" if self.ratio >= 0.1 else f"1/{1 / self.ratio:.0f}"
        return f"{self.reference.name} {number(self.reference.value)}", ratio


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
        self.all: list[Figure] = []

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        reference: Reference | None = None,
        samples: int | None = None,
    ) -> None:
        """Take a figure in and show its line."""
        figure = Figure(name, value, unit, reference, samples, round(os.getloadavg()[0], 1))
        self.all.append(figure)
        self._show(figure.line)

    def write(self, file: Path) -> None:
        """Write them as JSON, with the date and the machine."""
        figures = [
            asdict(each) | {"ratio": each.ratio and round(each.ratio, 4)} for each in self.all
        ]
        run = {"date": f"{self._began:%Y-%m-%d}", "machine": machine(), "figures": figures}
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(run, ensure_ascii=False, indent=1) + "\n", "utf-8")


def read(file: Path) -> tuple[str, str, list[Figure]]:
    """The date, the machine and the figures of a run."""
    run = json.loads(file.read_text("utf-8"))
    for each in run["figures"]:
        del each["ratio"]
        each["reference"] = each["reference"] and Reference(**each["reference"])
    return run["date"], run["machine"], [Figure(**each) for each in run["figures"]]


def machine() -> str:
    """What the figures were measured on, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} × {processor}, {memory:.0f} GB, Python {python}"


def with_figures(text: str) -> str:
    """The README's text with the date, the machine, and a row for each figure made anew."""
    date, machine, figures = read(COMMITTED)
    table = f"Measured on {date} on {machine}.\n\n{HEAD}{''.join(map(_row, figures))}"
    text, found = TABLE.subn(lambda _: table, text)
    if found != 1:
        raise ValueError("the README has no place, or two, for the table of figures")
    return text


def _row(figure: Figure) -> str:
    reference, ratio = figure.compared
    return f"| {figure.name} | {number(figure.value)} {figure.unit} | {reference} | {ratio} |\n"


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text("utf-8")), "utf-8")
