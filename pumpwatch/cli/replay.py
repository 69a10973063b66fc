"""``replay``: recorded sessions through the whole path into a database of their own."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, Final

from pumpwatch.cli import output
from pumpwatch.cli.progress import Bar
from pumpwatch.replay import Replay, Summary
from pumpwatch.replay_files import Source
from pumpwatch.sessions import Problem
from pumpwatch.telemetry import visible

#: Unreadable lines that are told one by one.
_MOST_TOLD: Final = 20

_KILO: Final = 1000


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser(
        "replay", help="play recorded sessions (run --record) through the whole path into a database of their own"
    )
    command.add_argument("files", metavar="FILE", nargs="+", type=Path, help="sessions, packed or not; merged by time")
    command.add_argument(
        "--database", required=True, type=Path, metavar="FILE", help="a new file, or one that was made by replays"
    )
    command.add_argument(
        "--speed", type=_speed, metavar="N", help="1 = with the pauses of the session, 10 = ten times as fast (default: full)"
    )
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=run_replay, takes_settings=False)


def _speed(text: str) -> float | None:
    if text == "full":
        return None
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def run_replay(arguments: argparse.Namespace) -> int:
    """
    Exit status 0; a line that cannot be read is counted and told, and ends nothing.

    Raises:
        UsageError: A file cannot be read, or holds no session (2).
        AlreadyRunning: Another process writes to the database (3).
        DatabaseError: The database is of another origin, or damaged (4).

    """
    sources = [Source(path) for path in dict.fromkeys(arguments.files)]
    told = _Told(Bar(sys.stderr, "kB"))
    replay = Replay(sources, arguments.database, speed=arguments.speed, told=told.problem, progress=told.progress)
    try:
        summary = replay.run()
    except KeyboardInterrupt:
        told.bar.end()
        print("stopped by Ctrl-C: what was played until then is stored; a replay of the same files completes it", file=sys.stderr)
        raise
    finally:
        told.bar.end()
    told.end()
    if arguments.json:
        output.print_json(_document(summary, told.problems))
    else:
        _print(summary)
    return 0


class _Told:
    """Progress and unreadable lines, on standard error."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.problems: list[Problem] = []
        self._left_out = 0

    def progress(self, done: int, total: int) -> None:
        self.bar.show(done // _KILO, total // _KILO)

    def problem(self, problem: Problem) -> None:
        if len(self.problems) >= _MOST_TOLD:
            self._left_out += 1
            return
        self.problems.append(problem)
        self.bar.end()
        print(f"{visible(problem.path, limit=300)} line {problem.line}: {visible(problem.reason, limit=200)}", file=sys.stderr)

    def end(self) -> None:
        if self._left_out:
            print(f"and {self._left_out:,} more lines that cannot be read", file=sys.stderr)


def _document(summary: Summary, problems: list[Problem]) -> dict[str, object]:
    return {
        "database": str(summary.database),
        "messages": summary.messages,
        "trades": summary.trades,
        "trades_in_all": summary.trades_in_all,
        "tokens": summary.tokens,
        "rejected": summary.rejected,
        "unreadable": summary.unreadable,
        "problems": [{"file": str(one.path), "line": one.line, "reason": one.reason} for one in problems],
        "seconds": round(summary.seconds, 3),
    }


def _print(summary: Summary) -> None:
    messages = sum(summary.messages.values())
    feeds = ", ".join(f"{name} {count:,}" for name, count in sorted(summary.messages.items()))
    fields: list[tuple[str, object]] = [
        ("messages", f"{messages:,} ({feeds})"),
        ("trades", f"{summary.trades:,} new, {summary.trades_in_all:,} in {visible(summary.database, limit=200)}"),
        ("tokens", f"{summary.tokens:,}"),
        ("rejected", f"{summary.rejected:,}"),
    ]
    if summary.unreadable:
        fields.append(("unreadable", f"{summary.unreadable:,} lines of the files"))
    per_second = f" ({messages / summary.seconds:,.0f} messages a second)" if summary.seconds > 1 else ""
    fields.append(("seconds", f"{summary.seconds:.1f}{per_second}"))
    for name, value in fields:
        print(f"{name:<10}  {value}")
