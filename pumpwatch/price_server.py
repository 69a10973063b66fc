"""One server of prices, asked politely: bounded in time and size, no redirects, and left alone for a while after trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from loguru import logger

from pumpwatch import __version__
from pumpwatch.backfill.answers import RpcFailed, RpcStopped
from pumpwatch.backfill.posting import Answered, Poster
from pumpwatch.backoff import Backoff, parse_retry_after
from pumpwatch.config import Endpoint
from pumpwatch.errors import TransientError
from pumpwatch.providers import ORIGIN_HEADER

_LARGEST_ANSWER_BYTES: Final = 1024 * 1024
_FIRST_WAIT_SECONDS: Final = 30.0
_SHORTEST_WAIT_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 600.0
#: Who does not let us in today, will hardly do so in a minute.
_REFUSED_SECONDS: Final = 3600.0

_OK: Final = 200
_NOT_FOUND: Final = 404
_REFUSED: Final = frozenset({401, 403, 451})
_TOO_FAST: Final = frozenset({418, 429, 503})


class SourceFailed(TransientError):
    """The source brought nothing; it is not asked again for a while."""


class PriceServer:
    """
    One thread at a time; :meth:`close` when nothing is to be asked for a while.

    Args:
        name: As rates are marked with it.
        timeout_seconds: For one whole request.
        origin: Of the database: ``simulator`` wants a server that says so, anything else one that does not.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        stopping: threading.Event,
        timeout_seconds: float,
        origin: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._origin = origin
        self._monotonic = monotonic
        self._poster = Poster(endpoint, timeout_seconds=timeout_seconds, stopping=stopping, largest_bytes=_LARGEST_ANSWER_BYTES)
        self._backoff = Backoff(first_seconds=_FIRST_WAIT_SECONDS, longest_seconds=_LONGEST_WAIT_SECONDS)
        self._not_before = 0.0

    @property
    def is_waiting(self) -> bool:
        """It is left alone now."""
        return self._monotonic() < self._not_before

    def get(self, path: str) -> bytes | None:
        """
        The body of the answer to *path*, which may have a query; None: it has nothing of that name.

        Raises:
            SourceFailed: See there.
            RpcStopped: We are stopping.
        """
        try:
            answered = self._poster.get(self._url(path), headers={"User-Agent": f"pumpwatch/{__version__}"})
        except RpcStopped:
            raise
        except RpcFailed as error:
            raise self.blame(str(error)) from None
        self._check(answered)
        return None if answered.status == _NOT_FOUND else answered.body

    def praise(self) -> None:
        """What it said was of use: the waits begin anew."""
        self._backoff.reset()

    def blame(self, reason: str, *, seconds: float | None = None) -> SourceFailed:
        """Leave it alone for a while, or for *seconds*; returns the error to be raised."""
        wait = max(self._backoff.next_seconds(), _SHORTEST_WAIT_SECONDS) if seconds is None else seconds
        self._not_before = self._monotonic() + wait
        # Once: it is the state that has changed, not each failure.
        level = "WARNING" if self._backoff.attempts <= 1 else "DEBUG"
        logger.log(level, "prices: {} ({}): {}; asked again in {:.0f} s", self.name, self._endpoint.shown, reason, wait)
        return SourceFailed(f"{self.name}: {reason}")

    def close(self) -> None:
        """End the connection. Idempotent."""
        self._poster.close()

    def _url(self, path: str) -> str:
        """*path* below the endpoint's own, whose query (a key) is kept."""
        base, asked = urlsplit(self._endpoint.url), urlsplit(path)
        query = "&".join(filter(None, (asked.query, base.query)))
        return base._replace(path=base.path.rstrip("/") + asked.path, query=query).geturl()

    def _check(self, answered: Answered) -> None:
        theirs = answered.headers.get(ORIGIN_HEADER)
        if theirs != ("simulator" if self._origin == "simulator" else None):
            raise self.blame(
                f"its prices are {'of a simulator' if theirs else 'real'}, and the database is of origin {self._origin}: they "
                f"must not be mixed",
                seconds=_REFUSED_SECONDS,
            )
        status = answered.status
        if status in _REFUSED:
            raise self.blame(f"it refuses us (HTTP {status})", seconds=_REFUSED_SECONDS)
        if status in _TOO_FAST:
            asked = parse_retry_after(answered.headers.get("retry-after"))
            raise self.blame(f"it asks us to wait (HTTP {status})", seconds=self._backoff.slowed_seconds(asked))
        if status not in (_OK, _NOT_FOUND):
            raise self.blame(f"HTTP {status}")
