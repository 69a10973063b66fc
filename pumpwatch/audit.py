"""
Prove the record again: from its trades, creations, times of watching and the raw states of accounts, trusting no stored verdict.

One token at a time, its trades one after the other: memory grows with the holes, not with the trades.
"""

from __future__ import annotations

import heapq
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal

import msgspec

from pumpwatch.breaks import Break, breaks, is_end
from pumpwatch.continuity import Chain, Step, link_slots, step_of_trade
from pumpwatch.events import SOURCES
from pumpwatch.storage.evidence import AnchorSeen, Evidence, Record, TradeValues
from pumpwatch.storage.schema import PROVISIONAL
from pumpwatch.verdict import Completeness, Proofs, holes, verdict

#: An account that has been ahead of the record for so long, by our clock, shows that trades are missing at its end.
GRACE_SECONDS: Final = 5

#: Breaks listed of one token; their number is always whole.
MOST_BREAKS: Final = 100


class Seen(msgspec.Struct, frozen=True):
    """
    What one source had of a token.

    Attributes:
        alone: Trades that no other source had.
        late_seconds: How long after the trade's block time it was here, in the median; *latest_seconds* in the worst twentieth.
    """

    trades: int
    alone: int
    late_seconds: float | None
    latest_seconds: float | None


class Missing(msgspec.Struct, frozen=True):
    """
    A break (:class:`pumpwatch.breaks.Break`).

    Attributes:
        counts: It is one of the token's holes.
    """

    venue: str
    from_slot: int
    to_slot: int
    token_amount: int | None
    quote_amount: int | None
    counts: bool
    reason: str | None
    fits_one_trade: bool


class TokenAudit(msgspec.Struct, frozen=True):
    """
    What is proven of one token.

    Attributes:
        trades: As ``trade_log`` has them, and those that were pruned; *provisional* of them prove nothing.
        baseline_slot: Up to this slot trades were pruned: what they proved is taken from the baseline. None: none were.
        baseline_completeness: What was said of the record when they were.
        links: Pairs of neighbours that link to the last unit.
        breaks: How many do not; the first of them are in *missing*.
        is_watched: Now.
        chain: Whether its account, asked for now, is in a state of our record; None: it was not asked for.
    """

    mint: str
    symbol: str | None
    quote_mint: str | None
    trades: int
    provisional: int
    links: int
    breaks: int
    first_slot: int | None
    last_slot: int | None
    sources: dict[str, Seen]
    missing: list[Missing]
    is_watched: bool
    completeness: Completeness
    complete_from: int | None
    complete_until: int | None
    proven_to_slot: int | None
    holes: int
    reason: str | None
    chain: Literal["agrees", "differs", "no account"] | None = None
    baseline_slot: int | None = None
    baseline_completeness: str | None = None

    @property
    def is_proven(self) -> bool:
        """Whether the record is complete, at least from some moment on."""
        return self.completeness in ("complete", "since", "spell")


def audit(
    evidence: Evidence, mints: Sequence[str] | None = None, *, asked: Mapping[str, AnchorSeen] | None = None
) -> Iterator[TokenAudit]:
    """
    Prove each token again, the oldest first; those of *mints*, or all.

    Args:
        asked: Account states by mint, asked for now and not recorded: what the record does not explain of them is missing.

    """
    now_us = evidence.last_commit_us() or time.time_ns() // 1000
    for record in evidence.records(mints):
        yield audit_token(record, now_us=now_us, asked=asked.get(record.token.mint) if asked else None)


