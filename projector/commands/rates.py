"""Rates that are given to commands, in events per second."""

import math
from typing import Final

import typer

HIGHEST: Final = 1_000_000


def number(rate: float | None) -> float | None:
    """Return a rate as it is. Raises `typer.BadParameter` for nan, which no limit keeps out."""
    if rate is not None and math.isnan(rate):
        raise typer.BadParameter("nan is no number")
    return rate
