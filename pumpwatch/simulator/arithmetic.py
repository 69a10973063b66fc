"""
The programs' integer arithmetic, written apart from the recorder's.

*quote* and *token* name the virtual reserves BEFORE the trade, in base units; all results are base units too. Checked in the
tests against 1,499 real consecutive trades and the PumpSwap events of the corpus.
"""

from __future__ import annotations

from typing import Final

#: State of an ordinary SOL curve at its creation.
START_VIRTUAL_TOKEN: Final = 1_073_000_000_000_000
START_VIRTUAL_QUOTE: Final = 30_000_000_000
START_REAL_TOKEN: Final = 793_100_000_000_000
SUPPLY: Final = 1_000_000_000_000_000

#: What a pool opens with: tokens, and the fee taken from the quote side.
POOL_TOKENS: Final = 206_900_000_000_000
MIGRATION_FEE: Final = 15_000_001

CURVE_FEE_BPS: Final = 95
CURVE_CREATOR_BPS: Final = 30
BUYBACK_BPS: Final = 5_000
POOL_LP_BPS: Final = 20
POOL_PROTOCOL_BPS: Final = 5
POOL_CREATOR_BPS: Final = 30


def ceiling(numerator: int, denominator: int) -> int:
    """Division of non-negative integers, rounded up."""
    return -(-numerator // denominator)


def fee_of(amount: int, basis_points: int) -> int:
    """A fee, rounded against the trader."""
    return ceiling(amount * basis_points, 10_000)


def curve_cost(quote: int, token: int, tokens: int) -> int:
    """Quote that a curve asks for an exact number of tokens, before fees."""
    return quote * tokens // (token - tokens) + 1


def curve_tokens(quote: int, token: int, paid: int) -> int:
    """Tokens that a curve gives for an exact quote amount (fees already taken off)."""
    return (paid - 1) * token // (quote + paid - 1)


def curve_proceeds(quote: int, token: int, tokens: int) -> int:
    """Quote that a curve pays for tokens, before fees; 0 for dust."""
    return tokens * quote // (token + tokens)


def pool_cost(base: int, effective: int, tokens: int) -> int:
    """Quote that a pool asks for an exact number of tokens; *effective* is the vault plus the virtual quote reserve."""
    return ceiling(tokens * effective, base - tokens)


def pool_tokens(base: int, effective: int, paid: int) -> int:
    """Tokens that a pool gives for an exact net quote amount."""
    return (paid - 1) * base // (effective + paid - 1)


def pool_proceeds(base: int, effective: int, tokens: int) -> int:
    """Quote that a pool pays for tokens, before fees."""
    return tokens * effective // (base + tokens)
