"""Chance that falls the same way for a seed on every machine and every Python."""

from collections.abc import Sequence
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")

_VERSION_AND_VARIANT: Final = (0xF << 76) | (0x3 << 62)
_RANDOM_UUID: Final = (0x4 << 76) | (0x2 << 62)


class Dice:
    """A source of chance.

    Everything is made of `Random.random` and `Random.getrandbits`: of all that `random` offers
    only these keep their values between versions of Python.
    """

    def __init__(self, *seed: int | str) -> None:
        source = Random(":".join(map(str, seed)))  # noqa: S311 - chance, not secrets
        self._random = source.random
        self._bits = source.getrandbits

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included, all alike."""
        return low + int(self._random() * (high - low + 1))

    def mostly_low(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, a high one the rarer the higher it is."""
        return low + int(self._random() ** 3 * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[int(self._random() * len(choices))]

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        digits = f"{self._bits(128) & ~_VERSION_AND_VARIANT | _RANDOM_UUID:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
