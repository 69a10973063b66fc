"""
Accounts of the chain, as ``getAccountInfo`` and ``getMultipleAccounts`` give their bytes -> the state that a token is in.

Programs only ever append fields: an account of an older size lacks the last ones, which are then 0; a newer one has more. Source:
facts/onchain_events.md section 4 (BondingCurve, 17 real accounts), facts/idl/pump_amm.json (Pool); account and mint of the
token program, and the sysvar Clock, from Solana's documentation.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec

from pumpwatch.decode.addresses import ZERO_KEY, canonical_pool, to_address
from pumpwatch.errors import DecodeError
from pumpwatch.events import LARGEST_INTEGER, WRAPPED_SOL

#: The account that tells slot and time of the state it is read with.
SYSVAR_CLOCK: Final = "SysvarC1ock11111111111111111111111111111111"

_CURVE_DISCRIMINATOR: Final = bytes.fromhex("17b7f83760d8ac60")
_POOL_DISCRIMINATOR: Final = bytes.fromhex("f19a6d0411b16dbc")

_CURVE: Final = struct.Struct("<8xQQQQQ?32s??32s")
_CURVE_LEAST_BYTES: Final = 49
_POOL: Final = struct.Struct("<8x1xH32s32s32s32x32s32s8x32x??16s")
_POOL_LEAST_BYTES: Final = 203

_TOKEN_ACCOUNT: Final = struct.Struct("<32s32sQ")
_TOKEN_ACCOUNT_BYTES: Final = 165
_TOKEN_ACCOUNT_STATE_AT: Final = 108
_CLOCK: Final = struct.Struct("<QqQQq")


class UnreadableAccount(DecodeError):
    """The bytes are not of such an account: another discriminator, too short, or numbers that cannot be."""


class CurveAccount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A bonding curve, now.

    Attributes:
        quote_mint: :data:`pumpwatch.events.WRAPPED_SOL` for SOL.
    """

    virtual_token_reserves: int
    virtual_quote_reserves: int
    real_token_reserves: int
    real_quote_reserves: int
    token_total_supply: int
    is_complete: bool
    creator: str
    is_mayhem_mode: bool
    is_cashback_coin: bool
    quote_mint: str

    @property
    def is_migrated(self) -> bool:
        """The migration leaves a complete curve with nothing in it."""
        reserves = (self.virtual_token_reserves, self.virtual_quote_reserves, self.real_token_reserves, self.real_quote_reserves)
        return self.is_complete and not any(reserves)


class PoolAccount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A PumpSwap pool, now: its reserves are the balances of its two vaults.

    Attributes:
        virtual_quote_reserves: Signed; with the quote vault's balance it makes the effective quote reserve.
    """

    index: int
    creator: str
    base_mint: str
    quote_mint: str
    base_vault: str
    quote_vault: str
    is_mayhem_mode: bool
    is_cashback_coin: bool
    virtual_quote_reserves: int

    def is_canonical(self, address: str) -> bool:
        """Whether *address*, where this account was read, is the pool into which pump.fun migrates its base mint."""
        return canonical_pool(self.base_mint, self.quote_mint) == address

    def effective_quote_reserves(self, quote_balance: int) -> int:
        """
        Return E: what prices are made of, of a quote vault with *quote_balance*.

        Raises:
            UnreadableAccount: If it is negative, or above 2**63 - 1.

        """
        return _bounded(quote_balance + self.virtual_quote_reserves)


class Clock(msgspec.Struct, frozen=True, gc=False):
    """The chain's clock at a slot, in unix seconds."""

    slot: int
    unix_timestamp: int


def curve_state(data: bytes) -> CurveAccount | None:
    """
    Read a BondingCurve account of any size; None for an account without data.

    Raises:
        UnreadableAccount: If it is not one.

    """
    if not data:
        return None
    fields = _fields(data, "bonding curve", _CURVE, _CURVE_DISCRIMINATOR, least=_CURVE_LEAST_BYTES)
    tokens, quote, real_tokens, real_quote, supply, is_complete, creator, is_mayhem, is_cashback, quote_mint = fields
    return CurveAccount(
        virtual_token_reserves=_bounded(tokens),
        virtual_quote_reserves=_bounded(quote),
        real_token_reserves=_bounded(real_tokens),
        real_quote_reserves=_bounded(real_quote),
        token_total_supply=_bounded(supply),
        is_complete=is_complete,
        creator=to_address(creator),
        is_mayhem_mode=is_mayhem,
        is_cashback_coin=is_cashback,
        quote_mint=WRAPPED_SOL if quote_mint == ZERO_KEY else to_address(quote_mint),
    )


def pool_state(data: bytes) -> PoolAccount:
    """
    Read a PumpSwap Pool account of any size.

    Raises:
        UnreadableAccount: If it is not one.

    """
    fields = _fields(data, "pool", _POOL, _POOL_DISCRIMINATOR, least=_POOL_LEAST_BYTES)
    index, creator, base_mint, quote_mint, base_vault, quote_vault, is_mayhem, is_cashback, virtual_quote = fields
    return PoolAccount(
        index=index,
        creator=to_address(creator),
        base_mint=to_address(base_mint),
        quote_mint=to_address(quote_mint),
        base_vault=to_address(base_vault),
        quote_vault=to_address(quote_vault),
        is_mayhem_mode=is_mayhem,
        is_cashback_coin=is_cashback,
        virtual_quote_reserves=int.from_bytes(virtual_quote, "little", signed=True),
    )


def token_balance(data: bytes, *, mint: str | None = None) -> int:
    """
    Return the base units in an account of the token program, or of Token-2022.

    Args:
        mint: What it must be an account of; None: of anything.

    Raises:
        UnreadableAccount: If it is not one.

    """
    if len(data) < _TOKEN_ACCOUNT_BYTES or not data[_TOKEN_ACCOUNT_STATE_AT]:
        raise UnreadableAccount(f"{len(data)} bytes are no token account in use")
    found, _owner, amount = _TOKEN_ACCOUNT.unpack_from(data)
    if mint is not None and to_address(found) != mint:
        raise UnreadableAccount(f"a token account of {to_address(found)}, not of {mint}")
    return _bounded(amount)


def clock(data: bytes) -> Clock:
    """
    Read the sysvar Clock.

    Raises:
        UnreadableAccount: If it is not it.

    """
    if len(data) < _CLOCK.size:
        raise UnreadableAccount(f"{len(data)} bytes are no clock")
    slot, _epoch_start, _epoch, _leader_schedule_epoch, unix_timestamp = _CLOCK.unpack_from(data)
    return Clock(_bounded(slot), _bounded(unix_timestamp))


def _fields(data: bytes, name: str, layout: struct.Struct, discriminator: bytes, *, least: int) -> tuple[Any, ...]:
    """Unpack *layout*; what an account of an older size lacks is 0."""
    if data[: len(discriminator)] != discriminator:
        raise UnreadableAccount(f"no {name}: {len(data)} bytes that begin with {data[:8].hex() or 'nothing'}")
    if len(data) < least:
        raise UnreadableAccount(f"a {name} of {len(data)} bytes: cut short")
    return layout.unpack_from(data.ljust(layout.size, b"\0"))


def _bounded(number: int) -> int:
    if not 0 <= number <= LARGEST_INTEGER:
        raise UnreadableAccount(f"a number of {number}")
    return number
