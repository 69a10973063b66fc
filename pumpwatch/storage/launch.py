"""How a token began: who bought in its first slots, and how its curve sold, minute by minute."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.chains import slot_keys
from pumpwatch.storage.positions import share_of_supply
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema import VENUES

#: The creation slot, and those that follow it.
FIRST_SLOTS: Final = 3

_BUYS: Final = "SELECT trades.wallet_id, trades.wallet_id = tokens.developer_id, trades.token_amount"
_IS_TOKEN: Final = "tokens.mint = :mint AND trades.token_id = tokens.id AND trades.is_buy = 1"


class Buyers(msgspec.Struct, frozen=True):
    """
    Those who bought at one stage of the beginning, its developer among them; what they sold later is not taken off.

    Attributes:
        bought: Base units of the token, by their buys of that stage.
        share: *bought* of the token's whole supply, 0.1 is 10 %; None if that is unknown.
        bought_by_developer: Contained in *bought*.
    """

    wallets: int
    buys: int
    bought: int
    share: float | None
    bought_by_developer: int


class Launch(msgspec.Struct, frozen=True):
    """
    The beginning of a token, as far as it is recorded.

    Attributes:
        slot: Of the creation; None, and then *in_slot* and *in_first_slots* too: the chain did not tell.
        in_transaction: Who bought in the transaction that created it; provisional trades count. None: not seen.
        in_slot: Who bought on the curve in the slot of the creation, in confirmed trades.
        in_first_slots: The same in that slot and the two that follow it.
        is_pruned: These trades were taken out; nothing is known of them any more.
    """

    slot: int | None
    in_transaction: Buyers | None
    in_slot: Buyers | None
    in_first_slots: Buyers | None
    is_pruned: bool = False


class Progress(msgspec.Struct, frozen=True):
    """
    How much of the curve was sold after the last trade of a minute in which the token traded.

    Attributes:
        at: The minute's beginning, unix seconds by the chain's clock.
        percent: Of what the curve had to sell; 100 from the pool on.
    """

    at: int
    percent: float


def launch_of(reader: Reader, mint: str) -> Launch:
    """Who bought at the beginning. The work is bounded by what the chain can hold in three slots."""
    known = reader.rows("SELECT created_slot, created_signature FROM tokens WHERE mint = :mint", mint=mint)
    slot, signature = known[0] if known else (None, None)
    if pruned_until(reader, mint) is not None:
        return Launch(slot, None, None, None, is_pruned=True)
    if signature is None:
        return Launch(slot, None, *_in_slots(reader, mint, slot))
    in_transaction = reader.rows(
        f"{_BUYS} FROM tokens CROSS JOIN trades INDEXED BY trades_identity ON {_IS_TOKEN} AND trades.state <= 2 "
        # With +: else SQLite puts the parameter in place of the column everywhere, and finds no index on it.
        "AND substr(trades.signature, -24) = substr(:signature, -24) AND +trades.signature = :signature",
        mint=mint,
        signature=signature,
    )
    return Launch(slot, _buyers(reader, mint, in_transaction), *_in_slots(reader, mint, slot))


def _in_slots(reader: Reader, mint: str, slot: int | None) -> tuple[Buyers | None, Buyers | None]:
    """The buyers of the slot, and of the first slots."""
    if slot is None:
        return None, None
    curve = VENUES["curve"]
    beyond = [slot_keys(curve, last)[1] for last in (slot, slot + FIRST_SLOTS - 1)]
    rows = reader.rows(
        f"{_BUYS}, trades.chain_key < :next_slot FROM tokens CROSS JOIN trades INDEXED BY trades_chain ON {_IS_TOKEN} "
        "AND trades.chain_key >= :first AND trades.chain_key < :beyond AND trades.state IN (1, 2)",
        mint=mint,
        first=slot_keys(curve, slot)[0],
        next_slot=beyond[0],
        beyond=beyond[1],
    )
    return _buyers(reader, mint, [row[:3] for row in rows if row[3]]), _buyers(reader, mint, [row[:3] for row in rows])


def _buyers(reader: Reader, mint: str, rows: Sequence[Any]) -> Buyers:
    bought = sum(token_amount for _, _, token_amount in rows)
    return Buyers(
        wallets=len({wallet_id for wallet_id, _, _ in rows}),
        buys=len(rows),
        bought=bought,
        share=share_of_supply(reader, mint, bought),
        bought_by_developer=sum(token_amount for _, is_developer, token_amount in rows if is_developer),
    )


def progress_of(reader: Reader, mint: str, *, limit: int) -> list[Progress]:
    """
    The first *limit* minutes in which a token traded, up to the first in its pool; of what was pruned, none.

    Empty without confirmed trades, or if the chain did not tell what the curve had to sell.
    """
    rows = reader.rows(
        "SELECT minutes.minute, trades.venue, tokens.start_real_token_reserves, trades.real_token_reserves FROM tokens "
        "CROSS JOIN minutes ON minutes.token_id = tokens.id "
        "CROSS JOIN trades ON trades.token_id = minutes.token_id AND trades.chain_key = minutes.last_key "
        "WHERE tokens.mint = :mint AND tokens.start_real_token_reserves > 0 ORDER BY minutes.minute LIMIT :limit",
        mint=mint,
        limit=limit,
    )
    on_curve = list(itertools.takewhile(lambda row: row[1] == VENUES["curve"], rows))
    return [
        Progress(minute * MINUTE_SECONDS, 100.0 if venue else (start - left) * 100.0 / start)
        for minute, venue, start, left in rows[: len(on_curve) + 1]
        if venue or left is not None
    ]
