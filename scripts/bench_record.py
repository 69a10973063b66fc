"""A large record for the measurements of ``bench_queries.py``, in the shape of a busy launchpad and past the recorder."""

from __future__ import annotations

import itertools
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sqlalchemy as sa
from solders.pubkey import Pubkey
from solders.signature import Signature

from pumpwatch.storage.figures import rebuild
from pumpwatch.storage.store import Store

DAYS = 7
_SLOT_0 = 430_000_000
_BATCH = 20_000
_SUPPLY = 1_073_000_000_000_000
_SUPPLY_REAL = 793_100_000_000_000
_TOKEN_BITS = 20

_COLUMNS = (
    *("id", "token_id", "wallet_id", "signature", "event_index", "state", "is_buy", "venue", "by_mayhem_agent", "slot"),
    *("block_time", "token_amount", "quote_amount", "trader_quote_amount", "quote_id", "protocol_fee", "creator_fee", "lp_fee"),
    *("virtual_token_reserves", "virtual_quote_reserves", "real_token_reserves", "real_quote_reserves", "chain_key"),
    *("message_key", "pumpportal_at_us", "helius_at_us", "backfill_at_us"),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How large: trades in all, of the busiest token, of each bot; tokens and wallets."""

    trades: int = 5_000_000
    tokens: int = 100_000
    wallets: int = 300_000
    busiest: int = 300_000
    bots: int = 3
    trades_of_bot: int = 500_000

    def scaled(self, trades: int) -> Shape:
        """The same shape with another number of trades."""
        share = trades / self.trades
        tokens, wallets, busiest, of_bot = (
            max(1, round(number * share)) for number in (self.tokens, self.wallets, self.busiest, self.trades_of_bot)
        )
        return Shape(trades, tokens, wallets, busiest, self.bots, of_bot)


@dataclass(slots=True)
class _Coin:
    """The reserves of a token as it trades."""

    created_at: int
    virtual_token: int = _SUPPLY
    virtual_quote: int = 30_000_000_000
    venue: int = 0
    sold: int = 0

    def trade(self, chance: random.Random) -> tuple[int, int, int]:
        """Return is_buy, token_amount, quote_amount."""
        if self.sold < 1_000_000_000 or chance.random() < 0.55:
            quote = int(chance.expovariate(1 / 2.5e8)) + 1_000_000
            tokens = self.virtual_token - self.virtual_token * self.virtual_quote // (self.virtual_quote + quote)
            self.virtual_token -= tokens
            self.virtual_quote += quote
            self.sold += tokens
            if self.sold > _SUPPLY_REAL - 10**13:
                self.venue = 1
            return 1, tokens, quote
        tokens = int(self.sold * chance.random() * 0.1) + 1
        quote = self.virtual_quote - self.virtual_token * self.virtual_quote // (self.virtual_token + tokens)
        self.virtual_token += tokens
        self.virtual_quote -= quote
        self.sold -= tokens
        return 0, tokens, quote


@dataclass(slots=True)
class _Market:
    shape: Shape
    ends_at: int
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    coins: list[_Coin] = field(default_factory=list)

    def trades(self) -> Iterator[tuple[Any, ...]]:
        """Rows of ``trades`` in the order of time."""
        chance, shape = self.chance, self.shape
        bots = shape.bots * shape.trades_of_bot / shape.trades
        number = 0
        for packed in self._times():
            number += 1
            ms, token = packed >> _TOKEN_BITS, packed & ((1 << _TOKEN_BITS) - 1)
            coin = self.coins[token]
            venue = coin.venue
            is_buy, tokens, quote = coin.trade(chance)
            draw = chance.random()
            # Bots by turns; of the others few trade often.
            wallet = 1 + int(draw / bots * shape.bots) if draw < bots else 1 + int(shape.wallets * chance.random() ** 2.5)
            fee, creator_fee = quote * 95 // 10_000 + 1, quote * 30 // 10_000 + 1
            at = ms // 1000
            slot = _SLOT_0 + ms // 400 - (self.ends_at - DAYS * 86_400) * 1000 // 400
            virtual = (coin.virtual_token, coin.virtual_quote)
            key = bytes((venue,)) + slot.to_bytes(8, "big") + (virtual[0] * virtual[1]).to_bytes(16, "big")
            real = (max(0, coin.virtual_token - _SUPPLY + _SUPPLY_REAL), max(0, coin.virtual_quote - 30_000_000_000))
            paid = quote + fee + creator_fee if is_buy else max(0, quote - fee - creator_fee)
            signature = str(Signature(chance.randbytes(64)))
            seen = (None if chance.random() < 0.3 else ms * 1000 + 400_000, ms * 1000 + 900_000, None)
            lp_fee = quote * 20 // 10_000 if venue else None
            fees = (fee, creator_fee, lp_fee)
            if chance.random() < 0.003:  # only PumpPortal told of it
                yield (
                    *(number, token + 1, wallet, signature, None, 0, is_buy, venue, 0, None, None, tokens, quote, None, None),
                    *(None, None, None, virtual[0], None, None, None, None, virtual[0], ms * 1000 + 400_000, None, None),
                )
                continue
            yield (
                *(number, token + 1, wallet, signature, 0, 2 if number % 10 else 1, is_buy, venue, 0, slot, at, tokens, quote),
                *(paid, 1, *fees, *virtual, *real, key, virtual[0] if seen[0] else None, *seen),
            )

    def _times(self) -> list[int]:
        """Of every trade: milliseconds and token, packed into one number, sorted."""
        chance, shape = self.chance, self.shape
        starts_at = self.ends_at - DAYS * 86_400
        ranks = list(range(shape.tokens))
        chance.shuffle(ranks)
        weights = [1 / (rank + 3) ** 0.85 for rank in ranks]
        weights[ranks.index(0)] = 0.0  # the busiest has its share already
        self.coins = [_Coin(int(starts_at + number / shape.tokens * DAYS * 86_400)) for number in range(shape.tokens)]
        busiest = shape.tokens // 10
        traded = itertools.chain(
            itertools.repeat(busiest, shape.busiest),
            range(shape.tokens),  # each once, at least
            chance.choices(range(shape.tokens), weights, k=shape.trades - shape.busiest - shape.tokens),
        )
        packed = []
        for token in traded:
            created_at = self.coins[token].created_at
            life = self.ends_at - created_at
            # Most trades fall into the first hours; the busiest goes on to the end.
            age = chance.random() * life if token == busiest else min(chance.expovariate(1 / 5400.0), chance.random() * life)
            packed.append(int((created_at + age) * 1000) << _TOKEN_BITS | token)
        packed.sort()
        return packed


def build(path: Path, shape: Shape) -> None:
    """Make the record at *path*, which does not exist."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"record: {time.monotonic() - began:5.0f} s  {text}", file=sys.stderr, flush=True)

    Store.open(path, origin="simulator").close()
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000")
    indexes = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'trades'").fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    market = _Market(shape, int(time.time()))
    say("drawing the trades")
    names, values = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
    statement = f"INSERT INTO trades ({names}) VALUES ({values})"  # noqa: S608 - names of ours
    rows = market.trades()
    while batch := list(itertools.islice(rows, _BATCH)):
        connection.executemany(statement, batch)
        if batch[-1][0] % 500_000 < _BATCH:
            say(f"{batch[-1][0]:,} trades")
    connection.commit()
    for _, sql in indexes:
        connection.execute(sql)
    say("indexes")
    _fill_others(connection, market)
    connection.commit()
    say("tokens, wallets, segments, rates")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    _figure(path, shape)
    say("figures")


def _fill_others(connection: sqlite3.Connection, market: _Market) -> None:
    chance, shape = market.chance, market.shape
    connection.executemany(
        "INSERT INTO wallets VALUES (?, ?)",
        ((number + 1, str(Pubkey(chance.randbytes(32)))) for number in range(shape.wallets + 1)),
    )
    states = ("complete", "since", "spell", "holes", "unproven")
    connection.executemany(
        """
        INSERT INTO tokens (id, mint, first_seen_us, created_signature, created_slot, created_at, name, symbol, developer_id,
            creator_id, quote_id, start_virtual_token_reserves, start_virtual_quote_reserves, start_real_token_reserves,
            token_total_supply, is_mayhem_mode, completeness, holes)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 0, ?, ?)
        """,
        (
            (
                *(number + 1, str(Pubkey(chance.randbytes(32))), coin.created_at * 1_000_000),
                *(str(Signature(chance.randbytes(64))), _SLOT_0, coin.created_at, f"Coin number {number}", f"C{number % 5000}"),
                *(chance.randrange(shape.wallets) + 1, chance.randrange(shape.wallets) + 1),
                *(_SUPPLY, 30_000_000_000, _SUPPLY_REAL, 10**15, chance.choice(states), chance.choice((0, 0, 0, 2))),
            )
            for number, coin in enumerate(market.coins)
        ),
    )
    connection.execute(
        """
        UPDATE tokens SET (trades, buys, volume, provisional_volume) = (
            SELECT count(*), ifnull(sum(is_buy), 0), ifnull(sum(iif(state > 0, quote_amount, 0)), 0),
                ifnull(sum(iif(state = 0, quote_amount, 0)), 0)
            FROM trades WHERE token_id = tokens.id
        )
        """
    )
    connection.execute(
        """
        INSERT INTO segments (token_id, venue, trades, first_key, last_key, first_slot, last_slot, first_time, last_time)
        SELECT token_id, venue, count(*), min(chain_key), max(chain_key), min(slot), max(slot), min(block_time), max(block_time)
        FROM trades WHERE state > 0 GROUP BY token_id, venue
        """
    )
    minutes = range(market.ends_at // 60 - DAYS * 1440, market.ends_at // 60 + 1)
    connection.executemany(
        "INSERT INTO rates VALUES (1, ?, ?, 'bench', ?)", ((m, 150 + 10 * chance.random(), m * 60_000_000) for m in minutes)
    )
    connection.execute(
        """
        INSERT INTO spells (kind, address, reason, started_at_us, ended_at_us)
        SELECT 'token', mint, 'new', first_seen_us, iif(id > (SELECT max(id) FROM tokens) - 200, NULL, first_seen_us + 1800000000)
        FROM tokens
        """
    )
    connection.execute("DELETE FROM changes")


def _figure(path: Path, shape: Shape) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA cache_size=-1000000")
        for token_id in range(1, shape.tokens + 1):
            rebuild(connection, token_id)
    engine.dispose()
    driver = sqlite3.connect(path)
    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    driver.close()
