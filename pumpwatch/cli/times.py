"""Times on the command line, read the same way by every command. UTC always."""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from datetime import UTC, datetime
from typing import Final

from pumpwatch.errors import UsageError

#: For the help of an option that takes one.
TIMES: Final = "UTC: 2026-07-04, 2026-07-04T18:30[:05], 90min, 6h or 2d ago, or unix seconds"

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"([0-9]{1,9})(s|m|min|h|d|w)", re.ASCII)
_UNIX: Final = re.compile(r"[0-9]{9,12}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?)?", re.ASCII)


def moment_in(argument: str) -> int:
    """
    Unix seconds, for argparse: what :data:`TIMES` says.

    Raises:
        argparse.ArgumentTypeError: It is no time.

    """
    if ago := _AGO.fullmatch(argument):
        return max(0, int(time.time()) - int(ago[1]) * _UNITS[ago[2]])
    if _UNIX.fullmatch(argument):
        return int(argument)
    if _DATE.fullmatch(argument):
        with contextlib.suppress(ValueError):  # the 31st of June
            return int(datetime.fromisoformat(argument.removesuffix("Z")).replace(tzinfo=UTC).timestamp())
    raise argparse.ArgumentTypeError(f"not a time: give {TIMES}")


def check_times(since: int | None, until: int | None) -> None:
    """
    Make sure that there is time between two moments.

    Raises:
        UsageError: There is none.

    """
    if since is not None and until is not None and since > until:
        raise UsageError("--since is later than --until: nothing lies between them; turn them round")
