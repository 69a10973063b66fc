"""
What the web page costs, and how quick it is: on a large record, and beside a recorder at work.

    python scripts/bench_dashboard.py [--record FILE] [--trades 5000000] [--rounds 3] [--burst 150000] [--json]

Everything is real: ``python -m pumpwatch dashboard`` over a file that the recorder's own store writes, and clients on sockets.
FILE is a record as ``bench_queries.py`` makes it; it is copied, and brought to this version's schema. Without it one is made.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from bench import blaster, go, made, say, wait_for_rows, worker
from bench_record import Shape, build
from solders.signature import Signature

from pumpwatch.events import WRAPPED_SOL, Delivery, Trade
from pumpwatch.storage.store import Store

HERE = Path(__file__).resolve().parent
STREAMS, POLLERS = 4, 6
_ASKED = 9
_COMMITS = 120
_PACED_RATE = 30.0
_PACED_SECONDS = 20.0

#: Of a burst: its end says nothing of the speed.
_COUNTED = 0.9


class Page:
    """``pumpwatch dashboard`` as a process of its own."""

    def __init__(self, database: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_")}
        environment |= {"PYTHONPATH": str(HERE.parent), "PUMPWATCH_PUMPWATCH_DATABASE": str(database)}
        command = [sys.executable, "-m", "pumpwatch", "dashboard", "--port", "0"]
        self._process = subprocess.Popen(
            command, cwd=database.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().strip().rstrip("/").rpartition(":")[2])

    def ask(self, path: str) -> tuple[float, int, bytes]:
        """Seconds, status and body of one request on a connection of its own."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return time.perf_counter() - began, answer.status, body
        finally:
            connection.close()

    @property
    def cpu_seconds(self) -> float:
        """Of the process, since it began."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def megabytes(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss / 1e6)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def page(database: Path) -> Iterator[Page]:
    found = Page(database)
    try:
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def ten_clients(port: int) -> Iterator[None]:
    """As many pages as a busy desk has open, in a process of their own."""
    command = [sys.executable, str(HERE / "bench_dashboard.py"), "--clients-of", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()


def be_ten_clients(port: int) -> int:
    """Four that stream and six that ask each second; until killed."""
    threads = [threading.Thread(target=_stream, args=(port,), daemon=True) for _ in range(STREAMS)]
    threads += [threading.Thread(target=_poll, args=(port, number / POLLERS), daemon=True) for number in range(POLLERS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    return 0


def _stream(port: int) -> None:
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/api/live?board=1")
            answer = connection.getresponse()
            while answer.read1(1 << 16):
                pass
        time.sleep(1.0)


def _poll(port: int, after: float) -> None:
    time.sleep(after)
    cursor = ""
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", f"/api/changes?board=1&after={cursor}")
            answer = connection.getresponse()
            cursor = json.loads(answer.read())["cursor"]
            connection.close()
        time.sleep(1.0)


def measure_loads(database: Path, here: Page) -> dict[str, dict[str, float]]:
    """(b): milliseconds of each page and answer, the first and then the median and the worst of some more."""
    connection = sqlite3.connect(f"file:{database.as_posix()}?mode=ro", uri=True)
    [mint] = connection.execute("SELECT mint FROM tokens ORDER BY trades DESC LIMIT 1").fetchone()
    [quiet] = connection.execute("SELECT mint FROM tokens WHERE trades BETWEEN 20 AND 60 LIMIT 1").fetchone()
    [bot] = connection.execute("SELECT address FROM wallets WHERE id = 2").fetchone()
    connection.close()
    paths = [
        *("/", f"/token/{mint}", f"/wallet/{bot}", "/system", "/static/core/live.js"),
        *(f"/api/tokens?limit=500&order={order}" for order in ("newest", "volume", "market-cap", "progress", "change")),
        *("/api/tokens?symbol=C12&limit=100", "/api/tokens?status=graduated&limit=100", "/api/system", "/api/welcome"),
        *(f"/api/tokens/{mint}{rest}" for rest in ("", "/candles", "/candles?interval=1d", "/trades?limit=500", "/traders")),
        *(f"/api/tokens/{mint}/proof", f"/api/tokens/{quiet}", f"/api/tokens/{quiet}/proof"),
        *(f"/api/wallets/{bot}", f"/api/wallets/{bot}/trades", "/api/changes?board=1"),
    ]
    found = {}
    for path in paths:
        asked = [here.ask(path) for _ in range(_ASKED + 1)]
        if {status for _, status, _ in asked} != {200}:
            raise SystemExit(f"{path} answers {asked[0][1]}: {asked[0][2][:200]!r}")
        name = path.replace(mint, "BUSIEST").replace(quiet, "QUIET").replace(bot, "BOT")
        first, *others = (1000 * seconds for seconds, _, _ in asked)
        found[name] = {
            "first_ms": first,
            "median_ms": statistics.median(others),
            "worst_ms": max(others),
            "kilobytes": len(asked[0][2]) / 1e3,
        }
    return found


def measure_delay(database: Path, here: Page) -> dict[str, float]:
    """(a): milliseconds from the end of a commit to the event at the client, who looks at the list and one token."""
    chance = random.Random(5)
    connection = sqlite3.connect(f"file:{database.as_posix()}?mode=ro", uri=True)
    [mint] = connection.execute("SELECT mint FROM tokens ORDER BY id DESC LIMIT 1").fetchone()
    connection.close()
    came: dict[str, float] = {}
    is_there, done = threading.Event(), threading.Event()

    def listen() -> None:
        client = http.client.HTTPConnection("127.0.0.1", here.port, timeout=30)
        client.request("GET", f"/api/live?board=1&mint={mint}")
        answer = client.getresponse()
        while not done.is_set():
            line = answer.readline()
            is_there.set()
            if line.startswith(b'data: {"trades"'):
                now = time.perf_counter()
                came.update((trade["signature"], now) for trade in json.loads(line[6:])["trades"])
        client.close()

    store = Store.open(database, origin="simulator")
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    is_there.wait(30)
    committed: dict[str, float] = {}
    for number in range(_COMMITS):
        time.sleep(chance.uniform(0.05, 0.6))
        signature = str(Signature(chance.randbytes(64)))
        trade = Trade(
            signature=signature,
            mint=mint,
            wallet=mint,
            is_buy=True,
            venue="curve",
            token_amount=1_000_000,
            quote_amount=30,
            quote_mint=WRAPPED_SOL,
            virtual_token_reserves=10**15 - number,
            virtual_quote_reserves=30 * 10**9 + number,
            event_index=0,
            slot=500_000_000 + number,
            block_time=int(time.time()),
        )
        store.apply([Delivery(source="helius", received_at_us=time.time_ns() // 1000, events=(trade,))])
        committed[signature] = time.perf_counter()
    time.sleep(1.0)
    done.set()
    store.close()
    missing = committed.keys() - came.keys()
    if missing:
        raise SystemExit(f"{len(missing)} of {len(committed)} trades were not told: something is broken")
    delays = sorted(1000 * (came[signature] - at) for signature, at in committed.items())
    return {"median_ms": statistics.median(delays), "p95_ms": delays[int(len(delays) * 0.95)], "worst_ms": delays[-1]}


def measure_cost(folder: Path, burst: int, *, has_page: bool) -> tuple[float, float]:
    """(c): trades per second of the recorder at its fastest, and what each costs its processor, in microseconds."""
    with contextlib.ExitStack() as stack:
        if has_page:  # before the sender, who does not wait
            here = stack.enter_context(page(folder / "trades.db"))
            stack.enter_context(ten_clients(here.port))
        sender, url = stack.enter_context(blaster("logs", burst))
        process = stack.enter_context(worker(folder, "logs", url))
        recorder = psutil.Process(process.pid)
        began, before = go(sender), sum(recorder.cpu_times()[:2])
        counted = int(burst * _COUNTED)
        ended, _ = wait_for_rows(folder / "trades.db", counted, recorder)
        spent = sum(recorder.cpu_times()[:2]) - before
    return counted / (ended - began), 1e6 * spent / counted


def measure_paced(folder: Path) -> dict[str, float]:
    """(c): percent of one core that the page's process takes, beside a recorder of 30 trades a second."""
    count = int(_PACED_RATE * _PACED_SECONDS * 3)
    found: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        sender, url = stack.enter_context(blaster("logs", count, rate=_PACED_RATE))
        process = stack.enter_context(worker(folder, "logs", url))
        go(sender)
        time.sleep(3.0)
        recorder = psutil.Process(process.pid)
        here = stack.enter_context(page(folder / "trades.db"))
        time.sleep(2.0)

        def measured(name: str) -> None:
            time.sleep(2.0)
            before, of_recorder, began = here.cpu_seconds, sum(recorder.cpu_times()[:2]), time.perf_counter()
            time.sleep(_PACED_SECONDS * 0.8)
            seconds = time.perf_counter() - began
            found[f"{name}_percent"] = 100 * (here.cpu_seconds - before) / seconds
            found[f"recorder_{name}_percent"] = 100 * (sum(recorder.cpu_times()[:2]) - of_recorder) / seconds
            found[f"{name}_megabytes"] = here.megabytes

        measured("idle")
        with ten_clients(here.port):
            measured("ten_clients")
    return found


