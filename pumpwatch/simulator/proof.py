"""
Is what a record says of its own completeness true? Compared with the truth, apart from the recorder's arithmetic.

A token called complete that lacks a trade up to where it is said to be proven is the one thing that must never happen.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from pumpwatch.simulator.market import Market
from pumpwatch.simulator.pruned import pruned
from pumpwatch.simulator.truth import TradeRow

_EXAMPLES: Final = 3
_NUMBERS: Final = re.compile(r"\d+")

#: A token counts as watched from its creation if it was admitted so soon after it.
_ADMITTED_US: Final = 60_000_000
_PROVEN: Final = ("complete", "since", "spell")

_TOKENS: Final = """
    SELECT mint, completeness, complete_from, proven_to_slot, reason, start_real_token_reserves IS NOT NULL AS has_start,
        created_slot
    FROM tokens
"""
_SPELLS: Final = "SELECT address, started_at_us, ifnull(ended_at_us, 9223372036854775807) FROM spells WHERE kind = 'token'"
_GAPS: Final = "SELECT cause, state, mint, net_token_amount, net_quote_amount, from_slot, to_slot, reason FROM gaps"
_CLAIMS: Final = """
    SELECT
        (SELECT count(*) FROM trade_log WHERE confirmed = 1),
        (SELECT count(*) FROM gaps WHERE state IN ('open', 'filling')),
        count(*),
        ifnull(sum(completeness IN ('complete', 'since', 'spell')), 0),
        ifnull(sum(completeness = 'unproven' AND NOT EXISTS (SELECT 1 FROM trade_log WHERE trade_log.mint = tokens.mint)), 0),
        ifnull(sum(proven_to_slot), 0)
    FROM tokens WHERE mint IN (SELECT address FROM spells WHERE kind = 'token')
"""
_RECORDED: Final = "SELECT signature, event_index, sources FROM trade_log WHERE confirmed = 1"


class Hole(NamedTuple):
    """
    A run of trades that are missing between two recorded ones of a coin, or between its creation and the first.

    Attributes:
        tokens: By how much it moved the venue's token reserve; *quote* the quote reserve (of a pool the effective one).
    """

    mint: str
    tokens: int
    quote: int


@dataclass(slots=True)
class Proof:
    """
    What a record claims, and whether it holds.

    Attributes:
        watched: Trades of watched tokens in their spells.
        missing_numbers: Of these, what is not recorded as confirmed by the chain.
        repaired: Recorded trades that no feed brought, only backfill.
        unreadable: Trades in spells whose events nobody can read; not in *missing*.
        gaps: By state and cause.
        verdicts: Tokens with a spell, by completeness; *reasons* of the unproven ones, numbers left out.
        untraded: Unproven tokens that nobody traded while they were watched: there is nothing to prove.
        behind: Proven tokens whose last trade in a spell is later than what is proven.
        false_complete: Tokens called complete (since, in their spell) that lack a trade up to where they are proven.
        holes: Missing runs between recorded trades that the record must know exactly.
        unseen_holes: Of these, the ones without a ``break`` of exactly their size.
        false_holes: Breaks of the record that are none.
    """

    watched: int = 0
    missing_numbers: set[int] = field(default_factory=set)
    repaired: int = 0
    unreadable: int = 0
    gaps: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    untraded: int = 0
    behind: int = 0
    false_complete: int = 0
    holes: int = 0
    unseen_holes: int = 0
    false_holes: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return len(self.missing_numbers)

    def gaps_in(self, *states: str) -> int:
        """How many gaps are in one of these states."""
        return sum(count for (state, _), count in self.gaps.items() if state in states)

    @property
    def gaps_left(self) -> int:
        """Gaps that are not closed, and those that nobody can close."""
        return self.gaps_in("open", "filling", "unfillable")

    @property
    def is_true(self) -> bool:
        """Nothing that the record says of itself is false."""
        return not (self.false_complete or self.unseen_holes or self.false_holes)

    @property
    def is_whole(self) -> bool:
        """Nothing is missing, no gap is left, and every watched token that was traded is proven to its last trade."""
        return not (self.missing or self.gaps_left or self.verdicts.total() - self.proven - self.untraded or self.behind)

    @property
    def proven(self) -> int:
        """Tokens that are complete, at least since or for as long as they were watched."""
        return sum(self.verdicts[verdict] for verdict in _PROVEN)

    def complain(self, text: str) -> None:
        """Keep the first few problems of a kind: what is before the colon."""
        kind = text.partition(":")[0]
        if sum(kept.startswith(kind) for kept in self.problems) < _EXAMPLES:
            self.problems.append(text)


class Claims(NamedTuple):
    """
    What a record says of itself at this moment, in numbers.

    Attributes:
        watched: Tokens with a spell; *proven*: those that are complete, or complete since, or in their spell.
        untraded: Those of which no trade is recorded: there is nothing to prove.
        proven_slots: Sum of the slots up to which they are: it changes while proof goes on.
    """

    recorded: int
    open_gaps: int
    watched: int
    proven: int
    untraded: int
    proven_slots: int

    @property
    def is_whole(self) -> bool:
        return not self.open_gaps and self.proven + self.untraded == self.watched > 0


def claims(database: Path) -> Claims:
    """Ask the record; all is 0 while there is none."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return Claims(*connection.execute(_CLAIMS).fetchone())
    except sqlite3.OperationalError:
        return Claims(0, 0, 0, 0, 0, 0)


