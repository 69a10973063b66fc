"""
GET of a file from a server that a stranger named: nothing inside our network is reached, and nothing comes back but a small file.

* https on port 443 only, no user or password; its certificate is checked against the name.
* The name is resolved once; every address of it must be a public one; the connection goes to an address that was checked.
* At most two redirects, each looked at in the same way.
* 64 KiB, unpacked; 5 s from the first look-up to the last byte. Nothing is sent but the request: no cookie, no referrer, and no
  proxy is used.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi

from pumpwatch import __version__
from pumpwatch.errors import PumpwatchError
from pumpwatch.threads import Deadline

LARGEST_BYTES: Final = 64 * 1024
SECONDS: Final = 5.0
MOST_REDIRECTS: Final = 2

_HTTPS_PORT: Final = 443
_PIECE_BYTES: Final = 8192
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
#: The well-known prefix that carries an IPv4 address through NAT64.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

#: Host and port to addresses.
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]


class NotFetched(PumpwatchError):
    """There is no such file to be had; the text says why, and shows nothing of the URL."""


class Fetcher(Protocol):
    """Fetches a URL."""

    def __call__(self, url: str) -> bytes: ...


def resolve(host: str, port: int) -> list[str]:
    """The addresses of *host*, as the system has them. Raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class SafeFetch:
    """
    Fetches one URL at a time, from one thread.

    Args:
        may_use_loopback: This machine may be asked too, on any port, and without encryption: for simulated data only.
        context: TLS; default: certificates of the usual authorities.
    """

    def __init__(
        self,
        *,
        may_use_loopback: bool = False,
        resolver: Resolver = resolve,
        seconds: float = SECONDS,
        context: ssl.SSLContext | None = None,
        https_port: int = _HTTPS_PORT,
    ) -> None:
        self._may_use_loopback = may_use_loopback
        self._resolver = resolver
        self._seconds = seconds
        self._context = context or ssl.create_default_context(cafile=certifi.where())
        self._https_port = https_port

    def __call__(self, url: str) -> bytes:
        """
        The content behind *url*, unpacked.

        Raises:
            NotFetched: Refused, not there, too large, too slow.

        """
        deadline = Deadline(self._seconds)
        for _ in range(MOST_REDIRECTS + 1):
            found = self._get(url, deadline)
            if isinstance(found, bytes):
                return found
            url = found
        raise NotFetched("it redirects more than twice")

    def _get(self, url: str, deadline: Deadline) -> bytes | str:
        """The content, or where it is to be had."""
        parts = _parts_of(url)
        host, port = parts.hostname or "", parts.port or (self._https_port if parts.scheme == "https" else 80)
        is_local = self._may_use_loopback and _is_loopback(host)
        if not is_local and (parts.scheme != "https" or port != self._https_port):
            raise NotFetched("its address is not https on port 443")
        address = self._address_of(host, port, deadline, is_local=is_local)
        connection = _Pinned(host, port, address, self._context if parts.scheme == "https" else None, deadline)
        try:
            connection.connect()
            # What hangs in the middle of a line is cut off: the timeout of a socket begins anew with each byte.
            with _Cut(connection, deadline):
                return self._read(connection, url, parts, deadline)
        except (OSError, http.client.HTTPException, zlib.error) as error:
            late = deadline.left() <= 0 or isinstance(error, TimeoutError)
            raise NotFetched("no answer in time" if late else _kind_of(error)) from None
        finally:
            connection.close()

    def _read(self, connection: _Pinned, url: str, parts: SplitResult, deadline: Deadline) -> bytes | str:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": f"pumpwatch/{__version__}", "Accept": "application/json", "Accept-Encoding": "gzip"}
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        if response.status in _REDIRECTS:
            return urljoin(url, response.getheader("Location") or "")
        if response.status != _OK:
            raise NotFetched(f"HTTP {response.status}")
        return _body_of(response, deadline)

    def _address_of(self, host: str, port: int, deadline: Deadline, *, is_local: bool) -> str:
        addresses = _in_time(lambda: self._resolver(host, port), deadline)
        if not addresses:
            raise NotFetched("its name is not known")
        if not is_local and not all(is_public(address) for address in addresses):
            raise NotFetched("its address is not a public one")
        return addresses[0]


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was checked; the name is for TLS and the Host header."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None, deadline: Deadline) -> None:
        super().__init__(host, port, timeout=max(0.01, deadline.left()), context=context)
        self._address = address
        self._tls = context
        self.handle: socket.socket | None = None

    def connect(self) -> None:
        raw = socket.create_connection((self._address, self.port), self.timeout)
        self.handle = raw.dup()
        try:
            self.sock = raw if self._tls is None else self._tls.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def close(self) -> None:
        super().close()
        if self.handle is not None:
            self.handle.close()
            self.handle = None


class _Cut:
    """Cuts the connection off at the deadline, whatever hangs."""

    def __init__(self, connection: _Pinned, deadline: Deadline) -> None:
        self._connection = connection
        self._timer = threading.Timer(deadline.left(), self._cut)
        self._timer.daemon = True

    def _cut(self) -> None:
        handle = self._connection.handle
        if handle is not None:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()


def is_public(address: str) -> bool:
    """Whether an address is one that anybody on the internet can reach; what wraps another one is refused."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (
        found.ipv4_mapped is not None or found.sixtofour is not None or found.teredo is not None or found in _NAT64
    ):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotFetched("its address is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or port == 0:
        raise NotFetched("its address is no URL")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotFetched("its address is not https on port 443")
    if parts.username is not None or parts.password is not None:
        raise NotFetched("its address has a user or password in it")
    return parts


def _in_time(look_up: Callable[[], Sequence[str]], deadline: Deadline) -> Sequence[str]:
    """A look-up of a name cannot be interrupted: it is left behind when it takes too long."""
    found: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found.put(look_up())
        except (OSError, UnicodeError):  # the name is not known, or is none
            found.put(())

    threading.Thread(target=work, name="look-up", daemon=True).start()
    try:
        return found.get(timeout=max(0.01, deadline.left()))
    except queue.Empty:
        raise NotFetched("no answer in time") from None


def _body_of(response: http.client.HTTPResponse, deadline: Deadline) -> bytes:
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding not in ("identity", "gzip", "deflate"):
        raise NotFetched("it is packed in a way that was not asked for")
    unpacking = None if encoding == "identity" else zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    content = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        if deadline.left() <= 0:
            raise NotFetched("no answer in time")
        room = LARGEST_BYTES + 1 - len(content)
        content += piece if unpacking is None else unpacking.decompress(piece, room)
        if len(content) > LARGEST_BYTES:
            raise NotFetched(f"it is larger than {LARGEST_BYTES // 1024} KiB")
    if response.length or (unpacking is not None and not unpacking.eof):
        raise NotFetched("it is cut short")
    return bytes(content)


def _kind_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "its certificate is not to be trusted, or it speaks no TLS"
    if isinstance(error, http.client.HTTPException | zlib.error):
        return "it does not speak HTTP as it should"
    return "it cannot be reached"
