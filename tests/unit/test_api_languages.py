"""Titles are in zh-TW unless the client prefers English."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.languages import preferred


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "zh-TW"),
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en-US,en;q=0.9", "en"),
        ("en-GB , zh-TW;q=0.8", "en"),
        ("zh-TW,en;q=0.9", "zh-TW"),
        ("zh", "zh-TW"),
        ("zh-CN;q=0.4,en;q=0.5", "en"),
        ("zh;q=0.5,en;q=0.5", "zh-TW"),
        ("en;q=0.5,zh;q=0.5", "en"),
        ("fr", "zh-TW"),
        ("fr,en;q=0.1", "en"),
        ("fr, *;q=0.1", "zh-TW"),
        ("*, en", "zh-TW"),
        ("*;q=0.5, en", "en"),
        ("en;q=0", "zh-TW"),
        ("en;q=0.000", "zh-TW"),
        ("en;q=1.000", "en"),
        ("en;q=nan", "zh-TW"),
        ("en;q=0.5555", "zh-TW"),
        ("en;level=1", "zh-TW"),
        ("english", "zh-TW"),
        ("x-en", "zh-TW"),
        (",,;q=1,en,,", "en"),
        ("en;Q=1,zh;q=0.5", "en"),
        ("en;q=1.5", "zh-TW"),
    ],
)
def test_the_language_that_is_preferred(accepted: str, language: str) -> None:
    assert preferred(accepted) == language


@pytest.mark.parametrize("filler", [" ", "a", ",", "a ", ";", "en;", "\t"])
def test_a_long_header_takes_no_longer_than_its_length(filler: str) -> None:
    started = time.process_time()
    preferred("en" + 100_000 * filler + "!")
    assert time.process_time() - started < 1


@given(st.text())
def test_no_header_is_an_error(accepted: str) -> None:
    assert preferred(accepted) in {"zh-TW", "en"}
