"""
The programs, keys and derived addresses of pump.fun and PumpSwap.

Source: facts/onchain_events.md section 1 (official IDLs; the derivations checked on 21 CreateEvents and 6 canonical pools).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from solders.pubkey import Pubkey
from solders.signature import Signature

from pumpwatch.events import WRAPPED_SOL

PUMP: Final = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
PUMP_AMM: Final = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
MAYHEM_AGENT: Final = "BwWK17cbHxwWBKZkUYvzxLcNQ1YVyaFezduWbtm2de6s"

USDC: Final = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USD1: Final = "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB"

#: Decimals of the quote mints whose number is known without asking the chain.
QUOTE_DECIMALS: Final = {WRAPPED_SOL: 9, USDC: 6, USD1: 6}

ZERO_KEY: Final = bytes(32)
_PUMP = Pubkey.from_string(PUMP)
_PUMP_AMM = Pubkey.from_string(PUMP_AMM)

#: Derived addresses kept: a watch list uses the same few again and again, a firehose never the same twice.
_REMEMBERED = 4096


def is_address(text: str) -> bool:
    """Is *text* 32 bytes in base58?"""
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


def is_signature(text: str) -> bool:
    """Is *text* 64 bytes in base58?"""
    try:
        Signature.from_string(text)
    except ValueError:
        return False
    return True


def to_signature(raw: bytes) -> str:
    """Spell the 64 bytes of a signature in base58; empty for any other number of bytes."""
    return str(Signature(raw)) if len(raw) == Signature.LENGTH else ""


@lru_cache(maxsize=_REMEMBERED)
def to_address(key: bytes) -> str:
    """Spell 32 *key* bytes in base58. The few that come again and again are one text, whose hash is computed once."""
    return str(Pubkey(key))


@lru_cache(maxsize=_REMEMBERED)
def bonding_curve(mint: str) -> str:
    """
    Derive the bonding curve's account of *mint*.

    Raises:
        ValueError: If *mint* is no address.

    """
    return _derived([b"bonding-curve", bytes(Pubkey.from_string(mint))], _PUMP)


@lru_cache(maxsize=_REMEMBERED)
def canonical_pool(mint: str, quote_mint: str = WRAPPED_SOL) -> str:
    """
    Derive the PumpSwap pool into which pump.fun migrates *mint* (index 0, created by the mint's pool authority).

    Raises:
        ValueError: If *mint* or *quote_mint* is no address.

    """
    base = bytes(Pubkey.from_string(mint))
    authority, _ = Pubkey.find_program_address([b"pool-authority", base], _PUMP)
    seeds = [b"pool", (0).to_bytes(2, "little"), bytes(authority), base, bytes(Pubkey.from_string(quote_mint))]
    return _derived(seeds, _PUMP_AMM)


def _derived(seeds: list[bytes], program: Pubkey) -> str:
    address, _ = Pubkey.find_program_address(seeds, program)
    return str(address)
