"""
The third worker thread: proves the record by the chain's accounts, and fetches what the feeds missed.

It reads the database and writes nothing: what it finds goes into backfill's own small queue, as events of the same kinds.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

from loguru import logger

from pumpwatch.backfill.anchor import Snapshots, Target
from pumpwatch.backfill.asked import Asked
from pumpwatch.backfill.filling import Filling
from pumpwatch.backfill.history import History
from pumpwatch.backfill.orders import Orders
from pumpwatch.backfill.pools import UnknownPools
from pumpwatch.backfill.provisional import Provisional
from pumpwatch.backfill.repairs import MOST_GAPS, Repairs
from pumpwatch.backfill.rounds import Rounds
from pumpwatch.backfill.rpc import Rpc, RpcBehind, RpcExhausted, RpcFailed, RpcRefused, RpcStopped
from pumpwatch.config import BackfillSettings
from pumpwatch.decode.addresses import is_address
from pumpwatch.decode.transactions import Fetched
from pumpwatch.errors import DatabaseBusy
from pumpwatch.events import Anchor, Delivery, PoolSeen
from pumpwatch.status import BackfillStatus
from pumpwatch.storage.worklist import Gap, Watched, Worklist
from pumpwatch.threads import WorkerThread

#: Between turns with nothing to do; orders wake it.
_IDLE_SECONDS: Final = 0.5
#: History is fetched for so long at most before the anchors have their turn.
_PIECE_SECONDS: Final = 5.0
_PROVISIONAL_SECONDS: Final = 15.0
_POOLS_SECONDS: Final = 30.0
_WATCHED_SECONDS: Final = 1.0
_GAPS_SECONDS: Final = 0.5
#: After an error of the endpoint, this step rests so long: the client itself has tried several times.
_REST_SECONDS: Final = 5.0
_LONG_REST_SECONDS: Final = 30.0
#: An account so long ahead of the record, of a token that its feed says it delivers: the subscription is mute.
_MUTE_SECONDS: Final = 4.0
_RESUBSCRIBE_SECONDS: Final = 60.0
#: What could not be read of a token that is on no record is tried again so often.
_BEGIN_SECONDS: Final = 60.0
#: Of an outage that has just ended, tokens are ahead anyway.
_AFTER_OUTAGE_SECONDS: Final = 30.0
_ROOM_SECONDS: Final = 0.25

#: The genesis block's hash, which tells one chain of Solana from another.
MAINNET: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"

#: The step that everything else waits for; a person does not wait longer than this for it.
_ENDPOINT: Final = "endpoint"
_UNREACHED_SECONDS: Final = 15.0


class ChainFeed(Protocol):
    """What backfill asks of the feed of the chain."""

    def delivers(self, mint: str) -> bool:
        """Whether the server has confirmed what brings the trades of *mint*."""
        ...

    def resubscribe(self, mints: Iterable[str]) -> None:
        """Begin anew with these."""
        ...


class Backfill(WorkerThread):
    """
    Proves, fetches, and tells the writer.

    Everything runs on this thread, or in a test on the one that calls :meth:`turn`; but for :attr:`asked`, :meth:`stop` and
    :meth:`state`.

    Args:
        connect: Makes the client: gets the event that ends its waits, and what is to be told of each sending.
        put: Hands a delivery to the writer, waiting so many seconds for room (``Intake.put_backfill``).
        pools: Known to the decoder.
        feed: The feed of the chain, whose mute subscriptions are made anew; None: there is none.
        listed: The tokens on the watch list; those of which nothing is on record yet are not in the database's.
        pace: Credits that repairs may cost in an hour; None: not counted.
        noticed: Told of each fetched transaction.
        found_pools: Told of canonical pools that nobody had told of before.
        clock: Unix time in seconds.

    Attributes:
        asked: What a person asks for.
    """

    def __init__(
        self,
        settings: BackfillSettings,
        *,
        database: Path,
        connect: Callable[[threading.Event, Callable[[str, int], None]], Rpc],
        put: Callable[..., bool],
        pools: Iterable[PoolSeen] = (),
        feed: ChainFeed | None = None,
        listed: Callable[[], Iterable[str]] = tuple,
        pace: Callable[[], float | None] = lambda: None,
        noticed: Callable[[Fetched], None] = lambda _: None,
        found_pools: Callable[[list[PoolSeen]], object] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("backfill")
        self.asked = Asked()
        self._put_backfill = put
        self._feed = feed
        self._listed = listed
        self._clock = clock
        self._is_checked = False
        self._requests = 0
        self._anchors = 0
        self._gaps_open = 0
        self._state: tuple[str, str | None] = ("idle", None)
        self._rpc = connect(self.stopping, self._count)
        self._worklist = Worklist(database)
        history = History(self._rpc)
        self._snapshots = snapshots = Snapshots(self._rpc, clock=clock)
        self._filling = Filling(
            history,
            self._worklist,
            put=self._put,
            pools=pools,
            migrated=snapshots.migrated,
            noticed=noticed,
            clock=clock,
        )
        self._rounds = Rounds(
            snapshots,
            active_seconds=settings.anchor_active_seconds,
            idle_seconds=settings.anchor_idle_seconds,
            pace=pace,
            clock=clock,
        )
        self._repairs = Repairs(
            self._worklist,
            history,
            self._filling,
            self._rounds,
            give_up_after_seconds=settings.give_up_after_minutes * 60,
            clock=clock,
        )
        self._provisional = Provisional(self._rpc, self._worklist, self._filling, clock=clock)
        self._pools = UnknownPools(snapshots, self._worklist, self._filling, found=found_pools)
        self._orders = Orders(self.asked, self._worklist, self._filling, self._repairs)
        self._gaps: list[Gap] = []
        self._not_before: dict[str, float] = {}
        self._trouble: dict[str, tuple[str, str]] = {}
        self._trouble_since: dict[str, float] = {}
        self._resubscribed_at: dict[str, float] = {}
        self._begun_at: dict[str, float] = {}
        self._wake = threading.Event()

    # Any thread

    def stop(self) -> None:
        super().stop()
        self._wake.set()

    def state(self) -> BackfillStatus:
        """For the status file."""
        state, reason = self._state
        return BackfillStatus(
            state=state,
            reason=reason,
            requests=self._requests,
            fetched=self._filling.fetched,
            anchors=self._anchors,
            dropped=self._provisional.dropped,
            to_fetch=self._repairs.left,
            gaps_open=self._gaps_open,
        )

    # This thread

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.pulse.beat()
                if not self.turn(time.monotonic()):
                    self._wake.wait(_IDLE_SECONDS)
                    self._wake.clear()
        finally:
            self._state = ("stopped", None)
            self.close()

    def close(self) -> None:
        """End connections. Idempotent."""
        self._rpc.close()
        self._worklist.close()

    def turn(self, now: float) -> bool:
        """
        One look at everything that is due at *now* (monotonic seconds). Returns whether there is more to do at once.

        Each step fails by itself: what the endpoint refuses to one, it may give to another.
        """
        if not self._is_checked:
            self._step(_ENDPOINT, self._check_chain, now)
            if not self._is_checked:
                self._end_hopeless_orders()
                self._note_state(is_busy=False)
                return False
        self._step("order", lambda: self._orders.work(self._time_is_up()), now)
        self._step("anchors", lambda: self._read_anchors(now), now, every_seconds=_WATCHED_SECONDS)
        busy = self._step("gaps", lambda: self._repair(now), now, every_seconds=_GAPS_SECONDS)
        self._step("provisional trades", self._provisional.look, now, every_seconds=_PROVISIONAL_SECONDS)
        self._step("unknown pools", self._pools.look, now, every_seconds=_POOLS_SECONDS)
        self._end_hopeless_orders()
        self._note_state(is_busy=busy or self._orders.is_fetching)
        return self._orders.is_fetching and not self._trouble

    def _step(self, name: str, do: Callable[[], object], now: float, *, every_seconds: float = 0.0) -> bool:
        """Do one step, if it is due. Returns whether it did something."""
        if self.stopping.is_set() or now < self._not_before.get(name, 0.0):
            return False
        self._not_before[name] = now + every_seconds
        try:
            done = bool(do())
        except (RpcStopped, RpcBehind, DatabaseBusy):
            return False
        except RpcFailed as error:
            self._note_trouble(name, error, now)
            return False
        self._trouble.pop(name, None)
        self._trouble_since.pop(name, None)
        return done

    def _note_trouble(self, name: str, error: RpcFailed, now: float) -> None:
        kind = "exhausted" if isinstance(error, RpcExhausted) else "refused" if isinstance(error, RpcRefused) else "waiting"
        if kind == "exhausted" and "[budget]" in str(error):
            kind = "budget"
        if name not in self._trouble:
            logger.warning("backfill: {}: {}", name, error)
        self._trouble[name] = (kind, f"{name}: {error}")
        self._trouble_since.setdefault(name, time.monotonic())
        rest = _REST_SECONDS if kind == "waiting" else _LONG_REST_SECONDS
        self._not_before[name] = max(self._not_before.get(name, 0.0), now + rest)

    def _note_state(self, *, is_busy: bool) -> None:
        trouble = max(self._trouble.values(), key=lambda kind: kind[0] != "waiting", default=None)
        self._state = trouble if trouble is not None else ("working" if is_busy else "idle", None)

    # Steps

    def _check_chain(self) -> bool:
        """
        Nothing of another chain may get into the record.

        Raises:
            RpcRefused: It is not mainnet (nor, on loopback, what plays it).

        """
        if self._rpc.call("getGenesisHash") != MAINNET:
            raise RpcRefused("this is not Solana's mainnet: check [helius] rpc_url")
        self._is_checked = True
        return True

    def _read_anchors(self, now: float) -> bool:
        """The accounts whose time has come; and a subscription that is mute is begun anew."""
        watched = self._worklist.watched()
        self._wake_the_mute(watched, now)
        begun = self._begin({token.mint for token in watched}, now)
        return self._rounds.read(watched, self._tell_anchor, now=now) > 0 or begun

    def _begin(self, known: set[str], now: float) -> bool:
        """Where the record of a token begins: the state that its first trade must follow. With it the token is in the record."""
        self._begun_at = {mint: at for mint, at in self._begun_at.items() if now - at < _BEGIN_SECONDS}
        new = [mint for mint in self._listed() if mint not in known and mint not in self._begun_at and is_address(mint)]
        self._begun_at.update(dict.fromkeys(new, now))
        for anchor in self._snapshots.take(map(Target, new)):
            self._tell_anchor(anchor)
        return bool(new)

    def _tell_anchor(self, anchor: Anchor) -> None:
        self._anchors += 1
        self._filling.say(anchor)

    def _wake_the_mute(self, watched: Sequence[Watched], now: float) -> None:
        feed, at_us = self._feed, int(self._clock() * 1_000_000)
        if feed is None or self._is_after_outage(at_us):
            return
        self._resubscribed_at = {mint: at for mint, at in self._resubscribed_at.items() if now - at < _RESUBSCRIBE_SECONDS}
        mute = [
            token.mint
            for token in watched
            if token.unmatched_since_us is not None
            and at_us - token.unmatched_since_us >= _MUTE_SECONDS * 1_000_000
            and token.mint not in self._resubscribed_at
            and feed.delivers(token.mint)
        ]
        if mute:
            logger.warning("the chain is ahead of what the feed delivers of {} tokens: subscribing to them anew", len(mute))
            self._resubscribed_at.update(dict.fromkeys(mute, now))
            feed.resubscribe(mute)

    def _is_after_outage(self, at_us: int) -> bool:
        """A time is known in which nothing was delivered, and what was missed in it is not fetched yet."""
        since_us = at_us - int(_AFTER_OUTAGE_SECONDS * 1_000_000)
        return any(gap.mint is None and gap.signature is None and (gap.to_us or at_us) > since_us for gap in self._gaps)

    def _repair(self, now: float) -> bool:
        """Work on the open gaps, for a while."""
        self._gaps = self._worklist.gaps(limit=MOST_GAPS)
        self._gaps_open = len(self._gaps)
        return self._repairs.work(self._gaps, now=now, until=self._time_is_up())

    def _is_long(self, name: str) -> bool:
        """Whether the endpoint has not been reached at all for so long that it may never be."""
        return name == _ENDPOINT and time.monotonic() - self._trouble_since.get(name, math.inf) >= _UNREACHED_SECONDS

    def _end_hopeless_orders(self) -> None:
        """Where nothing can be asked for a long while, nobody shall wait."""
        reason = next((text for name, (kind, text) in self._trouble.items() if kind != "waiting" or self._is_long(name)), None)
        if reason is not None:
            self._orders.give_up(reason)

    def _time_is_up(self) -> Callable[[], bool]:
        ends = time.monotonic() + _PIECE_SECONDS
        return lambda: self.stopping.is_set() or time.monotonic() >= ends

    def _put(self, delivery: Delivery) -> bool:
        """Hand over; wait as long as the writer has no room. False: we are stopping."""
        while not self.stopping.is_set():
            self.pulse.beat()  # a database that takes nothing for long is the writer's trouble, and no hang of this thread
            if self._put_backfill(delivery, timeout_seconds=_ROOM_SECONDS):
                return True
        return False

    def _count(self, _method: str, number: int) -> None:
        self._requests += number