def audit_token(record: Record, *, now_us: int, asked: AnchorSeen | None = None) -> TokenAudit:
    """Prove one token again, as of *now_us*: when the file was last written."""
    token, tally, chain = record.token, _Tally(), Chain(record.begun)
    facts = token.facts
    steps = _in_order(tally.steps(record.trades), record)
    matched: list[AnchorSeen] = []
    unmatched: list[AnchorSeen] = []
    known = record.anchors if asked is None else [*record.anchors, asked]
    baseline = record.baseline
    begins = -1 if baseline is None else baseline.slot
    if baseline is not None:
        tally.trades = baseline.trades
    # What an account showed before the baseline's end, only trades that are gone could explain; newer ones prove more.
    anchors = sorted((anchor for anchor in known if anchor.exists and anchor.slot >= begins), key=attrgetter("venue", "slot"))
    for step in steps:
        while anchors and (anchors[0].venue, anchors[0].slot) < (step.venue, step.slot):
            _match(anchors.pop(0), chain, record, matched, unmatched)
        chain.add(step)
    for anchor in anchors:
        _match(anchor, chain, record, matched, unmatched)
    segments = chain.segments
    found = breaks(segments, facts)
    proofs = _proofs(record, matched, unmatched, now_us, asked)
    judged = verdict(segments, found, facts, proofs, token.spells, given_up=token.given_up, now=now_us // 1_000_000)
    counting = {id(one) for one in holes(found, token.spells)}
    return TokenAudit(
        mint=token.mint,
        symbol=record.symbol,
        quote_mint=record.quote_mint,
        trades=tally.trades,
        provisional=tally.provisional,
        links=sum(max(0, segment.trades - 1) for segment in segments),
        breaks=len(found),
        first_slot=min((segment.first_slot for segment in segments), default=None),
        last_slot=max((segment.last_slot for segment in segments), default=None),
        sources=tally.sources(),
        missing=[_missing(one, counts=id(one) in counting) for one in found[:MOST_BREAKS]],
        is_watched=bool(token.spells) and token.spells[-1][1] is None,
        completeness=judged.completeness,
        complete_from=judged.complete_from,
        complete_until=judged.complete_until,
        proven_to_slot=judged.proven_to_slot,
        holes=judged.holes,
        reason=_no_account(record, matched) or judged.reason,
        chain=_answer(asked, matched),
        baseline_slot=None if baseline is None else baseline.slot,
        baseline_completeness=None if baseline is None else baseline.completeness,
    )


class _Tally:
    """Counts a token's trades on their way into the chain."""

    def __init__(self) -> None:
        self.trades = self.provisional = 0
        self._alone = [0] * len(SOURCES)
        #: Of each source: microseconds from block time to arrival.
        self._late = [array("q") for _ in SOURCES]
        self._seen = [0] * len(SOURCES)

    def steps(self, rows: Iterable[TradeValues]) -> Iterator[Step]:
        """The steps of these trades, one by one."""
        late, seen, alone = self._late, self._seen, self._alone
        for row in rows:
            self.trades += 1
            if row[13] == PROVISIONAL:
                self.provisional += 1
            sources = 0
            number = 0
            block_time = row[7]
            for place, at_us in enumerate(row[14:]):
                if at_us is not None:
                    sources += 1
                    number = place
                    seen[place] += 1
                    if block_time is not None:
                        late[place].append(at_us - block_time * 1_000_000)
            if sources == 1:
                alone[number] += 1
            if row[8] is not None:
                step = step_of_trade(*row[:13])
                if step is not None:
                    yield step

    def sources(self) -> dict[str, Seen]:
        """Of each source that had any."""
        return {
            source: Seen(seen, alone, _part(late, 0.5), _part(late, 0.95))
            for source, seen, alone, late in zip(SOURCES, self._seen, self._alone, map(sorted, self._late), strict=True)
            if seen
        }


def _in_order(steps: Iterator[Step], record: Record) -> Iterator[Step]:
    """The chain's order: chain_key has it, unless states may repeat or something else than trades moved the reserves."""
    if not record.changes and not record.token.facts.is_mayhem:
        return steps
    after = None if record.baseline is None else record.baseline.state
    return link_slots(heapq.merge(steps, record.changes, key=attrgetter("venue", "slot")), after=after)


def _match(anchor: AnchorSeen, chain: Chain, record: Record, matched: list[AnchorSeen], unmatched: list[AnchorSeen]) -> None:
    """Whether the account is in the state that the steps up to its slot, which *chain* has, left."""
    is_matched = is_end(chain.segments, record.token.facts.before(anchor.slot), anchor.venue, anchor.state)
    (matched if is_matched else unmatched).append(anchor)


def _answer(asked: AnchorSeen | None, matched: list[AnchorSeen]) -> Literal["agrees", "differs", "no account"] | None:
    if asked is None:
        return None
    if not asked.exists:
        return "no account"
    return "agrees" if asked in matched else "differs"


def _no_account(record: Record, matched: list[AnchorSeen]) -> str | None:
    newest = max(record.anchors, key=attrgetter("slot"), default=None)
    return "account not found" if newest is not None and not newest.exists and not matched else None


def _proofs(
    record: Record, matched: list[AnchorSeen], unmatched: list[AnchorSeen], now_us: int, asked: AnchorSeen | None
) -> Proofs:
    newest = max(matched, key=attrgetter("slot"), default=None)
    # Since when the account is ahead of the record, as far as the token was watched then. Who asks just now has waited before.
    ahead = [
        0 if anchor is asked else anchor.asked_at_us
        for anchor in unmatched
        if (newest is None or anchor.slot > newest.slot) and _was_watched(record, anchor.asked_at_us)
    ]
    return Proofs(
        anchored_slot=newest.slot if newest is not None else None,
        anchored_at=newest.block_time if newest is not None else None,
        seen_at=newest.asked_at_us // 1_000_000 if newest is not None else None,
        tail=bool(ahead) and now_us - min(ahead) >= GRACE_SECONDS * 1_000_000,
        listings=record.token.listings,
    )


def _was_watched(record: Record, at_us: int) -> bool:
    return any(start <= at_us and (end is None or at_us <= end) for start, end in record.token.spells)


def _missing(one: Break, *, counts: bool) -> Missing:
    return Missing(
        venue="pool" if one.venue else "curve",
        from_slot=one.from_slot,
        to_slot=one.to_slot,
        token_amount=one.token_amount,
        quote_amount=one.quote_amount,
        counts=counts,
        reason=one.reason,
        fits_one_trade=one.fits_one_trade,
    )


def _part(late: list[int], part: float) -> float | None:
    """So much of the trades was here after so many seconds."""
    return round(late[min(len(late) - 1, int(len(late) * part))] / 1e6, 3) if late else None