def run(record: Path | None, trades: int, rounds: int, burst: int, folder: Path) -> dict[str, Any]:
    """Measure everything."""
    database = folder / "record.db"
    if record is None:
        say(f"making a record of {trades:,} trades")
        build(database, Shape().scaled(trades))
    else:
        shutil.copyfile(record, database)
    Store.open(database, origin="simulator").close()
    with page(database) as here:
        say("pages and answers")
        loads = measure_loads(database, here)
        say("from commit to event")
        delay = measure_delay(database, here)
        megabytes = here.megabytes
    say("beside a recorder of 30 trades a second")
    paced = measure_paced(made(folder / "paced"))
    measured: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for number in range(rounds):
        for has_page in (False, True) if number % 2 == 0 else (True, False):
            say(f"the recorder at its fastest, round {number + 1}, {'ten pages' if has_page else 'no page'}")
            at = made(folder / f"burst-{number}-{has_page}")
            measured[has_page].append(measure_cost(at, burst, has_page=has_page))
            shutil.rmtree(at)
    speeds = {has_page: [speed for speed, _ in found] for has_page, found in measured.items()}
    without, beside = (statistics.median(speeds[has_page]) for has_page in (False, True))
    cpu = [statistics.median(spent for _, spent in measured[has_page]) for has_page in (False, True)]
    return {
        "delay": delay,
        "loads": loads,
        "megabytes": megabytes,
        "paced": paced,
        "burst": {"without": speeds[False], "with_ten_pages": speeds[True], "ratio": beside / without, "cpu_us": cpu},
    }


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    delay, paced, burst = result["delay"], result["paced"], result["burst"]
    lines = [
        f"commit to event: median {delay['median_ms']:.0f} ms, p95 {delay['p95_ms']:.0f} ms, worst {delay['worst_ms']:.0f} ms",
        f"memory of the page's process afterwards: {result['megabytes']:.0f} MB",
        "",
        f"{'first':>8} {'median':>8} {'worst':>8} {'kB':>7}",
    ]
    lines += [
        f"{one['first_ms']:8.1f} {one['median_ms']:8.1f} {one['worst_ms']:8.1f} {one['kilobytes']:7.0f}  {path}"
        for path, one in result["loads"].items()
    ]
    lines += [
        "",
        (
            f"beside 30 trades/s: {paced['idle_percent']:.1f} % of a core idle, {paced['ten_clients_percent']:.1f} % with ten "
            f"clients ({paced['ten_clients_megabytes']:.0f} MB); the recorder {paced['recorder_idle_percent']:.1f} % and "
            f"{paced['recorder_ten_clients_percent']:.1f} %"
        ),
        (
            f"the recorder at its fastest: {statistics.median(burst['without']):,.0f} trades/s without a page, "
            f"{statistics.median(burst['with_ten_pages']):,.0f} with ten ({burst['ratio']:.3f})"
        ),
        f"    of its processor: {burst['cpu_us'][0]:.0f} us a trade without a page, {burst['cpu_us'][1]:.0f} with ten",
        f"    rounds: {', '.join(f'{a:,.0f}/{b:,.0f}' for a, b in zip(burst['without'], burst['with_ten_pages'], strict=True))}",
    ]
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, help="a large record to copy; without it one is made")
    parser.add_argument("--trades", type=int, default=5_000_000, help="of the record that is made (default: 5000000)")
    parser.add_argument("--rounds", type=int, default=3, help="of the recorder with and without pages (default: 3)")
    parser.add_argument("--burst", type=int, default=150_000, help="trades of each (default: 150000)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--clients-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.clients_of:
        return be_ten_clients(arguments.clients_of)
    with tempfile.TemporaryDirectory(prefix="pumpwatch-bench-") as folder:
        result = run(arguments.record, arguments.trades, arguments.rounds, arguments.burst, Path(folder))
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
