"""
How fast the record answers when it is large: every question of the command line on 5,000,000 trades.

    python scripts/bench_queries.py FOLDER [--trades 5000000] [--only WORD] [--plans] [--cold] [--json]

The record is made in FOLDER once (some five minutes, 2.5 GB), and again when the tables or indexes have changed or it is older
than a day, as windows end now. For each command: the longest and all of its SQL (median of five runs in this process), and the
wall time of the command as a process of its own (median of five); of both also the time of the processor, which tells what others
on the machine cost. The limits are 300 ms for a question and 1.5 s for a command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sqlalchemy as sa
from bench_record import Shape, build

from pumpwatch.cli.main import build_parser, main
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.following import Tail, beginning, end
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store

ROOT = Path(__file__).resolve().parents[1]
QUERY_MS = 300.0
COMMAND_MS = 1500.0
_RUNS = 5
_OLDEST_SECONDS = 24 * 3600
_GIVE_UP_SECONDS = 120.0

_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ({}) AND name NOT LIKE 'sqlite%' ORDER BY name"


@dataclass(slots=True)
class Asked:
    """The statements of one run, with how long each took."""

    statements: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    #: Of the processor, in all statements.
    cpu_seconds: float = 0.0

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear what any reader is asked meanwhile."""

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def ask(reader: Reader, statement: str, **parameters: Any) -> Any:
                began, cpu_began = time.perf_counter(), time.process_time()
                rows = function(reader, statement, **parameters)
                self.cpu_seconds += time.process_time() - cpu_began
                self.statements.append((time.perf_counter() - began, statement, parameters))
                return rows

            return ask

        with mock.patch.object(Reader, "rows", timed(Reader.rows)), mock.patch.object(Reader, "numbers", timed(Reader.numbers)):
            yield

    @property
    def longest_ms(self) -> float:
        """The slowest statement."""
        return max((seconds for seconds, _, _ in self.statements), default=0.0) * 1000

    @property
    def all_ms(self) -> float:
        """All of them."""
        return sum(seconds for seconds, _, _ in self.statements) * 1000


@dataclass(slots=True)
class Measured:
    """One command; milliseconds. *cpu_ms*: of the processor in all statements. *wall_ms* None: it is no command."""

    name: str
    longest_ms: float
    all_ms: float
    cpu_ms: float
    statements: int
    wall_ms: float | None
    command_cpu_ms: float | None
    slowest: tuple[float, str, dict[str, Any]] | None = None

    @property
    def is_over(self) -> bool:
        """Beyond a limit."""
        return self.longest_ms > QUERY_MS or (self.wall_ms or 0.0) > COMMAND_MS


