"""What a request asks for: each argument by its name, checked, and none that is not known."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import flask

from pumpwatch.dashboard.problems import Problem
from pumpwatch.telemetry import visible

_ADDRESS: Final = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_WHOLE: Final = re.compile(r"[0-9]{1,15}")
_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")
_LONGEST_TEXT: Final = 64
_LONGEST_CURSOR: Final = 200


class Arguments:
    """
    The query of the running request.

    Raises:
        Problem: 400, from the constructor and every method: the argument is unknown, twice there, or wrong.

    """

    def __init__(self, *known: str) -> None:
        self._given: dict[str, str] = {}
        for name, values in flask.request.args.lists():
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise _wrong(f"There is no argument {visible(name, limit=40)!r} here: {takes}.")
            if len(values) > 1:
                raise _wrong(f"{name} is given twice.")
            self._given[name] = values[0]

    def text(self, name: str) -> str | None:
        """A few letters; empty is none."""
        value = self._given.get(name) or None
        if value is not None and (len(value) > _LONGEST_TEXT or "\0" in value):
            raise _wrong(f"{name} is longer than {_LONGEST_TEXT} characters, or holds what no text does.")
        return value

    def cursor(self, name: str) -> str | None:
        """Where an earlier answer ended; it is read by those who wrote it."""
        value = self._given.get(name) or None
        if value is not None and len(value) > _LONGEST_CURSOR:
            raise _wrong(f"{name} is no cursor of an answer of this page.")
        return value

    def choice(self, name: str, known: Sequence[str], default: str | None = None) -> str | None:
        """One of some words."""
        value = self._given.get(name, default)
        if value is not None and value not in known:
            raise _wrong(f"{name} is one of {', '.join(known)}.")
        return value

    def flag(self, name: str) -> bool:
        """``1`` or ``0``; none is no."""
        return self.choice(name, ("0", "1"), "0") == "1"

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int | None:
        """A number of digits alone."""
        value = self._given.get(name)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise _wrong(f"{name} is a whole number from {least} to {most}.")
        return int(value)

    def limit(self, *, most: int, default: int) -> int:
        """How many rows."""
        found = self.whole("limit", least=1, most=most, default=default)
        assert found is not None
        return found

    def size(self, name: str) -> float | None:
        """A number that is not negative."""
        value = self._given.get(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value) or math.isinf(float(value)):
            raise _wrong(f"{name} is a number that is not negative.")
        return float(value)

    def address(self, name: str) -> str | None:
        """A Solana address."""
        value = self._given.get(name)
        return None if value is None else checked_address(value, name)


def checked_address(value: str, name: str) -> str:
    """
    *value*, if it looks like a Solana address.

    Raises:
        Problem: 400, it does not.

    """
    if not _ADDRESS.fullmatch(value):
        raise _wrong(f"{name} is no Solana address (32 to 44 characters of base58).")
    return value


def _wrong(message: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, message, code="bad_argument")
