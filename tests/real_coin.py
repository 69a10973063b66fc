"""Trades of a real coin, from the corpus."""

from __future__ import annotations

import csv
from pathlib import Path

from storage_samples import chain_trade

from pumpwatch.events import Trade


def real_trades(corpus: Path) -> list[Trade]:
    """Trades of a real coin, many of them two in one transaction, in the order of the file."""
    trades = []
    places: dict[str, int] = {}
    with next(iter(sorted((corpus / "trades").glob("FCuk*.csv")))).open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            signature = row["transaction_signature"]
            places[signature] = places.get(signature, -1) + 1
            is_buy = row["is_buy"] == "true"
            quote, fees = int(row["amount_in_sol"]), int(row["fee_amount"]) + int(row["creator_fee_amount"])
            trades.append(
                chain_trade(
                    signature=signature,
                    event_index=places[signature],
                    mint=row["token_address"],
                    wallet=row["wallet_address"],
                    is_buy=is_buy,
                    token_amount=int(row["amount_in_token"]),
                    quote_amount=quote,
                    trader_quote_amount=quote + fees if is_buy else quote - fees,
                    virtual_token_reserves=int(row["virtual_token_reserves"]),
                    virtual_quote_reserves=int(row["virtual_sol_reserves"]),
                    real_token_reserves=int(row["real_token_reserves"]),
                    real_quote_reserves=int(row["real_sol_reserves"]),
                    slot=int(row["block_num"]),
                    block_time=int(row["block_time"]),
                )
            )
    return trades
