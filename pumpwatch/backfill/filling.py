"""One token over a range of slots: what its accounts' lists have and the record lacks, fetched and handed to the writer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from pumpwatch.backfill.history import History, SignatureRow
from pumpwatch.decode.addresses import QUOTE_DECIMALS, bonding_curve, canonical_pool
from pumpwatch.decode.transactions import Fetched, decode_transaction
from pumpwatch.events import (
    WRAPPED_SOL,
    CurveCompleted,
    Delivery,
    Event,
    Listed,
    PoolSeen,
    Rejected,
    TokenMigrated,
    Venue,
)
from pumpwatch.storage.worklist import Worklist

#: Transactions that turned out to hold nothing of a token, so that they are not fetched for each list anew.
_REMEMBERED: Final = 50_000

#: Pools known to the decoder; the oldest go first.
_MOST_POOLS: Final = 50_000

#: From so many missing transactions on, whole pages of them are cheaper where the plan has them.
_WORTH_A_PAGE: Final = 20

#: What may stand unread beside the trades of our token: another pool's event, an event that is new and none of ours.
_HARMLESS: Final = ("unknown pool",)


#: Why what lies before the baseline of a token is not fetched.
PRUNED: Final = "its trades of then were taken out of the record ([retention])"


class Span(NamedTuple):
    """
    What of a token is wanted.

    Attributes:
        from_slot: The first slot; 0: from its creation.
        to_slot: The last one; None: up to now.
        after_slot: The node must have come so far.
        commitment: ``confirmed``: fast; ``finalized``: for good.
        pool_too: Its pool, beside its curve.
    """

    mint: str
    quote_mint: str
    from_slot: int
    to_slot: int | None
    commitment: str
    pool_too: bool
    after_slot: int = 0


class Filled(NamedTuple):
    """
    What came of it.

    Attributes:
        fetched: Transactions fetched and handed over.
        missing: Why it is not all there; None: every successful transaction of the range is recorded, or handed over.
    """

    fetched: int = 0
    missing: str | None = None


#: Work in small pieces: between them, whoever does it may do something else.
Pieces = Generator[int, None, Filled]


class NotYet(Exception):
    """The node has not come so far as the range goes."""


class Filling:
    """
    Fetches ranges. One thread, that of *history*.

    Args:
        put: Hands a delivery to the writer; waits for room. False: we are stopping.
        pools: Known to the decoder, by address; grows.
        migrated: Tokens that are known to have left their curve, and their pool's quote, whatever the record knows of it.
        noticed: Told of each transaction that was fetched.
    """

    def __init__(
        self,
        history: History,
        worklist: Worklist,
        *,
        put: Callable[[Delivery], bool],
        pools: Iterable[PoolSeen] = (),
        migrated: Mapping[str, str] = MappingProxyType({}),
        noticed: Callable[[Fetched], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._history = history
        self._worklist = worklist
        self._put = put
        self._migrated = migrated
        self._noticed = noticed
        self._clock = clock
        self._pools: dict[str, PoolSeen] = {seen.pool: seen for seen in pools}
        self._empty: OrderedDict[tuple[str, str], None] = OrderedDict()
        #: Since the start.
        self.fetched = 0

    def fill(self, span: Span) -> Pieces:
        """
        Do it, piece by piece; each gives how many transactions are still to come. What was pruned is not fetched again.

        Raises:
            NotYet: The node is not past the range at that commitment.
            RpcFailed: See :meth:`Rpc.call`. What was fetched before is not lost.

        """
        pruned_to = self._worklist.pruned_to_slot(span.mint)
        if pruned_to is not None:
            if span.to_slot is not None and span.to_slot <= pruned_to:
                return Filled(missing=PRUNED)
            span = span._replace(from_slot=max(span.from_slot, pruned_to + 1))
        current = self._history.current_slot(span.commitment)
        if current < max(span.after_slot, span.to_slot or 0):
            raise NotYet
        span = span._replace(to_slot=current if span.to_slot is None else span.to_slot)
        if span.mint in self._migrated:
            span = span._replace(pool_too=True, quote_mint=self._migrated[span.mint])
        self._know_pool(span)
        done = Filled()
        listed: list[Listed] = []
        venues: list[Venue] = ["curve", "pool"] if span.pool_too else ["curve"]
        for venue in venues:
            filled, leaves_curve = yield from self._fill_account(span, venue, current, listed)
            done = Filled(done.fetched + filled.fetched, done.missing or filled.missing)
            if leaves_curve and "pool" not in venues:
                venues.append("pool")
        is_empty = span.from_slot == 0 and done.missing is None and not any(one.signatures for one in listed)
        if is_empty and self._worklist.token(span.mint) is None:
            return Filled(missing="the chain knows no pump.fun token of this address")
        if done.missing is None:  # a curve's list alone would tell nothing of a token that trades in its pool
            self.say(*listed)
        return done

    def fetch(self, signatures: Sequence[str], *, commitment: str = "confirmed") -> Generator[int, None, dict[str, Fetched]]:
        """Fetch these and hand their events over, piece by piece. Those that the node lacks are not in the result."""
        found: dict[str, Fetched] = {}
        left = len(signatures)
        for signature, raw in self._history.transactions(signatures, commitment=commitment):
            left -= 1
            if raw is not None:
                fetched = self._hand_over(signature, raw)
                if fetched is None:
                    return found
                found[signature] = fetched
            yield left
        return found

    def know(self, seen: PoolSeen) -> None:
        """From now on the decoder knows this pool."""
        if len(self._pools) >= _MOST_POOLS:
            del self._pools[next(iter(self._pools))]
        self._pools[seen.pool] = seen

    def _fill_account(
        self, span: Span, venue: Venue, current: int, listed: list[Listed]
    ) -> Generator[int, None, tuple[Filled, bool]]:
        """One account's list, added to *listed* if it is whole. Also tells whether it shows that the token has left its curve."""
        address = bonding_curve(span.mint) if venue == "curve" else canonical_pool(span.mint, span.quote_mint)
        to_slot = span.to_slot if span.to_slot is not None else current
        listing = self._history.signatures(
            address, down_to_slot=span.from_slot, min_context_slot=current, commitment=span.commitment
        )
        rows = [row for row in listing.rows if span.from_slot <= row.slot <= to_slot and not row.failed]
        recorded = self._worklist.recorded(span.mint, [row.signature for row in rows])
        wanted = [
            row for row in reversed(rows) if row.signature not in recorded and (span.mint, row.signature) not in self._empty
        ]
        found = yield from self._fetch_rows(address, wanted, span)
        unreadable = [signature for signature, fetched in found.items() if _is_unread(fetched, span.mint)]
        self._remember_empty(span.mint, found)
        lacking = len(wanted) - len(found)
        missing = None
        if not listing.reached:
            missing = "the list of signatures could not be read to its end"
        elif lacking:
            missing = f"the endpoint does not have {lacking} of its transactions"
        elif unreadable:
            missing = f"{len(unreadable)} of its transactions cannot be read by this version"
        else:
            listed.append(
                Listed(
                    mint=span.mint,
                    venue=venue,
                    from_slot=span.from_slot,
                    to_slot=to_slot,
                    commitment=span.commitment,
                    signatures=len(rows),
                    at_us=self._now_us(),
                )
            )
        leaves = any(_leaves_curve(event, span.mint) for fetched in found.values() for event in fetched.events)
        return Filled(len(found), missing), leaves

    def _fetch_rows(self, address: str, rows: Sequence[SignatureRow], span: Span) -> Generator[int, None, dict[str, Fetched]]:
        signatures = [row.signature for row in rows]
        found: dict[str, Fetched] = {}
        if self._history.has_whole and len(rows) > _WORTH_A_PAGE:
            wanted = set(signatures)
            whole = self._history.whole(address, from_slot=rows[0].slot, to_slot=rows[-1].slot, commitment=span.commitment)
            for signature, raw in whole:
                if signature in wanted and raw is not None:
                    fetched = self._hand_over(signature, raw)
                    if fetched is None:
                        return found
                    found[signature] = fetched
                yield len(wanted) - len(found)
        rest = [signature for signature in signatures if signature not in found]
        found |= yield from self.fetch(rest, commitment=span.commitment)
        return found

    def _hand_over(self, signature: str, raw: object) -> Fetched | None:
        """Decode one transaction and give its events to the writer. None: we are stopping."""
        fetched = decode_transaction(raw, signature=signature, pools=self._pools)  # type: ignore[arg-type]  # msgspec.Raw
        for event in fetched.events:
            if isinstance(event, PoolSeen):
                self.know(event)
        if fetched.events and not self._put(Delivery(source="backfill", received_at_us=self._now_us(), events=fetched.events)):
            return None
        self._noticed(fetched)
        self.fetched += 1
        return fetched

    def say(self, *events: Event) -> bool:
        """Tell the writer something ourselves. False: we are stopping."""
        return self._put(Delivery(source="pumpwatch", received_at_us=self._now_us(), events=events))

    def _remember_empty(self, mint: str, found: dict[str, Fetched]) -> None:
        for signature, fetched in found.items():
            if not _is_unread(fetched, mint) and not any(getattr(event, "mint", None) == mint for event in fetched.events):
                self._empty[mint, signature] = None
        while len(self._empty) > _REMEMBERED:
            self._empty.popitem(last=False)

    def _know_pool(self, span: Span) -> None:
        pool = canonical_pool(span.mint, span.quote_mint)
        if pool not in self._pools:
            decimals = QUOTE_DECIMALS.get(span.quote_mint, QUOTE_DECIMALS[WRAPPED_SOL])
            self.know(PoolSeen(pool=pool, mint=span.mint, quote_mint=span.quote_mint, quote_decimals=decimals))

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def _is_unread(fetched: Fetched, mint: str) -> bool:
    """Whether a transaction may have traded the token in a way that this version cannot read."""
    if fetched.slot is None or fetched.silent:
        return True
    rejected = [event for event in fetched.events if isinstance(event, Rejected) and event.kind not in _HARMLESS]
    if not rejected:
        return False
    # Programs gain events that concern nobody: unknown ones count where nothing else tells of the token.
    is_told = any(getattr(event, "mint", None) == mint for event in fetched.events)
    return not (is_told and all(event.kind == "unknown event" for event in rejected))


def _leaves_curve(event: Event, mint: str) -> bool:
    return isinstance(event, CurveCompleted | TokenMigrated) and event.mint == mint
