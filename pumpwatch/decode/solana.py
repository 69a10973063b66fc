"""
Messages of a Solana WebSocket endpoint (Helius or any other) -> slots, answers, and the events of transactions.

Pure: bytes in, frozen records out. Source: facts/solana_rpc.md sections 2 and 4, facts/onchain_events.md section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from pumpwatch.decode import logs
from pumpwatch.decode.addresses import is_signature
from pumpwatch.decode.instructions import TransactionBody, UnreadableInstructions
from pumpwatch.decode.logs import UnreliableLog
from pumpwatch.decode.payloads import Payload, decode_payloads
from pumpwatch.decode.text import clean_text
from pumpwatch.decode.transactions import (
    Fetched,
    Meta,
    calls_for_trade,
    decode_transaction,
    guarded,
    in_range,
    payloads_by_log,
    payloads_by_log_or_instructions,
    says_nothing,
    signature_of,
)
from pumpwatch.events import Event, GapOpened, PoolSeen, Rejected

__all__ = ["Answer", "Decoded", "Fetched", "Notified", "SlotSeen", "decode_message", "decode_transaction", "signature_of"]


class SlotSeen(msgspec.Struct, frozen=True, gc=False):
    """The chain's heartbeat."""

    slot: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What the server answers to a request of ours.

    Attributes:
        request_id: None in some errors.
        result: A subscription's id (u64), or True for an unsubscription.
        error_code: None when it is no error.
    """

    request_id: int | None = None
    result: int | bool | None = None
    error_code: int | None = None
    error_message: str | None = None


class Notified(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One transaction, as ``logsNotification`` or ``transactionNotification`` told it.

    Attributes:
        failed: It changed nothing on chain; *events* is empty.
        truncated: Its log could not be used and its inner instructions are not in the message: *events* is one :class:`GapOpened`
            whose ``from_us`` the feed sets.
        silent: It called one of our programs to trade or create, and nothing that we record came out.
    """

    subscription: int
    signature: str
    slot: int
    failed: bool = False
    truncated: bool = False
    silent: bool = False
    events: tuple[Event, ...] = ()


Decoded: TypeAlias = SlotSeen | Answer | Notified | Rejected


class _Context(msgspec.Struct, gc=False):
    slot: int


class _Logged(msgspec.Struct, gc=False):
    signature: str
    err: Any = None
    logs: list[str] | None = None


class _LogsResult(msgspec.Struct, gc=False):
    context: _Context
    value: _Logged


class _LogsParams(msgspec.Struct, gc=False):
    subscription: int
    result: _LogsResult


class _LogsNotification(msgspec.Struct, gc=False, tag_field="method", tag="logsNotification"):
    params: _LogsParams


class _Transaction(msgspec.Struct, gc=False):
    meta: Meta | None = None
    transaction: msgspec.Raw = msgspec.Raw(b"null")


class _TransactionResult(msgspec.Struct, gc=False):
    signature: str
    slot: int
    transaction: _Transaction


class _TransactionParams(msgspec.Struct, gc=False):
    subscription: int
    result: _TransactionResult


class _TransactionNotification(msgspec.Struct, gc=False, tag_field="method", tag="transactionNotification"):
    params: _TransactionParams


class _SlotParams(msgspec.Struct, gc=False):
    result: _Context


class _SlotNotification(msgspec.Struct, gc=False, tag_field="method", tag="slotNotification"):
    params: _SlotParams


class _Error(msgspec.Struct, gc=False):
    code: int
    message: str = ""


class _Answer(msgspec.Struct, gc=False):
    id: int | None = None
    result: int | bool | msgspec.UnsetType | None = msgspec.UNSET
    error: _Error | None = None
    method: str | None = None


_Notification: TypeAlias = _LogsNotification | _TransactionNotification | _SlotNotification

_notifications: Final = msgspec.json.Decoder(_Notification)
_answers: Final = msgspec.json.Decoder(_Answer)


