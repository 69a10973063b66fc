"""
Messages of PumpPortal -> events, and what it says about subscriptions.

Pure: bytes in, frozen records out. The feed has no time, slot or index, and its SOL reserve is its own invention: what the chain
alone can tell stays None. Source: facts/pumpportal.md (quirks A-F in section 6).
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pumpwatch.decode.addresses import USD1, USDC, bonding_curve, is_address, is_signature
from pumpwatch.decode.text import clean_text, mend_surrogates
from pumpwatch.errors import DecodeError
from pumpwatch.events import (
    LARGEST_INTEGER,
    WRAPPED_SOL,
    Counted,
    Event,
    Rejected,
    TokenCreated,
    TokenMigrated,
    Trade,
    Venue,
)

_QUOTE_MINTS: Final = frozenset((WRAPPED_SOL, USDC, USD1))
_OTHER_LAUNCHPADS: Final = {
    name: Counted(kind=f"other launchpad: {name}") for name in ("bonk", "launchlab", "raydium", "raydium-cpmm")
}
_VENUES: Final[dict[str, Venue]] = {"pump": "curve", "pump-amm": "pool"}

_TOKEN_PLACES: Final = 6
_SOL_PLACES: Final = 9
_UNITS: Final = {places: 10**places for places in (_TOKEN_PLACES, _SOL_PLACES)}

#: Below this a float times a power of ten is off by less than half a unit, so that rounding it is exact.
_EXACT_FLOAT: Final = 1e15

_Number: TypeAlias = int | float


class Control(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A message that is no event.

    Attributes:
        kind: ``refused``: no money for what was asked; ``bad key``: the key itself is not taken.
        text: What the server said, cleaned and bounded.
        method: For an acknowledgement, which subscription it confirms: ``subscribeNewToken``, ``subscribeMigration``, or ``keys``
            (a subscription with keys; the text does not tell which).
    """

    kind: Literal["ack", "refused", "bad key", "unsubscribed", "bad method", "unknown"]
    text: str
    method: str | None = None


class _Message(msgspec.Struct, gc=False):
    """All fields of all messages that we read; which are required depends on ``txType``."""

    # Spelled as in the message.
    txType: str | None = None  # noqa: N815
    signature: str = ""
    mint: str = ""
    traderPublicKey: str = ""  # noqa: N815
    pool: str | None = None
    tokenAmount: _Number | None = None  # noqa: N815
    solAmount: _Number | None = None  # noqa: N815
    initialBuy: _Number | None = None  # noqa: N815
    newTokenBalance: _Number | None = None  # noqa: N815
    vTokensInBondingCurve: _Number | None = None  # noqa: N815
    tokensInPool: _Number | None = None  # noqa: N815
    solInPool: _Number | None = None  # noqa: N815
    name: str | None = None
    symbol: str | None = None
    uri: str | None = None
    is_mayhem_mode: bool | None = None
    message: Any = None
    errors: Any = None


class _SetAside(DecodeError):
    """The message is none of the events it claims to be."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


_decoder: Final = msgspec.json.Decoder(_Message)


def decode_message(raw: bytes) -> tuple[Event, ...] | Control:
    """Decode one message. Never raises: what cannot be understood is one :class:`Rejected`."""
    try:
        message = _decoder.decode(raw)
    except UnicodeDecodeError:
        return (Rejected(kind="not utf-8", reason="a text is not UTF-8", raw=raw),)
    except RecursionError:
        return (Rejected(kind="unknown shape", reason="nested too deeply", raw=raw),)
    except msgspec.ValidationError as error:
        return (Rejected(kind="unknown shape", reason=clean_text(str(error)), raw=raw),)
    except msgspec.DecodeError as error:
        mended = mend_surrogates(raw)
        if mended != raw:
            decoded = decode_message(mended)
            return decoded if isinstance(decoded, Control) else tuple(_with_raw(event, raw) for event in decoded)
        return (Rejected(kind="not json", reason=clean_text(str(error)), raw=raw),)
    if message.txType is None:
        return _control(message, raw)
    try:
        return _event(message)
    except _SetAside as error:
        signature = message.signature if is_signature(message.signature) else None
        return (Rejected(kind=error.kind, reason=str(error), raw=raw, signature=signature),)


def _event(message: _Message) -> tuple[Event, ...]:
    other = _OTHER_LAUNCHPADS.get(message.pool or "")
    if other is not None:
        return (other,)
    if message.pool is not None and message.pool not in _VENUES:
        raise _SetAside("unknown shape", f"pool {clean_text(message.pool)[:32]!r}")
    if not is_signature(message.signature):
        raise _SetAside("unknown shape", "no signature of 64 bytes in base58")
    if message.mint in _QUOTE_MINTS:
        raise _SetAside("quote mint as mint", f"{message.mint} is what tokens are paid with")
    if not is_address(message.mint):
        raise _SetAside("unknown shape", "mint is no address")
    if message.txType in ("buy", "sell"):
        return (_trade(message, message.tokenAmount, is_buy=message.txType == "buy"),)
    if message.txType == "create":
        return _created(message)
    if message.txType == "migrate":
        return (TokenMigrated(signature=message.signature, mint=message.mint),)
    raise _SetAside("unknown shape", f"txType {clean_text(message.txType or '')[:32]!r}")


def _created(message: _Message) -> tuple[Event, ...]:
    """Return the new token, and its creator's first buy when there is one: the same trade that a ``buy`` message would tell."""
    if not is_address(message.traderPublicKey):
        raise _SetAside("unknown shape", "traderPublicKey is no address")
    created = TokenCreated(
        signature=message.signature,
        mint=message.mint,
        # Derived: the message's own bondingCurveKey is often another account (quirk B).
        bonding_curve=bonding_curve(message.mint),
        developer=message.traderPublicKey,
        name=_text(message.name),
        symbol=_text(message.symbol),
        uri=_text(message.uri),
        is_mayhem_mode=message.is_mayhem_mode,
    )
    if not message.initialBuy:
        return (created,)
    return (created, _trade(message, message.initialBuy, is_buy=True))


