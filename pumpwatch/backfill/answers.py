"""What a JSON-RPC server answered: results, and errors classed by what the caller does next. Pure but for the telling of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from pumpwatch.errors import TransientError

#: Error codes. Source: facts/solana_rpc.md section 4, JSON-RPC 2.0.
RATE_LIMITED: Final = -32429
NODE_BEHIND: Final = -32005
STATUS_NOT_YET: Final = -32014
SLOT_NOT_REACHED: Final = -32016
INTERNAL_ERROR: Final = -32603
INVALID_REQUEST: Final = -32600

_AGAIN_CODES: Final = frozenset({RATE_LIMITED, NODE_BEHIND, STATUS_NOT_YET, INTERNAL_ERROR})
_AGAIN_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED_STATUSES: Final = frozenset({401, 403})
_REFUSED_CODES: Final = frozenset({-32401, -32403})
_PAYLOAD_TOO_LARGE: Final = 413
_OK: Final = 200

#: Part of the text that Helius sends when the month's credits are gone, with HTTP 429 and, as some saw, 200.
_EXHAUSTED_TEXT: Final = "max usage reached"


class RpcFailed(TransientError):
    """
    A call brought no result. The text is for a person, without secrets.

    Attributes:
        status: HTTP status, where there was one.
        code: JSON-RPC error code, where there was one.
    """

    def __init__(self, text: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class RpcRefused(RpcFailed):
    """The server will not do this for us (HTTP 401 or 403): a person must look at the key or the plan."""


class RpcExhausted(RpcFailed):
    """The credits of the plan, or of ``[budget]``, are spent: nothing more for a long while."""


class RpcBehind(RpcFailed):
    """The node has not reached the ``minContextSlot`` that was asked for: wait some slots, then ask again."""


class RpcStopped(RpcFailed):
    """We are stopping: the call was given up."""


class RpcAgain(RpcFailed):
    """
    Worth another try soon: too fast, the network, or the server's own trouble.

    Attributes:
        after_seconds: The server's ``Retry-After``.
    """

    def __init__(
        self, text: str, *, status: int | None = None, code: int | None = None, after_seconds: float | None = None
    ) -> None:
        super().__init__(text, status=status, code=code)
        self.after_seconds = after_seconds


class BatchRefused(RpcFailed):
    """The server takes no batches, or none so large."""


class _Answer(msgspec.Struct):
    """One answer; *result* is empty where there was none (``null`` is a result)."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None
    id: Any = None


_READ_ONE = msgspec.json.Decoder(_Answer)
_READ_MANY = msgspec.json.Decoder(list[_Answer])

#: What the decoder raises for what is no JSON, not UTF-8, or nested without end.
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)

_Shape = TypeVar("_Shape")


class Reply(NamedTuple):
    """A whole HTTP answer; *after_seconds* its ``Retry-After``."""

    status: int
    body: bytes
    after_seconds: float | None = None


def decoded(raw: msgspec.Raw, shape: type[_Shape]) -> _Shape:
    """
    The result *raw* as a *shape*, which msgspec knows how to read.

    Raises:
        RpcFailed: If it is something else.

    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except _UNREADABLE:
        raise RpcFailed("the answer has not the shape that was expected") from None


def read_one(reply: Reply, method: str) -> msgspec.Raw | RpcFailed:
    """The answer to one call that was sent alone."""
    try:
        answer = _READ_ONE.decode(reply.body)
    except _UNREADABLE:
        return _without_answer(reply, method)
    return _result(answer, reply, method)


def read_batch(reply: Reply, methods: Sequence[str]) -> list[msgspec.Raw | RpcFailed] | BatchRefused:
    """
    The answers to a batch whose ids were the positions in *methods*, in that order.

    They may come in any order, and lack some: those are worth another try.
    """
    try:
        answers = _READ_MANY.decode(reply.body)
    except _UNREADABLE:
        failure = read_one(reply, methods[0])
        if not isinstance(failure, RpcFailed):
            failure = RpcAgain("one answer to a batch of calls", status=reply.status)
        if reply.status == _PAYLOAD_TOO_LARGE or failure.code == INVALID_REQUEST:
            return BatchRefused(str(failure), status=failure.status, code=failure.code)
        return [failure] * len(methods)
    found: list[msgspec.Raw | RpcFailed | None] = [None] * len(methods)
    for answer in answers:
        place = answer.id
        if type(place) is int and 0 <= place < len(methods) and found[place] is None:
            found[place] = _result(answer, reply, methods[place])
    missing = RpcAgain("the answer to a batch lacks this call", status=reply.status)
    return [missing if each is None else each for each in found]


def _result(answer: _Answer, reply: Reply, method: str) -> msgspec.Raw | RpcFailed:
    if answer.error is not None:
        return _failure(answer.error, reply, method)
    if reply.status == _OK and bytes(answer.result):
        return answer.result
    return _without_answer(reply, method)


def _failure(error: Any, reply: Reply, method: str) -> RpcFailed:
    code = error.get("code") if isinstance(error, dict) else None
    code = code if type(code) is int else None
    message = error.get("message") if isinstance(error, dict) else error
    shown = message if isinstance(message, str) else "an error without text"
    text = f"{method}: {shown}" + (f" ({code})" if code is not None else "")
    if _EXHAUSTED_TEXT in shown.lower():
        return RpcExhausted(text, status=reply.status, code=code)
    if reply.status in _REFUSED_STATUSES or code in _REFUSED_CODES:
        return RpcRefused(text, status=reply.status, code=code)
    if code == SLOT_NOT_REACHED:
        return RpcBehind(text, status=reply.status, code=code)
    if code in _AGAIN_CODES or reply.status in _AGAIN_STATUSES:
        return RpcAgain(text, status=reply.status, code=code, after_seconds=reply.after_seconds)
    return RpcFailed(text, status=reply.status, code=code)


def _without_answer(reply: Reply, method: str) -> RpcFailed:
    """What an HTTP answer without a JSON-RPC answer in it means."""
    status = reply.status
    if _EXHAUSTED_TEXT.encode() in reply.body[:1000].lower():
        return RpcExhausted(f"{method}: {_EXHAUSTED_TEXT}", status=status)
    if status in _REFUSED_STATUSES:
        return RpcRefused(f"HTTP {status}", status=status)
    if status in _AGAIN_STATUSES:
        return RpcAgain(f"HTTP {status}", status=status, after_seconds=reply.after_seconds)
    if status != _OK:
        return RpcFailed(f"HTTP {status}", status=status)
    return RpcAgain("the answer is no JSON-RPC", status=status)
