"""
The parts of the recorder, and how they are connected. What starts, watches and stops them is ``supervisor.py``: read that first.

Building opens no connection and starts no thread.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from loguru import logger

from pumpwatch import redecode, retention
from pumpwatch.backfill.backfill import Backfill
from pumpwatch.backfill.rpc import Rpc
from pumpwatch.budget import HELIUS, PUMPPORTAL, Budget
from pumpwatch.commands import Answer, Request, directory_of
from pumpwatch.config import Settings
from pumpwatch.decode.solana import Notified
from pumpwatch.decode.transactions import Fetched
from pumpwatch.drift import Alarm, Drift
from pumpwatch.errors import TransientError
from pumpwatch.events import Delivery, Event, GapOpened, PoolSeen
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.feeds.interests import derived_pools
from pumpwatch.feeds.opens import Opens
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.feeds.waits import Waits
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.metadata import Metadata
from pumpwatch.prices import Prices, may_run
from pumpwatch.providers import Provider, provider_named, provider_of
from pumpwatch.session_writer import Recording, SessionWriter
from pumpwatch.sessions import FeedName
from pumpwatch.shedding import Shedding
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.lock import beside
from pumpwatch.storage.store import Store
from pumpwatch.storage.unread import Unread
from pumpwatch.threads import WorkerThread
from pumpwatch.watchlist import Watchlist
from pumpwatch.writer import Writer

#: Remembered: pools, and tokens judged.
_MOST_POOLS: Final = 50_000

#: A trade that could not be read at once is news for the watch list for so long.
_NEWS_US: Final = 600_000_000
_RPC_TIMEOUT_SECONDS: Final = 15.0
_ROOM_SECONDS: Final = 1.0


class Parts:
    """
    Everything that records: built, connected, not started.

    Args:
        store: The open database; the writer's thread closes it.
        folder: Where the memory of servers is kept.
        origin: Of the data.
        plays: The loopback server plays this provider.
        alone: No feed runs, only repairs (the command ``backfill`` without a worker), whatever is enabled.
        record: Where the raw messages of the feeds go; None: they are not kept.

    Attributes:
        chain: Profile of the chain's feed.
        backfill: None where it is not enabled, or there is no chain's feed.
        prices: None where it is not enabled, or no source is for data of this origin.
        metadata: None where nothing is to be fetched.
        session: Writes the raw messages. What becomes of it concerns nobody else.
        restart_gap: Trades are unseen from its beginning until the feeds deliver again; None: none are.
        restart_gap_until_us: And in any case until then: when the last data came, by the clock of then.
        shedding: Gives up what is least useful when the disk is nearly full.
        drift: Whether the programs on chain still speak as we know.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        folder: Path,
        origin: str,
        plays: str | None,
        alone: bool = False,
        record: Recording | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._plays = plays
        self._origin = origin
        database = settings.pumpwatch.database
        now_us = time.time_ns() // 1000
        self.store = store
        self.intake = Intake(
            beside(database, "spill"),
            queue_size=settings.writer.queue_size,
            spill_bytes=settings.writer.spill_megabytes * 1024 * 1024,
            now_us=now_us,
        )
        self.pruner = store.pruner(
            trade_days=settings.retention.trade_days, max_bytes=int(settings.retention.max_database_gb * 1e9)
        )
        self.writer = Writer(store, self.intake, batch_size=settings.writer.batch_size, pruner=self.pruner)
        self.chain = chain = self._provider(settings.helius.ws.host, is_loopback=settings.helius.ws.is_loopback)
        self.budget = Budget(
            pumpportal_sol_per_day=settings.budget.pumpportal_sol_per_day,
            helius_credits_per_month=settings.budget.helius_credits_per_month,
            metered=chain.metered,
            start=store.usage(),
        )
        self.session = None if record is None else SessionWriter(record, secrets=settings.secrets)
        self.drift = Drift()
        store.on_judged = self._on_judged
        #: Trades and breaks of each token, as the writer judged them last.
        self._judged: dict[str, tuple[int, int]] = {}
        pools = store.pools(most=_MOST_POOLS)
        if self.session is not None:
            self.session.know_pools(reversed(pools))
        self.feeds = () if alone else tuple(self._build_feeds(pools))
        self._portal = next((feed for feed in self.feeds if isinstance(feed, PumpPortalFeed)), None)
        repairs = alone or (settings.backfill.enabled and settings.helius.enabled)
        self.backfill = self._build_backfill(pools) if repairs else None
        self.prices = None if alone or not may_run(settings.prices, origin) else self._build_prices()
        self.metadata = None if alone or settings.metadata.fetch == "off" else self._build_metadata()
        spells = store.open_spells()
        self.watchlist = Watchlist(
            settings.watch,
            record=self.intake.put,
            publish=self._publish,
            provider_tokens=chain.watchable_tokens,
            everything=settings.helius.scope == "all",
            budget=self.budget if settings.helius.enabled else None,
            spells=spells,
            quote_mints=store.quote_mints(spell.address for spell in spells if spell.kind == "token"),
            suspended=store.suspended(),
            commands=directory_of(database),
            handlers=self._handlers(),
            listening=self._is_listening,
        )
        self.shedding = Shedding(int(settings.retention.min_free_gb * 1e9), self._sheddable())
        # Whoever would have told their end has ended. What follows is the restart's.
        self.tell(*(msgspec.structs.replace(gap, to_us=max(gap.from_us, now_us)) for gap in store.endless_gaps()))
        self.restart_gap_until_us = 0
        self.restart_gap = None if alone else self._gap_at_start(is_watching=bool(spells), now_us=now_us)
        if self.restart_gap is not None:
            self.tell(self.restart_gap)
        if alone and spells:
            self._tell_silence(now_us)

    @property
    def producers(self) -> tuple[WorkerThread, ...]:
        """The threads that put something in."""
        return (*self.feeds, self.watchlist, *self._askers())

    @property
    def threads(self) -> tuple[WorkerThread, ...]:
        """All threads, in the order of their start: first the one that takes."""
        return (self.writer, self.watchlist, *self._askers(), *self.feeds)

    def feeds_of_trades(self) -> list[Feed]:
        """Those that deliver the trades of all watched tokens: the chain's, or without it what there is."""
        return [feed for feed in self.feeds if feed.source == HELIUS] or list(self.feeds)

    def tell(self, *events: Event) -> bool:
        """Say something ourselves. False when there is no room."""
        return not events or self.intake.put(Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=events))

    def tell_usage(self) -> None:
        """Have it recorded what the providers delivered."""
        usage = self.budget.drain()
        if not self.tell(*usage):
            self.budget.give_back(usage)

    # Building

    def _sheddable(self) -> list[tuple[str, Callable[[bool], object]]]:
        """What can be given up when the disk is nearly full, in this order."""
        pausable = (("raw", self.session), ("metadata", self.metadata))
        list_of_tokens = (("admissions", self.watchlist.stop_admissions), ("unpinned", self.watchlist.let_unpinned_go))
        return [*((step, part.pause) for step, part in pausable if part is not None), *list_of_tokens]

    def _askers(self) -> tuple[WorkerThread, ...]:
        return tuple(thread for thread in (self.backfill, self.prices, self.metadata) if thread is not None)

    def _gap_at_start(self, *, is_watching: bool, now_us: int) -> GapOpened | None:
        """What is watched trades unseen until the feeds deliver again: since the last data that were stored, or since now."""
        last_us = self.store.covered_us(feed.source for feed in self.feeds_of_trades())
        last_us = self.store.last_commit_us() if last_us is None else last_us
        if last_us is None:
            return GapOpened(cause="start", from_us=now_us) if is_watching or self._settings.watch.mints else None
        if is_watching or self._settings.watch.mints or self._settings.helius.scope == "all":
            self.restart_gap_until_us = last_us
            return GapOpened(cause="restart", from_us=min(last_us, now_us))
        return None

    def _tell_silence(self, now_us: int) -> None:
        """No worker has run since the last data: a gap that ends now, beside the one that the next start will open."""
        last_us = self.store.covered_us((HELIUS,)) or self.store.last_commit_us()
        if last_us is not None:
            # Another row than the next start's, which begins at the same moment: each is closed by itself.
            self.tell(GapOpened(cause="restart", from_us=last_us - 1, to_us=now_us, detail="no worker ran"))

    def _provider(self, host: str, *, is_loopback: bool) -> Provider:
        if is_loopback and self._plays is not None:
            return provider_named(self._plays)
        endpoint = self._settings.helius.ws
        memory = Opens(endpoint, folder=None if endpoint.is_loopback else self._folder, waits=Waits())
        is_paid = memory.plan_allows_transactions() is True
        return provider_of(host, is_loopback=is_loopback, has_transaction_subscribe=is_paid)

    def _build_feeds(self, pools: Iterable[PoolSeen]) -> Iterable[Feed]:
        common: dict[str, Any] = {
            "connection": self._settings.connection,
            "deliver": self._deliver,
            "room": self.intake.room,
            "origin": self._origin,
            "folder": self._folder,
            "plays_provider": self._plays is not None,
        }
        if self._settings.pumpportal.enabled:
            own = {**self._accounting(PUMPPORTAL), **self._keeping("pumpportal")}
            spent_share = functools.partial(self.budget.spent_share, PUMPPORTAL)
            yield PumpPortalFeed(settings=self._settings.pumpportal, spent_share=spent_share, **own, **common)
        if self._settings.helius.enabled:
            yield HeliusFeed(
                settings=self._settings.helius,
                provider=self.chain,
                pools=pools,
                judge=self._on_transaction,
                **self._accounting(HELIUS),
                **self._keeping("helius"),
                **common,
            )

    def _keeping(self, feed: FeedName) -> dict[str, Any]:
        return {} if self.session is None else {"keep_raw": functools.partial(self.session.keep, feed)}

    def _accounting(self, provider: str) -> dict[str, Any]:
        budget = self.budget
        return {
            "received": lambda size, paid: budget.received(provider, size, paid=paid),
            "connected": functools.partial(budget.connected, provider),
            "paid_allowed": functools.partial(budget.paid_allowed, provider),
        }

    def _build_backfill(self, pools: Iterable[PoolSeen]) -> Backfill:
        budget = self.budget
        endpoint = self._settings.helius.rpc
        provider = self._provider(endpoint.host, is_loopback=endpoint.is_loopback)
        name = HELIUS if provider.metered else provider.name

        def connect(stopping: threading.Event, count: Callable[[str, int], None]) -> Rpc:
            def called(method: str, number: int) -> None:
                count(method, number)
                budget.called(name, method, number)

            return Rpc(
                endpoint,
                timeout_seconds=_RPC_TIMEOUT_SECONDS,
                provider=provider,
                calls_per_second=self._settings.backfill.requests_per_second,
                stopping=stopping,
                called=called,
                allowed=functools.partial(budget.repairs_allowed, name),
                origin=self._origin,
            )

        return Backfill(
            self._settings.backfill,
            database=self._settings.pumpwatch.database,
            connect=connect,
            put=self.intake.put_backfill,
            pools=pools,
            feed=next((feed for feed in self.feeds if isinstance(feed, HeliusFeed)), None),
            pace=lambda: budget.repair_credits_per_hour(time.time()) if name == HELIUS else None,
            listed=lambda: self.watchlist.mints(),
            noticed=self._on_fetched,
            found_pools=self._on_pools,
        )

    def _build_prices(self) -> Prices:
        def put_history(events: Sequence[Event]) -> bool:
            told = Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=tuple(events))
            return self.intake.put_backfill(told, timeout_seconds=_ROOM_SECONDS)

        return Prices(
            self._settings.prices,
            database=self._settings.pumpwatch.database,
            put=lambda events: self.tell(*events),
            put_history=put_history,
            origin=self._origin,
        )

    def _build_metadata(self) -> Metadata:
        return Metadata(
            self._settings.metadata,
            database=self._settings.pumpwatch.database,
            pinned=self._settings.watch.mints,
            put=self.tell,
            origin=self._origin,
        )

    def _handlers(self) -> Mapping[str, Callable[[Request], Answer]]:
        """What other processes may ask beside the watch list."""
        database = self._settings.pumpwatch.database
        handlers = {redecode.COMMAND: redecode.handler(database, self.intake), **retention.handlers(self.pruner)}
        return handlers if self.backfill is None else {**handlers, **self.backfill.asked.handlers()}

    # What connects the parts; called by their threads

    def _deliver(self, delivery: Delivery) -> bool:
        """From a feed: into the intake, and news to the watch list. False when there is no room."""
        if not self.intake.put(delivery):
            return False
        self.watchlist.notice(delivery.events, delivery.received_at_us)
        if delivery.source == HELIUS and self._portal is not None:
            self._portal.heard_elsewhere(delivery.events)
        return True

    def _publish(self, wanted: Wanted) -> None:
        """From the watch list to the feeds."""
        if self.session is not None:
            self.session.know_pools(derived_pools(wanted))
        for feed in self.feeds:
            feed.want(wanted)

    def _is_listening(self) -> bool:
        """Whether trades of admitted tokens would arrive now."""
        portal = self._settings.pumpportal
        buys_all = portal.has_key and portal.trades == "all"
        return any(feed.state().state == "connected" and (feed.source == HELIUS or buys_all) for feed in self.feeds)

    def _on_pools(self, pools: list[PoolSeen]) -> None:
        """From backfill: their events can be decoded now, also those that were kept."""
        for feed in self.feeds:
            if isinstance(feed, HeliusFeed):
                feed.know_pools(pools)
        if self.session is not None:
            self.session.know_pools(pools)
        try:
            with Unread(self._settings.pumpwatch.database) as unread:
                redecode.redecode_page(unread, self._through_intake_and_list(unread), kind="unknown pool", found=pools)
        except TransientError as error:
            logger.info("what was kept of new pools is read later: {}", error)

    def _through_intake_and_list(self, unread: Unread) -> redecode.Put:
        """For trades in pools that are known only now: those of a moment ago are news, a watched wallet's above all."""
        put = redecode.through_intake(self.intake, unread)

        def put_and_notice(deliveries: Sequence[Delivery]) -> None:
            put(deliveries)
            now_us = time.time_ns() // 1000
            for delivery in deliveries:
                if now_us - delivery.received_at_us < _NEWS_US:
                    self.watchlist.notice(delivery.events, now_us)

        return put_and_notice

    def _on_transaction(self, seen: Notified | Fetched) -> None:
        now_seconds = time.monotonic()
        self._raise(self.drift.transaction(seen.signature, seen.events, silent=seen.silent, now_seconds=now_seconds))

    def _on_fetched(self, fetched: Fetched) -> None:
        if not fetched.failed:
            self._on_transaction(fetched)

    def _on_judged(self, mint: str, trades: int, breaks: int) -> None:
        """From the writer: a token's chain, with *trades* in all and *breaks* that have lasted."""
        before = self._judged.pop(mint, None)
        self._judged[mint] = (trades, breaks)
        if len(self._judged) > _MOST_POOLS:
            del self._judged[next(iter(self._judged))]
        if before is not None and trades > before[0]:
            steps = trades - before[0]
            self._raise(
                self.drift.chain(mint, steps=steps, breaks=min(steps, max(0, breaks - before[1])), now_seconds=time.monotonic())
            )

    @staticmethod
    def _raise(alarm: Alarm | None) -> None:
        if alarm is not None:
            logger.critical("{}", alarm.text)
