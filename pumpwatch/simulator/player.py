"""Play recorded messages over the simulator's servers: the corpus' sessions, or any list of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pumpwatch.simulator import chain
from pumpwatch.simulator.frames import trade_frame
from pumpwatch.simulator.logs import Call, Emitted, dumps, log_lines
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.truth import TradeRow
from pumpwatch.simulator.wire import FieldValue, encode

PlayedFeed: TypeAlias = Literal["pumpportal", "helius"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message of a session: when it came (seconds since the first one), and its exact text."""

    at_seconds: float
    text: str


def read_session(path: Path) -> list[Recorded]:
    """Messages of a ``{"t_wall", "raw"}`` file without the acknowledgements, which the protocol server gives itself."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    first = min(line["t_wall"] for line in lines)
    return [Recorded(line["t_wall"] - first, line["raw"]) for line in lines if not _is_answer(json.loads(line["raw"]))]


def _is_answer(message: dict[str, Any]) -> bool:
    """An acknowledgement or refusal, of either protocol."""
    return "txType" not in message and "method" not in message


class Player:
    """
    Sends recorded messages to every client that is subscribed to something like them.

    PumpPortal's creates and migrations go to those who asked for these, trades to those who follow the mint or wallet. Solana
    notifications go to each log subscription on a program that the log names or on a coin whose event it holds, with that
    subscription's id put in.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.sent = 0

    def play(self, feed: PlayedFeed, messages: Iterable[Recorded], *, speed: float = 0.0) -> int:
        """
        Send *messages*; returns how many found a client.

        Args:
            speed: 1 keeps the recorded pauses, 10 is ten times as fast, 0 without pauses.

        """
        began = time.monotonic()
        reached = 0
        for message in messages:
            if speed:
                self._simulator.stopping.wait(max(0.0, began + message.at_seconds / speed - time.monotonic()))
            reached += self.send(feed, message.text)
        return reached

    def send(self, feed: PlayedFeed, text: str) -> bool:
        """Send one message to whom it concerns; False if to nobody."""
        if feed == "pumpportal":
            reached = self._simulator.pumpportal.relay(text)
        else:
            reached = self._simulator.solana.relay(text)
        self.sent += reached > 0
        return reached > 0


@dataclass(frozen=True, slots=True)
class HistoricTrade:
    """
    One row of ``corpus/trades``: a real trade of 2025-09, with the TradeEvent fields of that time.

    Attributes:
        event_index: Place among the trades of its transaction, in the chain's order.
    """

    row: TradeRow
    fee_recipient: str
    creator: str


def read_trades(rows: Iterable[Mapping[str, str]]) -> list[HistoricTrade]:
    """
    Trades of one coin from the rows of a corpus table, in the chain's order.

    The tables are in no exact order; the product of a curve's virtual reserves grows with every trade.
    """
    ordered = sorted(rows, key=lambda row: int(row["virtual_sol_reserves"]) * int(row["virtual_token_reserves"]))
    places: dict[str, int] = {}
    trades = []
    for number, row in enumerate(ordered):
        signature = row["transaction_signature"]
        index = places.get(signature, 0)
        places[signature] = index + 1
        is_buy = row["is_buy"] == "true"
        quote, fee, creator_fee = int(row["amount_in_sol"]), int(row["fee_amount"]), int(row["creator_fee_amount"])
        trades.append(
            HistoricTrade(
                TradeRow(
                    number=number,
                    signature=signature,
                    event_index=index,
                    slot=int(row["block_num"]),
                    block_time=int(row["block_time"]),
                    mint=row["token_address"],
                    wallet=row["wallet_address"],
                    is_buy=is_buy,
                    venue="curve",
                    quote_mint=chain.WRAPPED_SOL,
                    by_agent=False,
                    token_amount=int(row["amount_in_token"]),
                    quote_amount=quote,
                    trader_quote_amount=quote + fee + creator_fee if is_buy else quote - fee - creator_fee,
                    protocol_fee=fee,
                    creator_fee=creator_fee,
                    lp_fee=0,
                    virtual_token_reserves=int(row["virtual_token_reserves"]),
                    virtual_quote_reserves=int(row["virtual_sol_reserves"]),
                    real_token_reserves=int(row["real_token_reserves"]),
                    real_quote_reserves=int(row["real_sol_reserves"]),
                ),
                fee_recipient=row["fee_recipient"],
                creator=row["creator_address"],
            )
        )
    return trades


def trade_payload(trade: HistoricTrade) -> bytes:
    """The TradeEvent of that trade, as long as events were in September 2025 (258 bytes)."""
    row = trade.row
    values: dict[str, FieldValue] = {
        "mint": chain.key(row.mint),
        "sol_amount": row.quote_amount,
        "token_amount": row.token_amount,
        "is_buy": row.is_buy,
        "user": chain.key(row.wallet),
        "timestamp": row.block_time,
        "virtual_sol_reserves": row.virtual_quote_reserves,
        "virtual_token_reserves": row.virtual_token_reserves,
        "real_sol_reserves": row.real_quote_reserves,
        "real_token_reserves": row.real_token_reserves,
        "fee_recipient": chain.key(trade.fee_recipient),
        "fee_basis_points": 95,
        "fee": row.protocol_fee,
        "creator": chain.key(trade.creator),
        "creator_fee_basis_points": 30,
        "creator_fee": row.creator_fee,
    }
    return encode("TradeEvent", values, last="last_update_timestamp")


def logs_notifications(trades: Iterable[HistoricTrade], *, subscription: int = 1) -> Iterator[str]:
    """One ``logsNotification`` for each transaction, in the order of its first trade."""
    by_signature: dict[str, list[HistoricTrade]] = {}
    for trade in trades:
        by_signature.setdefault(trade.row.signature, []).append(trade)
    for signature, several in by_signature.items():
        calls = tuple(
            Call(chain.PUMP, (Emitted(chain.PUMP, trade_payload(trade)),), (trade.row.mint,), units=71_497) for trade in several
        )
        value = {"signature": signature, "err": None, "logs": log_lines(calls)}
        result = {"context": {"slot": several[0].row.slot}, "value": value}
        params = {"subscription": subscription, "result": result}
        yield dumps({"jsonrpc": "2.0", "method": "logsNotification", "params": params})


def pumpportal_frames(trades: Iterable[HistoricTrade]) -> Iterator[str]:
    """One ``buy`` or ``sell`` frame for each trade."""
    balances: dict[str, int] = {}
    for trade in trades:
        row = trade.row
        balances[row.wallet] = max(0, balances.get(row.wallet, 0) + (row.token_amount if row.is_buy else -row.token_amount))
        yield trade_frame(row, chain.bonding_curve(row.mint), balances[row.wallet])
