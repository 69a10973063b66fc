"""The one thread that owns the watch list: new tokens in, idle ones out, what a person asks, and the feeds told of it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, cast

from loguru import logger

from pumpwatch.budget import HELIUS, Budget
from pumpwatch.commands import Answer, CommandBox, Request
from pumpwatch.config import WatchSettings
from pumpwatch.events import CurveCompleted, Delivery, Event, SpellStarted, TokenCreated, TokenMigrated, Trade
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.steady import SteadyClock
from pumpwatch.symbols import matches
from pumpwatch.threads import WorkerThread
from pumpwatch.watched import Kind, Watch, Watched

#: How often the commands directory is looked at. News from a feed wake the thread at once.
POLL_SECONDS: Final = 0.25
_EXPIRY_SECONDS: Final = 1.0

#: With every token recorded (``scope = all``) the list is bounded by this alone.
MOST_TOKENS: Final = 10_000

#: News not yet looked at; beyond it new tokens are listed, not watched.
_MOST_NEWS: Final = 10_000

#: Creations that were judged already: both feeds report each.
_REMEMBERED_CREATIONS: Final = 5_000

#: Tokens that a person removed: a watched wallet does not bring them back.
_REMEMBERED_REMOVALS: Final = 1_000

#: A creation that is older by its block time comes from a repair, not from the market.
_NEW_TOKEN_SECONDS: Final = 600

#: So long the budget must have been too small before what a person asked for is given up, and so long nothing comes in the place
#: of what was given up: measured costs go up and down.
_CALM_SECONDS: Final = 600.0

#: The list is shortened when it is longer than the budget carries by one in so many, and then to what it carries.
_SLACK_ONE_IN: Final = 10

#: With so many spells not yet accepted by the writer, no further token is admitted.
_MOST_UNRECORDED: Final = 1_000

_News: TypeAlias = TokenCreated | CurveCompleted | TokenMigrated | Trade


class Watchlist(WorkerThread):
    """
    Keeps the list, records each spell and tells the feeds.

    :meth:`notice` may be called from any thread. Everything else runs on this thread, or in a test on the one that calls
    :meth:`turn`. Pinned tokens and wallets stay whatever happens; the others have the places that are left: tokens that a watched
    wallet trades before admitted ones. What the budget carries no longer goes in the reverse order of its use: admitted tokens,
    those of wallets, then, when it lasts, those that a person asked for, who come back when there is money.

    Args:
        record: Takes a spell for the database. False: not now; it is kept and offered again.
        publish: Gives the feeds what they shall deliver.
        provider_tokens: What the provider's profile carries; None = any number.
        everything: All tokens are recorded anyway (``scope = all``): neither ``max_tokens``, nor the provider, nor the budget
            bounds the list.
        budget: Of the metered feed; None when there is none.
        spells: Those open in the database: the list as it was.
        quote_mints: Token -> quote, for those among them that do not trade against SOL.
        suspended: Tokens that a person asked for, and that were given up for lack of money.
        commands: The directory through which other processes change the list; None for none.
        handlers: What answers the commands of other parts; on this thread, so none may take long.
        listening: Is a feed connected that would deliver trades? What nobody listened to is not idle.
        clock: Unix time in seconds.

    Raises:
        SettingsError: A pinned mint or wallet is not an address.

    """

    def __init__(
        self,
        settings: WatchSettings,
        *,
        record: Callable[[Delivery], bool],
        publish: Callable[[Wanted], None],
        provider_tokens: int | None = None,
        everything: bool = False,
        budget: Budget | None = None,
        spells: Iterable[SpellStarted] = (),
        quote_mints: Mapping[str, str] | None = None,
        suspended: Iterable[str] = (),
        commands: Path | None = None,
        handlers: Mapping[str, Callable[[Request], Answer]] | None = None,
        listening: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("watchlist")
        self._settings = settings
        self._record = record
        self._publish = publish
        self._budget = None if everything else budget
        places = MOST_TOKENS if everything else settings.max_tokens
        self._most = places if everything or provider_tokens is None else min(places, provider_tokens)
        self._listening = listening
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._watched = Watched(settings, most=places, spells=spells, quote_mints=quote_mints, suspended=suspended)
        answers = {"watch add": self._add_asked, "watch remove": self._remove_asked, **(handlers or {})}
        self._box = CommandBox(commands, handlers=answers, clock=clock) if commands is not None else None
        self._news: deque[tuple[_News, int]] = deque()
        self._wake = threading.Event()
        self._overflow = threading.Lock()
        self._overflowed = 0
        self._judged: OrderedDict[str, None] = OrderedDict()
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._listening_since_us: int | None = None
        self._expired_at = 0.0
        self._is_settled = False
        self._published: Wanted | None = None
        self._said_full = False
        #: Unix seconds: since when the budget does not even carry what persons asked for; until when no token comes.
        self._pressed_since: float | None = None
        self._calm_until = 0.0
        self._admissions_off = False
        self._unpinned_off = False

    # Any thread

    def stop_admissions(self, is_off: bool) -> None:  # noqa: FBT001 - a switch
        """From now on no token comes by itself, or it may again: the disk is nearly full. From any thread."""
        self._admissions_off = is_off

    def let_unpinned_go(self, is_off: bool) -> None:  # noqa: FBT001 - a switch
        """From now on only tokens that a person asked for are watched, or others may be again. From any thread."""
        self._unpinned_off = is_off
        self._wake.set()

    def notice(self, events: Sequence[Event], received_at_us: int) -> None:
        """Look at what a feed delivered: remember when watched tokens traded, and keep news for this thread. Never blocks."""
        for event in events:
            if type(event) is Trade:
                watch = self._watched.tokens.get(event.mint)
                if watch is not None:
                    watch.last_trade_us = max(watch.last_trade_us, received_at_us)
                    if event.quote_mint is not None and watch.quote_mint is None:
                        self._keep(event, received_at_us)
                        continue
                if event.wallet in self._watched.wallets and (watch is None or watch.reason == "admitted"):
                    self._keep(event, received_at_us)
            elif isinstance(event, TokenCreated | CurveCompleted | TokenMigrated):
                self._keep(event, received_at_us)

    def _keep(self, news: _News, received_at_us: int) -> None:
        if len(self._news) < _MOST_NEWS:
            self._news.append((news, received_at_us))
            self._wake.set()
        else:
            with self._overflow:
                self._overflowed += 1

    def watched(self) -> int:
        """How many tokens and wallets are on the list."""
        return len(self._watched.tokens) + len(self._watched.wallets)

    def wallets(self) -> list[str]:
        """The wallets on the list."""
        return list(self._watched.wallets)

    def mints(self) -> list[str]:
        """The tokens on the list."""
        return list(self._watched.tokens)

    def stop(self) -> None:
        super().stop()
        self._wake.set()

    # This thread

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            self.step()
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
        self._watched.flush(self._record)

    def step(self) -> None:
        """Do everything that is due now, by a clock that does not jump."""
        now = self._steady.time()
        if self._steady.stepped_seconds:
            self._step_clock(self._steady.stepped_seconds)
        self.turn(now)

    def _step_clock(self, seconds: float) -> None:
        """The clock was set: what happened so long ago still did."""
        logger.warning("the clock of this machine was set by {:+.0f} s", seconds)
        self._watched.step_clock(round(seconds * 1_000_000))
        if self._listening_since_us is not None:
            self._listening_since_us += round(seconds * 1_000_000)
        self._pressed_since = None if self._pressed_since is None else self._pressed_since + seconds
        self._calm_until += seconds

    def turn(self, now: float) -> None:
        """Do everything that is due at the unix time *now*, once."""
        now_us = round(now * 1_000_000)
        if not self._is_settled:
            self._watched.settle(now_us)
            self._is_settled = True
        if self._box is not None:
            self._box.serve()
        self._take_news(now)
        if not 0 <= now - self._expired_at < _EXPIRY_SECONDS:
            self._expired_at = now
            self._let_idle_go(now_us)
            if self._unpinned_off:
                self._give_up([mint for mint, _ in self._watched.unpinned()], "disk", now_us)
            self._let_surplus_go(now, now_us)
        self._watched.flush(self._record)
        self._tell()

    def _tell(self) -> None:
        wanted = self._watched.wanted()
        if wanted == self._published:
            return
        self._published = wanted
        if self._budget is not None:
            self._budget.watching(len(wanted.mints))
        self._publish(wanted)

    # What a person asks

    def _add_asked(self, request: Request) -> Answer:
        return self._change(request, self._watched.add)

    def _remove_asked(self, request: Request) -> Answer:
        return self._change(request, self._watched.remove)

    def _change(self, request: Request, change: Callable[[Kind, str, int], Answer]) -> Answer:
        kind = request.arguments.get("kind")
        if kind not in ("token", "wallet"):
            return Answer(ok=False, text="the request does not say whether it is about a token or a wallet")
        address = request.arguments.get("address", "")
        answer = change(cast("Kind", kind), address, round(self._clock() * 1_000_000))
        if answer.ok:
            self._removed.pop(address, None)
            if change == self._watched.remove:
                _remember(self._removed, address, _REMEMBERED_REMOVALS)
            logger.info("{}: {}", request.command, answer.text)
        return answer

    # Coming

    def _take_news(self, now: float) -> None:
        capacity = self._capacity(now) if self._news else 0
        while self._news:
            news, received_at_us = self._news.popleft()
            watch = self._watched.tokens.get(news.mint)
            if watch is not None:
                watch.pool_too = watch.pool_too or isinstance(news, CurveCompleted | TokenMigrated)
                watch.quote_mint = watch.quote_mint or news.quote_mint  # PumpPortal told first, and does not know it
            elif type(news) is TokenCreated and self._is_for_us(news, now):
                self._admit(news, capacity, min(received_at_us, round(now * 1_000_000)))
            if type(news) is Trade and news.wallet in self._watched.wallets:
                self._bring(news, capacity, min(received_at_us, round(now * 1_000_000)))
        with self._overflow:
            overflowed, self._overflowed = self._overflowed, 0
        if overflowed:
            logger.warning("watch list: {} news came faster than they were looked at: those tokens are not watched", overflowed)

    def _is_for_us(self, created: TokenCreated, now: float) -> bool:
        """Tell whether the settings want this new token: judged once, whoever reports it how often."""
        if created.mint in self._judged or (created.block_time is not None and now - created.block_time > _NEW_TOKEN_SECONDS):
            return False
        _remember(self._judged, created.mint, _REMEMBERED_CREATIONS)
        admit = self._settings.admit
        if admit in ("auto", "all", "none"):
            return admit != "none"
        return created.symbol is not None and matches(admit, created.symbol)

    def _admit(self, created: TokenCreated, capacity: int, at_us: int) -> None:
        """Watch it from its creation on, if there is a place."""
        is_time = not (self._is_closed() or self._watched.suspended) and at_us >= self._calm_until * 1_000_000
        if is_time and len(self._watched.tokens) < capacity and len(self._watched.unrecorded()) < _MOST_UNRECORDED:
            self._watched.start("token", created.mint, "admitted", at_us, pool_too=False, quote_mint=created.quote_mint)
        else:
            self._say_full()

    def _bring(self, trade: Trade, capacity: int, at_us: int) -> None:
        """Watch the token that a watched wallet trades, from now on."""
        if self._watched.reason("token", trade.mint) not in (None, "admitted") or trade.mint in self._removed:
            return
        is_full = self._is_closed() or len(self._watched.unrecorded()) >= _MOST_UNRECORDED
        lacking = self._lacking(capacity)
        if is_full or not self._watched.bring(trade.mint, trade.quote_mint, at_us, places=capacity, lacking=lacking):
            self._say_full()

    def _is_closed(self) -> bool:
        """For lack of disk."""
        return self._admissions_off or self._unpinned_off

    def _lacking(self, capacity: int) -> str:
        """Why there are no more places: the budget carries fewer than the list has."""
        return "budget" if capacity < self._most else "limit"

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            logger.info("watch list: full with {} tokens: until one leaves, new ones are listed only", len(self._watched.tokens))

    def _capacity(self, now: float) -> int:
        """How many tokens may be on the list. ``admit = all`` is not paced: it goes on until the month's share is spent."""
        if self._budget is None:
            return self._most
        if not self._budget.paid_allowed(HELIUS):
            return 0
        affordable = None if self._settings.admit == "all" else self._budget.watchable(now)
        return self._most if affordable is None else min(self._most, affordable)

    # Going

    def _let_idle_go(self, now_us: int) -> None:
        if not self._listening():
            self._listening_since_us = None
            return
        if self._listening_since_us is None:
            self._listening_since_us = now_us
        for mint, watch in self._watched.unpinned():
            watch.last_trade_us = min(watch.last_trade_us, now_us)  # a clock may have been wrong when it came
            quiet_us = now_us - max(watch.active_us, self._listening_since_us)
            if quiet_us > self._settings.idle_minutes * 60_000_000 and self._had_its_minimum(watch, now_us):
                self._watched.end("token", mint, "idle", now_us)

    def _let_surplus_go(self, now: float, now_us: int) -> None:
        """The budget carries fewer than before: the least useful leave; all unpinned at once when nothing is left to spend."""
        capacity = self._capacity(now)
        surplus = len(self._watched.tokens) - capacity
        if surplus <= capacity // _SLACK_ONE_IN:
            self._pressed_since = None
            self._take_back(capacity, now, now_us)
            return
        spent = self._budget is not None and not self._budget.paid_allowed(HELIUS)
        unpinned = self._watched.unpinned()
        leaving = [mint for mint, watch in unpinned if spent or self._had_its_minimum(watch, now_us)]
        if self._give_up(leaving[:surplus], self._lacking(capacity), now_us):
            self._calm_until = now + _CALM_SECONDS
        if not spent:
            self._suspend(surplus - len(unpinned), capacity, now, now_us)

    def _suspend(self, surplus: int, capacity: int, now: float, now_us: int) -> None:
        """Give up what persons asked for, if so many are too many even without all others, and have been for long."""
        asked = self._watched.asked()[: max(0, surplus)]
        if not asked or self._lacking(capacity) != "budget":
            self._pressed_since = None
            return
        self._pressed_since = now if self._pressed_since is None else min(self._pressed_since, now)
        if now - self._pressed_since < _CALM_SECONDS:
            return
        for mint in asked:
            self._watched.suspend(mint, "budget", now_us)
        self._calm_until = now + _CALM_SECONDS
        logger.warning(
            "watch list: the budget carries {} tokens: {} that `watch add` asked for are not watched until it carries more, "
            "the longest quiet ones; raise [budget] helius_credits_per_month, or remove others",
            capacity,
            len(asked),
        )

    def _take_back(self, capacity: int, now: float, now_us: int) -> None:
        """Watch again what a person asked for, one at a time, when there is room with some to spare."""
        if not self._watched.suspended or now < self._calm_until or self._is_closed():
            return
        if len(self._watched.tokens) < capacity - capacity // _SLACK_ONE_IN:
            mint = self._watched.take_back(now_us)
            logger.info("watch list: the budget carries more: watching token {} again", mint)

    def _give_up(self, mints: Sequence[str], reason: str, now_us: int) -> int:
        for mint in mints:
            self._watched.end("token", mint, reason, now_us)
        if mints and reason != "limit":
            logger.warning("watch list: {} tokens that nobody pinned are watched no longer: {}", len(mints), reason)
        return len(mints)

    def _had_its_minimum(self, watch: Watch, now_us: int) -> bool:
        return now_us - watch.since_us >= self._settings.minimum_watch_minutes * 60_000_000


def _remember(seen: OrderedDict[str, None], address: str, most: int) -> None:
    """Add it; the oldest go first."""
    seen[address] = None
    if len(seen) > most:
        seen.popitem(last=False)