def record(folder: Path, trades: int) -> Path:
    """The record, made anew where it has to be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"record-{trades}.db"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        fresh = Path(empty) / "fresh.db"
        Store.open(fresh, origin="simulator").close()
        if path.exists() and (
            _schema(path, "'table', 'index'") != _schema(fresh, "'table', 'index'")
            or time.time() - path.stat().st_mtime > _OLDEST_SECONDS
        ):
            for old in folder.glob(f"{path.name}*"):
                old.unlink()
        if not path.exists():
            made = path.with_suffix(".new")
            for old in folder.glob(f"{made.name}*"):
                old.unlink()
            build(made, Shape().scaled(trades))
            made.replace(path)
        _replace(path, _schema(fresh, "'view', 'trigger'"))
    return path


def _schema(path: Path, kinds: str) -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(_SCHEMA.format(kinds)).fetchall()


def _replace(path: Path, views: list[tuple[str, str, str]]) -> None:
    """Views and triggers are made anew: they cost nothing."""
    if _schema(path, "'view', 'trigger'") == views:
        return
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for kind, name, _ in _schema(path, "'view', 'trigger'"):
            connection.execute(f"DROP {kind} {name}")
        for _, _, sql in views:
            connection.execute(sql)


def commands(path: Path) -> list[list[str]]:
    """The command lines, with the busiest of each kind."""
    with contextlib.closing(sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True)) as connection:

        def one(query: str) -> str:
            return str(connection.execute(query).fetchone()[0])

        busy = one("SELECT mint FROM tokens ORDER BY trades DESC LIMIT 1")
        some = one("SELECT mint FROM tokens WHERE trades BETWEEN 300 AND 600 ORDER BY id DESC LIMIT 1")
        of_wallet = "SELECT address FROM wallets WHERE id = (SELECT wallet_id FROM positions GROUP BY wallet_id"
        bot = one(f"{of_wallet} ORDER BY count(*) DESC LIMIT 1)")
        person = one(f"{of_wallet} HAVING count(*) BETWEEN 20 AND 60 LIMIT 1)")
        ended = int(one("SELECT max(block_time) FROM trades"))
        past = str(ended - 3 * 86_400)
    orders = ("newest", "oldest", "trades", "volume", "market-cap", "last-trade", "wallets", "progress")
    lines = [["tokens", "--order", order] for order in orders]
    for window in ("1m", "5m", "1h", "24h"):
        lines += [["tokens", "--window", window, "--order", order] for order in ("trades", "volume", "change", "market-cap")]
    chosen = ("--status graduated", "--completeness holes", "--symbol c77", "--symbol C*9", "--min-volume 100", "--watched")
    lines += [["tokens", *choice.split()] for choice in (*chosen, "--younger-than 6h", "--symbol nothing")]
    lines += [["token", mint] for mint in (busy, some)]
    lines += [["trades"], ["trades", "--oldest"], ["trades", "--confirmed"], ["trades", "--limit", "1000"]]
    lines += [["trades", *choice.split()] for choice in _CHOICES]
    lines += [["trades", "--since", past, "--oldest"], ["trades", "--until", past], ["trades", "--until", past, "--side", "sell"]]
    for who in (busy, some):
        lines += [["trades", who], ["trades", who, "--oldest"], ["trades", who, "--limit", "1000"]]
        lines += [["trades", who, *choice.split()] for choice in (*_CHOICES, f"--since {past}", f"--until {past}")]
    for wallet in (bot, person):
        trades = ["trades", "--wallet", wallet]
        lines += [trades, [*trades, "--oldest"], ["trades", busy, "--wallet", wallet]]
        lines += [[*trades, *choice.split()] for choice in (*_CHOICES, f"--until {past}")]
    for mint in (busy, some):
        for interval in ("1s", "15s", "1m", "5m", "15m", "1h", "4h", "1d"):
            lines += [["candles", mint, "--interval", interval], ["candles", mint, "--interval", interval, "--usd", "--gapless"]]
        lines += [["candles", mint, "--interval", "1s", "--until", past], ["candles", mint, "--limit", "1000"]]
    for wallet in (bot, person):
        lines += [["wallet", wallet], *(["wallet", wallet, "--order", order] for order in ("profit", "volume"))]
    lines += [["top", "--json", "--window", window, "--order", "volume"] for window in ("1m", "5m", "1h", "24h")]
    lines += [["top", "--json"], ["status"], ["watch", "list"]]
    return lines


_CHOICES = ("--side sell", "--min-quote 1", "--min-quote 100000", "--min-tokens 50000000", "--venue pool", "--venue curve")


def measure(line: list[str], path: Path, *, is_cold: bool) -> Measured:
    """One command: its questions in this process, and itself as another."""
    runs = []
    for _ in range(_RUNS):
        asked = Asked()
        _chill(path, is_cold=is_cold)
        out = io.StringIO()
        with asked.heard(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main(line)
        runs.append(asked)
        if asked.all_ms > 10 * COMMAND_MS:
            break
    wall, cpu = [], []
    for _ in range(_RUNS):
        _chill(path, is_cold=is_cold)
        began, cpu_began = time.perf_counter(), os.times()
        subprocess.run(
            [sys.executable, "-m", "pumpwatch", *line],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_GIVE_UP_SECONDS,
        )
        wall.append((time.perf_counter() - began) * 1000)
        cpu_ended = os.times()
        cpu.append(sum(cpu_ended[2:4]) * 1000 - sum(cpu_began[2:4]) * 1000)
        if wall[-1] > 10 * COMMAND_MS:
            break
    return _measured(" ".join(_short(word) for word in line), runs, statistics.median(wall), statistics.median(cpu))


def _measured(name: str, runs: list[Asked], wall_ms: float | None = None, command_cpu_ms: float | None = None) -> Measured:
    slowest = max((one for run in runs for one in run.statements), key=lambda one: one[0], default=None)
    return Measured(
        name,
        statistics.median(run.longest_ms for run in runs),
        statistics.median(run.all_ms for run in runs),
        statistics.median(run.cpu_seconds * 1000 for run in runs),
        len(runs[0].statements),
        wall_ms,
        command_cpu_ms,
        slowest,
    )


def measure_following(path: Path) -> list[Measured]:
    """A look of ``trades --follow`` at its end, where it is most of the time, and a page from the beginning."""
    found = []
    with open_reader(path) as reader:
        for name, start in (("follow: at the end", end), ("follow: a page from the beginning", beginning)):
            runs = []
            for _ in range(_RUNS):
                asked = Asked()
                with asked.heard():
                    Tail(reader, Wanted(), start(reader)).read()
                runs.append(asked)
            found.append(_measured(name, runs))
    return found


def _chill(path: Path, *, is_cold: bool) -> None:
    """Let the system forget the file, where it can be asked to."""
    if is_cold and hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _short(word: str) -> str:
    return f"{word[:6]}…" if len(word) > 30 else word


def plan(path: Path, statement: str, parameters: dict[str, Any]) -> Iterator[str]:
    """How SQLite answers it."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        for _, _, _, text in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}"), parameters):
            yield text
    engine.dispose()


