"""Promises of times on the command line."""

from __future__ import annotations

import argparse
import time

import pytest

from pumpwatch.cli.times import moment_in

NOON = 1_783_166_400


@pytest.mark.parametrize(
    ("argument", "moment"),
    [
        ("2026-07-04", NOON - 12 * 3600),
        ("2026-07-04T12:00", NOON),
        ("2026-07-04 12:00:05", NOON + 5),
        ("2026-07-04T12:00:05Z", NOON + 5),
        (str(NOON), NOON),
    ],
)
def test_a_time_is_utc_whatever_its_form(argument: str, moment: int) -> None:
    assert moment_in(argument) == moment


@pytest.mark.parametrize(
    ("argument", "seconds"), [("90s", 90), ("5m", 300), ("30min", 1800), ("6h", 21_600), ("2d", 172_800), ("1w", 604_800)]
)
def test_a_time_may_be_so_long_ago(argument: str, seconds: int) -> None:
    before = int(time.time())

    assert before - seconds <= moment_in(argument) <= int(time.time()) - seconds


@pytest.mark.parametrize(
    "argument", ["", "x", "12", "-5m", "5", "2026-13-01", "2026-07-04T25:00", "2026-07-04T12", "1e9", "٣m", "999999999999999"]
)
def test_what_is_no_time_is_refused_with_what_would_be(argument: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a time: give UTC: 2026-07-04"):
        moment_in(argument)
