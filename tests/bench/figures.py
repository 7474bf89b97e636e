"""Figures: what was measured, beside what the same run measured for comparison."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).with_name("figures.json")
"""The last full run."""


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
        cells = [f"{self.name} {number(self.value)} {self.unit}", *self.compared]
        return " | ".join(cells)

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
    """The figures of one run, each told as soon as it is there."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
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
        """Take a figure in and tell its line."""
        figure = Figure(name, value, unit, reference, samples, round(os.getloadavg()[0], 1))
        self.all.append(figure)
        self._tell(figure.line)

    def write(self, file: Path) -> None:
        """Write them as JSON, with the date and the machine."""
        file.parent.mkdir(exist_ok=True)
        told = {
            "date": f"{self._began:%Y-%m-%d}",
            "machine": machine(),
            "figures": [
                asdict(each) | {"ratio": each.ratio and round(each.ratio, 4)} for each in self.all
            ],
        }
        file.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")


def read(file: Path) -> tuple[str, str, list[Figure]]:
    """The date, the machine and the figures of a run."""
    told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    figures = [_figure(each) for each in told["figures"]]
    return told["date"], told["machine"], figures


def _figure(told: dict[str, Any]) -> Figure:
    given = {name: value for name, value in told.items() if name != "ratio"}
    reference = given.pop("reference")
    return Figure(**given, reference=Reference(**reference) if reference else None)


def machine() -> str:
    """What the figures were measured on, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} × {_processor()}, {memory:.0f} GB, Python {python}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