def decode_message(raw: bytes, pools: Mapping[str, PoolSeen]) -> Decoded:
    """
    Decode one message. Never raises: what cannot be understood is :class:`Rejected`.

    Args:
        raw: As received; UTF-8 is checked here.
        pools: The PumpSwap pools known so far, by address.

    """
    return guarded(raw, lambda text: _decode(text, pools))


def _decode(raw: bytes, pools: Mapping[str, PoolSeen]) -> Decoded:
    try:
        message = _notifications.decode(raw)
    except msgspec.ValidationError:
        # Answers have no method, so that the union does not know them.
        answer = _answers.decode(raw)
        if answer.method is not None or (answer.result is msgspec.UNSET and answer.error is None):
            raise
        return _answered(answer)
    if isinstance(message, _LogsNotification):
        return _logged(message.params, raw, pools)
    if isinstance(message, _TransactionNotification):
        return _transacted(message.params, raw, pools)
    return SlotSeen(in_range(message.params.result.slot))


def _answered(answer: _Answer) -> Answer:
    result = None if answer.result is msgspec.UNSET else answer.result
    if answer.error is None:
        return Answer(request_id=answer.id, result=result)
    return Answer(
        request_id=answer.id, result=result, error_code=answer.error.code, error_message=clean_text(answer.error.message)
    )


def _logged(params: _LogsParams, raw: bytes, pools: Mapping[str, PoolSeen]) -> Notified | Rejected:
    value, slot = params.result.value, in_range(params.result.context.slot)
    if not is_signature(value.signature):
        return _no_signature(raw, slot)
    if value.err is not None:
        return Notified(subscription=params.subscription, signature=value.signature, slot=slot, failed=True)
    try:
        payloads = payloads_by_log(value.logs)
    except UnreliableLog as error:
        return _incomplete(params.subscription, value.signature, slot, str(error))
    notified = _notified(params.subscription, value.signature, slot, payloads, pools)
    if says_nothing(notified.events) and logs.calls_for_trade(value.logs or []):
        return msgspec.structs.replace(notified, silent=True)
    return notified


def _transacted(params: _TransactionParams, raw: bytes, pools: Mapping[str, PoolSeen]) -> Notified | Rejected:
    result = params.result
    slot, meta = in_range(result.slot), result.transaction.meta
    if not is_signature(result.signature):
        return _no_signature(raw, slot)
    if meta is None:
        return _incomplete(params.subscription, result.signature, slot, "no meta in the message")
    if meta.err is not None:
        return Notified(subscription=params.subscription, signature=result.signature, slot=slot, failed=True)
    body = TransactionBody(result.transaction.transaction, meta.loadedAddresses)
    try:
        payloads = payloads_by_log_or_instructions(meta, body)
    except UnreadableInstructions as error:
        return _incomplete(params.subscription, result.signature, slot, str(error))
    notified = _notified(params.subscription, result.signature, slot, payloads, pools)
    if says_nothing(notified.events) and calls_for_trade(meta, body):
        return msgspec.structs.replace(notified, silent=True)
    return notified


def _notified(subscription: int, signature: str, slot: int, payloads: list[Payload], pools: Mapping[str, PoolSeen]) -> Notified:
    events = decode_payloads(payloads, signature=signature, slot=slot, pools=pools) if payloads else ()
    return Notified(subscription=subscription, signature=signature, slot=slot, events=events)


def _incomplete(subscription: int, signature: str, slot: int, reason: str) -> Notified:
    gap = GapOpened(cause="log truncated", from_us=0, signature=signature, slot=slot, detail=reason)
    return Notified(subscription=subscription, signature=signature, slot=slot, truncated=True, events=(gap,))


def _no_signature(raw: bytes, slot: int) -> Rejected:
    return Rejected(kind="unknown shape", reason="the signature is not 64 bytes in base58", raw=raw, slot=slot)
