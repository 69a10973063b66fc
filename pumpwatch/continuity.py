"""
PURE. Do these trades chain? The record of a token as runs of linked steps, its breaks, and what may be said of it.

Source: facts/onchain_events.md section 7; design.md section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class State(NamedTuple):
    """
    Reserves of a curve or a pool at one moment, base units; None = not known.

    For a pool ``virtual_*`` are the effective B and E, ``real_*`` the vaults, as in :class:`pumpwatch.events.Trade`.
    """

    virtual_token: int | None
    virtual_quote: int | None
    real_token: int | None
    real_quote: int | None


class Step(msgspec.Struct, frozen=True, gc=False):
    """
    One move of the reserves: a trade, or a change without one (*trades* 0).

    Attributes:
        key: Its chain_key (:func:`pumpwatch.market.chain_key`): venue, slot, and the order in the slot as far as it is known.
        before: What cannot be computed is None (the virtual quote before a trade of the mayhem agent).
    """

    venue: int
    slot: int
    time: int | None
    key: bytes
    before: State
    after: State
    trades: int = 1
