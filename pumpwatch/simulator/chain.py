"""Addresses: the programs a pump.fun transaction touches, and the accounts derived from a mint."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from solders.pubkey import Pubkey

PUMP: Final = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
PUMPSWAP: Final = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
PUMP_FEES: Final = "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ"
MAYHEM: Final = "MAyhSmzXzV1pTf7LsNkrNwkWKTo4ougAJ1PPg47MD4e"
MAYHEM_AGENT: Final = "BwWK17cbHxwWBKZkUYvzxLcNQ1YVyaFezduWbtm2de6s"
PUMP_AUTHORITY: Final = "Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1"
PUMPSWAP_AUTHORITY: Final = "GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR"
PUMP_GLOBAL: Final = "4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf"
PUMPSWAP_GLOBAL: Final = "ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw"
SPL: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SPL_2022: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
ATA_PROGRAM: Final = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
COMPUTE_BUDGET: Final = "ComputeBudget111111111111111111111111111111"
SYSTEM: Final = "11111111111111111111111111111111"
LOOKUP_TABLE: Final = "AddressLookupTab1e1111111111111111111111111"
SYSVAR: Final = "Sysvar1111111111111111111111111111111111111"
CLOCK: Final = "SysvarC1ock11111111111111111111111111111111"
WRAPPED_SOL: Final = "So11111111111111111111111111111111111111112"
USDC: Final = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
FEE_RECIPIENT: Final = "CebN5WGQ4jvEPvsVU4EoHEpgzq1VV7AbicfhtW4xC9iM"

#: Trading bots whose programs call pump's, and a program that emits events under pump's own discriminators.
ROUTERS: Final = (
    "FLASHX8DrLbgeR8FcfNV1F5krxYcYMUdBkrP1EPBtxB9",
    "GMgnVFR8Jb39LoXsEVzb3DvBy3ywCmdmJquHUy1Lrkqb",
    "troyXT7Ty3s2rjJe4bqWaroUrS4Fjd8rbHHNHxcACF4",
)
MOONSHOT: Final = "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG"

#: How events name SOL as a quote.
ZERO_KEY: Final = bytes(32)


def key(address: str) -> bytes:
    """The 32 bytes behind a base58 address."""
    return bytes(Pubkey.from_string(address))


def address(raw: bytes) -> str:
    """The base58 address of 32 bytes."""
    return str(Pubkey.from_bytes(raw))


@lru_cache(maxsize=4096)
def _derived(program: str, *seeds: bytes) -> str:
    return str(Pubkey.find_program_address(list(seeds), Pubkey.from_string(program))[0])


def bonding_curve(mint: str) -> str:
    """Account that holds a coin's reserves until it graduates."""
    return _derived(PUMP, b"bonding-curve", key(mint))


def canonical_pool(mint: str, quote_mint: str = WRAPPED_SOL) -> str:
    """PumpSwap pool that a coin migrates to."""
    authority = _derived(PUMP, b"pool-authority", key(mint))
    return _derived(PUMPSWAP, b"pool", bytes(2), key(authority), key(mint), key(quote_mint))


def token_account(owner: str, mint: str, token_program: str) -> str:
    """The associated token account of *owner*."""
    return _derived(ATA_PROGRAM, key(owner), key(token_program), key(mint))
