"""What wallets did with tokens, and how a token began, equals a plain recomputation from the raw tables of real trades."""

from __future__ import annotations

import csv
import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from storage_samples import MINT, WALLET, chain_trade, delivery, message_trade

from pumpwatch.events import WRAPPED_SOL, Event, TokenCreated, TokenMigrated, Trade
from pumpwatch.storage.launch import Buyers, launch_of, progress_of
from pumpwatch.storage.positions import Order, largest, position_of, positions_of, totals_of, traders_of
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
SUPPLY = 10**15
FOR_SALE = 793_100_000_000_000
OTHER = "5ygJ27k1ZyUBdeR9LeNxQ5vZ4n4togt3kxxcYnHUpumq"


# The raw tables, and what they add up to: none of our code


@dataclass
class Held:
    """A position, added up by hand."""

    buys: int = 0
    sells: int = 0
    bought: int = 0
    sold: int = 0
    spent: int = 0
    received: int = 0
    cost: int = 0
    profit: int | None = 0
    times: list[int] = field(default_factory=list)

    def trade(self, row: dict[str, str]) -> None:
        tokens, quote = int(row["amount_in_token"]), int(row["amount_in_sol"])
        fees = int(row["fee_amount"]) + int(row["creator_fee_amount"])
        self.times.append(int(row["block_time"]))
        if row["is_buy"] == "true":
            self.buys, self.bought, self.spent = self.buys + 1, self.bought + tokens, self.spent + quote + fees
            self.cost += quote + fees
            return
        holding = self.bought - self.sold
        if tokens > holding:
            self.profit = None
        elif self.profit is not None:
            of_cost = self.cost * tokens // holding
            self.cost -= of_cost
            self.profit += quote - fees - of_cost
        self.sells, self.sold, self.received = self.sells + 1, self.sold + tokens, self.received + quote - fees


class Table:
    """One coin of the corpus, its rows in the chain's order."""

    def __init__(self, path: Path) -> None:
        self.mint = path.stem
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.rows = sorted(rows, key=lambda row: int(row["virtual_sol_reserves"]) * int(row["virtual_token_reserves"]))
        self.positions: dict[str, Held] = defaultdict(Held)
        for row in self.rows:
            self.positions[row["wallet_address"]].trade(row)

    @property
    def developer(self) -> str:
        return self.rows[0]["creator_address"]

    def bought(self, rows: list[dict[str, str]]) -> Buyers:
        buys = [row for row in rows if row["is_buy"] == "true"]
        tokens = sum(int(row["amount_in_token"]) for row in buys)
        own = sum(int(row["amount_in_token"]) for row in buys if row["wallet_address"] == self.developer)
        return Buyers(len({row["wallet_address"] for row in buys}), len(buys), tokens, tokens / SUPPLY, own)

    def events(self) -> list[Event]:
        """As the chain tells them."""
        first = self.rows[0]
        created = TokenCreated(
            signature=first["transaction_signature"],
            mint=self.mint,
            bonding_curve="curve",
            developer=self.developer,
            creator=self.developer,
            symbol="REAL",
            event_index=0,
            slot=int(first["block_num"]),
            block_time=int(first["block_time"]),
            token_total_supply=SUPPLY,
            real_token_reserves=FOR_SALE,
        )
        return [created, *(self._trade(number, row) for number, row in enumerate(self.rows, 1))]

    def _trade(self, number: int, row: dict[str, str]) -> Trade:
        is_buy, quote = row["is_buy"] == "true", int(row["amount_in_sol"])
        fees = int(row["fee_amount"]), int(row["creator_fee_amount"])
        return chain_trade(
            number,
            signature=row["transaction_signature"],
            mint=self.mint,
            wallet=row["wallet_address"],
            is_buy=is_buy,
            token_amount=int(row["amount_in_token"]),
            quote_amount=quote,
            trader_quote_amount=quote + sum(fees) if is_buy else quote - sum(fees),
            protocol_fee=fees[0],
            creator_fee=fees[1],
            virtual_token_reserves=int(row["virtual_token_reserves"]),
            virtual_quote_reserves=int(row["virtual_sol_reserves"]),
            real_token_reserves=int(row["real_token_reserves"]),
            real_quote_reserves=int(row["real_sol_reserves"]),
            slot=int(row["block_num"]),
            block_time=int(row["block_time"]),
        )


@pytest.fixture(scope="module")
def tables(corpus: Path) -> list[Table]:
    return [Table(path) for path in sorted((corpus / "trades").glob("*.csv"))]


