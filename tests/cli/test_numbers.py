"""Promises of numbers on the command line."""

from __future__ import annotations

import argparse

import pytest

from pumpwatch.cli.numbers import count_to, size


@pytest.mark.parametrize("argument", ["0", "-1", "101", "x", "", "1.5", "9" * 30])
def test_a_count_beyond_its_bounds_is_refused_with_them(argument: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 100"):
        count_to(100)(argument)


def test_a_count_inside_its_bounds_is_taken() -> None:
    assert [count_to(100)("1"), count_to(100)("100"), count_to(100, least=0)("0")] == [1, 100, 0]


@pytest.mark.parametrize("argument", ["-1", "nan", "inf", "x", ""])
def test_what_is_no_size_is_refused(argument: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a number from 0 on"):
        size(argument)


def test_a_size_may_have_a_fraction() -> None:
    assert [size("0"), size("0.5"), size("1e3")] == [0.0, 0.5, 1000.0]