def _trade(message: _Message, amount: _Number | None, *, is_buy: bool) -> Trade:
    if not is_address(message.traderPublicKey):
        raise _SetAside("unknown shape", "traderPublicKey is no address")
    if amount is None:
        raise _SetAside("unknown shape", "no tokenAmount")
    token_amount = _base_units(amount, _TOKEN_PLACES)
    quote_amount = None if message.solAmount is None else _base_units(message.solAmount, _SOL_PLACES)
    reserve = None
    if message.vTokensInBondingCurve is not None:
        reserve = _base_units(message.vTokensInBondingCurve, _TOKEN_PLACES)
    venue = _venue(message)
    return Trade(
        signature=message.signature,
        mint=message.mint,
        wallet=message.traderPublicKey,
        is_buy=is_buy,
        venue=venue,
        token_amount=token_amount,
        quote_amount=quote_amount,
        virtual_token_reserves=reserve if venue == "curve" else None,
        message_key=reserve or _fingerprint(message, token_amount, quote_amount, is_buy=is_buy),
    )


def _venue(message: _Message) -> Venue:
    """
    Tell the venue.

    Without ``pool`` (2024, and the short form seen in September 2026): every message about a curve ever captured has the curve's
    token reserve, while the short form came for graduated tokens.
    """
    if message.pool is not None:
        return _VENUES[message.pool]
    return "pool" if message.vTokensInBondingCurve is None else "curve"


def _fingerprint(message: _Message, token_amount: int, quote_amount: int | None, *, is_buy: bool) -> int:
    """Return a negative number that is the same for the same message and differs for another trade of its transaction."""
    told = (
        message.signature,
        message.mint,
        message.traderPublicKey,
        is_buy,
        token_amount,
        quote_amount,
        message.newTokenBalance,
        message.tokensInPool,
        message.solInPool,
    )
    digest = hashlib.blake2b(repr(told).encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "big") >> 2)


def _base_units(amount: _Number, places: int) -> int:
    """
    Return a human number as base units, rounded: float noise such as 31.999999999999968 is normal.

    Raises:
        _SetAside: If it is negative, not finite or above 2**63 - 1 base units.

    """
    scaled = amount * _UNITS[places]
    if 0 <= scaled < _EXACT_FLOAT:
        return round(scaled)
    if not 0 <= scaled <= LARGEST_INTEGER:
        raise _SetAside("out of range", "an amount below 0 or above 2**63 - 1 base units")
    return round(Decimal(str(amount)).scaleb(places))


def _with_raw(event: Event, raw: bytes) -> Event:
    return msgspec.structs.replace(event, raw=raw) if isinstance(event, Rejected) else event


def _text(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def _control(message: _Message, raw: bytes) -> Control:
    said = [part for value in (message.errors, message.message) for part in _parts(value)]
    text = clean_text("; ".join(said) or raw[:4096].decode("utf-8", "replace"))
    lower = text.lower()
    if any(part in lower for part in _MONEY):
        return Control(kind="refused", text=text)
    if any(part in lower for part in _KEY):
        return Control(kind="bad key", text=text)
    if "'method' must be" in lower:
        return Control(kind="bad method", text=text)
    if lower.startswith("unsubscribed"):
        return Control(kind="unsubscribed", text=text)
    for beginning, method in _ACKNOWLEDGEMENTS:
        if lower.startswith(beginning):
            return Control(kind="ack", text=text, method=method)
    return Control(kind="unknown", text=text)


# Matched by their words: two wordings were seen (facts/pumpportal.md section 4), and no list of them is public. Money first: the
# text of 2026 about too little of it speaks of the key as well.
_MONEY: Final = ("balance", "funded", "insufficient", "not enough", "top up", "payment")
_KEY: Final = ("api key", "api-key", "apikey", "unauthorized", "unauthorised", "forbidden", "banned")

_ACKNOWLEDGEMENTS: Final = (
    ("successfully subscribed to token creation", "subscribeNewToken"),
    ("subscribed to 'migration'", "subscribeMigration"),
    ("successfully subscribed to keys", "keys"),
)


def _parts(value: object) -> list[str]:
    """Return the texts of ``message`` or ``errors``: a string in every real sample, a list is accepted too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [part for part in value if isinstance(part, str)]
    return []
