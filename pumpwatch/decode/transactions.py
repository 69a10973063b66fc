"""
One transaction, in the JSON of Solana's RPC -> the events of our two programs in it: asked for over HTTP, or told by a feed.

Pure. Source: facts/solana_rpc.md sections 2, 5 and 6, facts/onchain_events.md section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from pumpwatch.decode import instructions, logs
from pumpwatch.decode.instructions import (
    InstructionSet,
    LoadedAddresses,
    TransactionBody,
    UnreadableInstructions,
    payloads_of_instructions,
)
from pumpwatch.decode.logs import UnreliableLog, payloads_of_log
from pumpwatch.decode.payloads import NOT_RECORDED_KIND, Payload, decode_payloads
from pumpwatch.decode.text import clean_text, mend_surrogates
from pumpwatch.errors import DecodeError
from pumpwatch.events import (
    LARGEST_INTEGER,
    Counted,
    CurveCompleted,
    Event,
    PoolSeen,
    Rejected,
    ReservesChanged,
    TokenCreated,
    TokenMigrated,
    Trade,
)

_DecodedT = TypeVar("_DecodedT")

_DATED: Final = (Trade, TokenCreated, CurveCompleted, TokenMigrated, ReservesChanged)


class Meta(msgspec.Struct, gc=False):
    """``meta`` of a transaction: what the node noted when it was executed."""

    err: Any = None
    logMessages: list[str] | None = None  # noqa: N815 (spelled as in the message)
    innerInstructions: list[InstructionSet] | None = None  # noqa: N815
    loadedAddresses: LoadedAddresses | None = None  # noqa: N815


class Fetched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One transaction, as an endpoint told it when asked.

    Attributes:
        slot: None when the answer could not be understood: *events* then is one ``Rejected(ours=True)`` with all of it.
        block_time: Unix seconds; None where the node does not know it.
        failed: It changed nothing on chain; *events* is empty.
        silent: It called one of our programs to trade or create, and nothing that we record came out.
    """

    signature: str
    slot: int | None = None
    block_time: int | None = None
    failed: bool = False
    silent: bool = False
    events: tuple[Event, ...] = ()


class _Result(msgspec.Struct, gc=False):
    slot: int
    meta: Meta | None = None
    transaction: msgspec.Raw = msgspec.Raw(b"null")
    blockTime: int | None = None  # noqa: N815


_results: Final = msgspec.json.Decoder(_Result)


def decode_transaction(result: bytes | msgspec.Raw, *, signature: str, pools: Mapping[str, PoolSeen]) -> Fetched:
    """
    Decode the result of ``getTransaction``, or one item of ``getTransactionsForAddress`` (full). Never raises.

    The events are those of the inner instructions, which no limit cuts, with the *event_index* that the log gives too; the log is
    taken where there are no inner instructions, or fewer events in them. An event without a time of its own gets the block's.

    Args:
        result: Its JSON, encodings ``json``, ``jsonParsed``, ``base64`` or ``base58``.
        signature: Of the transaction that was asked for.
        pools: The PumpSwap pools known so far, by address.

    """
    raw = bytes(result)
    fetched = guarded(raw, lambda text: _fetched(text, signature, pools))
    return _not_understood(signature, fetched.reason, raw) if isinstance(fetched, Rejected) else fetched


def signature_of(result: bytes | msgspec.Raw) -> str:
    """
    Return the signature of a transaction told as for :func:`decode_transaction`.

    Raises:
        DecodeError: If it cannot be read.

    """
    try:
        return TransactionBody(_results.decode(result).transaction).signature()
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not a transaction: {clean_text(str(error))}") from error


