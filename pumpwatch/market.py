"""
The arithmetic of the bonding curve and the PumpSwap pool, in the programs' own integers.

Pure. A state is the pair of effective reserves: on the curve (virtual_quote, virtual_token), in a pool (E, B) with E the quote
vault plus the signed virtual quote reserve and B the base vault. Amounts are base units; *quote* amounts are net of fees.

Source: facts/onchain_events.md sections 5 and 6, checked there and in our tests on real trades.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

#: Rates are in basis points.
_WHOLE_BPS: Final = 10_000
_SOL_DECIMALS: Final = 9
#: Of every token that pump.fun makes.
_TOKEN_DECIMALS: Final = 6
_VENUE_BYTES: Final = {"curve": b"\x00", "pool": b"\x01"}


class Reserves(NamedTuple):
    """Effective reserves: what prices are made of."""

    quote: int
    token: int


def curve_buy_quote(token_amount: int, before: Reserves) -> int:
    """Return what a buy of exactly *token_amount* costs on the curve: ``floor(vs*t/(vt-t)) + 1``."""
    return before.quote * token_amount // (before.token - token_amount) + 1


def curve_buy_tokens(quote_amount: int, before: Reserves) -> int:
    """Return what a buy for exactly *quote_amount* (>= 1) yields on the curve: ``floor((q-1)*vt/(vs+q-1))``."""
    return (quote_amount - 1) * before.token // (before.quote + quote_amount - 1)


def curve_sell_quote(token_amount: int, before: Reserves) -> int:
    """Return what a sale of *token_amount* yields on the curve: ``floor(t*vs/(vt+t))``; 0 for dust."""
    return token_amount * before.quote // (before.token + token_amount)


def pool_buy_quote(token_amount: int, before: Reserves) -> int:
    """Return the net price of exactly *token_amount* in a pool: ``ceil(b*E/(B-b))``."""
    return -(-token_amount * before.quote // (before.token - token_amount))


def pool_buy_tokens(quote_amount: int, before: Reserves) -> int:
    """Return what the net *quote_amount* (>= 1) buys in a pool: ``floor((net-1)*B/(E+net-1))``."""
    return curve_buy_tokens(quote_amount, before)


def pool_sell_quote(token_amount: int, before: Reserves) -> int:
    """Return the gross yield of a sale in a pool: ``floor(b*E/(B+b))``."""
    return curve_sell_quote(token_amount, before)


def fee(quote_amount: int, basis_points: int) -> int:
    """Return one fee (protocol, creator, liquidity providers, cashback), each rounded up by itself."""
    return -(-quote_amount * basis_points // _WHOLE_BPS)


def buyback_fee(protocol_fee: int, basis_points: int) -> int:
    """Return the share of *protocol_fee* kept for buybacks, rounded down. It is contained in that fee, not added to it."""
    return protocol_fee * basis_points // _WHOLE_BPS


def after_trade(before: Reserves, *, is_buy: bool, token_amount: int, quote_amount: int, lp_fee: int = 0) -> Reserves:
    """Return the reserves after a trade; a pool's *lp_fee* stays in it, on a curve there is none."""
    if is_buy:
        return Reserves(before.quote + quote_amount + lp_fee, before.token - token_amount)
    return Reserves(before.quote - quote_amount + lp_fee, before.token + token_amount)


def before_trade(after: Reserves, *, is_buy: bool, token_amount: int, quote_amount: int, lp_fee: int = 0) -> Reserves:
    """Return the reserves before a trade. Not for trades of the mayhem agent, which re-anchor the quote reserve."""
    if is_buy:
        return Reserves(after.quote - quote_amount - lp_fee, after.token + token_amount)
    return Reserves(after.quote + quote_amount - lp_fee, after.token - token_amount)


def spot_price(
    virtual_quote_reserves: int,
    virtual_token_reserves: int,
    *,
    quote_decimals: int | None = _SOL_DECIMALS,
    token_decimals: int = _TOKEN_DECIMALS,
) -> float | None:
    """
    Return whole quote per whole token in this state: ``vq / 10**quote_decimals / (vt / 10**token_decimals)``.

    The same on the curve and, with effective reserves, in a pool: E'/B' (facts/onchain_events.md sections 5 and 6.1). None
    without tokens, or of a quote whose decimals are unknown. The views of ``storage/`` say it in SQL.
    """
    if virtual_token_reserves <= 0 or quote_decimals is None:
        return None
    return float(virtual_quote_reserves * 10**token_decimals / (virtual_token_reserves * 10**quote_decimals))


def market_cap(
    virtual_quote_reserves: int, virtual_token_reserves: int, *, supply: int | None, quote_decimals: int | None = _SOL_DECIMALS
) -> float | None:
    """
    Return the whole quote that the supply is worth at the spot price: ``vq * supply / vt / 10**quote_decimals``.

    None without tokens in the reserve, or as long as supply or decimals are unknown.

    Args:
        supply: Base units, as the token's own CreateEvent states it (``token_total_supply``); never a constant. PumpPortal's
            marketCapSol is this with its own reserves and always 10**15 (facts/pumpportal.md section 3). Mayhem coins state
            10**15 there too (all real ones in the corpus, accounts included); what the mayhem agent holds outside the curve
            is in no event, and not counted.

    """
    if virtual_token_reserves <= 0 or supply is None or quote_decimals is None:
        return None
    return float(virtual_quote_reserves * supply / (virtual_token_reserves * 10**quote_decimals))


def bonding_progress(start_real_token_reserves: int | None, real_token_reserves: int) -> float | None:
    """
    Return how many percent of what the curve had to sell is sold: ``(start - real) * 100 / start``; None without a known start.

    The start is that of the token's own CreateEvent. A curve that is complete is at 100, as real reserves end with 0 (6 of 6 in
    corpus/onchain/completing_txs). Below 0 where more came back than was sold: the mayhem agent sells what no curve sold.
    """
    if not start_real_token_reserves:
        return None
    return (start_real_token_reserves - real_token_reserves) * 100 / start_real_token_reserves


def price_impact(price: float, previous_price: float) -> float | None:
    """Return by which share the price moved: ``price / previous - 1``; None when there was none before."""
    return price / previous_price - 1 if previous_price > 0 else None


def impact_of_trade(after: Reserves, *, is_buy: bool, token_amount: int, quote_amount: int, lp_fee: int = 0) -> float | None:
    """
    Return by which share a trade moved the price, from its own amounts: the price after it / the price before it - 1.

    Not for trades of the mayhem agent (:func:`before_trade`). None when there was no price on one side.
    """
    before = before_trade(after, is_buy=is_buy, token_amount=token_amount, quote_amount=quote_amount, lp_fee=lp_fee)
    if after.token <= 0 or before.token <= 0:
        return None
    return price_impact(after.quote / after.token, before.quote / before.token)


def chain_key(
    venue: Literal["curve", "pool"],
    slot: int | None,
    virtual_token_reserves: int | None,
    virtual_quote_reserves: int | None,
) -> bytes | None:
    """
    Return what sorts a token's trades into the chain's order: venue byte, slot u64, k u128, big-endian; None when unknown.

    k is the product of the reserves AFTER the trade. It grows with every ordinary trade (rounding and fees favour the reserves),
    so inside a slot it is the order of execution; it is void across mayhem agent trades, which are ordered by linking.
    """
    if slot is None or virtual_token_reserves is None or virtual_quote_reserves is None:
        return None
    product = virtual_token_reserves * virtual_quote_reserves
    return _VENUE_BYTES[venue] + slot.to_bytes(8, "big") + product.to_bytes(16, "big")
