"""
Payloads of one transaction, in the chain's order, to events: which decoder reads which, and what becomes of the rest.

Nothing an own program emitted disappears: it is an event, a count, or kept as ``Rejected(ours=True)`` in the form of
:func:`keep_payload`, from which :func:`decode_kept` can try again with a later version or a pool known since.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final, NamedTuple

from pumpwatch.decode import pump, pump_amm
from pumpwatch.decode.addresses import PUMP, PUMP_AMM
from pumpwatch.decode.borsh import DISCRIMINATOR_BYTES, OutOfRange, UnreadableEvent
from pumpwatch.decode.layouts import NOT_RECORDED, discriminator
from pumpwatch.decode.place import Decoder, Place, UnknownPool
from pumpwatch.events import Counted, Event, PoolSeen, Rejected

OUR_PROGRAMS: Final = frozenset((PUMP, PUMP_AMM))


class Payload(NamedTuple):
    """
    What one of our programs emitted, at its place in the transaction.

    Attributes:
        body: None when the log line was no base64.
        text: The log's own text of it, for that case.
    """

    program: str
    body: bytes | None
    text: str = ""


_DECODERS: Final[dict[str, dict[bytes, Decoder]]] = {PUMP: pump.DECODERS, PUMP_AMM: pump_amm.DECODERS}

#: What the kind of a count begins with whose event is known and becomes no record.
NOT_RECORDED_KIND: Final = "not recorded: "
_NOT_RECORDED: Final = {
    program: {discriminator(name): (Counted(kind=f"{NOT_RECORDED_KIND}{name}"),) for name in names}
    for program, names in NOT_RECORDED.items()
}


def decode_payloads(payloads: list[Payload], *, signature: str, slot: int, pools: Mapping[str, PoolSeen]) -> tuple[Event, ...]:
    """Decode all *payloads* of one successful transaction. A pool created in it is known to the payloads after. Never raises."""
    place = Place(signature=signature, slot=slot, pools=pools)
    events: list[Event] = []
    for index, (program, body, text) in enumerate(payloads):
        place.event_index = index
        if body is None:
            events.append(_set_aside("bad base64", "not base64", program, text.encode("utf-8", "replace"), place))
        else:
            events += _decode(program, body, place)
    return tuple(events)


def decode_kept(kept: Rejected, pools: Mapping[str, PoolSeen]) -> tuple[Event, ...]:
    """
    Decode again what was set aside with ``ours=True``: with a newer decoder, or a pool known since.

    Raises:
        ValueError: If *kept* is not in the form of :func:`keep_payload`, or lacks signature or slot.

    """
    program, index, text = kept.raw.decode("ascii").split(" ")
    if kept.signature is None or kept.slot is None or program not in OUR_PROGRAMS:
        raise ValueError("not a payload of one of our programs with signature and slot")
    place = Place(signature=kept.signature, slot=kept.slot, pools=pools)
    place.event_index = int(index)
    return _decode(program, binascii.a2b_base64(text, strict_mode=True), place)


def keep_payload(program: str, event_index: int, body: bytes) -> bytes:
    """Spell a payload with all that decoding needs beside signature and slot: program, event index, base64, between spaces."""
    return b"%s %d %s" % (program.encode(), event_index, base64.b64encode(body))


def _decode(program: str, body: bytes, place: Place) -> tuple[Event, ...]:
    key = body[:DISCRIMINATOR_BYTES]
    decoder = _DECODERS[program].get(key)
    if decoder is None:
        known = _NOT_RECORDED[program].get(key)
        return known or (_set_aside("unknown event", f"discriminator {key.hex()}", program, body, place),)
    try:
        return decoder(body, place)
    except UnknownPool as error:
        return (_set_aside("unknown pool", str(error), program, body, place),)
    except OutOfRange as error:
        return (_set_aside("out of range", str(error), program, body, place),)
    except UnreadableEvent as error:
        return (_set_aside("unreadable event", str(error), program, body, place),)


def _set_aside(kind: str, reason: str, program: str, body: bytes, place: Place) -> Rejected:
    return Rejected(
        kind=kind,
        reason=reason,
        raw=keep_payload(program, place.event_index, body),
        ours=True,
        signature=place.signature,
        slot=place.slot,
    )
