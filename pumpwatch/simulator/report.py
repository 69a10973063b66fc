"""The table that ends a graded run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pumpwatch.simulator.delivered import Feed
from pumpwatch.simulator.grading import Grade
from pumpwatch.simulator.proof import Proof

if TYPE_CHECKING:
    from pumpwatch.simulator.simulator import Happened

_FEEDS: Final[dict[Feed, str]] = {"pumpportal": "PumpPortal", "helius": "Helius"}

#: In the words of ``token_board``.
_VERDICTS: Final = {
    "complete": "from their creation on",
    "since": "since they were watched",
    "spell": "for as long as they were watched",
    "holes": "trades are missing in them",
    "unproven": "",
}

_Row = tuple[str, str, str]


def summary(result: Grade, proof: Proof, *, happened: Iterable[Happened], target: Path) -> str:
    """All of it, with what to ask the file next."""
    rows = [*_told(result), *_recorded(result, proof), *_proven(proof)]
    faults = Counter(fault.name for fault in happened)
    if faults:
        rows.append(("faults made", f"{faults.total()}", _listing(faults)))
    lines = [f"{label:<28}{count:>9}  {remark}".rstrip() for label, count, remark in rows]
    lines += [f"  ! {problem}" for problem in [*result.problems, *proof.problems]]
    query = "SELECT symbol, side, token_amount / 1e6, price, wallet FROM trade_log ORDER BY received_at_us DESC LIMIT 10"
    asking = [f"The file: {target}", "Ask it, with any SQLite tool:", f"  {query};"]
    return "\n".join([*lines, "", _verdict(result, proof), *asking])


def _verdict(result: Grade, proof: Proof) -> str:
    if not result.passed or not proof.is_true:
        return "The record is NOT right."
    right = "Everything that a feed delivered is in the file, once and right."
    if proof.missing:
        return f"{right}\nIt is NOT complete: {_many(proof.missing, 'trade')} missing, {_many(proof.gaps_left, 'gap')} left."
    if proof.gaps_left:
        return f"{right}\nNothing is missing; that could not be proven everywhere: {_many(proof.gaps_left, 'gap')} left."
    if proof.is_whole:
        return f"{right}\nNothing is missing, and the file proves it for each of {proof.proven} tokens."
    return f"{right}\nNothing is missing; not every token is proven to its end."


def _many(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count} {what}s are"


def _told(result: Grade) -> list[_Row]:
    rows = [("traded on chain", f"{result.traded}", "from the first trade of the opening coins on")]
    for feed, name in _FEEDS.items():
        missing = result.missing_by_feed.get(feed, 0)
        rows.append((f"delivered by {name}", f"{result.delivered.get(feed, 0)}", f"{missing} of them not recorded"))
        other = result.uncredited.get(feed, 0)
        remark = f"{other} delivered ones are known from the other feed only" if other else ""
        rows.append((f"  recorded as from {name}", f"{result.credited.get(feed, 0)}", remark))
    return rows


def _recorded(result: Grade, proof: Proof) -> list[_Row]:
    phantoms = f"and {result.phantoms} provisional ones that never landed" if result.phantoms else ""
    rows = [
        ("recorded", f"{result.recorded}", "each trade once"),
        ("  confirmed by the chain", f"{result.confirmed}", ""),
        ("  repaired", f"{proof.repaired}", "brought by no feed, fetched from the chain"),
        ("duplicates", f"{result.duplicates}", ""),
        ("wrong values", f"{result.wrong}", ""),
        ("not on chain", f"{result.invented}", phantoms),
        ("traded while watched", f"{proof.watched}", "by the spells in the file"),
        ("MISSING", f"{proof.missing + result.missing}", "of these, or delivered and not recorded"),
    ]
    if proof.unreadable:
        rows.append(("  changed by an upgrade", f"{proof.unreadable}", "nobody can read them; not counted as missing"))
    if result.excused:
        rows.append(("  lost in a recorded gap", f"{result.excused}", "delivered just before the worker was killed, say"))
    return rows


def _proven(proof: Proof) -> list[_Row]:
    causes: dict[str, Counter[str]] = {"closed": Counter(), "left": Counter()}
    for (state, cause), count in proof.gaps.items():
        causes["closed" if state == "closed" else "left"][cause if state in {"closed", "open"} else f"{cause} ({state})"] += count
    rows = [(f"gaps {which}", f"{found.total()}", _listing(found)) for which, found in causes.items()]
    for verdict, remark in _VERDICTS.items():
        if proof.verdicts[verdict] or verdict == "complete":
            rows.append((f"tokens {verdict}", f"{proof.verdicts[verdict]}", remark or _listing(proof.reasons)))
    if proof.behind:
        rows.append(("  not yet to their end", f"{proof.behind}", "of the proven ones"))
    if proof.false_complete:
        rows.append(("FALSE COMPLETE", f"{proof.false_complete}", "tokens that are called so, and lack a trade"))
    return rows


def _listing(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
