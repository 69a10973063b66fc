"""Match a token's symbol, which anyone may choose, against the pattern of ``[watch] admit``."""

from __future__ import annotations

from typing import Final

#: A longer symbol is compared up to here: the time is bounded by this times the pattern's length.
_LONGEST_SYMBOL: Final = 200


def matches(pattern: str, symbol: str) -> bool:
    """
    Tell whether all of *symbol* fits *pattern*: ``*`` is any run of characters, ``?`` any one, all others are themselves.

    Upper and lower case are the same. No regular expression is made of either, so nothing in a symbol has a meaning.
    """
    wanted, text = pattern.casefold(), symbol[:_LONGEST_SYMBOL].casefold()
    at, star, resume = 0, -1, 0
    place = 0
    while place < len(text):
        if at < len(wanted) and wanted[at] == "*":
            star, resume, at = at, place, at + 1
        elif at < len(wanted) and wanted[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:  # let the last star take one character more
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not wanted[at:].strip("*")
