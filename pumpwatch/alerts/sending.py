"""Sends alerts: a thread for each receiver, again and again while they are of use, and nobody waits for it."""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from loguru import logger

from pumpwatch.alerts.outbox import MOST_WAITING, Key, Letter, Outbox, key_of
from pumpwatch.errors import PumpwatchError
from pumpwatch.events import AlertRaised, AlertResolved, AlertSent
from pumpwatch.telemetry import redact, visible
from pumpwatch.threads import WorkerThread

if TYPE_CHECKING:
    import apprise

_FIRST_WAIT_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.5

#: A plug-in that hangs costs the alerts, and not the recording: the watchdog leaves it alone.
_SENDING_SECONDS: Final = 86_400.0

#: After so many failures in a row it is said that a receiver cannot be reached.
_SAID_FAILURES: Final = 5

#: What was raised last before a stop is still tried for so long.
_LAST_SECONDS: Final = 2.0

_TITLE: Final = "pumpwatch"

#: What chats read as mentions, markup or links. A stranger chose the names in the text.
_MENTION: Final = re.compile(r"[@#<>&]")
_MARKUP: Final = re.compile(r"[*_`~|\[\]()\\]")
_LINK: Final = re.compile(r"(?i)\b(?:https?|ftp|tg|discord|mailto)\s*:|(?<=\w)\.(?=\w{2,})")


class NoSender(PumpwatchError):
    """Alerts cannot be sent: the library is missing, or a URL is none of its."""


def plain(text: str) -> str:
    """*text* without anything that a chat, an e-mail or a page would obey: no mention, no markup, no link."""
    shown = visible(text, limit=1000)
    shown = _LINK.sub(lambda found: " dot " if found[0] == "." else found[0].rstrip(": ") + " ", shown)
    return _MARKUP.sub("", _MENTION.sub("", shown))


def instantiated(number: int, url: str) -> tuple[str, apprise.NotifyBase]:
    """
    One URL, the *number*-th, with what may be shown of it: its scheme, and nothing else.

    Raises:
        NoSender: In one sentence, without the URL.

    """
    try:
        import apprise
    except ImportError as error:
        raise NoSender('alerts cannot be sent without the library apprise: pip install "pumpwatch[alerts]"') from error
    scheme = url.partition("://")[0].lower()
    one = None
    with contextlib.suppress(Exception), warnings.catch_warnings():  # whatever it says of a URL may quote it
        warnings.simplefilter("ignore")  # of the plug-ins that it loads with the first
        one = apprise.Apprise.instantiate(url)
    if one is None:
        which = f"alert URL {number} ({scheme}://...)"
        raise NoSender(f"{which} is none that the library apprise understands: look at its list of services")
    return scheme, one


def senders(urls: Sequence[str]) -> list[tuple[str, apprise.NotifyBase]]:
    """
    One for each URL.

    Raises:
        NoSender: One of them is none.

    """
    return [instantiated(number, url) for number, url in enumerate(urls, 1)]


def send(one: apprise.NotifyBase, text: str, *, severity: str = "info") -> bool:
    """
    Send *text* once, on this thread: the plug-in itself is asked, as the library's own way leads through pools of threads.

    What goes wrong is logged by the library, redacted by ours.
    """
    import apprise

    kinds: dict[str, Any] = {
        "info": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "critical": apprise.NotifyType.FAILURE,
        "resolved": apprise.NotifyType.SUCCESS,
    }
    try:
        return bool(
            one.notify(body=plain(text), title=_TITLE, notify_type=kinds[severity], body_format=apprise.NotifyFormat.TEXT)
        )
    except Exception as error:  # noqa: BLE001 - a service's plug-in: whatever it raises may hold the URL
        logger.warning("alerts: a sender failed ({})", redact(type(error).__name__))
        return False


