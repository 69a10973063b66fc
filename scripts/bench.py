"""
The benchmark: how fast the whole recorder is on this machine, beside its floor, in one run.

    python scripts/bench.py [--trades 1000000] [--large] [--json]

Everything is real: a process of its own sends prebuilt frames over a loopback socket, ``python -m pumpwatch run`` records them
into a new file, and a trade counts when another process can read it. Machines are noisy: compare what is in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
KINDS = ("pumpportal", "logs")
_PACED_SECONDS = 20
_STOP_SIGNAL = getattr(signal, "CTRL_C_EVENT", signal.SIGINT)
_LARGE_TRADES = 5_000_000
_GIVE_UP_SECONDS = 1800.0


@contextlib.contextmanager
def blaster(kind: str, count: int, *, rate: float = 0.0, seed: int = 1) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The sending process, and its URL."""
    command = [sys.executable, str(HERE / "bench_frames.py"), kind, str(count), str(rate), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, f"ws://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> float:
    """Wait until its client has subscribed, let it send, and return the time of the first frame."""
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline().strip() == "ready"
    began = time.perf_counter()
    process.stdin.write("go\n")
    process.stdin.flush()
    return began


@contextlib.contextmanager
def worker(folder: Path, kind: str, url: str, *, command: list[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The recorder, with one feed at *url*; stopped as a person would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_")}
    environment |= {
        "PYTHONPATH": str(HERE.parent),
        "PUMPWATCH_PUMPWATCH_DATABASE": str(folder / "trades.db"),
        "PUMPWATCH_PUMPWATCH_LOG_LEVEL": "WARNING",
        "PUMPWATCH_PUMPPORTAL_ENABLED": "yes" if kind == "pumpportal" else "no",
        "PUMPWATCH_PUMPPORTAL_URL": url,
        "PUMPWATCH_HELIUS_ENABLED": "yes" if kind == "logs" else "no",
        "PUMPWATCH_HELIUS_WS_URL": url,
        "PUMPWATCH_HELIUS_RPC_URL": "http://127.0.0.1:9",
        "PUMPWATCH_HELIUS_SCOPE": "all",
    }
    process = subprocess.Popen(command or [sys.executable, "-m", "pumpwatch", "run", "--simulator"], cwd=folder, env=environment)
    try:
        yield process
        process.send_signal(_STOP_SIGNAL)
        process.wait(15)
    finally:
        process.kill()
        process.wait()


def wait_for_rows(path: Path, count: int, process: psutil.Process) -> tuple[float, int]:
    """Wait until another process can read *count* trades. Return when, and the recorder's peak memory in bytes."""
    peak = 0
    until = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < until:
        peak = max(peak, process.memory_info().rss)
        with contextlib.suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True)
            found = connection.execute("SELECT ifnull(max(id), 0) FROM trades").fetchone()[0]
            connection.close()
            if found >= count:
                return time.perf_counter(), peak
        time.sleep(0.05)
    raise SystemExit(f"only {found} of {count} trades were recorded: something is broken")


def size_of(folder: Path) -> int:
    """Everything the recorder left in its folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure_path(kind: str, count: int, folder: Path, *, before: int = 0, seed: int = 1) -> dict[str, float]:
    """(a), (d), (e): frames on a socket to committed rows."""
    with blaster(kind, count, seed=seed) as (sender, url), worker(folder, kind, url) as process:
        began = go(sender)
        ended, peak = wait_for_rows(folder / "trades.db", before + count, psutil.Process(process.pid))
    check(folder / "trades.db", before + count)
    size = size_of(folder)
    return {
        "trades_per_second": count / (ended - began),
        "peak_megabytes": peak / 1e6,
        "bytes_per_trade": size / (before + count),
    }


def measure_floor(kind: str, count: int, folder: Path) -> float:
    """(b): trades per second of the plainest recorder."""
    path = folder / "floor.db"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with blaster(kind, count) as (sender, url):
        command = [sys.executable, str(HERE / "bench_floor.py"), str(path), kind, str(count), url]
        with subprocess.Popen(command, env=environment) as process:
            began = go(sender)
            ended, _ = wait_for_rows(path, count, psutil.Process(process.pid))
    return count / (ended - began)


def check(path: Path, count: int) -> None:
    """A fast recorder that loses trades is not measured."""
    connection = sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True)
    found = connection.execute("SELECT sum(trades) FROM tokens").fetchone()[0]
    rejected = connection.execute("SELECT count(*) FROM rejected").fetchone()[0]
    connection.close()
    if (found, rejected) != (count, 0):
        raise SystemExit(f"{found} of {count} trades recorded, {rejected} rejected: something is broken")


def measure_delay(kind: str, rate: float, folder: Path) -> dict[str, float]:
    """(c): milliseconds from receive to commit, from within the recorder's process."""
    command = [sys.executable, str(HERE / "bench.py"), "--timed-worker", str(folder / "delays.json")]
    with (
        blaster(kind, int(rate * _PACED_SECONDS), rate=rate) as (sender, url),
        worker(folder, kind, url, command=command) as process,
    ):
        go(sender)
        wait_for_rows(folder / "trades.db", int(rate * _PACED_SECONDS), psutil.Process(process.pid))
    delays = sorted(json.loads((folder / "delays.json").read_text(encoding="utf-8")))
    return {"median_ms": statistics.median(delays), "p99_ms": delays[int(len(delays) * 0.99)], "worst_ms": delays[-1]}


def timed_worker(path: Path) -> int:
    """The recorder with a stop-watch around each commit; writes the delays of all trades to *path* at the end."""
    sys.path.insert(0, str(HERE.parent))
    from pumpwatch.cli.main import main
    from pumpwatch.events import Trade
    from pumpwatch.storage.store import Store

    delays: list[float] = []
    apply = Store.apply

    def timed(store: Store, deliveries: Any) -> None:
        apply(store, deliveries)
        now_us = time.time_ns() // 1000
        trades = (one.received_at_us for one in deliveries if one.events and type(one.events[0]) is Trade)
        delays.extend((now_us - received_at_us) / 1000 for received_at_us in trades)

    Store.apply = timed  # type: ignore[method-assign, assignment]
    status = main(["run", "--simulator"])
    path.write_text(json.dumps(delays), encoding="utf-8")
    return status


def fill(path: Path, count: int) -> None:
    """Put *count* trades of an earlier time into a file, through the recorder's own store."""
    sys.path[:0] = [str(HERE.parent), str(HERE)]
    from bench_frames import logs_frames

    from pumpwatch.decode.solana import Notified, decode_message
    from pumpwatch.events import Delivery
    from pumpwatch.storage.store import Store

    store = Store.open(path, origin="simulator")
    batch = []
    for number, frame in enumerate(logs_frames(count, seed=99)):
        notified = decode_message(frame[4:] if frame[1] == 126 else frame[2:], {})
        if isinstance(notified, Notified):
            at_us = 1_700_000_000_000_000 + number
            batch.append(Delivery(source="helius", received_at_us=at_us, events=notified.events))
        if len(batch) == 1000:
            store.apply(batch)
            batch = []
    store.apply(batch)
    store.checkpoint()
    store.close()


def run(trades: int, *, large: bool, folder: Path) -> dict[str, Any]:
    """Measure everything, kind by kind, the floor beside us."""
    result: dict[str, Any] = {"machine": machine(), "trades": trades}
    for kind in KINDS:
        say(f"{kind}: whole path and floor, {trades:,} trades each")
        ours = measure_path(kind, trades, made(folder / f"{kind}-path"))
        floor = measure_floor(kind, trades, made(folder / f"{kind}-floor"))
        result[kind] = {**ours, "floor_trades_per_second": floor, "of_floor": ours["trades_per_second"] / floor}
        for rate in (200, 2000):
            say(f"{kind}: delay at {rate} trades per second")
            result[kind][f"delay_at_{rate}"] = measure_delay(kind, rate, made(folder / f"{kind}-{rate}"))
    if large:
        say(f"logs: with {_LARGE_TRADES:,} trades in the file")
        path = made(folder / "large")
        fill(path / "trades.db", _LARGE_TRADES)
        ours = measure_path("logs", trades, path, before=_LARGE_TRADES)
        ours["of_empty"] = ours["trades_per_second"] / result["logs"]["trades_per_second"]
        result["large"] = ours
    return result


def made(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load_before": psutil.getloadavg()[0],
    }


def say(text: str) -> None:
    """Progress goes to standard error: standard output is the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{result['trades']:,} trades, Python {result['machine']['python']}, SQLite {result['machine']['sqlite']}"]
    for kind in KINDS:
        one = result[kind]
        lines += [
            (
                f"{kind}: {one['trades_per_second']:,.0f} trades/s; floor {one['floor_trades_per_second']:,.0f} "
                f"(we are {one['of_floor']:.2f} of it)"
            ),
            f"    peak memory {one['peak_megabytes']:.0f} MB, {one['bytes_per_trade']:.0f} bytes a trade on disk",
        ]
        for rate in (200, 2000):
            delay = one[f"delay_at_{rate}"]
            lines.append(
                f"    receive to commit at {rate}/s: median {delay['median_ms']:.1f} ms, 99th percentile {delay['p99_ms']:.1f} ms"
            )
    if "large" in result:
        one = result["large"]
        lines.append(
            f"with 5,000,000 in the file: {one['trades_per_second']:,.0f} trades/s ({one['of_empty']:.2f} of the empty file)"
        )
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=1_000_000, help="how many for each rate (default: 1000000)")
    parser.add_argument("--large", action="store_true", help="also with 5,000,000 trades in the file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--timed-worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.timed_worker:
        return timed_worker(arguments.timed_worker)
    with tempfile.TemporaryDirectory(prefix="pumpwatch-bench-") as folder:
        result = run(arguments.trades, large=arguments.large, folder=Path(folder))
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