@pytest.fixture(scope="module")
def reader(tables: list[Table], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A record of the three coins, whose trades came in no order."""
    path = tmp_path_factory.mktemp("real") / "record.db"
    told = [event for table in tables for event in table.events()]
    random.Random(4).shuffle(told)
    store = Store.open(path, origin="replay")
    for start in range(0, len(told), 100):
        store.apply([delivery("helius", event) for event in told[start : start + 100]])
    store.close()
    with open_reader(path) as reading:
        yield reading


def best(found: dict[str, Any], limit: int) -> list[Any]:
    """The largest figures, unknown ones last."""
    return sorted(found.values(), key=lambda figure: (figure is None, -(figure or 0)))[:limit]


# Tokens


def test_each_position_of_a_token_is_what_its_trades_add_up_to(tables: list[Table], reader: Reader) -> None:
    by_transfer = 0
    for table in tables:
        rows = traders_of(reader, table.mint, limit=10_000)
        assert {row.wallet for row in rows} == set(table.positions)
        for row in rows:
            held = table.positions[row.wallet]
            assert (row.buys, row.sells, row.bought, row.sold) == (held.buys, held.sells, held.bought, held.sold)
            assert (row.net_bought, row.spent, row.received) == (held.bought - held.sold, held.spent, held.received)
            assert row.realised_profit == held.profit
            assert row.remark == ("received by transfer" if held.profit is None else None)
            assert (row.first_trade_at, row.last_trade_at) == (held.times[0], held.times[-1])
            assert (row.quote_mint, row.symbol) == (WRAPPED_SOL, "REAL")
            by_transfer += held.profit is None
    assert by_transfer > 0


def test_the_top_traders_are_the_largest_by_volume_profit_and_net_amount(tables: list[Table], reader: Reader) -> None:
    for table in tables:
        figures: dict[Order, dict[str, Any]] = {
            "volume": {wallet: held.spent + held.received for wallet, held in table.positions.items()},
            "profit": {wallet: held.profit for wallet, held in table.positions.items()},
            "net": {wallet: held.bought - held.sold for wallet, held in table.positions.items()},
            "last": {wallet: held.times[-1] for wallet, held in table.positions.items()},
        }
        for order, found in figures.items():
            rows = traders_of(reader, table.mint, limit=7, order=order)
            assert [found[row.wallet] for row in rows] == best(found, 7)
        profits = [row.realised_profit for row in traders_of(reader, table.mint, limit=10_000, order="profit")]
        assert profits == best(figures["profit"], 10_000), "unknown ones last"


def test_the_ten_largest_are_summed_against_the_supply(tables: list[Table], reader: Reader) -> None:
    for table in tables:
        nets = sorted((held.bought - held.sold for held in table.positions.values()), reverse=True)[:10]
        found = largest(reader, table.mint)
        assert found.net_bought == sum(net for net in nets if net > 0)
        assert found.wallets == sum(net > 0 for net in nets)
        assert found.share == found.net_bought / SUPPLY


def test_the_first_buyers_are_those_of_the_creation_and_of_three_slots(tables: list[Table], reader: Reader) -> None:
    for table in tables:
        launch = launch_of(reader, table.mint)
        slot, signature = int(table.rows[0]["block_num"]), table.rows[0]["transaction_signature"]
        assert launch.slot == slot
        assert launch.in_transaction == table.bought([row for row in table.rows if row["transaction_signature"] == signature])
        assert launch.in_slot == table.bought([row for row in table.rows if int(row["block_num"]) == slot])
        assert launch.in_first_slots == table.bought([row for row in table.rows if slot <= int(row["block_num"]) <= slot + 2])
        assert launch.in_first_slots.wallets >= launch.in_slot.wallets >= launch.in_transaction.wallets == 1
        assert launch.in_transaction.bought_by_developer == launch.in_transaction.bought
    assert any(launch_of(reader, table.mint).in_slot != launch_of(reader, table.mint).in_first_slots for table in tables)


def test_progress_is_what_was_sold_after_the_last_trade_of_each_minute(tables: list[Table], reader: Reader) -> None:
    for table in tables:
        left = {int(row["block_time"]) // 60 * 60: int(row["real_token_reserves"]) for row in table.rows}
        found = progress_of(reader, table.mint, limit=10_000)
        assert [minute.at for minute in found] == sorted(left)
        for minute in found:
            assert minute.percent == pytest.approx((1 - left[minute.at] / FOR_SALE) * 100, abs=1e-9)
        assert progress_of(reader, table.mint, limit=2) == found[:2]


def test_the_developer_is_found_among_the_traders(tables: list[Table], reader: Reader) -> None:
    for table in tables:
        position = position_of(reader, table.mint, table.developer)
        assert position is not None
        assert position.buys == table.positions[table.developer].buys
    assert position_of(reader, tables[0].mint, "nobody") is None


# Wallets


def test_a_wallet_is_added_up_over_its_tokens(tables: list[Table], reader: Reader) -> None:
    wallets = {wallet for table in tables for wallet in table.positions}
    several = [wallet for wallet in wallets if sum(wallet in table.positions for table in tables) > 1]
    assert several
    for wallet in [*several, *sorted(wallets)[:50]]:
        held = {table.mint: table.positions[wallet] for table in tables if wallet in table.positions}
        profits = [one.profit for one in held.values() if one.profit is not None]
        (total,) = totals_of(reader, wallet)
        assert total.quote_mint == WRAPPED_SOL
        assert total.tokens == len(held)
        assert (total.buys, total.sells) == (sum(one.buys for one in held.values()), sum(one.sells for one in held.values()))
        assert (total.spent, total.spent_unknown) == (sum(one.spent for one in held.values()), 0)
        assert (total.received, total.received_unknown) == (sum(one.received for one in held.values()), 0)
        assert (total.realised_profit, total.profit_unknown) == (sum(profits), len(held) - len(profits))
        assert total.received_by_transfer == len(held) - len(profits)
        assert total.first_trade_at == min(one.times[0] for one in held.values())
        assert total.last_trade_at == max(one.times[-1] for one in held.values())
        figures: dict[Order, dict[str, Any]] = {
            "last": {mint: one.times[-1] for mint, one in held.items()},
            "profit": {mint: one.profit for mint, one in held.items()},
        }
        for order, found in figures.items():
            assert [found[row.mint] for row in positions_of(reader, wallet, limit=10, order=order)] == best(found, 10)


# What real trades do not show


def stored(path: Path, *events: Event, source: str = "helius") -> None:
    store = Store.open(path, origin="simulator")
    store.apply([delivery(source, event) for event in events])
    store.close()


@pytest.mark.parametrize("limit", [1, 5, 30, 100])
def test_the_last_positions_of_a_busy_wallet_are_the_same_found_from_its_newest_trades(
    path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(4)
    tokens = [f"{'m' * 40}{number:04d}" for number in range(40)]
    times = chance.sample(range(1_757_806_310, 1_757_806_310 + 5000), 200)
    wallets = [WALLET if number % 3 else "other" for number in range(200)]
    events = [
        chain_trade(number, mint=chance.choice(tokens), wallet=wallet, block_time=at, slot=at)
        for number, (at, wallet) in enumerate(zip(times, wallets, strict=True))
    ]
    stored(path, *events)
    with open_reader(path) as reader:
        expected = positions_of(reader, WALLET, limit=limit)
        monkeypatch.setattr("pumpwatch.storage.backwards._MANY_POSITIONS", 10)
        monkeypatch.setattr("pumpwatch.storage.backwards._STEPS", (3, 20, 100))
        assert positions_of(reader, WALLET, limit=limit) == expected
    assert len(expected) == min(limit, len({event.mint for event in events if event.wallet == WALLET}))
    last = [
        max(event.block_time or 0 for event in events if (event.mint, event.wallet) == (row.mint, WALLET)) for row in expected
    ]
    assert [row.last_trade_at for row in expected] == last == sorted(last, reverse=True)


def test_amounts_of_different_quotes_are_never_added_nor_compared(path: Path) -> None:
    sale = chain_trade(1, is_buy=False, token_amount=10**12, trader_quote_amount=7, virtual_quote_reserves=30_987_654_300)
    in_usdc = chain_trade(mint=OTHER, signature="1" * 64, quote_mint=USDC, trader_quote_amount=10**15)
    unknown = message_trade(mint=OTHER[:-1] + "r", signature="2" * 64)
    stored(path, chain_trade(), sale, in_usdc)
    stored(path, unknown, source="pumpportal")

    with open_reader(path) as reader:
        sol, usdc, untold = totals_of(reader, WALLET)
        by_volume = [row.quote_mint for row in positions_of(reader, WALLET, limit=10, order="volume")]
        only = positions_of(reader, WALLET, limit=10, order="volume", quote_mint=USDC)

    assert (sol.quote_mint, sol.tokens, sol.spent, sol.received) == (WRAPPED_SOL, 1, 10**9, 7)
    assert (usdc.quote_mint, usdc.tokens, usdc.spent) == (USDC, 1, 10**15)
    assert (untold.quote_mint, untold.tokens, untold.spent, untold.spent_unknown) == (None, 1, 0, 1)
    assert by_volume == [WRAPPED_SOL, USDC, None]
    assert [row.mint for row in only] == [OTHER]


def test_sums_beyond_64_bits_are_exact(path: Path) -> None:
    huge = 2**63 - 1
    trades = [
        chain_trade(mint=OTHER[:-1] + letter, signature=letter * 64, trader_quote_amount=huge, quote_amount=huge)
        for letter in "rst"
    ]
    lost = chain_trade(1, mint=OTHER[:-1] + "r", signature="u" * 64, is_buy=False, trader_quote_amount=1, slot=366_647_529)
    stored(path, *trades, lost)

    with open_reader(path) as reader:
        (total,) = totals_of(reader, WALLET)

    assert total.spent == 3 * huge
    assert total.realised_profit == 1 - huge


def test_what_is_provisional_counts_as_a_trade_and_leaves_money_unknown(path: Path) -> None:
    stored(path, chain_trade())
    stored(path, message_trade(signature="3" * 64, token_amount=5), source="pumpportal")

    with open_reader(path) as reader:
        (total,), (row,) = totals_of(reader, WALLET), traders_of(reader, MINT, limit=5)
        assert largest(reader, MINT).net_bought == row.net_bought

    assert (row.buys, row.net_bought, row.spent, row.realised_profit) == (2, 34_199_203_154_146, None, None)
    assert (total.buys, total.spent, total.spent_unknown, total.profit_unknown, total.received_unknown) == (2, 0, 1, 1, 0)


def test_of_a_token_whose_creation_was_not_seen_the_beginning_is_unknown(path: Path) -> None:
    stored(path, chain_trade())

    with open_reader(path) as reader:
        launch = launch_of(reader, MINT)
        assert (launch.slot, launch.in_transaction, launch.in_slot, launch.in_first_slots) == (None, None, None, None)
        assert progress_of(reader, MINT, limit=10) == []
        assert largest(reader, MINT).share is None
        assert launch_of(reader, "no such mint") == launch
        assert (totals_of(reader, "nobody"), positions_of(reader, "nobody", limit=1)) == ([], [])
        assert largest(reader, "no such mint").wallets == 0


def test_first_buys_that_are_not_on_the_chain_do_not_count(path: Path) -> None:
    created = TokenCreated(signature="c" * 64, mint=MINT, bonding_curve="c", developer=WALLET, slot=366_647_528, event_index=0)
    stored(path, created, chain_trade(1, signature="c" * 64))
    stored(path, message_trade(mint=MINT, signature="c" * 64, wallet=OTHER, token_amount=7), source="pumpportal")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trades SET state = 3 WHERE token_amount = 7")

    with open_reader(path) as reader:
        launch = launch_of(reader, MINT)

    assert launch.in_transaction == launch.in_slot
    assert launch.in_slot is not None
    assert (launch.in_slot.wallets, launch.in_slot.share) == (1, None)


def test_progress_ends_with_the_first_minute_in_the_pool(tables: list[Table], path: Path) -> None:
    events = tables[0].events()[:20]
    last = events[-1]
    assert isinstance(last, Trade)
    assert last.block_time is not None
    at = last.block_time // 60 * 60
    pool = [
        replace(last, venue="pool", signature=letter * 64, slot=400_000_000 + number, block_time=at + 60 * number)
        for number, letter in enumerate("pqr", 2)
    ]
    migrated = TokenMigrated(signature="m" * 64, mint=last.mint, event_index=3, slot=399_999_999, block_time=at + 61)
    stored(path, *events, migrated, *pool)

    with open_reader(path) as reader:
        found = progress_of(reader, last.mint, limit=100)

    assert [minute.percent for minute in found[-2:]] == [found[-2].percent, 100.0]
    assert found[-2].percent < 100.0
    assert found[-1].at == at + 120


ORDERS: tuple[Order, ...] = ("last", "profit", "volume", "net")
QUESTIONS: dict[str, Callable[[Reader], object]] = {
    "totals": lambda reader: totals_of(reader, WALLET),
    "positions": lambda reader: [positions_of(reader, WALLET, limit=5, order=order) for order in ORDERS],
    "traders": lambda reader: [traders_of(reader, MINT, limit=5, order=order) for order in ORDERS],
    "position": lambda reader: position_of(reader, MINT, WALLET),
    "largest": lambda reader: largest(reader, MINT),
    "launch": lambda reader: launch_of(reader, MINT),
    "progress": lambda reader: progress_of(reader, MINT, limit=10),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_looks_at_all_of_a_table(path: Path, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    created = TokenCreated(signature="c" * 64, mint=MINT, bonding_curve="c", developer=WALLET, slot=366_647_528, event_index=0)
    stored(path, created, chain_trade())
    plans: list[str] = []
    ask = Reader.rows

    def explained(self: Reader, statement: str, **parameters: object) -> list[Any]:
        plans.extend(row[3] for row in ask(self, f"EXPLAIN QUERY PLAN {statement}", **parameters))
        return ask(self, statement, **parameters)

    monkeypatch.setattr(Reader, "rows", explained)
    with open_reader(path) as reader:
        QUESTIONS[question](reader)

    scans = [step for step in plans if step.startswith("SCAN") and not step.startswith(("SCAN chosen", "SCAN CONSTANT"))]
    assert plans
    assert scans == []
    of_identity = [step for step in plans if "trades_identity" in step]
    assert all("<expr>=?" in step for step in of_identity), "not all trades of the token"
    assert bool(of_identity) == (question == "launch")