def _exists(line: list[str]) -> bool:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        try:
            build_parser().parse_args(line)
        except Exception:  # noqa: BLE001 - UsageError, or what argparse makes of it
            return False
        return True
    return False


def run() -> int:
    """The command line; 1 if something is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trades", type=int, default=5_000_000)
    parser.add_argument("--only", default="", metavar="WORD", help="only command lines that hold this")
    parser.add_argument("--plans", action="store_true", help="the query plan of the slowest statement of each")
    parser.add_argument("--cold", action="store_true", help="let the system forget the file before each run")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    path = record(arguments.folder, arguments.trades).resolve()
    os.environ["PUMPWATCH_PUMPWATCH_DATABASE"] = str(path)
    found: list[Measured] = []
    for line in commands(path):
        if arguments.only not in " ".join(line):
            continue
        if not _exists(line):
            print(f"bench: there is no `{' '.join(map(_short, line))}`", file=sys.stderr)
            continue
        found.append(measure(line, path, is_cold=arguments.cold))
        _tell(found[-1], path, plans=arguments.plans)
    if arguments.only in "follow":
        for one in measure_following(path):
            found.append(one)
            _tell(one, path, plans=arguments.plans)
    if arguments.json:
        names = ("name", "longest_ms", "all_ms", "cpu_ms", "statements", "wall_ms", "command_cpu_ms", "is_over")
        print(json.dumps([{name: getattr(one, name) for name in names} for one in found], indent=2))
    over = [one.name for one in found if one.is_over]
    print(f"bench: {len(found)} measured, {len(over)} over a limit: {'; '.join(over) or 'none'}", file=sys.stderr)
    return 1 if over else 0


def _tell(one: Measured, path: Path, *, plans: bool) -> None:
    wall = "-" if one.wall_ms is None else f"{one.wall_ms:5.0f} ms ({one.command_cpu_ms:4.0f} of the processor)"
    mark = "  OVER" if one.is_over else ""
    sql = f"{one.longest_ms:6.1f} ms longest, {one.all_ms:6.1f} ({one.cpu_ms:6.1f}) in {one.statements:2d} statements"
    print(f"{one.name:<48} {sql}; command {wall}{mark}", file=sys.stderr, flush=True)
    if plans and one.slowest is not None:
        _, statement, parameters = one.slowest
        print(f"    {' '.join(statement.split())[:1000]}", file=sys.stderr)
        for text in plan(path, statement, parameters):
            print(f"        {text}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(run())
