"""Titles are in zh-TW unless the client prefers English."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.responses import preferred_language

ENGLISH = (
    "en|EN|en-US,en;q=0.9|en-GB , zh-TW;q=0.8|zh-CN;q=0.4,en;q=0.5|en;q=0.5,zh;q=0.5"
    "|fr,en;q=0.1|*;q=0.5, en|en;q=1.000|,,;q=1,en,,|en;Q=1,zh;q=0.5"
)
CHINESE = (
    "|zh|zh-TW,en;q=0.9|zh;q=0.5,en;q=0.5|fr|fr, *;q=0.1|*, en|en;q=0|en;q=0.000"
    "|en;q=nan|en;q=1.5|en;q=0.5555|en;level=1|english|x-en"
)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [(each, "en") for each in ENGLISH.split("|")]
    + [(each, "zh-TW") for each in CHINESE.split("|")],
)
def test_the_language_that_is_preferred_language(accepted: str, language: str) -> None:
    assert preferred_language(accepted) == language


@pytest.mark.parametrize("filler", [" ", "a", ",", "a ", ";", "en;", "\t"])
def test_a_long_header_takes_no_longer_than_its_length(filler: str) -> None:
    started = time.process_time()
    preferred_language("en" + 100_000 * filler + "!")
    assert time.process_time() - started < 1


@given(st.text())
def test_no_header_is_an_error(accepted: str) -> None:
    assert preferred_language(accepted) in {"zh-TW", "en"}
