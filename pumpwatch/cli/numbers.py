"""Numbers on the command line, for argparse: a wrong one is refused with what would be right."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable

from pumpwatch.config_operations import MOST_DAYS


def count_to(most: int, *, least: int = 1) -> Callable[[str], int]:
    """Read a whole number; ArgumentTypeError unless it is between these."""

    def read(argument: str) -> int:
        with contextlib.suppress(ValueError):
            if least <= (value := int(argument)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"not a whole number from {least} to {most}")

    return read


def days_in(argument: str) -> float:
    """Read a number of days; ArgumentTypeError unless it is more than 0 and at most :data:`MOST_DAYS`."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(argument)) <= MOST_DAYS:
            return value
    raise argparse.ArgumentTypeError(f"not a number of days above 0 and up to {MOST_DAYS:,}")


def size(argument: str) -> float:
    """Read a number that is not below 0; ArgumentTypeError otherwise."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(argument)) and value >= 0:
            return value
    raise argparse.ArgumentTypeError("not a number from 0 on")