def guarded(raw: bytes, decode: Callable[[bytes], _DecodedT]) -> _DecodedT | Rejected:
    """Call *decode* with *raw*, mended if need be; what cannot be understood is :class:`Rejected`."""
    try:
        return decode(raw)
    except UnicodeDecodeError:
        return Rejected(kind="not utf-8", reason="a text is not UTF-8", raw=raw)
    except RecursionError:
        return Rejected(kind="unknown shape", reason="nested too deeply", raw=raw)
    except msgspec.ValidationError as error:
        return Rejected(kind="unknown shape", reason=clean_text(str(error)), raw=raw)
    except msgspec.DecodeError as error:
        mended = mend_surrogates(raw)
        if mended != raw:
            decoded = guarded(mended, decode)
            return msgspec.structs.replace(decoded, raw=raw) if isinstance(decoded, Rejected) else decoded
        return Rejected(kind="not json", reason=clean_text(str(error)), raw=raw)


def _fetched(raw: bytes, signature: str, pools: Mapping[str, PoolSeen]) -> Fetched:
    result = _results.decode(raw)
    slot, block_time, meta = in_range(result.slot), result.blockTime, result.meta
    if block_time is not None:
        in_range(block_time)
    if meta is None:
        return _not_understood(signature, "no meta in the answer", raw)
    body = TransactionBody(result.transaction, meta.loadedAddresses)
    try:
        if body.signature() != signature:
            return _not_understood(signature, "the answer is another transaction", raw)
        if meta.err is not None:
            return Fetched(signature=signature, slot=slot, block_time=block_time, failed=True)
        payloads = _payloads_of_answer(meta, body)
    except UnreadableInstructions as error:
        return _not_understood(signature, str(error), raw)
    events = decode_payloads(payloads, signature=signature, slot=slot, pools=pools)
    return Fetched(
        signature=signature,
        slot=slot,
        block_time=block_time,
        silent=says_nothing(events) and calls_for_trade(meta, body),
        events=tuple(_dated(event, block_time) for event in events),
    )


def _not_understood(signature: str, reason: str, raw: bytes) -> Fetched:
    rejected = Rejected(kind="unreadable transaction", reason=reason, raw=raw, ours=True, signature=signature)
    return Fetched(signature=signature, events=(rejected,))


def _dated(event: Event, block_time: int | None) -> Event:
    if block_time is not None and isinstance(event, _DATED) and event.block_time is None:
        return msgspec.structs.replace(event, block_time=block_time)
    return event


def says_nothing(events: tuple[Event, ...]) -> bool:
    """Whether there are no *events*, but those that are known and never recorded."""
    return all(type(event) is Counted and event.kind.startswith(NOT_RECORDED_KIND) for event in events)


def calls_for_trade(meta: Meta, body: TransactionBody) -> bool:
    """Whether one of our programs is called to trade or create, by the instructions, or else by the log."""
    try:
        return instructions.calls_for_trade(meta.innerInstructions, body)
    except UnreadableInstructions:
        return logs.calls_for_trade(meta.logMessages or [])


def payloads_by_log(lines: list[str] | None) -> list[Payload]:
    """As :func:`pumpwatch.decode.logs.payloads_of_log`; no log is an unreliable one."""
    if lines is None:
        raise UnreliableLog("no log in the message")
    return payloads_of_log(lines)


def payloads_by_log_or_instructions(meta: Meta, body: TransactionBody) -> list[Payload]:
    """Take the log, or else the inner instructions; never both, as each event is in both."""
    try:
        return payloads_by_log(meta.logMessages)
    except UnreliableLog:
        return payloads_of_instructions(meta.innerInstructions, body)


def _payloads_of_answer(meta: Meta, body: TransactionBody) -> list[Payload]:
    """Take the inner instructions, or else the log. More in a log that is whole: an event that is not repeated any more."""
    try:
        logged = payloads_by_log(meta.logMessages)
    except UnreliableLog:
        return payloads_of_instructions(meta.innerInstructions, body)
    try:
        repeated = payloads_of_instructions(meta.innerInstructions, body)
    except UnreadableInstructions:
        return logged
    return logged if len(logged) > len(repeated) else repeated


def in_range(slot: int) -> int:
    """
    Return *slot* (or a time).

    Raises:
        msgspec.ValidationError: If it is negative, or more than a database's integer.

    """
    if not 0 <= slot <= LARGEST_INTEGER:
        raise msgspec.ValidationError("slot or time out of range")
    return slot
