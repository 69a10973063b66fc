"""PURE. Which addresses of the chain bring what is wanted: bonding curves, canonical pools, wallets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loguru import logger

from pumpwatch.decode.addresses import QUOTE_DECIMALS, bonding_curve, canonical_pool
from pumpwatch.events import WRAPPED_SOL, PoolSeen
from pumpwatch.feeds.shortfall import Subject
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.telemetry import visible


def addresses_of(wanted: Wanted, before: Mapping[Subject, object]) -> dict[Subject, list[str]]:
    """
    Return the addresses of each subject, the most important first, as a limit cuts off the end.

    What a person asked for comes first. Among the others those of *before* stay where they are: a new one takes nobody's place.
    """
    pinned = sorted(wanted.mints & wanted.pinned)
    others = wanted.mints - wanted.pinned
    addresses: dict[Subject, list[str]] = {mint: _of_token(mint, wanted) for mint in pinned}
    if wanted.wallets:
        addresses[None] = sorted(wanted.wallets)
    held = [mint for mint in before if mint is not None and mint in others]
    return addresses | {mint: _of_token(mint, wanted) for mint in (*held, *sorted(others - before.keys()))}


def _of_token(mint: str, wanted: Wanted) -> list[str]:
    try:
        curve = bonding_curve(mint)
        if mint not in wanted.completed:
            return [curve]
        return [curve, canonical_pool(mint, wanted.quote_mints.get(mint, WRAPPED_SOL))]
    except ValueError:
        logger.error("{} is no address: it cannot be watched", visible(mint))
        return []


def derived_pools(wanted: Wanted) -> Iterator[PoolSeen]:
    """Yield the pools of the watched tokens, before any event names them."""
    for mint in wanted.completed & wanted.mints:
        quote_mint = wanted.quote_mints.get(mint, WRAPPED_SOL)
        try:
            pool = canonical_pool(mint, quote_mint)
        except ValueError:
            continue  # said where it would be subscribed to
        yield PoolSeen(pool=pool, mint=mint, quote_mint=quote_mint, quote_decimals=QUOTE_DECIMALS.get(quote_mint, 9))