def examine(database: Path, *, market: Market, slot_us: Callable[[int], int], trades: Iterable[TradeRow] | None = None) -> Proof:
    """
    Examine the record in *database*, which is only read.

    Args:
        slot_us: When a slot began, in unix microseconds of the machine's clock: spells are kept by that.
        trades: The truth, if not all of *market*'s.

    """
    result = Proof()
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")  # all of it at one moment, and the truth not older
        connection.execute("SELECT 1 FROM tokens").fetchone()
        ledger = list(market.ledger if trades is None else trades)
        recorded = _recorded(connection, ledger, result)
        spells: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for mint, started_us, ended_us in connection.execute(_SPELLS):
            spells[mint].append((started_us, ended_us))
        by_mint: dict[str, list[TradeRow]] = defaultdict(list)
        for row in ledger:
            if row.mint in spells:
                by_mint[row.mint].append(row)
        unreadable = market.upgrade.unreadable
        last = _count_in_spells(result, by_mint, spells, recorded, unreadable, slot_us)
        tokens = {row["mint"]: row for row in connection.execute(_TOKENS)}
        for mint in spells:
            if mint in tokens:
                _judge(result, tokens[mint], by_mint[mint], recorded, last.get(mint))
        breaks: dict[str, list[sqlite3.Row]] = defaultdict(list)
        for gap in connection.execute(_GAPS):
            result.gaps[gap["state"], gap["cause"]] += 1
            if gap["cause"] == "break" and gap["state"] != "closed":
                breaks[gap["mint"]].append(gap)
    started = {mint for mint, token in tokens.items() if token["has_start"]}
    for mint, rows in by_mint.items():
        changes = [number for number, change in market.changes if change.mint == mint]
        times = [(first - _ADMITTED_US, until) for first, until in spells[mint]]
        runs = list(_runs(rows, recorded, changes, from_creation=mint in started))
        ends = Counter(slot for run in runs for slot in {run.from_slot, run.to_slot})
        for place, run in enumerate(runs):
            # What lies in a slot has no order of its own on a curve whose virtual reserves are moved from outside.
            is_alone = not market.coins[mint].is_mayhem or max(ends[run.from_slot], ends[run.to_slot]) == 1
            runs[place] = run._replace(is_exact=run.is_exact and is_alone and _is_within(run, times, slot_us))
        _compare_holes(result, runs, breaks[mint])
    return result


def _is_within(run: _Run, times: list[tuple[int, int]], slot_us: Callable[[int], int]) -> bool:
    return any(first <= slot_us(run.from_slot) and slot_us(run.to_slot + 1) <= until for first, until in times)


def _recorded(connection: sqlite3.Connection, ledger: list[TradeRow], result: Proof) -> set[int]:
    """Numbers of the trades that are recorded as confirmed."""
    numbers = {(row.signature, row.event_index): row.number for row in ledger}
    recorded = set()
    for signature, event_index, sources in connection.execute(_RECORDED):
        number = numbers.get((signature, event_index))
        if number is not None:
            recorded.add(number)
            result.repaired += sources == "backfill"
    return recorded | pruned(connection, ledger)[0]


