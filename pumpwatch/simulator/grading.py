"""Compare what a worker recorded with what was delivered and what is true, to the lamport."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pumpwatch.simulator.chain import WRAPPED_SOL
from pumpwatch.simulator.delivered import FEEDS, Delivered, Feed, Interest
from pumpwatch.simulator.pruned import pruned
from pumpwatch.simulator.truth import TradeRow

#: Gaps that say "what was delivered just then may be lost": the spill was full or torn, or the process was killed.
EXCUSING: Final = frozenset({"spill full", "spill torn", "restart"})

#: A gap's ends are known from messages before and after it.
_SLACK_US: Final = 1_000_000

_EXAMPLES: Final = 5

_RECORD: Final = (
    "SELECT signature, event_index, slot, block_time, mint, wallet, side, venue, token_amount, quote_amount, "
    "trader_quote_amount, quote_mint, protocol_fee, creator_fee, lp_fee, virtual_token_reserves, virtual_quote_reserves, "
    "real_token_reserves, real_quote_reserves, sources, confirmed FROM trade_log ORDER BY confirmed DESC, signature, event_index"
)

#: What a confirmed row must hold, and how the truth calls it.
_EXACT: Final = [
    "slot",
    "block_time",
    "mint",
    "wallet",
    "venue",
    "token_amount",
    "quote_amount",
    "trader_quote_amount",
    "quote_mint",
    "protocol_fee",
    "creator_fee",
    "virtual_token_reserves",
    "virtual_quote_reserves",
    "real_token_reserves",
]

#: What not every event tells: unknown is right, another number is not.
_EXACT_IF_KNOWN: Final = ("lp_fee", "real_quote_reserves")


@dataclass(slots=True)
class Grade:
    """
    How well a run was recorded; all counts are of trades.

    Attributes:
        watched: Trades of coins that somebody was subscribed to, or had been before a connection was lost.
        delivered: By feed: what it sent on an open connection.
        credited: By feed: recorded trades that name it as a source.
        uncredited: By feed: it delivered the trade, and the record owes it to the other feed only.
        missing: Delivered and not recorded; *excused* ones fall into a recorded gap.
        invented: Recorded, but not on chain and told by nobody.
        phantoms: Recorded provisionally, told by PumpPortal, never landed.
        pruned: Trades that went into baselines.
        problems: A few examples in words.
        gaps: Recorded gaps by cause.
    """

    traded: int = 0
    watched: int = 0
    watched_recorded: int = 0
    delivered: dict[Feed, int] = field(default_factory=dict)
    credited: dict[Feed, int] = field(default_factory=dict)
    missing_by_feed: dict[Feed, int] = field(default_factory=dict)
    uncredited: dict[Feed, int] = field(default_factory=dict)
    in_flight: int = 0
    recorded: int = 0
    confirmed: int = 0
    missing: int = 0
    excused: int = 0
    duplicates: int = 0
    wrong: int = 0
    invented: int = 0
    phantoms: int = 0
    pruned: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Everything delivered is recorded once, with the right values, and nothing else is."""
        return not (self.missing or self.duplicates or self.wrong or self.invented)

    def complain(self, text: str) -> None:
        """Keep the first few problems."""
        if len(self.problems) < _EXAMPLES:
            self.problems.append(text)


def grade(
    database: Path,
    *,
    trades: Iterable[TradeRow],
    delivered: Delivered,
    interest: Interest | None = None,
    phantoms: Iterable[TradeRow] = (),
) -> Grade:
    """Grade the record in *database*, which is only read."""
    ledger = list(trades)
    result = Grade(traded=len(ledger), in_flight=delivered.in_flight)
    connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        matched = _match(connection, result, ledger, {row.signature for row in phantoms})
        gone, wrong = pruned(connection, ledger)
        result.pruned = len(gone)
        result.wrong += len(wrong)
        for text in wrong:
            result.complain(text)
        matched |= dict.fromkeys(gone, ",".join(FEEDS))
        _count_missing(result, ledger, matched, delivered, _excuses(connection, result))
    finally:
        connection.close()
    for row in ledger:
        if interest is not None and interest.covers(row.mint, row.number):
            result.watched += 1
            result.watched_recorded += row.number in matched
    return result


