"""Open gaps, the best one first: settled by the accounts' states where that is enough, else by lists of signatures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from loguru import logger

from pumpwatch.backfill.answers import RpcBehind, RpcExhausted, RpcFailed, RpcRefused, RpcStopped
from pumpwatch.backfill.filling import Filled, Filling, NotYet, Pieces, Span
from pumpwatch.backfill.history import History
from pumpwatch.backfill.rounds import Rounds
from pumpwatch.events import WRAPPED_SOL, GapFilled, GapFilling
from pumpwatch.storage.worklist import Gap, Watched, Worklist

#: Gaps looked at in one turn.
MOST_GAPS: Final = 500

#: Before the next try: the writer judges, feeds catch up, slots are finalized.
_BACKOFF_SECONDS: Final = (2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
#: A node that is behind gets there within slots.
_BEHIND_SECONDS: Final = 1.0

#: What a gap of time may be closed by without a list: so many rounds of anchors.
_ROUNDS: Final = 3

#: A slot takes 0.4 s, seldom less. An estimate that is too early is safe.
SLOT_SECONDS: Final = 0.4
_MARGIN_SLOTS: Final = 20
#: Tries after which a gap's other tokens are listed too.
_TRIES_OF_UNSETTLED: Final = 4
_MARGIN: Final = 0.05
#: The node may be so far behind the leaders, whose trades of the gap's last moment it does not know yet.
_NODE_BEHIND_SLOTS: Final = 5
#: A token created so shortly before its gap is filled from its creation: a minute.
_YOUNG_SLOTS: Final = 150

_DOUBT: Final = "doubt"
_FOUND_BY_CHAIN: Final = ("break", _DOUBT, "tail")
_TRUNCATED: Final = "log truncated"


@dataclass(slots=True)
class _Try:
    """What was done about one gap."""

    since: float
    not_before: float = 0.0
    tries: int = 0
    pieces: Pieces | None = None
    left: int = 0
    from_slot: int = 0
    to_slot: int | None = None
    #: Tokens whose finalized lists are recorded whole over it: not read again.
    listed: set[str] = field(default_factory=set)
    #: Why it is not filled, as the last whole try found.
    missing: str | None = None


class Repairs:
    """
    Works on gaps, a piece at a time. One thread.

    Args:
        give_up_after_seconds: Since the first try.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        worklist: Worklist,
        history: History,
        filling: Filling,
        rounds: Rounds,
        *,
        give_up_after_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._worklist = worklist
        self._history = history
        self._filling = filling
        self._rounds = rounds
        self._give_up_after_seconds = give_up_after_seconds
        self._clock = clock
        self._tries: dict[int, _Try] = {}

    def hurry(self, gap_ids: Iterable[int]) -> None:
        """Try these again now, and as if for the first time."""
        for gap_id in gap_ids:
            attempt = self._tries.get(gap_id)
            if attempt is not None and attempt.pieces is None:
                attempt.not_before, attempt.tries, attempt.since = 0.0, 0, time.monotonic()

    def tries(self, gap_id: int) -> int:
        """How often a gap was tried."""
        attempt = self._tries.get(gap_id)
        return 0 if attempt is None else attempt.tries

    @property
    def left(self) -> int:
        """Transactions still to come of what is being fetched."""
        return sum(attempt.left for attempt in self._tries.values())

    def work(self, gaps: Sequence[Gap], *, now: float, until: Callable[[], bool]) -> bool:
        """
        Do what can be done of *gaps* (the best first), at *now* (monotonic seconds), *until* that says it is enough.

        Returns whether anything was done.

        Raises:
            RpcFailed: The endpoint is in trouble, and a gap has to wait for it; others may be worked on at the next call.

        """
        if len(gaps) < MOST_GAPS:
            there = {gap.id for gap in gaps}
            self._tries = {gap_id: attempt for gap_id, attempt in self._tries.items() if gap_id in there}
        due = [gap for gap in gaps if self._is_due(gap, now)]
        by_anchors = [gap for gap in due if self._is_for_anchors(gap)]
        if by_anchors:
            self._settle(by_anchors, now)
        rest = [gap for gap in due if not self._is_for_anchors(gap) and self._is_due(gap, now)]
        # What is filled for a token may settle the time gaps too: those come last.
        for gap in sorted(rest, key=lambda gap: gap.mint is None and gap.signature is None):
            self._work_on(gap, now, until)
            if until():
                break
        return bool(due)

    def _is_due(self, gap: Gap, now: float) -> bool:
        attempt = self._tries.get(gap.id)
        return gap.to_us is not None and (attempt is None or attempt.not_before <= now)

    def _is_for_anchors(self, gap: Gap) -> bool:
        if gap.cause == _TRUNCATED or gap.cause in _FOUND_BY_CHAIN:
            return False
        return self.tries(gap.id) < (_ROUNDS if gap.mint is None else 1)

    def _try_of(self, gap: Gap, now: float) -> _Try:
        return self._tries.setdefault(gap.id, _Try(since=now))

    def _took(self, attempt: _Try, now: float) -> None:
        attempt.not_before = now + _BACKOFF_SECONDS[min(attempt.tries, len(_BACKOFF_SECONDS) - 1)]
        attempt.tries += 1

    # Gaps in time

    def _settle(self, gaps: Sequence[Gap], now: float) -> None:
        """One round of anchors past the end of all of them: whose state follows one of our trades, has lost nothing."""
        attempts = [self._try_of(gap, now) for gap in gaps]
        try:
            self._take_up(gaps)
            watched = {token.mint: token for token in self._worklist.watched()}
            wanted: dict[str, Watched] = {}
            for gap, attempt in zip(gaps, attempts, strict=True):
                for token in self._worklist.watched_in(gap):
                    if token.mint in watched and (token.anchored_slot or -1) < (attempt.to_slot or 0):
                        wanted[token.mint] = token
            past = max(attempt.to_slot or 0 for attempt in attempts)
            self._rounds.read_now(wanted.values(), self._filling.say, now=now, min_context_slot=past)
        except RpcBehind:
            for attempt in attempts:
                attempt.not_before = now + _BEHIND_SECONDS
            return
        for gap, attempt in zip(gaps, attempts, strict=True):
            self._filling.say(GapFilled(gap_id=gap.id, at_us=self._now_us()))
            self._took(attempt, now)

    def _take_up(self, gaps: Sequence[Gap]) -> None:
        """Know the slots of each: they certainly hold all of it."""
        new = [gap for gap in gaps if self._tries[gap.id].to_slot is None]
        current = self._history.current_slot("processed") if any(gap.to_slot is None for gap in new) else 0
        at = self._clock()
        for gap in new:
            attempt = self._tries[gap.id]
            to_slot = current + _NODE_BEHIND_SLOTS if gap.to_slot is None else gap.to_slot
            from_slot = gap.from_slot
            if from_slot is None:
                slots = max(0.0, at - gap.from_us / 1_000_000) / SLOT_SECONDS if gap.to_slot is None else 0.0
                from_slot = max(0, to_slot - int(slots * (1 + _MARGIN)) - _MARGIN_SLOTS)
                from_slot = self._from_creation(gap, from_slot)
            attempt.from_slot, attempt.to_slot = from_slot, to_slot
            self._filling.say(GapFilling(gap_id=gap.id, from_slot=from_slot, to_slot=to_slot))

    def _from_creation(self, gap: Gap, from_slot: int) -> int:
        token = self._worklist.token(gap.mint) if gap.mint is not None else None
        if token is None or token.created_slot is None:
            return from_slot
        return 0 if token.created_slot >= from_slot - _YOUNG_SLOTS else from_slot

    # Gaps of a token, or a transaction

    def _work_on(self, gap: Gap, now: float, until: Callable[[], bool]) -> None:
        attempt = self._try_of(gap, now)
        # Kept only when it is to go on: one that has ended, however it did, has nothing more to give.
        pieces, attempt.pieces = attempt.pieces or self._pieces(gap, attempt), None
        try:
            while True:
                attempt.left = next(pieces)
                if until():
                    attempt.pieces = pieces
                    return
        except StopIteration as ended:
            attempt.missing = ended.value.missing
            self._took(attempt, now)
            is_fetched = gap.cause == _TRUNCATED and attempt.missing is None
            self._filling.say(self._outcome(gap, attempt, now, fetched=is_fetched))
        except (NotYet, RpcBehind):
            attempt.not_before = now + _BEHIND_SECONDS
        except RpcFailed as error:
            if isinstance(error, RpcExhausted | RpcRefused | RpcStopped):
                attempt.not_before = now + _BEHIND_SECONDS
            else:
                self._took(attempt, now)
            # The endpoint's trouble, not the gap's: it is tried for as long as it takes.
            attempt.since = now
            raise
        finally:
            if attempt.pieces is None:
                attempt.left = 0

    def _outcome(self, gap: Gap, attempt: _Try, now: float, *, fetched: bool) -> GapFilled:
        reason = None
        if now - attempt.since >= self._give_up_after_seconds and not fetched:
            minutes = self._give_up_after_seconds / 60
            reason = f"after {minutes:g} min: {attempt.missing or 'the chain does not show what is missing'}"
            logger.warning("gap {} ({}) is given up {}", gap.id, gap.cause, reason)
        return GapFilled(gap_id=gap.id, at_us=self._now_us(), fetched=fetched, unfillable=reason)

    def _pieces(self, gap: Gap, attempt: _Try) -> Pieces:
        if gap.cause == _TRUNCATED:
            return self._fetch(gap, attempt)
        if gap.cause in _FOUND_BY_CHAIN:
            return self._fill_found(gap, attempt)
        self._take_up([gap])
        if gap.mint is not None:
            return self._fill_token(gap, attempt)
        return self._fill_all(gap, attempt)

    def _fetch(self, gap: Gap, attempt: _Try) -> Pieces:
        """The one transaction whose log was cut; if it is not there when its slot is final, it has not landed."""
        signature = gap.signature or ""
        if attempt.tries == 0 or gap.slot is None:
            commitment, is_final = "confirmed", False
        else:
            commitment = "finalized"
            is_final = attempt.tries > 1 and self._history.current_slot(commitment) > gap.slot + _MARGIN_SLOTS
        found = yield from self._filling.fetch([signature], commitment=commitment)
        if signature not in found:
            return Filled(missing=None if is_final else "the endpoint does not have the transaction")
        return Filled(1, None if found[signature].slot is not None else "it cannot be read by this version")

    def _fill_found(self, gap: Gap, attempt: _Try) -> Pieces:
        """A hole between two trades, or behind the last: at confirmed, which is fast, and when it stays open for good."""
        token = self._worklist.token(gap.mint or "")
        if token is None:
            return Filled(missing="its token is not in the record")
        from_slot = max(0, (gap.from_slot or 0) - 1)
        if token.created_slot is not None and from_slot <= token.created_slot:
            from_slot = 0
        is_tail = gap.cause == "tail"
        span = _span(token, from_slot, None if is_tail else gap.to_slot, "confirmed")
        span = span._replace(after_slot=gap.to_slot or 0)
        if attempt.tries == 0 and gap.cause != _DOUBT:  # which nothing but a list for good settles
            return (yield from self._filling.fill(span))
        try:
            return (yield from self._filling.fill(span._replace(commitment="finalized")))
        except NotYet:
            if not is_tail:
                raise
            # It grows as long as its feed is mute: what is not final yet is fetched all the same.
            return (yield from self._filling.fill(span))

    def _fill_token(self, gap: Gap, attempt: _Try) -> Pieces:
        token = self._worklist.token(gap.mint or "")
        if token is None:
            return Filled(missing="its token is not in the record")
        commitment = "confirmed" if attempt.tries <= 1 else "finalized"
        return (yield from self._filling.fill(_span(token, attempt.from_slot, attempt.to_slot, commitment)))

    def _fill_all(self, gap: Gap, attempt: _Try) -> Pieces:
        """The lists of the tokens that no anchor has settled; of all, if they all look settled."""
        tokens = self._worklist.watched_in(gap)
        unsettled = [token for token in tokens if not _looks_settled(token, attempt.from_slot or 0, attempt.to_slot or 0)]
        fetched, missing = 0, None
        # What looks settled from here may not be so to the writer, which knows more: each is read once, in the end.
        wanted = unsettled if unsettled and attempt.tries < _TRIES_OF_UNSETTLED else tokens
        for token in wanted:
            if token.mint in attempt.listed:
                continue
            span = _span(token, attempt.from_slot, attempt.to_slot, "finalized")
            filled = yield from self._filling.fill(span)
            fetched += filled.fetched
            missing = missing or filled.missing
            if filled.missing is None:
                attempt.listed.add(token.mint)
        return Filled(fetched, missing)

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def _looks_settled(token: Watched, from_slot: int, to_slot: int) -> bool:
    is_whole = 0 < token.segments <= (3 if token.status == "graduated" else 1) and token.unmatched_since_us is None
    covers = token.begins_slot is not None and token.begins_slot <= from_slot and (token.anchored_slot or 0) >= to_slot
    return is_whole and covers


def _span(token: Watched, from_slot: int, to_slot: int | None, commitment: str) -> Span:
    return Span(
        mint=token.mint,
        quote_mint=token.quote_mint or WRAPPED_SOL,
        from_slot=from_slot,
        to_slot=to_slot,
        commitment=commitment,
        # Of one whose creation is not in the record, its migration may not be either.
        pool_too=token.status != "curve" or token.created_slot is None,
    )


def whole(token: Watched | None, mint: str) -> Span:
    """All of a token that there is now, whether it is in the record or not."""
    quote_mint = token.quote_mint if token is not None else None
    return Span(
        mint=mint,
        quote_mint=quote_mint or WRAPPED_SOL,
        from_slot=0,
        to_slot=None,
        commitment="confirmed",
        pool_too=token is not None and token.status != "curve",
    )
