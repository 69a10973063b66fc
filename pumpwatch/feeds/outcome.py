"""How a connection ended, and what that means for the next one. Pure: errors in, a verdict out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from websocket import WebSocketBadStatusException, WebSocketConnectionClosedException

from pumpwatch.backoff import parse_retry_after
from pumpwatch.errors import TransientError
from pumpwatch.telemetry import visible

EndingKind: TypeAlias = Literal[
    "lost", "silent", "not opened", "slow down", "unwelcome", "refused", "exhausted", "wrong origin", "spill full", "stopped"
]

#: One word for counters: the kinds, with what is lost told apart.
DropCause: TypeAlias = Literal[
    "closed",
    "cut",
    "ping",
    "silent",
    "not opened",
    "slow down",
    "unwelcome",
    "refused",
    "exhausted",
    "wrong origin",
    "spill full",
]
DROP_CAUSES: Final[tuple[DropCause, ...]] = get_args(DropCause)

#: What the library says when a pong does not come.
_PING_TEXT: Final = "ping/pong timed out"

#: What a provider's plan says when its monthly credits are gone. The code is that of a mere slow-down: only the text tells.
EXHAUSTED_TEXT: Final = "max usage reached"

_SHOWN_CHARACTERS = 160

#: Lower numbers are HTTP statuses.
_FIRST_CLOSE_CODE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """
    The end of one connection, or of one attempt.

    Attributes:
        kind: ``lost`` and ``silent`` are daily life; ``not opened``: no handshake within the deadline; ``slow down``: 429, 503;
            ``unwelcome``: another answer than a handshake; ``refused``: our key or address; ``exhausted``: the plan is used up.
        reason: For a person; no secrets, one line.
        status: HTTP status or close code, where there was one.
    """

    kind: EndingKind
    reason: str
    status: int | None = None
    retry_after_seconds: float | None = None

    @property
    def cause(self) -> DropCause | None:
        """The kind, and of what is lost how: ``closed`` by the server, no answer to a ``ping``, ``cut``. None: we stopped."""
        if self.kind == "stopped":
            return None
        if self.kind != "lost":
            return self.kind
        if self.reason == _PING_TEXT:
            return "ping"
        return "cut" if self.status is None or self.status < _FIRST_CLOSE_CODE else "closed"


class HandshakeUnfit(TransientError):
    """
    The answer to our handshake cannot be followed: a redirect, or more bytes than a handshake has.

    Attributes:
        status_code: Of the HTTP answer; None when it was no HTTP.
    """

    def __init__(self, text: str, status_code: int | None) -> None:
        super().__init__(text)
        self.status_code = status_code


def ending_of(error: Exception | None, *, hide: Callable[[str], str] = str) -> Ending:
    """
    Say what *error* (None: there was none) means for the next attempt.

    The text of a failed handshake has all headers and the whole body in it, and may quote our key: it is taken apart, hidden
    and cut, never passed on as it is.

    Args:
        hide: Takes the secrets of this endpoint out of a text.

    """
    if error is None:
        return Ending(kind="lost", reason="the connection ended")
    if isinstance(error, WebSocketBadStatusException):
        text = (error.resp_body or b"")[:4096].decode("utf-8", errors="replace")
        headers = error.resp_headers or {}
        return _of_http_status(error.status_code, hide(text), parse_retry_after(headers.get("retry-after")))
    if isinstance(error, HandshakeUnfit):
        if error.status_code is None or error.status_code == 101:
            return Ending(kind="unwelcome", reason=str(error), status=error.status_code)
        return _of_http_status(error.status_code, str(error), None)
    code = getattr(error, "status_code", None)
    if isinstance(error, WebSocketConnectionClosedException) and isinstance(code, int):
        return _of_close_code(code, hide(str(getattr(error, "reason", None) or "")))
    text = hide(str(error)) or type(error).__name__
    return Ending(kind="lost", reason=visible(text, limit=_SHOWN_CHARACTERS))


def _of_http_status(status: int, text: str, retry_after_seconds: float | None) -> Ending:
    shown = visible(" ".join(text.split()), limit=_SHOWN_CHARACTERS)
    reason = f"the server answered the handshake with HTTP {status}" + (f": {shown}" if shown else "")
    kind: EndingKind
    if EXHAUSTED_TEXT in text.lower():
        kind = "exhausted"
    elif status in (401, 403):
        kind = "refused"
    elif status in (429, 503):
        kind = "slow down"
    elif status >= 500:
        kind = "lost"
    else:
        kind = "unwelcome"
    return Ending(kind=kind, reason=reason, status=status, retry_after_seconds=retry_after_seconds)


def _of_close_code(code: int, text: str) -> Ending:
    shown = visible(" ".join(text.split()), limit=_SHOWN_CHARACTERS)
    reason = f"the server closed with code {code}" + (f": {shown}" if shown else "")
    kind: EndingKind = "lost"
    if EXHAUSTED_TEXT in text.lower():
        kind = "exhausted"
    elif code == 1008 or 4000 <= code <= 4999:
        kind = "refused"  # "policy" and the codes of an application: like 401
    return Ending(kind=kind, reason=reason, status=code)
