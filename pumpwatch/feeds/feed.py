"""
What both feeds share: connect, subscribe, receive, back off, for ever.

Three threads serve one feed. The feed's own thread connects and reads; its sender does every send, so that a blocked socket
stalls nobody; its watchdog ends connections that do not open or go silent.
"""

from __future__ import annotations

import math
import ssl
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final

from loguru import logger

from pumpwatch.config import ConnectionSettings, Endpoint
from pumpwatch.events import Delivery, Event, Rejected
from pumpwatch.feeds.connection import Connection
from pumpwatch.feeds.coverage import Coverage
from pumpwatch.feeds.helper import Helper
from pumpwatch.feeds.outcome import Ending
from pumpwatch.feeds.patience import Patience, Quiet
from pumpwatch.feeds.state import FeedState, State
from pumpwatch.feeds.transport import LARGEST_MESSAGE_BYTES, trusted_context
from pumpwatch.feeds.waits import Waits
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.providers import ORIGIN_HEADER
from pumpwatch.telemetry import visible
from pumpwatch.threads import Deadline, WorkerThread

_SECONDS_BETWEEN_SAMPLES = 60.0
_HELPERS_END_WITHIN_SECONDS = 2.0


class Feed(WorkerThread):
    """
    Keep one subscription source connected for ever, and hand over what it says.

    One connection at a time. :meth:`want`, :meth:`state` and :meth:`stop` may be called from any thread.

    Args:
        endpoint: Where the server is.
        connection: Timeouts, pings and backoff.
        deliver: Takes what was decoded; False when there is no room: the feed then closes and asks *room*.
        room: Whether there is room again.
        origin: Of the database: ``simulator`` wants a server that says so, anything else one that does not.
        paid_allowed: Whether what costs money may go on. Asked often.
        received: Told the bytes of each message, and whether it is charged for by the message.
        connected: Told of each completed handshake.
        keep_raw: Shown each message as it came, whether it is binary, and when (unix microseconds). Never blocks, never raises.
        folder: Where the memory of servers is kept; this user's state folder unless a test has its own.
        waits: The long waits; None = as they must be, and short ones for loopback.
        plays_provider: The server on loopback plays a real provider: it is treated, and remembered, like one.
        context: Makes the TLS context.

    """

    #: ``source`` of the deliveries, and the name in the status.
    source: ClassVar[str]
    #: The setting that holds the key, for the sentence that says it is wrong.
    key_name: ClassVar[str]
    #: Opens are counted, limited and locked: the server bans.
    is_polite: ClassVar[bool] = False

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        connection: ConnectionSettings,
        idle_seconds: float,
        deliver: Callable[[Delivery], bool],
        room: Callable[[], bool],
        origin: str,
        paid_allowed: Callable[[], bool] = lambda: True,
        received: Callable[[int, bool], None] = lambda _bytes, _paid: None,
        connected: Callable[[], None] = lambda: None,
        keep_raw: Callable[[bytes, bool, int], None] = lambda _message, _is_binary, _at_us: None,
        folder: Path | None = None,
        waits: Waits | None = None,
        plays_provider: bool = False,
        context: Callable[[], ssl.SSLContext] = trusted_context,
        largest_message_bytes: int = LARGEST_MESSAGE_BYTES,
    ) -> None:
        super().__init__(f"{self.source} feed")
        self._endpoint = endpoint
        self._settings = connection
        self._idle_seconds = idle_seconds
        #: Its watchdog ends a connection that is silent for longer, or does not open.
        self._quiet_seconds = idle_seconds + connection.connect_timeout_seconds
        self._deliver = deliver
        self._room = room
        self._origin = origin
        self._paid_allowed = paid_allowed
        self._count_received = received
        self._count_connected = connected
        self._keep_raw = keep_raw
        self._context = context
        self._largest_message_bytes = largest_message_bytes
        self._patience = Patience(
            endpoint,
            key_name=self.key_name,
            is_polite=self.is_polite,
            connection=connection,
            waits=waits,
            plays_provider=plays_provider,
            folder=folder,
        )
        self._waits = self._patience.waits
        self._sender = Helper(f"{self.source} sender", self.send_due, self._waits.tick_seconds, self._fail)
        self._watchdog = Helper(f"{self.source} watchdog", self.watch, self._waits.tick_seconds, self._fail)
        self._helper_error: BaseException | None = None
        self._wanted = Wanted()
        self._connection: Connection | None = None
        self._state: tuple[State, float, str] = ("connecting", time.time(), "")
        self._note = ""
        self._coverage = Coverage(self.source, deliver)
        self._is_full = False
        self._messages = 0
        self._connection_messages = 0
        self._is_noted = False
        self._trades = 0
        self._connects = 0
        self._drops: Counter[str] = Counter()
        self._failed_connects: Counter[str] = Counter()
        self._defects = 0
        self._sampled_at: dict[str, float] = {}
        self._last_data_us: int | None = None

    # For other threads

    def want(self, wanted: Wanted) -> None:
        """Watch this from now on. Returns at once; the sender brings it to the server, and again after each connect."""
        self._wanted = wanted
        self._sender.wake()

    def state(self) -> FeedState:
        """How it goes."""
        state, since, reason = self._state
        last = self._last_data_us
        return FeedState(
            name=self.source,
            state=state,
            since=since,
            last_data_at=None if last is None else last / 1_000_000,
            messages=self._messages,
            trades=self._trades,
            reason=reason or self._note,
            connects=self._connects,
            drops=dict(self._drops),
            failed_connects=dict(self._failed_connects),
            is_open=state == "connected",
        )

    def is_complete(self) -> bool:
        """Whether data flow, and the server delivers all that is wanted as far as it will: nothing is missed at this moment."""
        return self._last_data_us is not None and self._state[0] == "connected" and self._is_complete()

    def stop(self) -> None:
        super().stop()
        connection = self._connection
        if connection is not None:
            connection.end(_STOPPED)

    # The loop

    def work(self) -> None:
        self._sender.start()
        self._watchdog.start()
        try:
            while not self.stopping.is_set():
                self.turn()
        finally:
            self._finish()
        if self._helper_error is not None:
            raise self._helper_error

    def turn(self) -> None:
        """Wait for what stands before the next connection, or make it, and wait for what stands after it."""
        self.pulse.beat()
        quiet = self._patience.before_open()
        if quiet is None:
            ending = self._connect_and_read()
            if ending.kind == "stopped":
                return
            quiet = self._patience.after(ending)
            if ending.kind == "spill full":
                self._pause(quiet.seconds)
                return
        self._wait(quiet)

    def _finish(self) -> None:
        deadline = Deadline(_HELPERS_END_WITHIN_SECONDS)
        for helper in (self._sender, self._watchdog):
            helper.stop()
        for helper in (self._sender, self._watchdog):
            helper.join(deadline.left())
        self._coverage.tell()
        self._patience.opens.leave_place()
        self._set_state("stopped", "")
        logger.info("{} stopped", self.name)

    def _connect_and_read(self) -> Ending:
        self._patience.opening()
        self._set_state("connecting", "")
        connection = Connection(
            self._endpoint,
            self,
            settings=self._settings,
            idle_seconds=self._idle_seconds,
            context=self._context,
            largest_message_bytes=self._largest_message_bytes,
        )
        self._connection_messages = 0
        self._is_noted = False
        self._connection = connection
        if self.stopping.is_set():  # stop() came before there was a connection to end
            connection.end(_STOPPED)
        self.pulse.beat(self._quiet_seconds)
        ending = connection.run()
        self._connection = None
        self._note_first_message()
        self._patience.closed(
            reached=connection.reached,
            connected_seconds=connection.connected_seconds,
            had_data=self._had_data_since(connection),
        )
        self._count_end(ending, was_open=connection.connected_seconds > 0)
        if connection.connected_seconds and ending.kind not in ("stopped", "wrong origin"):
            self._coverage.lose(ending)
        return ending

    def _count_end(self, ending: Ending, *, was_open: bool) -> None:
        if ending.cause is not None:
            is_drop = was_open and ending.kind != "wrong origin"  # that one was not counted as a connect either
            (self._drops if is_drop else self._failed_connects)[ending.cause] += 1

    def _had_data_since(self, connection: Connection) -> bool:
        opened_us = time.time_ns() // 1000 - int(connection.connected_seconds * 1_000_000)
        return self._last_data_us is not None and self._last_data_us >= opened_us

    def _note_first_message(self) -> None:
        if self._connection_messages and not self._is_noted:
            self._is_noted = True
            self._patience.spoken_to()

    def _wait(self, quiet: Quiet) -> None:
        if self.stopping.is_set():
            return
        is_news = self._set_state(quiet.state, quiet.reason)
        is_loud = quiet.state in ("refused", "exhausted", "banned?")
        level = ("ERROR" if is_news else "INFO") if is_loud else "WARNING"
        logger.log(level, "{}: {}; connecting again in {:.1f} s", self.name, quiet.reason, quiet.seconds)
        self.pulse.beat(quiet.seconds)
        self.stopping.wait(quiet.seconds)

    def _pause(self, at_least_seconds: float) -> None:
        self._set_state("paused", "there is no room for more: the database takes nothing now")
        logger.error("{} paused: {}", self.name, self.state().reason)
        self.pulse.beat(at_least_seconds)
        self.stopping.wait(at_least_seconds)
        while not self.stopping.is_set() and not self._room():
            self.pulse.beat()
            self.stopping.wait(self._waits.tick_seconds)
        self._is_full = False

    def _set_state(self, state: State, reason: str) -> bool:
        """True when that is another state, or another reason, than before."""
        before, since, old_reason = self._state
        self._state = (state, since if before == state else time.time(), reason)
        return (before, old_reason) != (state, reason)

    # Helpers' steps

    def watch(self) -> None:
        """The watchdog's step: one look at the connection."""
        connection = self._connection
        if connection is not None:
            connection.watch()

    def send_due(self) -> None:
        """The sender's step: send what is due now."""
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        self._note_first_message()
        for text in self._due(time.monotonic()):
            if not connection.send(text) or self.stopping.is_set():
                return

    def _fail(self, error: BaseException) -> None:
        self._helper_error = error
        self.stop()

    # What the connection brings (Receiver)

    def opened(self, headers: Mapping[str, str]) -> Ending | None:
        """A handshake is done: check the origin, and let the sender subscribe."""
        theirs: str | None = headers.get(ORIGIN_HEADER)
        if theirs != ("simulator" if self._origin == "simulator" else None):
            says = f"says that its data is of origin {visible(theirs, limit=20)}" if theirs else "is no simulator"
            reason = f"{self._endpoint.shown} {says}, and the database is of origin {self._origin}: they must not be mixed"
            return Ending(kind="wrong origin", reason=reason)
        self._reset_subscriptions()
        self._coverage.until_us = self._coverage.until_us or time.time_ns() // 1000
        self._connects += 1
        self._count_connected()
        self._set_state("connected", "")
        logger.info("{} connected to {}", self.name, self._endpoint.shown)
        self._sender.wake()
        return None

    def receive(self, message: bytes, *, is_binary: bool) -> bool:
        """Take one message, received now."""
        self.pulse.beat(self._quiet_seconds)
        now_us = time.time_ns() // 1000
        self._keep_raw(message, is_binary, now_us)
        return self.receive_at(message, now_us, is_binary=is_binary)

    def receive_at(self, message: bytes, now_us: int, *, is_binary: bool) -> bool:
        """
        Take one message that was received at *now_us*. The feed's thread.

        Whatever goes wrong in here costs this message its decoding, never its bytes.
        """
        if self._is_full:
            return False
        self._messages += 1
        self._connection_messages += 1
        try:
            if is_binary:
                self._set_aside("binary message", "text was expected", message, now_us)
                return False
            is_data = self._take(message, now_us)
        except Exception as error:  # noqa: BLE001 - the library would swallow it: our defect must not cost the message
            self._defects += 1
            if self.is_time("defect"):
                logger.opt(exception=error).error("{}: defect {} while decoding a message", self.name, self._defects)
            self._set_aside("defect", type(error).__name__, message, now_us)
            return False
        if is_data and not self._is_full:
            if self._coverage.has_gap and self._is_complete():
                self._coverage.regain(now_us)
            self._last_data_us = self._coverage.until_us = now_us
        return is_data

    def hand_over(self, events: tuple[Event, ...], message: bytes, now_us: int) -> None:
        """Deliver what *message* said; when there is no room, end the connection."""
        delivery = Delivery(source=self.source, received_at_us=now_us, events=events, raw=message)
        if not self._deliver(delivery):
            self._is_full = True
            connection = self._connection
            if connection is not None:
                connection.end(Ending(kind="spill full", reason="there is no room for more"))

    def _is_complete(self) -> bool:
        """The server has what we want, and has confirmed it or had its time: from now on nothing is missing."""
        return self._is_settled(sent_before=time.monotonic() - self._waits.gap_settles_within_seconds)

    def _set_aside(self, kind: str, reason: str, message: bytes, now_us: int) -> None:
        self.hand_over((Rejected(kind=kind, reason=reason, raw=message),), message, now_us)

    def is_time(self, subject: str) -> bool:
        """Whether *subject* may be logged again: once a minute."""
        now = time.monotonic()
        if now - self._sampled_at.get(subject, -_SECONDS_BETWEEN_SAMPLES) < _SECONDS_BETWEEN_SAMPLES:
            return False
        self._sampled_at[subject] = now
        return True

    # What differs

    @abstractmethod
    def _take(self, message: bytes, now_us: int) -> bool:
        """Decode one text message and hand over its events. True when it is data. The feed's thread."""

    @abstractmethod
    def _due(self, now: float) -> Iterator[str]:
        """What is to be sent now (monotonic seconds), within the server's limits. The sender's thread."""

    @abstractmethod
    def _reset_subscriptions(self) -> None:
        """A new connection knows of no subscription."""

    @abstractmethod
    def _is_settled(self, *, sent_before: float = -math.inf) -> bool:
        """Whether the server has confirmed or refused all that is wanted; what was sent before *sent_before* has had its time."""


_STOPPED: Final = Ending(kind="stopped", reason="stopped")
