"""What plays a session in order: the feeds that say what they have taken in, the batches of one size, the pace."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from pumpwatch.config import ConnectionSettings, Endpoint, HeliusSettings, PumpPortalSettings
from pumpwatch.events import Delivery, PoolSeen
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.providers import LOOPBACK
from pumpwatch.sessions import FeedName, Message
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.intake import Intake
from pumpwatch.threads import Deadline

ORIGIN: Final = "replay"

TICK_SECONDS: Final = 0.001

#: Pauses of a session are played no longer than this, at a speed of 1.
_LONGEST_PAUSE_US: Final = 60_000_000

#: A session's pauses are no silence, and a locked database is waited for: only the end of a socket ends a connection.
_PATIENT: Final = ConnectionSettings(
    ping_interval_seconds=0,
    pumpportal_idle_seconds=math.inf,
    helius_idle_seconds=math.inf,
    backoff_first_seconds=0.1,
    backoff_longest_seconds=0.5,
)


class Stage:
    """What was sent to the feeds and is not taken in yet: one thread sends, each feed's thread takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: dict[FeedName, deque[Message]] = {}
        self._last_us = 0

    def sending(self, feed: FeedName, message: Message) -> None:
        """*message* goes out to *feed* now."""
        with self._changed:
            self._under_way.setdefault(feed, deque()).append(message)

    def began(self, feed: FeedName, raw: bytes) -> Message | None:
        """A feed takes *raw* in: which message that is; None: one of the server's own (an answer, a slot)."""
        with self._changed:
            messages = self._under_way.get(feed)
            if messages and messages[0].raw == raw:
                self._last_us = messages[0].at_us
                return messages[0]
            return None

    def done(self, feed: FeedName) -> None:
        """The feed has taken its oldest in."""
        with self._changed:
            messages = self._under_way[feed]
            messages.popleft()
            if not messages:
                self._changed.notify_all()

    @property
    def last_us(self) -> int:
        """When the last message was received."""
        return self._last_us

    def wait_until_empty(self, seconds: float) -> bool:
        """Whether all was taken in, after waiting up to so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(self._under_way.values()), seconds)


class _Played(Feed):
    """A feed that says when it has taken a message in, and has received it when the session did."""

    stage: Stage
    feed_name: FeedName

    def receive(self, message: bytes, *, is_binary: bool) -> bool:
        played = self.stage.began(self.feed_name, message)
        if played is None:
            return self.receive_at(message, self.stage.last_us, is_binary=is_binary)
        try:
            return self.receive_at(message, played.at_us, is_binary=is_binary)
        finally:
            self.stage.done(self.feed_name)


class _PlayedPumpPortal(_Played, PumpPortalFeed):
    feed_name = "pumpportal"


class _PlayedHelius(_Played, HeliusFeed):
    feed_name = "helius"


class Batches(Intake):
    """
    Hands out batches of one size, until no more will come: what is stored does not depend on how fast threads are.

    Attributes:
        is_hasty: Hand out what there is: set when no more will come, or somebody watches.
    """

    is_hasty = False

    def take(self, most: int, *, timeout_seconds: float) -> list[Delivery]:
        ends = Deadline(timeout_seconds)
        while not (self.is_hasty or self.depth >= most or self.spilled):
            if not ends.left():
                return []
            time.sleep(TICK_SECONDS)
        return super().take(most, timeout_seconds=timeout_seconds)


class Pace:
    """When to send what, at a speed."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._last_us: int | None = None
        self._due = time.monotonic()

    def wait(self, at_us: int) -> None:
        """Wait until it is time for a message that was received at *at_us*."""
        if self._speed is None:
            return
        pause_us = min(max(0, at_us - (self._last_us or at_us)), _LONGEST_PAUSE_US)
        self._last_us = max(at_us, self._last_us or at_us)
        self._due += pause_us / 1_000_000 / self._speed
        time.sleep(max(0.0, self._due - time.monotonic()))


def feeds_of(
    simulator: Simulator, deliver: Callable[[Delivery], bool], stage: Stage, pools: Sequence[PoolSeen]
) -> dict[FeedName, Feed]:
    """Both feeds, connected to nothing yet; *pools* are known already."""
    common: dict[str, Any] = {"connection": _PATIENT, "deliver": deliver, "room": lambda: True, "origin": ORIGIN}
    portal = _PlayedPumpPortal(settings=PumpPortalSettings(endpoint=Endpoint.of(simulator.pumpportal_url), trades="no"), **common)
    helius = _PlayedHelius(
        settings=HeliusSettings(ws=Endpoint.of(simulator.ws_url), scope="all"), provider=LOOPBACK, pools=pools, **common
    )
    portal.stage = helius.stage = stage
    return {"pumpportal": portal, "helius": helius}
