"""
The thread that fetches the files behind tokens' uris, where the settings allow it.

Off by default: each fetch tells somebody our address. ``ipfs`` asks the gateways of the settings and nobody else; ``https`` asks,
for pinned tokens only, also the server that the token's maker has chosen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from loguru import logger

from pumpwatch.backoff import Backoff
from pumpwatch.bounded_http import NotFetched, ServerTrouble
from pumpwatch.config_model import MetadataSettings
from pumpwatch.errors import DatabaseError
from pumpwatch.events import Event, MetadataFetched
from pumpwatch.metadata_uri import on_ipfs, read_texts
from pumpwatch.safe_fetch import Fetcher, SafeFetch
from pumpwatch.storage.offchain import Unfetched, unfetched
from pumpwatch.threads import WorkerThread

#: Between two files: public gateways are a gift, and ban those who overuse it (docs.ipfs.tech, "Public utilities").
_PAUSE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 2.0

#: After a failure; then a file is given up until the next start.
_WAITS_SECONDS: Final = (60.0, 600.0, 3600.0)
_GIVEN_UP: Final = float("inf")
#: What was fetched is stored by then.
_STORED_SECONDS: Final = 60.0
#: Tokens whose tries are remembered; twice as many as are waiting at most.
_MOST_TRIES: Final = 2_000

#: A server in trouble, or one that has too much of us, is left alone.
_SHORTEST_REST_SECONDS: Final = 30.0
_LONGEST_REST_SECONDS: Final = 600.0
_MOST_SERVERS: Final = 200

_Value = TypeVar("_Value")


class _Tries(NamedTuple):
    number: int
    next_at: float


class _Server:
    """How a server did, and until when (monotonic) it is left alone."""

    def __init__(self) -> None:
        self.backoff = Backoff(first_seconds=60.0, longest_seconds=_LONGEST_REST_SECONDS)
        self.not_before = 0.0


class _Source(NamedTuple):
    """
    Where a file may be asked for.

    Attributes:
        within: See :class:`SafeFetch`.
    """

    url: str
    within: tuple[str, ...] | None

    @property
    def host(self) -> str:
        """All of the URL that is ever kept or shown."""
        try:
            return (urlsplit(self.url).hostname or "")[:255]
        except ValueError:
            return ""


class Metadata(WorkerThread):
    """
    Args:
        pinned: The tokens of ``[watch] mints``.
        put: Takes events in; False: there is no room.
        origin: Of the database: the files of simulated tokens are asked of this machine alone.
        fetch: Default: :class:`SafeFetch`.
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
        self._gateways = settings.gateways
        self._asks_makers = settings.fetch == "https"
        self._database = database
        self._pinned = frozenset(pinned)
        self._put = put
        self._fetch = fetch or SafeFetch(simulated=origin == "simulator")
        self._monotonic = monotonic
        self._is_paused = False
        self._tries: dict[str, _Tries] = {}
        self._servers: dict[str, _Server] = {}

    def work(self) -> None:
        names = ", ".join(gateway.shown for gateway in self._gateways)
        makers = ", those of pinned tokens also of their makers' servers" if self._asks_makers else ""
        logger.info("metadata: files behind tokens' uris are asked of {}{}", names, makers)
        while not self.stopping.is_set():
            self.pulse.beat()
            self.stopping.wait(_PAUSE_SECONDS if self.turn() else _LOOK_SECONDS)

    def stop(self) -> None:
        super().stop()
        self._fetch.stop()

    def pause(self, is_paused: bool) -> None:  # noqa: FBT001 - a switch
        """Fetch nothing from now on, or go on. From any thread."""
        self._is_paused = is_paused

    def turn(self) -> bool:
        """Fetch the file of one token. Return whether there was one to fetch."""
        if self._is_paused:
            return False
        try:
            waiting = unfetched(self._database)
        except DatabaseError as error:
            logger.debug("metadata: the record cannot be read now: {}", error)
            return False
        now = self._monotonic()
        for token in waiting:
            tries = self._tries.get(token.mint, _Tries(0, 0.0))
            if now < tries.next_at:
                continue
            sources = [source for source in self._sources_of(token) if now >= self._server(source.host).not_before]
            if sources:
                # Each time another gateway, so that one that has not got it does not stand in the way.
                self._fetch_one(token, sources[tries.number % len(sources)], tries.number)
                return True
        return False

    def _sources_of(self, token: Unfetched) -> list[_Source]:
        content = on_ipfs(token.uri)
        if content is not None:
            hosts = tuple(gateway.host for gateway in self._gateways)
            return [_Source(f"{gateway.url}/ipfs/{content.cid}{content.path}", hosts) for gateway in self._gateways]
        uri = token.uri.strip()
        is_asked = self._asks_makers and token.mint in self._pinned and uri.lower().startswith("https://")
        return [_Source(uri, None)] if is_asked else []

    def _fetch_one(self, token: Unfetched, source: _Source, tried: int) -> None:
        error, texts = None, None
        try:
            texts = read_texts(self._fetch(source.url, within=source.within))
            self._server(source.host).backoff.reset()
            error = "it is no JSON object" if texts is None else None
        except NotFetched as failed:
            if self.stopping.is_set():
                return
            error = str(failed)
            if isinstance(failed, ServerTrouble):
                self._leave_alone(source.host, failed)
        wait = _STORED_SECONDS if error is None else _WAITS_SECONDS[tried] if tried < len(_WAITS_SECONDS) else _GIVEN_UP
        _remember(self._tries, token.mint, _Tries(0 if error is None else tried + 1, self._monotonic() + wait), _MOST_TRIES)
        values = {} if texts is None else texts._asdict()
        if not self._put(
            MetadataFetched(mint=token.mint, at_us=time.time_ns() // 1000, source=source.host, error=error, **values)
        ):
            logger.debug("metadata: no room for a file, it is fetched again")

    def _server(self, host: str) -> _Server:
        server = self._servers.get(host) or _Server()
        _remember(self._servers, host, server, _MOST_SERVERS)
        return server

    def _leave_alone(self, host: str, trouble: ServerTrouble) -> None:
        server = self._server(host)
        asked = trouble.asked_seconds
        rest = server.backoff.next_seconds() if asked is None else server.backoff.slowed_seconds(asked)
        rest = max(rest, _SHORTEST_REST_SECONDS)
        server.not_before = self._monotonic() + rest
        # Once: it is the state that has changed, not each failure.
        level = "WARNING" if server.backoff.attempts <= 1 else "DEBUG"
        logger.log(level, "metadata: {}: {}; asked again in {:.0f} s", host, trouble, rest)


def _remember(known: dict[str, _Value], key: str, value: _Value, most: int) -> None:
    """Keep the newest *most*."""
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
