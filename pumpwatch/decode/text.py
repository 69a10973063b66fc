"""Text that strangers wrote (names, symbols, links): made storable and bounded, otherwise left as it is."""

from __future__ import annotations

import re
from typing import Final

#: Characters kept of any one text. The chain's own bounds are far below (a transaction has at most 4,096 bytes).
TEXT_LIMIT: Final = 1024

_REPLACEMENT = "\ufffd"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# One JSON escape: a surrogate pair, a lone half, or anything else after a backslash (an escaped backslash is consumed whole).
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def clean_text(text: str) -> str:
    """Cut *text* to :data:`TEXT_LIMIT` characters and replace NUL and lone surrogates, which databases refuse, by U+FFFD."""
    return _UNSTORABLE.sub(_REPLACEMENT, text[:TEXT_LIMIT])


def clean_bytes(text: bytes) -> str:
    """Decode UTF-8 leniently (what is no UTF-8 becomes U+FFFD), then as :func:`clean_text`."""
    # A character has at most four bytes, so the cut never shortens the result; it bounds the work.
    return clean_text(text[: TEXT_LIMIT * 4].decode("utf-8", "replace"))


def mend_surrogates(raw: bytes) -> bytes:
    r"""Replace lone surrogate escapes (``"\ud83d"``) in a JSON text by ``\ufffd``: for one, parsers refuse the whole text."""
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match[2] else match[0], raw)
