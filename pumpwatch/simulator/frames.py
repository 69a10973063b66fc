"""
PumpPortal's frames, field by field as the captures of the corpus show them, quirks included.

Numbers are UI units (9 decimals for SOL, 6 for tokens), computed in floats as PumpPortal does; whole ones are JSON integers.
"""

from __future__ import annotations

import random
from typing import Final

from pumpwatch.simulator import chain
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.logs import base58, dumps
from pumpwatch.simulator.transaction import Notice
from pumpwatch.simulator.truth import TradeRow

SUBSCRIBED_NEW: Final = "Successfully subscribed to token creation events."
SUBSCRIBED_MIGRATION: Final = "Subscribed to 'migration' events."
SUBSCRIBED_KEYS: Final = "Successfully subscribed to keys."
UNSUBSCRIBED: Final = "Unsubscribed."
UNFUNDED: Final = (
    "'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available when connecting with an API key funded with "
    "at least 0.02 SOL."
)
BAD_METHOD: Final = (
    "Invalid message. 'method' must be 'subscribeNewToken', 'subscribeTokenTrade', 'subscribeAccountTrade', or "
    "'subscribeMigration'."
)


def message(text: str) -> str:
    """An acknowledgement, or a refusal, which looks like one."""
    return dumps({"message": text})


def errors(text: str) -> str:
    """The answer to a method that does not exist."""
    return dumps({"errors": text})


def number(value: float) -> float | int:
    """As JavaScript writes it: no fraction, no point."""
    return int(value) if value == int(value) else value


def curve_numbers(tokens: float) -> dict[str, object]:
    """
    PumpPortal's own idea of a curve with *tokens* (UI units) left.

    Its SOL reserve is not the chain's: 32190000000 divided by the tokens (207 of 207 real frames).
    """
    sol = 32_190_000_000 / tokens
    return {
        "vTokensInBondingCurve": number(tokens),
        "vSolInBondingCurve": number(sol),
        "marketCapSol": number(sol / tokens * 1e9),
    }


def create_frame(signature: str, coin: Coin, row: TradeRow | None, *, rng: random.Random) -> str:
    """``create``; *row* is the creator's first buy. Coins quoted in USDC are named by their quote (quirk A)."""
    bought = 0.0 if row is None else row.token_amount / 1e6
    sol = 0 if row is None else row.quote_amount - (rng.random() < 0.02)  # sometimes one lamport low, as 3 of 167 real ones
    frame: dict[str, object] = {
        "signature": signature,
        "mint": coin.mint,
        "traderPublicKey": coin.creator,
        "txType": "create",
        "initialBuy": number(bought),
        "solAmount": number(sol / 1e9),
        "bondingCurveKey": coin.curve,
        **curve_numbers(1_073_000_000 - bought),
        "name": coin.name,
        "symbol": coin.symbol,
        "uri": coin.uri,
        "is_mayhem_mode": coin.is_mayhem,
        "pool": "pump",
    }
    if not coin.is_sol:
        frame |= {"mint": coin.quote_mint, "initialBuy": 0, "solAmount": 0, **curve_numbers(1_073_000_000)}
        for missing in ("name", "symbol", "uri"):
            del frame[missing]
    elif coin.is_mayhem and bought and rng.random() < 0.5:
        frame["bondingCurveKey"] = chain.MAYHEM_AGENT  # quirk B
    return dumps(frame)


def bonk_create_frame(rng: random.Random) -> str:
    """A create of another launchpad, which comes over the same subscription."""
    bought = round(rng.uniform(0, 40_000_000), 6)
    tokens = 1_000_000_000 - bought
    frame = {
        "signature": base58(rng.randbytes(64)),
        "traderPublicKey": chain.address(rng.randbytes(32)),
        "txType": "create",
        "mint": chain.address(rng.randbytes(32)),
        "solInPool": number(round(bought / 36_000_000, 5)),
        "tokensInPool": number(tokens),
        "initialBuy": number(bought),
        "solAmount": number(round(bought / 36_000_000, 5)),
        "newTokenBalance": number(bought),
        "marketCapSol": number(29.7 * 1e9 / tokens),
        "name": "Blume",
        "symbol": "BLUME",
        "uri": "https://ipfs.io/ipfs/simulated",
        "pool": "bonk",
    }
    return dumps(frame)


def migrate_frame(signature: str, mint: str) -> str:
    """``migrate``: signature and mint, nothing else."""
    return dumps({"signature": signature, "mint": mint, "txType": "migrate", "pool": "pump-amm"})


def trade_frame(row: TradeRow, curve: str, balance: int) -> str:
    """``buy`` or ``sell``. After graduation two shapes are reported: with pool fields, or with nothing beyond the amounts."""
    frame: dict[str, object] = {
        "signature": row.signature,
        "mint": row.mint,
        "traderPublicKey": row.wallet,
        "txType": "buy" if row.is_buy else "sell",
        "tokenAmount": number(row.token_amount / 1e6),
        "solAmount": number(row.quote_amount / 1e9),
    }
    if row.venue == "curve":
        frame |= {
            "newTokenBalance": number(balance / 1e6),
            "bondingCurveKey": curve,
            **curve_numbers(row.virtual_token_reserves / 1e6),
            "pool": "pump",
        }
    elif chain.key(row.mint)[0] % 2:
        frame |= {
            "newTokenBalance": number(balance / 1e6),
            "tokensInPool": number(row.real_token_reserves / 1e6),
            "solInPool": number(row.real_quote_reserves / 1e9),
            "marketCapSol": number(row.virtual_quote_reserves / row.virtual_token_reserves * 1e6),
            "pool": "pump-amm",
        }
    return dumps(frame)


def frame_of(signature: str, notice: Notice, *, rng: random.Random) -> str:
    """The frame that tells *notice*."""
    if notice.kind == "create":
        return create_frame(signature, notice.coin, notice.row, rng=rng)
    if notice.kind == "migrate":
        return migrate_frame(signature, notice.coin.mint)
    assert notice.row is not None
    return trade_frame(notice.row, notice.coin.curve, notice.balance)