def recorded_count(database: Path) -> int:
    """Rows of the record so far; 0 while there is none."""
    try:
        connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    except sqlite3.OperationalError:
        return 0
    try:
        return int(connection.execute("SELECT count(*) FROM trade_log").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def _match(connection: sqlite3.Connection, result: Grade, ledger: list[TradeRow], phantoms: set[str]) -> dict[int, str]:
    """Assign recorded rows to true trades, confirmed ones first, and judge their values; returns sources by trade number."""
    by_signature: dict[str, list[TradeRow]] = defaultdict(list)
    for row in ledger:
        by_signature[row.signature].append(row)
    matched: dict[int, str] = {}
    credited: Counter[str] = Counter()
    for found in connection.execute(_RECORD):
        result.recorded += 1
        result.confirmed += found["confirmed"]
        credited.update((found["sources"] or "").split(","))
        candidates = by_signature.get(found["signature"])
        if candidates is None:
            if found["signature"] in phantoms and not found["confirmed"]:
                result.phantoms += 1
            else:
                result.invented += 1
                result.complain(f"no such trade: {_name(found)}")
            continue
        true = _confirmed_twin(found, candidates) if found["confirmed"] else _provisional_twin(found, candidates, matched)
        if true is None:
            result.wrong += 1
            result.complain(f"matches no trade of its transaction: {_name(found)}")
        elif true.number in matched:
            result.duplicates += 1
            result.complain(f"recorded twice: {_name(found)}")
        else:
            matched[true.number] = found["sources"] or ""
            _judge(result, found, true)
    result.credited = {feed: credited[feed] for feed in FEEDS}
    return matched


def _name(found: Mapping[str, Any]) -> str:
    return f"{found['side']} {found['token_amount']} of {found['mint']} in {found['signature']} #{found['event_index']}"


def _confirmed_twin(found: Mapping[str, Any], candidates: list[TradeRow]) -> TradeRow | None:
    return next((row for row in candidates if row.event_index == found["event_index"]), None)


def _provisional_twin(found: Mapping[str, Any], candidates: list[TradeRow], matched: Mapping[int, str]) -> TradeRow | None:
    """The trade that a PumpPortal row tells; one not yet matched if there is any."""
    alike = [
        row
        for row in candidates
        if (row.mint, row.wallet, row.token_amount) == (found["mint"], found["wallet"], found["token_amount"])
        and row.is_buy == (found["side"] == "buy")
    ]
    # Of alike ones the token reserve tells which it is; sorting keeps their order otherwise.
    alike.sort(key=lambda row: (row.number in matched, row.virtual_token_reserves != found["virtual_token_reserves"]))
    return alike[0] if alike else None


def _judge(result: Grade, found: Mapping[str, Any], true: TradeRow) -> None:
    wrong = []
    if not found["confirmed"]:
        told = found["quote_amount"]
        if told is not None and true.quote_mint == WRAPPED_SOL and abs(told - true.quote_amount) > 1:
            wrong.append(f"quote_amount {told}, true is {true.quote_amount}")
    else:
        if (found["side"] == "buy") != true.is_buy:
            wrong.append(f"side {found['side']}")
        wrong += [f"{name} {found[name]}, true is {getattr(true, name)}" for name in _EXACT if found[name] != getattr(true, name)]
        wrong += [
            f"{name} {found[name]}, true is {getattr(true, name)}"
            for name in _EXACT_IF_KNOWN
            if found[name] is not None and found[name] != getattr(true, name)
        ]
    if wrong:
        result.wrong += 1
        result.complain(f"{_name(found)}: {'; '.join(wrong)}")


def _excuses(connection: sqlite3.Connection, result: Grade) -> list[tuple[int, int]]:
    """Times in which a recorded gap excuses what is missing."""
    causes: Counter[str] = Counter()
    excuses = []
    for cause, from_us, to_us in connection.execute("SELECT cause, from_us, to_us FROM gaps"):
        causes[cause] += 1
        if cause in EXCUSING:
            excuses.append((from_us - _SLACK_US, (2**63 if to_us is None else to_us) + _SLACK_US))
    result.gaps = dict(sorted(causes.items()))
    return excuses


def _count_missing(
    result: Grade, ledger: list[TradeRow], matched: Mapping[int, str], delivered: Delivered, excuses: list[tuple[int, int]]
) -> None:
    lost: dict[int, bool] = {}
    for feed in FEEDS:
        numbers = list(delivered.numbers(feed))
        result.delivered[feed] = len(numbers)
        missing = [number for number in numbers if number not in matched]
        result.missing_by_feed[feed] = len(missing)
        result.uncredited[feed] = sum(1 for number in numbers if feed not in matched.get(number, feed))
        for number in missing:
            at = delivered.sent_at_us(feed, number) or 0
            excused = any(first <= at <= last for first, last in excuses)
            lost[number] = lost.get(number, True) and excused
    result.excused = sum(lost.values())
    result.missing = len(lost) - result.excused
    for number in sorted(number for number, excused in lost.items() if not excused)[:_EXAMPLES]:
        row = ledger[number]
        result.complain(f"delivered and not recorded: {row.signature} #{row.event_index} of {row.mint}")
