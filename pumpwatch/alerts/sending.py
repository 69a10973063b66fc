"""The thread that sends alerts: to each receiver by itself, again and again while they are of use, and nobody waits for it."""

from __future__ import annotations

import contextlib
import math
import queue
import re
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


class _Receiver:
    """One URL, and what waits for it."""

    def __init__(self, scheme: str, plugin: apprise.NotifyBase, outbox: Outbox) -> None:
        self.scheme = scheme
        self.plugin = plugin
        self.outbox = outbox


class Sender(WorkerThread):
    """
    A URL that is none is left out, with a line in the log.

    Args:
        tell: Takes what became of each: sent, when the first has it; failed, when none ever had.
        first_wait_seconds: Before the second try; doubled before each further one.

    Raises:
        NoSender: None of *urls* can be used.

    """

    def __init__(
        self, urls: Sequence[str], *, tell: Callable[[AlertSent], object], first_wait_seconds: float = _FIRST_WAIT_SECONDS
    ) -> None:
        super().__init__("alert sender")
        self._receivers: list[_Receiver] = []
        wrong: list[NoSender] = []
        for number, url in enumerate(urls, 1):
            try:
                scheme, plugin = instantiated(number, url)
            except NoSender as problem:
                wrong.append(problem)
            else:
                self._receivers.append(_Receiver(scheme, plugin, Outbox(first_wait_seconds=first_wait_seconds)))
        if not self._receivers:
            raise wrong[0]
        for one in wrong:
            logger.error("{}; alerts are sent to the others", one)
        self._tell = tell
        self._new: queue.Queue[AlertRaised | AlertResolved] = queue.Queue(MOST_WAITING)
        #: Alerts whose rows are still to be told: by how many receivers they may yet be had.
        self._open: dict[Key, int] = {}
        self.left_out = 0

    def put(self, alert: AlertRaised | AlertResolved) -> None:
        """Send it as soon as it goes. Never blocks; from any thread."""
        try:
            self._new.put_nowait(alert)
        except queue.Full:
            self._leave_out(alert)

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            now = time.monotonic()
            with contextlib.suppress(queue.Empty):
                patience = min(_LOOK_SECONDS, *(receiver.outbox.due_in(now) for receiver in self._receivers))
                self.turn(self._new.get(timeout=patience) if patience > 0 else self._new.get_nowait())
                continue
            self.turn()
        self._end()

    def turn(self, *alerts: AlertRaised | AlertResolved) -> None:
        """Take what is new, and send to each receiver what is due: one letter, so that none waits for all of another's."""
        now = time.monotonic()
        for alert in alerts:
            self._take(alert, now)
        for receiver in self._receivers:
            for old in receiver.outbox.take_old(now):
                self._lost(old)
            letter = receiver.outbox.first(now)
            if letter is not None:
                self._try(receiver, letter)

    def _take(self, alert: AlertRaised | AlertResolved, now: float) -> None:
        taken = sum(receiver.outbox.put(alert, now) for receiver in self._receivers)
        if isinstance(alert, AlertRaised) and taken:
            self._open[key_of(alert)] = taken
        if taken < len(self._receivers):
            self._leave_out(alert, note=not taken)

    def _try(self, receiver: _Receiver, letter: Letter) -> None:
        self.pulse.beat(_SENDING_SECONDS)
        is_sent = send(receiver.plugin, letter.text, severity=letter.severity)
        self.pulse.beat()
        failures = receiver.outbox.failures
        receiver.outbox.tried(letter, time.monotonic(), is_sent=is_sent)
        if is_sent and failures >= _SAID_FAILURES:
            logger.info("alerts: {} can be reached again", receiver.scheme)
        elif not is_sent and failures + 1 == _SAID_FAILURES:
            text = "alerts: {} cannot be reached, after {} tries: it is tried again every few minutes; see `pumpwatch alerts`"
            logger.error(text, receiver.scheme, letter.attempts)
        if is_sent and letter.tells and self._open.pop(letter.key, None) is not None:
            self._note(letter.key, outcome="sent", attempts=letter.attempts)

    def _lost(self, letter: Letter) -> None:
        left = self._open.get(letter.key)
        if not letter.tells or left is None:
            return
        self._open[letter.key] = left - 1
        if left == 1:
            del self._open[letter.key]
            self._note(letter.key, outcome="failed", attempts=letter.attempts)

    def _end(self) -> None:
        """The last words: one try for who could be reached before, then the rows of what is left."""
        until = time.monotonic() + _LAST_SECONDS
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._new.get_nowait(), time.monotonic())
        while time.monotonic() < until:
            letters = [(one, one.outbox.first(time.monotonic())) for one in self._receivers if not one.outbox.failures]
            for receiver, letter in letters:
                if letter is not None:
                    self._try(receiver, letter)
            if not any(letter is not None for _, letter in letters):
                break
        for receiver in self._receivers:
            for letter in receiver.outbox.take_old(math.inf):
                self._lost(letter)

    def _leave_out(self, alert: AlertRaised | AlertResolved, *, note: bool = True) -> None:
        self.left_out += 1
        logger.warning("alerts: {} are waiting to be sent: this one is not", MOST_WAITING)
        if note and isinstance(alert, AlertRaised):
            self._note(key_of(alert), outcome="failed", attempts=0)

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
