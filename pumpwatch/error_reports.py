"""
Errors to Sentry, where SENTRY_DSN is set (extra ``sentry``): what the log has at ERROR and above, without secrets and variables.

The library gets finished events of ours and nothing else: none of its hooks is installed, so it neither catches signals nor
watches requests, and its one thread is a daemon.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from loguru import logger

import pumpwatch
from pumpwatch.telemetry import redact

if TYPE_CHECKING:
    import loguru

MISSING_EXTRA: Final = 'errors are not reported without the package sentry-sdk: pip install "pumpwatch[sentry]"'

_FLUSH_SECONDS: Final = 2.0

#: The same line of code reports once in so long, and all together so often an hour: an account is not emptied by one bad night.
_SAME_PLACE_SECONDS: Final = 60.0
_MOST_PER_HOUR: Final = 60
_MOST_PLACES: Final = 1000

_LONGEST_TEXT: Final = 4000
_FRAME_KEYS: Final = ("filename", "function", "module", "lineno", "in_app")
_DROPPED_KEYS: Final = ("server_name", "modules", "user", "request", "breadcrumbs", "extra")

_NO_LIBRARY_HOOKS: Final[dict[str, Any]] = {
    "default_integrations": False,
    "auto_enabling_integrations": False,
    "auto_session_tracking": False,
    "enable_backpressure_handling": False,
    "send_client_reports": False,
    "spotlight": False,
    "debug": False,
    "max_breadcrumbs": 0,
    "before_breadcrumb": lambda _crumb, _hint: None,
    "before_send_transaction": lambda _event, _hint: None,
    "traces_sample_rate": None,
    "profiles_sample_rate": None,
}
_NOTHING_PRIVATE: Final[dict[str, Any]] = {
    "include_local_variables": False,
    "include_source_context": False,
    "server_name": "",
}


class ErrorReports:
    """
    A sink of the log that reports.

    Raises:
        ImportError: The extra is missing.
        ValueError: *dsn* is none.

    """

    def __init__(self, dsn: str) -> None:
        import sentry_sdk

        parts = urlsplit(dsn)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("it must begin with https://")
        self._client = sentry_sdk.Client(
            dsn,
            release=f"pumpwatch@{pumpwatch.__version__}",
            before_send=lambda event, _hint: scrubbed(event),
            shutdown_timeout=_FLUSH_SECONDS,
            max_value_length=_LONGEST_TEXT,
            **_NO_LIBRARY_HOOKS,
            **_NOTHING_PRIVATE,
        )
        self._reported_at: dict[str, float] = {}
        self._reports: deque[float] = deque(maxlen=_MOST_PER_HOUR)
        self.failures = 0

    def write(self, message: loguru.Message) -> None:
        """Report one record of the log, if it is its turn. Never raises, never waits for the network."""
        try:
            record = message.record
            if self._may_report(f"{record['name']}:{record['line']}", time.monotonic()):
                # Before it gets there as well: the library cuts long texts, and might leave the half of a key.
                self._client.capture_event(scrubbed(self._event(record)))
        except Exception:  # noqa: BLE001 - a report that fails must neither stop the program nor be reported
            self.failures += 1

    def close(self) -> None:
        """Wait up to 2 s for what is on its way."""
        self._client.close(timeout=_FLUSH_SECONDS)

    def _may_report(self, place: str, now: float) -> bool:
        if now - self._reported_at.get(place, -_SAME_PLACE_SECONDS) < _SAME_PLACE_SECONDS:
            return False
        if len(self._reports) == _MOST_PER_HOUR and now - self._reports[0] < 3600:
            return False
        if len(self._reported_at) >= _MOST_PLACES:
            self._reported_at.clear()
        self._reported_at[place] = now
        self._reports.append(now)
        return True

    def _event(self, record: loguru.Record) -> Any:
        from sentry_sdk.utils import event_from_exception

        event: dict[str, Any] = {}
        exception = record["exception"]
        if exception is not None and exception.value is not None:
            found, _ = event_from_exception(
                (exception.type, exception.value, exception.traceback),  # type: ignore[arg-type] # all three are there
                client_options=self._client.options,
                mechanism={"type": "log", "handled": True},
            )
            event.update(found)
        return {
            **event,
            "level": "fatal" if record["level"].no >= logger.level("CRITICAL").no else "error",
            "logger": record["name"],
            "logentry": {"formatted": record["message"]},
            "tags": {"thread": record["thread"].name, "line": record["line"]},
        }


_HOME: Final = os.path.expanduser("~")  # noqa: PTH111 - pathlib's raises where there is none


def scrubbed(event: Any) -> Any:
    """*event* without secrets, whatever their spelling, without variables and without this machine's and user's name."""
    if isinstance(event, dict):
        kept = {key: value for key, value in event.items() if key not in _DROPPED_KEYS}
        if "lineno" in kept:
            kept = {key: value for key, value in kept.items() if key in _FRAME_KEYS}
        return {scrubbed(key): scrubbed(value) for key, value in kept.items()}
    if isinstance(event, list | tuple):
        return [scrubbed(value) for value in event]
    if isinstance(event, str | bytes):
        text = event.decode("utf-8", "replace") if isinstance(event, bytes) else event
        return redact(text).replace(_HOME, "~") if len(_HOME) > 1 else redact(text)
    return event


_running: tuple[ErrorReports, int] | None = None  # one process has one log


def start(dsn: str | None) -> None:
    """Report from now on, if there is a *dsn*. What prevents it is a warning: recording matters more."""
    global _running
    finish()
    if not dsn:
        return
    try:
        reports = ErrorReports(dsn)
    except ImportError:
        logger.warning("SENTRY_DSN is set, but {}", MISSING_EXTRA)
    except ValueError as error:
        logger.warning("SENTRY_DSN is not usable, errors are not reported: {}", error)
    else:
        _running = (reports, logger.add(reports.write, level="ERROR", format="{message}", diagnose=False, catch=False))


def finish() -> None:
    """Report no more, and wait up to 2 s for what is on its way. Idempotent."""
    global _running
    if _running is None:
        return
    (reports, handler), _running = _running, None
    try:
        logger.remove(handler)
    except ValueError:  # whoever set up logging anew has removed it
        logger.debug("errors were not reported any more")
    reports.close()


def end_process(status: int) -> None:
    """End at once, without any of Python's own last steps, but with the last report."""
    try:
        finish()
    finally:
        os._exit(status)
