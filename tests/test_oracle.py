"""
Every number that is shown equals an independent computation from the raw rows, whatever came in which order.

``oracle.py`` is the judge; it shares no code with the package. ``db check`` (``recount.py``) must agree with it.
"""

from __future__ import annotations

import csv
import random
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from pumpwatch.candles import INTERVALS, Candle
from pumpwatch.cli.demo import run_demo
from pumpwatch.decode import pumpportal, solana
from pumpwatch.events import (
    WRAPPED_SOL,
    CurveCompleted,
    Delivery,
    Event,
    PoolSeen,
    TokenCreated,
    TokenMigrated,
    Trade,
    TradesDropped,
)
from pumpwatch.simulator.player import logs_notifications, pumpportal_frames, read_session, read_trades
from pumpwatch.storage.candles import candles
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.recount import Recount
from pumpwatch.storage.store import Store
from pumpwatch.storage.windows import windows

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
BEGAN = 1_757_806_310


def judged(path: Path, intervals: Iterable[str] = INTERVALS) -> list[str]:
    """What oracle and recount find."""
    counting = Recount(path)
    counted = [str(one) for _, step in counting.steps(counting.tokens()) for one in step.differences]
    counting.close()
    return oracle.differences(path) + counted + in_time(path, intervals)


def in_time(path: Path, intervals: Iterable[str]) -> list[str]:
    """Candles and windows of every token that are not what the oracle has."""
    raw = oracle.read(path)
    found: list[str] = []
    with open_reader(path) as reader:
        for token_id, token in raw.tokens.items():
            mint = token["mint"]
            for name, seconds in ((name, INTERVALS[name]) for name in intervals):
                for in_usd in (False, True):
                    expected = oracle.candles(raw, token_id, seconds, in_usd=in_usd)
                    shown = candles(reader, mint, seconds, limit=10**6, in_usd=in_usd)
                    assert shown is not None
                    found += oracle.compare(f"{mint} {name} {in_usd}", by_time(shown.candles), expected)
                if len(expected) > 1 and max(expected) - min(expected) < 2_000 * seconds:
                    shown = candles(reader, mint, seconds, limit=10**6, in_usd=True, gapless=True)
                    assert shown is not None
                    gapless = oracle.without_gaps(expected, seconds)
                    found += oracle.compare(f"{mint} {name} gapless", by_time(shown.candles), gapless)
            for now in (BEGAN + 30, (token["last_trade_at"] or BEGAN) + 61):
                for one in windows(reader, mint, now):
                    expected = {one.seconds: oracle.window(raw, token_id, one.seconds, now)}
                    found += oracle.compare(f"{mint} window at {now}", {one.seconds: asdict(one)}, expected)
    return found


def by_time(shown: Iterable[Candle]) -> dict[int, dict[str, Any]]:
    return {candle.opens_at: asdict(candle) for candle in shown}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def add_rates(path: Path) -> None:
    """A rate every thirteen minutes, of which it counts for ten: the last minute that was traded in is the tenth of one."""
    execute(
        path,
        """
        INSERT OR IGNORE INTO rates
        SELECT DISTINCT quote.id, minute - (minute - tenth + 9 + 1300000) % 13, 100.0 * quote.id + minute / 13 % 97 / 7.0,
            'test', 0
        FROM minutes, (SELECT 1 AS id UNION SELECT 2) AS quote, (SELECT max(minute) AS tenth FROM minutes)
        """,
    )


# Captured sessions


