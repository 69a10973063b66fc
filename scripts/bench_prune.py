"""
What taking old trades out costs the recorder: a record of old trades, and a writer that goes on recording beside the pruning.

    python scripts/bench_prune.py [--trades 1000000] [--rate 200] [--folder FOLDER] [--json]

First the record is made, past the feeds, through the store. Then new trades come, so many a second, for a while without pruning,
and then beside it until every old trade is gone and the file has shrunk. A step is one turn of the writer in which nothing is
stored: the longest is what a new trade may have to wait. Machines are noisy: compare what is in one run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from solders.pubkey import Pubkey
from solders.signature import Signature

from pumpwatch.events import WRAPPED_SOL, Delivery, Trade
from pumpwatch.market import Reserves, after_trade, curve_buy_quote, curve_sell_quote
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.pruner import Step
from pumpwatch.storage.recount import Recount
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import Writer

#: Reserves that are virtual only, of a new curve.
_NEVER_SOLD: Final = 279_900_000_000_000
_NEVER_RAISED: Final = 30_000_000_000
_START: Final = Reserves(quote=30_000_000_000, token=1_073_000_000_000_000)
_FIRST_SLOT: Final = 300_000_000
_SLOTS_A_SECOND: Final = 2.5
_DAY: Final = 86_400
_OLD_DAYS: Final = 8
_BATCH: Final = 2_000
_TRADES_OF_TOKEN: Final = 200
_ALONE_SECONDS: Final = 20.0


class Coin:
    """One curve, and who trades it: its trades link to the last unit."""

    def __init__(self, chance: random.Random, wallets: list[str]) -> None:
        self._chance = chance
        self._wallets = wallets
        self.mint = str(Pubkey(chance.randbytes(32)))
        self._state = _START
        self._held = 0

    def trade(self, at: float, first_at: float) -> Trade:
        """One more, at that time (unix seconds)."""
        chance = self._chance
        is_buy = self._held < 10**12 or chance.random() < 0.52
        amount = chance.randrange(10**9, 10**12) if is_buy else chance.randrange(10**9, min(self._held, 10**12))
        quote = curve_buy_quote(amount, self._state) if is_buy else curve_sell_quote(amount, self._state)
        self._state = after_trade(self._state, is_buy=is_buy, token_amount=amount, quote_amount=quote)
        self._held += amount if is_buy else -amount
        return Trade(
            signature=str(Signature(chance.randbytes(64))),
            mint=self.mint,
            wallet=chance.choice(self._wallets),
            is_buy=is_buy,
            venue="curve",
            token_amount=amount,
            quote_amount=quote,
            trader_quote_amount=quote,
            quote_mint=WRAPPED_SOL,
            virtual_token_reserves=self._state.token,
            virtual_quote_reserves=self._state.quote,
            real_token_reserves=self._state.token - _NEVER_SOLD,
            real_quote_reserves=self._state.quote - _NEVER_RAISED,
            event_index=0,
            slot=_FIRST_SLOT + int((at - first_at) * _SLOTS_A_SECOND),
            block_time=int(at),
        )


def market(count: int, first_at: float, last_at: float, chance: random.Random) -> Iterator[Trade]:
    """So many trades in the order of time: a hundred coins trade at once, one of them busy to the end, of some hours each."""
    wallets = [str(Pubkey(chance.randbytes(32))) for _ in range(max(100, count // 20))]
    coins = [Coin(chance, wallets) for _ in range(100)]
    busiest = Coin(chance, wallets)
    for number in range(count):
        if number % _TRADES_OF_TOKEN == 0:
            coins[chance.randrange(len(coins))] = Coin(chance, wallets)
        coin = busiest if chance.random() < 0.05 else coins[int(len(coins) * chance.random() ** 2)]
        yield coin.trade(first_at + (last_at - first_at) * number / count, first_at)


def build(store: Store, count: int, first_at: float, last_at: float) -> None:
    """Through the store, as the writer would."""
    trades = market(count, first_at, last_at, random.Random(7))
    while batch := list(itertools.islice(trades, _BATCH)):
        store.apply(
            [Delivery(source="helius", received_at_us=int(trade.block_time or 0) * 1_000_000, events=(trade,)) for trade in batch]
        )


class Fed(threading.Thread):
    """Puts new trades into the intake, so many a second, and notes how long each waits until it is committed."""

    def __init__(self, intake: Intake, rate: float, first_at: float) -> None:
        super().__init__(daemon=True)
        self._intake = intake
        self._rate = rate
        self._first_at = first_at
        self._over = threading.Event()
        self.put = 0

    def run(self) -> None:
        trades = market(10_000_000, time.time(), time.time() + 10_000_000 / self._rate, random.Random(8))
        began = time.monotonic()
        while not self._over.wait(0.005):
            due = int((time.monotonic() - began) * self._rate)
            for trade in itertools.islice(trades, due - self.put):
                now = time.time()
                self.put += 1
                self._intake.put(Delivery(source="helius", received_at_us=int(now * 1e6), events=(trade,)))

    def end(self) -> None:
        self._over.set()
        self.join()


class Measured:
    """Times of what the writer does, as it does it."""

    def __init__(self, store: Store) -> None:
        self.commits: list[float] = []
        self.waits: list[float] = []
        self.steps: dict[str, list[float]] = {}
        applying = store.apply

        def apply(deliveries: Any) -> None:
            began = time.perf_counter()
            applying(deliveries)
            self.commits.append(time.perf_counter() - began)
            now_us = time.time_ns() // 1000
            self.waits += [(now_us - delivery.received_at_us) / 1e6 for delivery in deliveries]

        store.apply = apply  # type: ignore[method-assign]

    def take(self) -> dict[str, float]:
        """What was measured since the last call, of the recorder: milliseconds."""
        found = {
            "commit_ms": 1000 * statistics.median(self.commits),
            "longest_commit_ms": 1000 * max(self.commits),
            "wait_ms": 1000 * statistics.median(self.waits),
            "wait_99_ms": 1000 * sorted(self.waits)[len(self.waits) * 99 // 100],
            "longest_wait_ms": 1000 * max(self.waits),
        }
        self.commits.clear()
        self.waits.clear()
        return found


def measure(path: Path, rate: float) -> dict[str, Any]:
    """The writer beside new trades, first alone, then pruning."""
    store = Store.open(path, origin="simulator")
    measured = Measured(store)
    pruner = store.pruner(trade_days=0.0, max_bytes=0)
    stepping = pruner.step

    def step(*, now_us: int) -> Step:
        began = time.perf_counter()
        did = stepping(now_us=now_us)
        measured.steps.setdefault(did, []).append(time.perf_counter() - began)
        return did

    pruner.step = step  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        intake = Intake(Path(folder) / "spill", queue_size=20_000, spill_bytes=10**9, now_us=time.time_ns() // 1000)
        writer = Writer(store, intake, batch_size=1000, pruner=pruner)
        fed = Fed(intake, rate, time.time())
        size = path.stat().st_size
        with closing(sqlite3.connect(path)) as connection:
            before = connection.execute("SELECT count(*) FROM trades").fetchone()[0]
        writer.start()
        fed.start()
        time.sleep(_ALONE_SECONDS)
        alone = measured.take()
        began = time.monotonic()
        pruner.ask(0.5)
        while pruner.is_on:
            time.sleep(0.1)
        seconds = time.monotonic() - began
        beside = measured.take()
        fed.end()
        writer.finish(Deadline(5.0))
        writer.join()
    with closing(sqlite3.connect(path)) as connection:
        left = connection.execute("SELECT count(*) FROM trades").fetchone()[0]
    steps = {
        did: {
            "steps": len(times),
            "median_ms": 1000 * statistics.median(times),
            "99_ms": 1000 * sorted(times)[len(times) * 99 // 100],
            "longest_ms": 1000 * max(times),
        }
        for did, times in measured.steps.items()
    }
    return {
        "old_trades": before,
        "seconds": seconds,
        "gone": before + fed.put - left,
        "gone_per_second": (before + fed.put - left) / seconds,
        "megabytes_before": size / 1e6,
        "megabytes_after": path.stat().st_size / 1e6,
        "recorder_alone": alone,
        "recorder_beside": beside,
        "steps": steps,
    }


def check(path: Path) -> int:
    """How many numbers are wrong afterwards, of all that ``db check`` counts again."""
    counting = Recount(path)
    try:
        return sum(len(step.differences) for _, step in counting.steps(counting.tokens()))
    finally:
        counting.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=1_000_000, help="old ones (default: 1,000,000)")
    parser.add_argument("--rate", type=float, default=200.0, help="new ones a second (default: 200)")
    parser.add_argument("--folder", type=Path, help="where the record is made (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "trades.db"
        store = Store.open(path, origin="simulator")
        now = time.time()
        began = time.monotonic()
        build(store, arguments.trades, now - _OLD_DAYS * _DAY, now - _DAY)
        store.checkpoint()
        store.close()
        built = time.monotonic() - began
        found = {"built_seconds": built, **measure(path, arguments.rate), "wrong_numbers": check(path)}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    _tell(found)


def _tell(found: dict[str, Any], indent: str = "") -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _tell(value, indent + "  ")
        else:
            print(f"{indent}{name}: {value:,.1f}" if isinstance(value, float) else f"{indent}{name}: {value:,}")


if __name__ == "__main__":
    main()
