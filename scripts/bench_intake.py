"""
What backfill costs the live feeds, and what they leave it: the real intake, writer and file, with and without a flood of it.

    python scripts/bench_intake.py [--trades 60000]

Live trades are put in as fast as the writer takes them, so that the queue is never empty; backfill's, from a thread of its own,
as fast as its small queue takes them. Live without backfill is the floor beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_frames import FRAMES

from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import Delivery
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import Writer

_BATCH = 1000
_QUEUE = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=60_000)
    count = parser.parse_args().trades
    live = list(deliveries("helius", count, seed=1))
    fetched = list(deliveries("backfill", count, seed=2))
    alone, _ = measure(live, [])
    beside, filled = measure(live, fetched)
    print(f"live alone: {alone:,.0f} trades/s; with backfill at its limit: {beside:,.0f} live and {filled:,.0f} fetched trades/s")
    print(f"live keeps {beside / alone:.2f} of its rate, both together have {(beside + filled) / alone:.2f} of it")


def deliveries(source: str, count: int, *, seed: int) -> Iterator[Delivery]:
    """Decoded trades, as a feed or backfill hands them over."""
    for number, frame in enumerate(FRAMES["logs"](count, seed)):
        said = decode_message(frame[frame.index(b"{") :], {})
        if isinstance(said, Notified):
            yield Delivery(source=source, received_at_us=1_790_000_000_000_000 + number, events=said.events)


def measure(live: list[Delivery], fetched: list[Delivery]) -> tuple[float, float]:
    """Trades per second of both, while live ones were waiting."""
    with tempfile.TemporaryDirectory(prefix="pumpwatch-intake-", ignore_cleanup_errors=True) as folder:
        store = Store.open(Path(folder) / "bench.db", origin="simulator")
        intake = Intake(Path(folder) / "bench.spill", queue_size=_QUEUE, spill_bytes=2**20, now_us=time.time_ns() // 1000)
        writer = Writer(store, intake, batch_size=_BATCH)
        is_over = threading.Event()
        handed = 0

        def fill() -> None:
            nonlocal handed
            for delivery in fetched:
                while not intake.put_backfill(delivery, timeout_seconds=0.2):
                    if is_over.is_set():
                        return
                if is_over.is_set():
                    return
                handed += 1

        filler = threading.Thread(target=fill, daemon=True)
        writer.start()
        filler.start()
        began = time.perf_counter()
        for delivery in live:
            while intake.depth >= _QUEUE - 1:
                time.sleep(0.001)
            intake.put(delivery)
        while intake.depth:
            time.sleep(0.001)
        seconds = time.perf_counter() - began
        is_over.set()
        filled = handed - intake.backfill_depth
        filler.join()
        writer.finish(Deadline(30))
        writer.join()
        return len(live) / seconds, filled / seconds


if __name__ == "__main__":
    main()
