"""The thread that sends alerts: one after the other, each tried a few times, and nobody waits for it."""

from __future__ import annotations

import contextlib
import queue
import re
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import tenacity
from loguru import logger

from pumpwatch.errors import PumpwatchError
from pumpwatch.events import AlertRaised, AlertResolved, AlertSent
from pumpwatch.telemetry import redact, visible
from pumpwatch.threads import WorkerThread

if TYPE_CHECKING:
    import apprise

#: Beyond it the newest are not sent (their rows say so): who is not reached for so long has other worries.
_MOST_WAITING: Final = 200
_TRIES: Final = 5
_FIRST_WAIT_SECONDS: Final = 2.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5

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


def senders(urls: Sequence[str]) -> list[tuple[str, apprise.NotifyBase]]:
    """
    One for each URL, with what may be shown of it: its scheme, and nothing else.

    Raises:
        NoSender: In one sentence, without the URL.

    """
    try:
        import apprise
    except ImportError as error:
        raise NoSender('alerts cannot be sent without the library apprise: pip install "pumpwatch[alerts]"') from error
    found = []
    for number, url in enumerate(urls, 1):
        scheme = url.partition("://")[0].lower()
        one = None
        with contextlib.suppress(Exception), warnings.catch_warnings():  # whatever it says of a URL may quote it
            warnings.simplefilter("ignore")  # of the plug-ins that it loads with the first
            one = apprise.Apprise.instantiate(url)
        if one is None:
            which = f"alert URL {number} ({scheme}://...)"
            raise NoSender(f"{which} is none that the library apprise understands: look at its list of services")
        found.append((scheme, one))
    return found


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


class Sender(WorkerThread):
    """
    Args:
        tell: Takes what became of each.
        first_wait_seconds: Before the second try; doubled before each further one.

    Raises:
        NoSender: See :func:`senders`.

    """

    def __init__(
        self, urls: Sequence[str], *, tell: Callable[[AlertSent], object], first_wait_seconds: float = _FIRST_WAIT_SECONDS
    ) -> None:
        super().__init__("alert sender")
        self._senders = senders(urls)
        self._tell = tell
        self._first_wait_seconds = first_wait_seconds
        self._waiting: queue.Queue[AlertRaised | AlertResolved] = queue.Queue(_MOST_WAITING)
        self.left_out = 0

    def put(self, alert: AlertRaised | AlertResolved) -> None:
        """Send it as soon as it goes. Never blocks; from any thread."""
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            self.left_out += 1
            logger.warning("alerts: {} are waiting to be sent: this one is not", _MOST_WAITING)
            self._note(alert, sent=False, attempts=0)

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            with contextlib.suppress(queue.Empty):
                self.turn(self._waiting.get(timeout=_LOOK_SECONDS))
        with contextlib.suppress(queue.Empty):
            while True:
                self._note(self._waiting.get_nowait(), sent=False, attempts=0)

    def turn(self, alert: AlertRaised | AlertResolved) -> None:
        """Send one, to everybody."""
        severity = "resolved" if isinstance(alert, AlertResolved) else alert.severity
        attempts = 0
        left = list(self._senders)

        def attempt() -> bool:
            nonlocal attempts, left
            attempts += 1
            self.pulse.beat()
            left = [pair for pair in left if not send(pair[1], alert.text, severity=severity)]
            return not left

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda is_done: not is_done),
            stop=tenacity.stop_after_attempt(_TRIES) | tenacity.stop_when_event_set(self.stopping),
            wait=tenacity.wait_exponential(self._first_wait_seconds, max=_LONGEST_WAIT_SECONDS),
            sleep=self._sleep,
        )
        try:
            retrying(attempt)
        except tenacity.RetryError:
            schemes = ", ".join(scheme for scheme, _ in left)
            logger.error("alerts: not sent by {} after {} tries; it is in `pumpwatch alerts`", schemes, attempts)
        self._note(alert, sent=not left, attempts=attempts)

    def _sleep(self, seconds: float) -> None:
        self.pulse.beat(seconds)
        self.stopping.wait(seconds)

    def _note(self, alert: AlertRaised | AlertResolved, *, sent: bool, attempts: int) -> None:
        if isinstance(alert, AlertRaised):
            self._tell(
                AlertSent(
                    rule=alert.rule,
                    subject=alert.subject,
                    raised_at_us=alert.raised_at_us,
                    outcome="sent" if sent else "failed",
                    at_us=time.time_ns() // 1000,
                    attempts=attempts,
                )
            )
