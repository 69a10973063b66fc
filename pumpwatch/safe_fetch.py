"""
GET of a file from a server that a stranger named: nothing inside our network is reached, and nothing comes back but a small file.

* https on port 443 only, no user or password; the certificate is checked against the name.
* The name is resolved once; every address of it must be a public one (``public_addresses.py``); the connection goes to an address
  that was checked.
* At most two redirects, each looked at in the same way.
* 64 KiB, unpacked; 5 s from the first look-up to the last byte. Nothing is sent but the request: no cookie, no referrer. No proxy
  is used, whatever the environment says: a proxy would resolve the name once more.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias
from urllib.parse import urljoin, urlsplit

import certifi

from pumpwatch.bounded_http import LOOK_SECONDS, Cut, Limit, NotFetched, ServerTrouble, body_of, requested, told
from pumpwatch.public_addresses import is_loopback, is_public

SECONDS: Final = 5.0
MOST_REDIRECTS: Final = 2

_HTTPS_PORT: Final = 443
#: Of one name: where the first does not answer, the second may.
_MOST_ADDRESSES: Final = 2

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

#: Host and port to addresses; raises OSError.
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
#: Address, port and seconds to a connected socket; raises OSError.
Dial: TypeAlias = Callable[[str, int, float], socket.socket]


class Fetcher(Protocol):
    """See :class:`SafeFetch`."""

    def __call__(self, url: str, *, within: Collection[str] | None = None) -> bytes: ...

    def stop(self) -> None: ...


class _Place(NamedTuple):
    is_https: bool
    host: str
    port: int
    target: str


def resolve(host: str, port: int) -> list[str]:
    """The addresses of *host*, as the system has them, the best first. Raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A connection to *address*, which is no name. Raises OSError."""
    return socket.create_connection((address, port), seconds)


class SafeFetch:
    """
    Fetches one file at a time, from one thread; :meth:`stop` from any.

    Args:
        simulated: For simulated data: this machine alone is asked, on any port, also without encryption.
        seconds: For one file, redirects included.
        context: TLS; default: certificates of the usual authorities.
    """

    def __init__(
        self,
        *,
        simulated: bool = False,
        resolver: Resolver = resolve,
        dial: Dial = dial,
        seconds: float = SECONDS,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._simulated = simulated
        self._resolver = resolver
        self._dial = dial
        self._seconds = seconds
        self._context = context or ssl.create_default_context(cafile=certifi.where())
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End what is under way, and whatever comes."""
        self._stopping.set()

    def __call__(self, url: str, *, within: Collection[str] | None = None) -> bytes:
        """
        The content behind *url*, unpacked.

        Args:
            within: Redirects to other hosts than these, and those below them, are not followed.

        Raises:
            NotFetched: Refused, not there, too large, too slow, stopped.

        """
        limit = Limit(self._seconds, self._stopping)
        for number in range(MOST_REDIRECTS + 1):
            try:
                found = self._get(url, within if number else None, limit)
            except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:  # ValueError: hosts that are none
                limit.check()
                raise told(error) from None
            if isinstance(found, bytes):
                return found
            url = found
        raise NotFetched("it redirects more than twice")

    def _get(self, url: str, within: Collection[str] | None, limit: Limit) -> bytes | str:
        """The content, or where it is to be had."""
        place = self._place_of(url)
        if within is not None and not any(place.host == host or place.host.endswith(f".{host}") for host in within):
            raise NotFetched("it redirects to another server")
        raw = self._connected(self._addresses_of(place, limit), place.port, limit)
        with contextlib.closing(self._secured(raw, place)) as connected, Cut(connected, limit):
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
            answer = requested(connected, place.host, place.port, place.target, is_https=place.is_https)
            with contextlib.closing(answer) as response:
                if response.status in _REDIRECTS:
                    return urljoin(url, response.getheader("Location") or "")
                return body_of(response, limit)

    def _place_of(self, url: str) -> _Place:
        place = _place_of(url)
        if self._simulated:
            if not is_loopback(place.host):
                raise NotFetched("it is not on this machine, and the data are simulated")
        elif not place.is_https or place.port != _HTTPS_PORT:
            raise NotFetched("its address is not https on port 443")
        return place

    def _addresses_of(self, place: _Place, limit: Limit) -> Sequence[str]:
        addresses = _looked_up(lambda: self._resolver(place.host, place.port), limit)
        if not addresses:
            raise ServerTrouble("its name is not known")
        if not all(is_loopback(address) if self._simulated else is_public(address) for address in addresses):
            raise NotFetched("its address is not a public one")
        return addresses[:_MOST_ADDRESSES]

    def _connected(self, addresses: Sequence[str], port: int, limit: Limit) -> socket.socket:
        *first, last = addresses
        for address in first:
            with contextlib.suppress(OSError):
                return self._dial(address, port, limit.left() / len(addresses))
        limit.check()
        return self._dial(last, port, limit.left())

    def _secured(self, raw: socket.socket, place: _Place) -> socket.socket:
        """Without the handshake: that is done when the connection can be cut."""
        if not place.is_https:
            return raw
        try:
            return self._context.wrap_socket(raw, server_hostname=place.host, do_handshake_on_connect=False)
        except BaseException:
            raw.close()
            raise


def _place_of(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # what TLS would stumble over
    except ValueError:
        raise NotFetched("its address is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or port == 0:
        raise NotFetched("its address is no URL")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotFetched("its address is not https on port 443")
    if parts.username is not None or parts.password is not None:
        raise NotFetched("its address has a user or password in it")
    is_https = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Place(is_https, parts.hostname, port or (_HTTPS_PORT if is_https else 80), target)


def _looked_up(look_up: Callable[[], Sequence[str]], limit: Limit) -> Sequence[str]:
    """A look-up of a name cannot be interrupted: it is left behind when it takes too long."""
    found: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found.put(look_up())
        except (OSError, ValueError):  # the name is not known, or is none
            found.put(())

    threading.Thread(target=work, name="metadata look-up", daemon=True).start()
    while True:
        limit.check()
        with contextlib.suppress(queue.Empty):
            return found.get(timeout=min(LOOK_SECONDS, limit.left()))
