"""
The thread that fetches the files behind tokens' uris, where the settings allow it.

Off by default: each fetch tells somebody our address. ``ipfs`` asks the gateways of the settings and nobody else; ``https`` asks,
for pinned tokens only, also the server that the token's maker has chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from loguru import logger

from pumpwatch.config import Endpoint
from pumpwatch.config_model import MetadataSettings
from pumpwatch.errors import DatabaseError
from pumpwatch.events import Event, MetadataFetched
from pumpwatch.metadata_uri import on_ipfs, read_texts
from pumpwatch.safe_fetch import Fetcher, NotFetched, SafeFetch
from pumpwatch.storage.offchain import Unfetched, unfetched
from pumpwatch.threads import WorkerThread

#: Between two files.
_PAUSE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 2.0

#: After a failure; then it is given up until the next start.
_WAITS_SECONDS: Final = (60.0, 600.0, 3600.0)
_REMEMBERED: Final = 20_000


class _Tries(NamedTuple):
    number: int
    next_at: float


class Metadata(WorkerThread):
    """
    Args:
        pinned: The tokens of ``[watch] mints``.
        put: Takes events in; False: there is no room.
        origin: Of the database: simulated tokens name servers of this machine.
        fetch: Fetches a URL; default: :class:`SafeFetch`.
    """

    def __init__(
        self,
        settings: MetadataSettings,
        *,
        database: Path,
        pinned: Iterable[str],
        put: Callable[[Event], bool],
        origin: str,
        fetch: Fetcher | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("metadata")
        self._settings = settings
        self._database = database
        self._pinned = frozenset(pinned)
        self._put = put
        self._fetch = fetch or SafeFetch(may_use_loopback=origin == "simulator")
        self._monotonic = monotonic
        self._tries: dict[str, _Tries] = {}

    def work(self) -> None:
        while not self.stopping.is_set():
            self.stopping.wait(_PAUSE_SECONDS if self.turn() else _LOOK_SECONDS)

    def turn(self) -> bool:
        """Fetch the file of one token. Return whether there was one to fetch."""
        try:
            waiting = unfetched(self._database)
        except DatabaseError as error:
            logger.debug("metadata: the record cannot be read now: {}", error)
            return False
        for token in waiting:
            urls = self._urls_of(token)
            tries = self._tries.get(token.mint, _Tries(0, 0.0))
            if urls and self._monotonic() >= tries.next_at:
                # Each time another gateway, so that one that is down does not stand in the way.
                self._fetch_one(token, urls[tries.number % len(urls)], tries.number)
                return True
        return False

    def _urls_of(self, token: Unfetched) -> list[str]:
        """Where the file of a token may be asked for; empty: nowhere."""
        content = on_ipfs(token.uri)
        if content is not None:
            return [f"{gateway.url.rstrip('/')}/ipfs/{content.cid}{content.path}" for gateway in self._settings.gateways]
        is_https = token.uri.lower().startswith("https://")
        return [token.uri.strip()] if self._settings.fetch == "https" and is_https and token.mint in self._pinned else []

    def _fetch_one(self, token: Unfetched, url: str, tried: int) -> None:
        error, texts = None, None
        try:
            texts = read_texts(self._fetch(url))
            error = None if texts is not None else "it is no JSON object"
        except NotFetched as failed:
            error = str(failed)
        if error is not None:
            last = tried == len(_WAITS_SECONDS)
            self._remember(token.mint, _Tries(tried + 1, float("inf") if last else self._monotonic() + _WAITS_SECONDS[tried]))
        values = {} if texts is None else texts._asdict()
        source = _host_of(url)
        self._put(MetadataFetched(mint=token.mint, at_us=time.time_ns() // 1000, source=source, error=error, **values))
        if error is None:
            # Until the writer has stored it.
            self._remember(token.mint, _Tries(0, self._monotonic() + _WAITS_SECONDS[0]))

    def _remember(self, mint: str, tries: _Tries) -> None:
        self._tries.pop(mint, None)
        self._tries[mint] = tries
        if len(self._tries) > _REMEMBERED:
            del self._tries[next(iter(self._tries))]


def _host_of(url: str) -> str:
    """All of a URL that is ever kept."""
    try:
        return Endpoint.of(url).host
    except ValueError:
        return (urlsplit(url).hostname or "")[:255]