def _count_in_spells(
    result: Proof,
    by_mint: dict[str, list[TradeRow]],
    spells: dict[str, list[tuple[int, int]]],
    recorded: set[int],
    unreadable: Collection[int],
    slot_us: Callable[[int], int],
) -> dict[str, TradeRow]:
    """Trades in spells; returns the last one of each token."""
    last = {}
    for mint, rows in by_mint.items():
        for row in rows:
            begun, ended = slot_us(row.slot), slot_us(row.slot + 1)
            if not any(first <= begun and ended <= until for first, until in spells[mint]):
                continue
            result.watched += 1
            last[mint] = row
            if row.number in recorded:
                continue
            if row.number in unreadable:
                result.unreadable += 1
                continue
            result.missing_numbers.add(row.number)
            result.complain(f"not recorded: {row.signature} #{row.event_index} of {mint} in slot {row.slot}")
    return last


def _judge(result: Proof, token: sqlite3.Row, rows: list[TradeRow], recorded: set[int], last: TradeRow | None) -> None:
    verdict = token["completeness"]
    result.verdicts[verdict] += 1
    if verdict not in _PROVEN:
        if verdict == "unproven":
            result.reasons[_NUMBERS.sub("N", token["reason"] or "")] += 1
            result.untraded += last is None and not any(row.number in recorded for row in rows)
        return
    to_slot = token["proven_to_slot"]
    since = 0 if verdict == "complete" else token["complete_from"] or 0
    claimed = [row for row in rows if to_slot is not None and row.slot <= to_slot and row.block_time > since]
    lacking = [row for row in claimed if row.number not in recorded]
    if lacking:
        result.false_complete += 1
        first = lacking[0]
        result.complain(
            f"FALSE COMPLETE: {token['mint']} is {verdict} from {token['complete_from']} to slot {to_slot} and lacks "
            f"{len(lacking)} trades, first {first.signature} #{first.event_index} in slot {first.slot} at {first.block_time}"
        )
    result.behind += to_slot is None or (last is not None and last.slot > to_slot)


class _Run(NamedTuple):
    hole: Hole
    from_slot: int
    to_slot: int
    is_exact: bool


def _runs(rows: list[TradeRow], recorded: set[int], changes: list[int], *, from_creation: bool) -> Iterator[_Run]:
    """
    Missing runs of one coin.

    Not exact: those across the end of the curve, whose size the record need not know, and those with a change of the reserves
    that was no trade; later, several of a mayhem coin that meet in one slot. A run without a trade (a lost change) is told too,
    so that a break there is not held against the record.
    """
    left: TradeRow | None = None
    lost: list[TradeRow] = []
    completing = {row.signature for row in rows if row.venue == "curve" and row.real_token_reserves == 0}
    for row in rows:
        if row.number not in recorded:
            lost.append(row)
            continue
        first = left.number if left is not None else rows[0].number - 1
        changed = any(first < number <= row.number for number in changes)
        if (lost or changed) and (left is not None or from_creation):
            venues = {item.venue for item in (*lost, row)} | ({left.venue} if left is not None else {"curve"})
            opening = left is not None and left.venue == "pool" and left.signature in completing
            exact = bool(lost) and len(venues) == 1 and not changed and not opening
            from_slot = left.slot if left is not None else rows[0].slot
            yield _Run(Hole(row.mint, *_moved(lost)), from_slot, row.slot, exact)
        left, lost = row, []


def _moved(lost: Iterable[TradeRow]) -> tuple[int, int]:
    """By how much trades moved the reserves: tokens, quote."""
    tokens = quote = 0
    for row in lost:
        tokens += -row.token_amount if row.is_buy else row.token_amount
        quote += row.quote_amount if row.is_buy else -row.quote_amount
        quote += row.lp_fee
    return tokens, quote


def _compare_holes(result: Proof, runs: list[_Run], breaks: list[sqlite3.Row]) -> None:
    """Each exact run has one break of its size; each break lies where something is missing."""
    left = list(breaks)
    for run in [run for run in runs if run.is_exact]:
        result.holes += 1
        twin = next((gap for gap in left if _is_break_of(gap, run)), None)
        if twin is None:
            result.unseen_holes += 1
            result.complain(f"no break of exactly this size: {run}")
        else:
            left.remove(twin)
    for gap in left:
        if not any(not run.is_exact and gap["from_slot"] <= run.to_slot and run.from_slot <= gap["to_slot"] for run in runs):
            result.false_holes += 1
            result.complain(f"a break where nothing is missing: {dict(gap)}")


def _is_break_of(gap: sqlite3.Row, run: _Run) -> bool:
    sizes = (gap["net_token_amount"], gap["net_quote_amount"]) == (run.hole.tokens, run.hole.quote)
    return sizes and gap["from_slot"] <= run.to_slot and run.from_slot <= gap["to_slot"]