class Receiver(WorkerThread):
    """
    One URL: what waits for it, and the thread that sends it.

    Args:
        scheme: What may be shown of the URL.
        sent: Told of each letter that has arrived; *lost* of each that never will.

    """

    def __init__(
        self,
        scheme: str,
        plugin: apprise.NotifyBase,
        *,
        sent: Callable[[Letter], object],
        lost: Callable[[Letter], object],
        first_wait_seconds: float,
    ) -> None:
        super().__init__(f"alert sender {scheme}")
        self._scheme = scheme
        self._plugin = plugin
        self._sent = sent
        self._lost = lost
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self.outbox = Outbox(first_wait_seconds=first_wait_seconds)

    def put(self, alert: AlertRaised | AlertResolved) -> bool:
        """Take one; False: there is no room. Never blocks; from any thread."""
        with self._lock:
            is_taken = self.outbox.put(alert, time.monotonic())
        self._woken.set()
        return is_taken

    def stop(self) -> None:
        super().stop()
        self._woken.set()

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            self._woken.clear()
            if not self.turn():
                with self._lock:
                    due_in = self.outbox.due_in(time.monotonic())
                self._woken.wait(min(_LOOK_SECONDS, due_in))
        self._end()

    def turn(self) -> bool:
        """Send the letter that is due, if there is one; return whether there was."""
        now = time.monotonic()
        with self._lock:
            old = self.outbox.take_old(now)
            letter = self.outbox.first(now)
            failures = self.outbox.failures
        for one in old:
            self._lost(one)
        if letter is None:
            return False
        self.pulse.beat(_SENDING_SECONDS)
        is_sent = send(self._plugin, letter.text, severity=letter.severity)
        self.pulse.beat()
        with self._lock:
            self.outbox.tried(letter, time.monotonic(), is_sent=is_sent)
        if is_sent and failures >= _SAID_FAILURES:
            logger.info("alerts: {} can be reached again", self._scheme)
        elif not is_sent and failures + 1 == _SAID_FAILURES:
            text = "alerts: {} cannot be reached, after {} tries: it is tried again every few minutes; see `pumpwatch alerts`"
            logger.error(text, self._scheme, letter.attempts)
        if is_sent:
            self._sent(letter)
        return True

    def _end(self) -> None:
        """The last words: a try each, if it could be reached before; then nothing waits any more."""
        until = time.monotonic() + _LAST_SECONDS
        while not self.outbox.failures and time.monotonic() < until and self.turn():
            continue
        with self._lock:
            left = self.outbox.take_old(math.inf)
        for letter in left:
            self._lost(letter)


class Sender:
    """
    All receivers. A URL that is none is left out, with a line in the log.

    Args:
        tell: Takes what became of each alert: sent, when the first has it; failed, when none ever had. From several threads.
        first_wait_seconds: Before the second try; doubled before each further one.

    Attributes:
        receivers: Threads, to be started, watched and stopped by whoever made this.

    Raises:
        NoSender: None of *urls* can be used.

    """

    def __init__(
        self, urls: Sequence[str], *, tell: Callable[[AlertSent], object], first_wait_seconds: float = _FIRST_WAIT_SECONDS
    ) -> None:
        self.receivers: list[Receiver] = []
        wrong: list[NoSender] = []
        for number, url in enumerate(urls, 1):
            try:
                scheme, plugin = instantiated(number, url)
            except NoSender as problem:
                wrong.append(problem)
            else:
                receiver = Receiver(scheme, plugin, sent=self._sent, lost=self._lost, first_wait_seconds=first_wait_seconds)
                self.receivers.append(receiver)
        if not self.receivers:
            raise wrong[0]
        for one in wrong:
            logger.error("{}; alerts are sent to the others", one)
        self._tell = tell
        self._lock = threading.Lock()
        #: Alerts whose rows are still to be told: by how many receivers they may yet be had.
        self._open: dict[Key, int] = {}
        self.left_out = 0

    def put(self, alert: AlertRaised | AlertResolved) -> None:
        """Send it as soon as it goes. Never blocks; from any thread."""
        key, is_raised = key_of(alert), isinstance(alert, AlertRaised)
        if is_raised:
            with self._lock:
                self._open[key] = len(self.receivers)
        for receiver in self.receivers:
            if not receiver.put(alert):
                logger.warning("alerts: {} are waiting to be sent to {}: this one is not", MOST_WAITING, receiver.name)
                self.left_out += 1
                if is_raised:
                    self._one_less(key, attempts=0)

    def _sent(self, letter: Letter) -> None:
        if letter.tells:
            with self._lock:
                is_first = self._open.pop(letter.key, None) is not None
            if is_first:
                self._note(letter.key, outcome="sent", attempts=letter.attempts)

    def _lost(self, letter: Letter) -> None:
        if letter.tells:
            self._one_less(letter.key, attempts=letter.attempts)

    def _one_less(self, key: Key, *, attempts: int) -> None:
        with self._lock:
            left = self._open.pop(key, None)
            if left is not None and left > 1:
                self._open[key] = left - 1
        if left == 1:
            self._note(key, outcome="failed", attempts=attempts)

    def _note(self, key: Key, *, outcome: Literal["sent", "failed"], attempts: int) -> None:
        rule, subject, raised_at_us = key
        self._tell(
            AlertSent(
                rule=rule,
                subject=subject,
                raised_at_us=raised_at_us,
                outcome=outcome,
                at_us=time.time_ns() // 1000,
                attempts=attempts,
            )
        )
