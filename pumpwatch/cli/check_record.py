"""``db check``: is the file whole, and is every number what its trades say; ``--repair`` makes the numbers anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.cli.progress import Bar
from pumpwatch.config import Settings
from pumpwatch.errors import DatabaseError, TransientError
from pumpwatch.storage.damage import find_damage
from pumpwatch.storage.database import translated, writing_engine
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.recount import Difference, Recount, repair
from pumpwatch.telemetry import visible

#: Shown, and listed in the JSON document; the rest is counted.
_SHOWN: Final = 10
_LISTED: Final = 1000


class Finding(msgspec.Struct):
    """
    What was checked and found.

    Attributes:
        damage: What SQLite's own checks say of the file, a sentence each.
        differences: Numbers that are not what the trades say: how many.
        differing: The ids of their tokens.
        first: The first of them.
        baselines: Tokens whose older trades were taken out: counting begins with what is kept of these.
    """

    tokens: int = 0
    trades: int = 0
    positions: int = 0
    minutes: int = 0
    damage: list[str] = []
    differences: int = 0
    differing: list[int] = []
    first: list[Difference] = []
    baselines: int = 0

    @property
    def is_right(self) -> bool:
        """Nothing was found."""
        return not self.damage and not self.differences


def check_record(settings: Settings, *, as_json: bool, to_repair: bool) -> int:
    """
    Check the whole record. With *to_repair*, differing figures are made anew, and checked again.

    Returns:
        The exit status: 1 if something is wrong (still).

    Raises:
        AlreadyRunning: To repair it, the worker must be stopped first.
        AnswerIsNo: The file was locked by another program.

    """
    path = settings.pumpwatch.database
    with open_reader(path):
        pass  # or it says why not
    if not to_repair:
        finding = check(path)
        _tell(path, finding, repaired=None, as_json=as_json)
        return 0 if finding.is_right else 1
    with WriterLock(path):
        finding = check(path)
        repaired = 0
        if finding.differing:
            try:
                repaired = _repair(settings, finding.differing)
            except TransientError as error:
                raise AnswerIsNo(f"not repaired: {error}; the same command tries again") from error
            finding = check(path)
    _tell(path, finding, repaired=repaired, as_json=as_json)
    return 0 if finding.is_right else 1


def check(path: Path) -> Finding:
    """Look at the file and count everything again, with a bar on a terminal."""
    finding = Finding()
    with open_reader(path) as reader:
        finding.baselines = int(reader.rows("SELECT count(*) FROM baselines")[0][0])
    recount = Recount(path)
    try:
        if recount.is_pending:
            raise DatabaseError(f"{path} was not updated to the end: start `python -m pumpwatch` once, which goes on with it")
        finding.damage = _damage(path)
        try:
            _count(recount, finding)
        except DatabaseError as error:
            if not finding.damage:
                raise
            finding.damage.append(str(error))
    finally:
        recount.close()
    return finding


def _count(recount: Recount, finding: Finding) -> None:
    bar = Bar(sys.stderr, "trades counted")
    try:
        tokens = recount.tokens()
        total = sum(tokens.values())
        for token_id, step in recount.steps(tokens):
            finding.tokens += 1
            finding.trades += step.trades
            finding.positions += step.positions
            finding.minutes += step.minutes
            if step.differences:
                finding.differing.append(token_id)
                finding.differences += len(step.differences)
                finding.first += step.differences[: _LISTED - len(finding.first)]
            bar.show(finding.trades, total)
    finally:
        bar.end()


def _damage(path: Path) -> list[str]:
    bar = Bar(sys.stderr, "")
    now = "the file"

    def looking_at(table: str) -> None:
        nonlocal now
        now = f"looking for damage: table {table}"
        bar.say(now)

    try:
        return find_damage(path, looking_at=looking_at, alive=lambda: bar.say(now))
    finally:
        bar.end()


def _repair(settings: Settings, token_ids: list[int]) -> int:
    path, writer = settings.pumpwatch.database, settings.writer
    engine = writing_engine(path, busy_timeout_seconds=writer.busy_timeout_seconds, synchronous=writer.synchronous)
    bar = Bar(sys.stderr, "tokens repaired")
    try:
        for number, token_id in enumerate(token_ids):
            with translated(path), engine.begin() as connection:
                repair(connection, token_id)
            bar.show(number + 1, len(token_ids))
    finally:
        bar.end()
        engine.dispose()
    return len(token_ids)


def _tell(path: Path, finding: Finding, *, repaired: int | None, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {"right": finding.is_right, **{name: getattr(finding, name) for name in _COUNTED}}
        if repaired is not None:
            document["repaired"] = repaired
        output.print_json({**document, "damage": finding.damage, "differences": finding.differences, "first": finding.first})
        return
    if repaired:
        print(f"the figures of {_of(repaired, 'token')} were made anew from the trades; then:")
    print(
        f"{_of(finding.trades, 'trade')} of {_of(finding.tokens, 'token')} counted again: {_of(finding.positions, 'position')}, "
        f"{_of(finding.minutes, 'minute')}"
    )
    if finding.baselines:
        print(f"of {_of(finding.baselines, 'token')} from a baseline on: older trades were taken out ([retention])")
    for line in _lines(path, finding):
        print(line)


_COUNTED: Final = ("tokens", "trades", "positions", "minutes", "baselines")


def _lines(path: Path, finding: Finding) -> Iterator[str]:
    if finding.is_right:
        yield "every number is what the trades say, and the file is whole"
        return
    if finding.damage:
        yield "THE FILE IS DAMAGED:"
        yield from (f"  {visible(text, limit=200)}" for text in finding.damage[:_SHOWN])
        yield from _more(len(finding.damage))
        yield "  stop the worker and keep a copy of the file and its -wal and -shm neighbours; then"
        yield f"  sqlite3 {visible(path, limit=200)} .recover | sqlite3 new.db   saves what can be read"
    if finding.differences:
        what = f"{_of(finding.differences, 'number')} of {_of(len(finding.differing), 'token')}"
        yield f"NOT RIGHT: {what} (the trades themselves are untouched):"
        for one in finding.first[:_SHOWN]:
            yield f"  {visible(one.mint)}"
            yield f"    {_place(one)}: stored {_value(one.stored)}, of its trades {_value(one.expected)}"
        yield from _more(finding.differences)
        yield "  stop the worker, then `python -m pumpwatch db check --repair` makes them anew from the"
        yield "  trades; and please report it: this must not happen"


def _place(one: Difference) -> str:
    row = "" if one.row is None else f" {visible(one.row, limit=44)}"
    return f"{one.table}{row}" + ("" if one.column is None else f" {one.column}")


def _value(value: object) -> str:
    return "nothing" if value is None else visible(value, limit=60)


def _more(found: int) -> list[str]:
    return [f"  ... and {found - _SHOWN:,} more"] if found > _SHOWN else []


def _of(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