@pytest.fixture(scope="module")
def session(corpus: Path) -> list[Delivery]:
    """All that was captured, decoded: PumpPortal and Helius, and 1,499 trades of three coins as both would tell them."""
    deliveries: list[Delivery] = []

    def told(source: str, events: Iterable[Event]) -> None:
        deliveries.append(Delivery(source=source, received_at_us=(BEGAN + len(deliveries)) * 10**6, events=tuple(events)))

    history = []
    for path in sorted((corpus / "trades").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            history += read_trades(csv.DictReader(file))
    frames = [message.text for message in read_session(corpus / "pumpportal/session_2026-07-03.jsonl")]
    for text in [*frames, *pumpportal_frames(history)]:
        events = pumpportal.decode_message(text.encode())
        if isinstance(events, tuple):
            told("pumpportal", events)
    notified = [message.text for message in read_session(corpus / "helius/logs_subscribe_2026-07-04.jsonl")]
    for text in [*notified, *logs_notifications(history)]:
        found = solana.decode_message(text.encode(), {})
        if isinstance(found, solana.Notified):
            told("helius", found.events)
    return deliveries


@pytest.mark.parametrize("seed", range(3))
def test_of_the_captured_sessions_every_number_is_right(session: list[Delivery], tmp_path: Path, seed: int) -> None:
    """In the order of the files, and in any other."""
    path = tmp_path / "record.db"
    chance = random.Random(seed)
    deliveries = list(session)
    if seed:
        chance.shuffle(deliveries)
    store = Store.open(path, origin="replay")
    while deliveries:
        batch, deliveries = deliveries[: (count := chance.choice((1, 30, 500)))], deliveries[count:]
        store.apply(batch)
    store.close()
    add_rates(path)

    with closing(sqlite3.connect(path)) as connection:
        confirmed, of_usd, impacts = connection.execute(
            "SELECT sum(confirmed), count(price_usd), count(price_impact) FROM trade_log"
        ).fetchone()
    assert confirmed == impacts + 3 == 1592  # the mayhem agent traded thrice
    assert 100 < of_usd < confirmed
    assert judged(path) == []


# What the judge notices


@pytest.fixture(scope="module")
def small(session: list[Delivery], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("oracle") / "record.db"
    store = Store.open(path, origin="replay")
    store.apply([*session[:60], *[delivery for delivery in session if delivery.source == "helius"][:80], *session[-200:]])
    store.close()
    add_rates(path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        *(f"UPDATE tokens SET {name} = {name} + 1" for name in ("trades", "buys", "volume", "wallets", "first_trade_at")),
        *(f"UPDATE tokens SET {name} = {name} * (1 + 1e-11)" for name in ("price_high", "price_low")),
        "UPDATE tokens SET last_trade_at = last_trade_at + 1",
        "UPDATE tokens SET last_real_token_reserves = last_real_token_reserves + 1000000000",
        "UPDATE tokens SET last_virtual_quote_reserves = last_virtual_quote_reserves + 1",
        "UPDATE tokens SET last_venue = 1",
        *(f"UPDATE positions SET {name} = {name} + 1" for name in ("buys", "bought", "sold", "spent", "received", "profit")),
        "UPDATE positions SET unknown = 1",
        "UPDATE positions SET sold_unbought = 1 - sold_unbought",
        "DELETE FROM positions WHERE wallet_id = (SELECT max(wallet_id) FROM positions)",
        *(f"UPDATE minutes SET {name} = {name} + 1" for name in ("trades", "buys", "volume", "buy_volume", "first_slot")),
        *(f"UPDATE minutes SET {name} = {name} * (1 + 1e-11)" for name in ("open", "high", "low", "close")),
        "UPDATE minutes SET minute = minute + 1 WHERE minute = (SELECT max(minute) FROM minutes)",
        "UPDATE quotes SET units = 1e8 WHERE id = 1",
        "UPDATE trades SET state = 3 WHERE id = (SELECT max(id) FROM trades)",
    ],
)
def test_the_judge_notices(small: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "record.db"
    with closing(sqlite3.connect(small)) as connection, closing(sqlite3.connect(path)) as to:
        connection.backup(to)
    assert oracle.differences(path) == []
    execute(path, damage)
    assert oracle.differences(path)


# Any interleaving of all sources


_EXACT = 3


def coin(number: int, chance: random.Random) -> tuple[list[Event], list[Trade]]:
    """
    What a coin's life would tell: its beginning and end, and its trades, which link.

    0: SOL, 1: mayhem, 2: USDC, 3: amounts without a remainder, so that all trades of a slot have the same place.
    """
    mint, maker = f"mint{number}", "wallet0"
    quote_mint = USDC if number == 2 else WRAPPED_SOL
    mayhem = number == 1
    tokens, quote, slot = 1_073_000_000_000_000 * (1 + mayhem), 30_000_000_000, 1_000
    if number == _EXACT:
        tokens, quote = 2**50, 2**35
    created = TokenCreated(
        signature=f"create{number}".ljust(88, "c"),
        mint=mint,
        bonding_curve=f"curve{number}",
        developer=maker,
        creator=maker,
        event_index=0,
        slot=slot,
        block_time=BEGAN,
        quote_mint=quote_mint,
        token_total_supply=10**15 * (1 + mayhem),
        real_token_reserves=793_100_000_000_000,
        is_mayhem_mode=mayhem,
    )
    trades: list[Trade] = []
    held = 0
    count = chance.randint(4, 14)
    pool_from = chance.choice((count, count - 3)) if number != _EXACT else count
    for place in range(count):
        slot += chance.choice((0, 0, 1, 1, 40))
        is_buy = held < 1_000 or chance.random() < 0.6
        amount = chance.randint(1, 10**13) if is_buy else chance.randint(1, held)
        if number == _EXACT:
            is_buy = held < 1_000 or (chance.random() < 0.6 and tokens > 2**40)
            amount = tokens // 2 if is_buy else tokens
            held = held if is_buy else amount
        is_agent = mayhem and place and chance.random() < 0.3
        venue = "pool" if place >= pool_from else "curve"
        if venue == "pool" and trades and trades[-1].venue == "curve":
            slot += 1
        moved = tokens * quote // (tokens - amount) - quote if is_buy else quote - tokens * quote // (tokens + amount)
        lp_fee = moved // 500 if venue == "pool" else None
        tokens += -amount if is_buy else amount
        quote += moved + (lp_fee or 0) if is_buy else -moved + (lp_fee or 0)
        if is_agent:
            quote += chance.randint(-1000, 1000)
        held += amount if is_buy else -amount
        trades.append(
            Trade(
                signature=f"s{number}{place if chance.random() < 0.8 or not place else place - 1}".rjust(88, "s"),
                mint=mint,
                wallet=f"wallet{chance.randint(0, 3)}",
                is_buy=is_buy,
                venue=venue,  # type: ignore[arg-type]
                token_amount=amount,
                quote_amount=moved,
                trader_quote_amount=moved + moved // 80 if is_buy else moved - moved // 80,
                quote_mint=quote_mint,
                protocol_fee=1,
                creator_fee=1,
                lp_fee=lp_fee,
                virtual_token_reserves=tokens,
                virtual_quote_reserves=quote,
                real_token_reserves=max(0, tokens - 279_900_000_000_000),
                real_quote_reserves=quote,
                event_index=place,
                slot=slot,
                block_time=BEGAN + (slot - 1_000) * 2 // 5,
                by_mayhem_agent=bool(is_agent),
            )
        )
    ends: list[Event] = [created]
    if pool_from < count:
        ends.append(CurveCompleted(signature="e" * 88, mint=mint, event_index=9, slot=slot, block_time=BEGAN + 99))
        decimals = 6 if quote_mint == USDC else 9
        pool = PoolSeen(pool=f"pool{number}", mint=mint, quote_mint=quote_mint, base_decimals=6, quote_decimals=decimals)
        ends.append(pool)
        ends.append(TokenMigrated(signature="m" * 88, mint=mint, event_index=10, slot=slot, block_time=BEGAN + 99))
    return ends, trades


def reports(trade: Trade, *, later_slots: int) -> Iterator[tuple[str, Event]]:
    """All that may be told of a trade, that it landed again so many slots later among it."""
    yield "helius", trade
    yield "backfill", trade
    message = Trade(
        signature=trade.signature,
        mint=trade.mint,
        wallet=trade.wallet,
        is_buy=trade.is_buy,
        venue=trade.venue,
        token_amount=trade.token_amount,
        quote_amount=None if trade.token_amount % 11 == 0 else trade.quote_amount,
        virtual_token_reserves=trade.virtual_token_reserves,
        message_key=trade.virtual_token_reserves,
    )
    yield "pumpportal", message
    yield "pumpportal", replace(message, token_amount=message.token_amount + 1)  # of a fork
    yield "backfill", TradesDropped(signature=trade.signature, mint=trade.mint)
    assert trade.slot is not None
    assert trade.block_time is not None
    yield "helius", replace(trade, slot=trade.slot + later_slots, block_time=trade.block_time + later_slots * 2 // 5)
    yield "helius", replace(trade, trader_quote_amount=None)
    yield "helius", replace(trade, quote_amount=None, slot=trade.slot + 1)


RESTART, LAST = None, 8


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, Event] | None]:
    """What four coins' lives brought, in any order, some of it twice, some of it never; None: a restart."""
    chance = random.Random(draw(st.integers(0, 10**6)))
    told: list[tuple[str, Event] | None] = []
    for number in range(4):
        ends, trades = coin(number, chance)
        told += [("helius", event) for event in ends if draw(st.booleans())]
        # A curve's trades end where those of its pool begin: nothing lands on it again behind them.
        later_slots = 1 if trades[-1].venue == "pool" else 170
        for kinds in [list(reports(trade, later_slots=later_slots)) for trade in trades]:
            chosen = draw(st.lists(st.integers(0, LAST - 1), max_size=4))
            told += [kinds[kind] for kind in chosen]
    told += [RESTART] * draw(st.integers(0, 2))
    return draw(st.permutations(told))


@settings(max_examples=50, deadline=None)
@given(story=stories(), batch=st.sampled_from((1, 2, 7, 1000)))
def test_of_any_story_every_number_is_right(story: list[tuple[str, Event] | None], batch: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "record.db"
        store = Store.open(path, origin="simulator", break_grace_seconds=0.0)
        waiting: list[Delivery] = []
        for number, told in enumerate(story):
            if told is None:
                store.apply(waiting)
                waiting = []
                store.close()
                store = Store.open(path, origin="simulator", break_grace_seconds=0.0)
                continue
            source, event = told
            waiting.append(Delivery(source=source, received_at_us=(BEGAN + number) * 10**6, events=(event,)))
            if len(waiting) >= batch:
                store.apply(waiting)
                waiting = []
        store.apply(waiting)
        store.close()
        add_rates(path)
        assert judged(path, ("15s", "5m")) == []


# A market with everything that can go wrong


@pytest.mark.timeout(240)
def test_of_a_demo_with_faults_and_kills_every_number_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "demo.db"
    faults = ("drop", "kill", "reorder", "fork", "duplicate", "lossy", "truncate_logs")
    status = run_demo(seconds=12.0, rate=60.0, faults=faults, provider=None, database=path)

    assert status == 0, capsys.readouterr().out
    add_rates(path)
    raw: dict[str, Any] = {"trades": sum(len(trades) for trades in oracle.read(path).trades.values())}
    assert raw["trades"] > 300
    assert judged(path) == []
