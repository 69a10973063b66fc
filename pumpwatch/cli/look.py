"""``status``: look at the worker and at the record. What the other commands that look share."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pumpwatch.cli import output
from pumpwatch.cli.costs import print_costs
from pumpwatch.cli.disk import print_room
from pumpwatch.cli.output import AnswerIsNo, Column
from pumpwatch.cli.rates import print_rates
from pumpwatch.config import Settings
from pumpwatch.errors import UsageError
from pumpwatch.overview import LAST_TRADES, state_of
from pumpwatch.status import BackfillStatus, Status
from pumpwatch.storage.queries import GapCount, Reader, open_reader
from pumpwatch.storage.scoreboard import Score
from pumpwatch.telemetry import visible

_FEED_COLUMNS: Final = (
    *(Column("FEED", 10), Column("STATE", 10), Column("SINCE", 8), Column("LAST DATA", 9)),
    *(Column("MESSAGES", 9, is_number=True), Column("TRADES", 9, is_number=True)),
)
_SCORE_COLUMNS: Final = (
    *(Column("FEED", 10), Column("SEEN", 8, is_number=True), Column("ONLY IT", 8, is_number=True)),
    *(Column("MISSED", 8, is_number=True), Column("INVENTED", 8, is_number=True)),
    *(Column("LATE", 9, is_number=True), Column("95 % LATE", 9, is_number=True)),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    status = commands.add_parser("status", help="is it running, is each feed alive, how far behind, what it costs")
    status.set_defaults(function=show_status)
    status.add_argument("--json", action="store_true", help="one JSON document on standard output")


def show_status(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0: healthy; 1: not, or not running. DatabaseError (4): there is no database."""
    now = time.time()
    with open_reader(settings.pumpwatch.database) as reader:
        document = state_of(reader, settings, now)
    found, status = document["problems"], document["worker"]
    if arguments.json:
        output.print_json(document)
        return 1 if found else 0
    print("healthy" if not found else "\n".join(f"NOT healthy: {visible(problem, limit=300)}" for problem in found))
    if status is not None:
        _print_worker(status, now)
    _print_record(settings.pumpwatch.database.name, document["origin"], document["completeness"])
    print_room(document["disk"])
    print_rates(document["rates"])
    _print_gaps(document["gaps"], now)
    _print_scores(document["scoreboard"]["feeds"])
    print_costs(document["costs"])
    print("\n".join(document["cost"]))
    return 1 if found else 0


def _print_worker(status: Status, now: float) -> None:
    since = f"started {output.ago(now - status.started_at)} ago, status written {output.ago(now - status.written_at)} ago"
    print(f"pumpwatch {visible(status.version)}, pid {status.pid}, {visible(status.state)}; {since}")
    rows = [
        (name, feed.state, output.ago(now - feed.since), _since(feed.last_data_at, now), feed.messages, feed.trades)
        for name, feed in status.feeds.items()
    ]
    output.print_table(_FEED_COLUMNS, rows)
    for name, feed in status.feeds.items():
        if feed.reason:
            print(f"{name}: {visible(feed.reason, limit=300)}")
    commit = "no commit yet" if status.last_commit_at is None else f"last commit {_since(status.last_commit_at, now)} ago"
    print(f"queue {status.queue_depth}, spilled {status.spilled}, {commit}")
    print(f"trades {status.trades}, watched {status.watched}, open gaps {status.gaps_open}")
    if status.backfill is not None:
        output.print_text(_backfill_text(status.backfill))
    if status.alarm:
        output.print_text(f"ALARM: {visible(status.alarm, limit=600)}")


def _backfill_text(backfill: BackfillStatus) -> str:
    """``backfill working: 12 transactions to fetch; since the start 340 requests, ...``."""
    why = f" ({visible(backfill.reason, limit=300)})" if backfill.reason else ""
    left = f"{backfill.to_fetch} transactions to fetch; " if backfill.to_fetch else ""
    done = (
        f"{backfill.requests} requests, {backfill.fetched} transactions, {backfill.anchors} account states, "
        f"{backfill.dropped} trades that never landed"
    )
    return f"backfill {visible(backfill.state)}{why}: {left}since the start {done}"


def _print_record(name: str, origin: str, complete: Mapping[str, int]) -> None:
    counts = ", ".join(f"{count} {completeness}" for completeness, count in sorted(complete.items())) or "none"
    print(f"record {visible(name)} ({visible(origin)} data); watched tokens by completeness: {counts}")


def _print_gaps(gaps: Sequence[GapCount], now: float) -> None:
    for gap in gaps:
        states = (("open", gap.open), ("being filled", gap.filling), ("unfillable", gap.unfillable))
        counts = ", ".join(f"{count} {state}" for state, count in states if count)
        oldest = f"the oldest from {_since(gap.oldest_us / 1e6, now)} ago" if gap.oldest_us else "from an unknown time"
        output.print_text(f"gaps ({visible(gap.cause)}): {counts}; {oldest}")


def _print_scores(scores: Sequence[Score]) -> None:
    if not any(score.seen or score.invented for score in scores):
        return
    print(f"of the last {LAST_TRADES} trades (LATE: median, behind the first who had it):")
    rows = [
        (
            *(score.feed, score.seen, score.only, score.missed, score.invented),
            *(output.delay(score.delay_median_ms), output.delay(score.delay_p95_ms)),
        )
        for score in scores
    ]
    output.print_table(_SCORE_COLUMNS, rows)


def _since(moment: float | None, now: float) -> str:
    return output.ago(None if moment is None else now - moment)


class Judged(Protocol):
    """What says how far the record of a token is to be trusted."""

    @property
    def completeness(self) -> str: ...
    @property
    def reason(self) -> str | None: ...


def completeness(row: Judged) -> str:
    """``unproven: <why>``."""
    return f"{row.completeness}: {visible(row.reason, limit=300)}" if row.reason else row.completeness


def full_mint(reader: Reader, beginning: str) -> str:
    """
    The one mint that begins so.

    Raises:
        UsageError: Several do.
        AnswerIsNo: None does.

    """
    found = reader.mints_beginning_with(beginning, limit=3)
    if beginning in found:
        return beginning
    if len(found) > 1:
        raise UsageError(f"several mints begin with {visible(beginning)}: {', '.join(found[:2])}, ...: give more of it")
    if not found:
        raise AnswerIsNo(f"no token of the record begins with {visible(beginning)}")
    return found[0]
