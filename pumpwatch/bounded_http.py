"""One GET over an open connection, bounded as a whole: in time, whatever hangs, and in size, however it is packed."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import zlib
from typing import Final

from pumpwatch import __version__
from pumpwatch.backoff import parse_retry_after
from pumpwatch.errors import PumpwatchError
from pumpwatch.threads import Deadline

LARGEST_BYTES: Final = 64 * 1024
#: Between two looks at the limit.
LOOK_SECONDS: Final = 0.1

#: As it travels; packing makes a small file hardly larger.
_LARGEST_PACKED_BYTES: Final = 2 * LARGEST_BYTES
_PIECE_BYTES: Final = 8192

_OK: Final = 200
_LEAVE_ALONE: Final = frozenset({403, 429, 503})


class NotFetched(PumpwatchError):
    """There is no such file to be had; the text says why, and shows nothing of the URL."""


class ServerTrouble(NotFetched):
    """
    It is not the file but the server, which should be left alone for a while.

    Attributes:
        asked_seconds: For so long, as it said itself.
    """

    def __init__(self, text: str, asked_seconds: float | None = None) -> None:
        super().__init__(text)
        self.asked_seconds = asked_seconds


class Limit:
    """The end of all waiting: so many seconds, or a stop."""

    def __init__(self, seconds: float, stopping: threading.Event) -> None:
        self._deadline = Deadline(seconds)
        self._stopping = stopping

    def left(self) -> float:
        """Seconds; never zero, which sockets take for something else."""
        return max(0.01, self._deadline.left())

    @property
    def is_over(self) -> bool:
        return self._stopping.is_set() or self._deadline.left() <= 0

    def check(self) -> None:
        """Raises NotFetched."""
        if self.is_over:
            raise NotFetched("no answer in time")


class Cut:
    """Cuts a connection off at the limit, whatever hangs: the timeout of a socket begins anew with each byte."""

    def __init__(self, connected: socket.socket, limit: Limit) -> None:
        self._socket = connected
        self._limit = limit
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="metadata cut", daemon=True)
        connected.settimeout(limit.left())

    def _watch(self) -> None:
        while not self._done.wait(min(LOOK_SECONDS, self._limit.left())):
            if self._limit.is_over:
                with contextlib.suppress(OSError):
                    # Not the method of TLS sockets, which takes the encryption away from the thread that reads.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def requested(connected: socket.socket, host: str, port: int, target: str, *, is_https: bool) -> http.client.HTTPResponse:
    """The answer, of which only the head has been read."""
    kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
    connection = kind(host, port)
    connection.auto_open = 0
    connection.sock = connected
    headers = {"User-Agent": f"pumpwatch/{__version__}", "Accept": "application/json", "Accept-Encoding": "gzip"}
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def body_of(response: http.client.HTTPResponse, limit: Limit) -> bytes:
    """
    The file, unpacked.

    Raises:
        NotFetched: It is another answer than 200, too large, too late, not whole.
        OSError, http.client.HTTPException, zlib.error: See :func:`told`.

    """
    if response.status in _LEAVE_ALONE:
        raise ServerTrouble(f"HTTP {response.status}", parse_retry_after(response.getheader("Retry-After")))
    if response.status != _OK:
        raise NotFetched(f"HTTP {response.status}")
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding not in ("identity", "gzip", "deflate"):
        raise NotFetched("it is packed in a way that was not asked for")
    content = _plain(response, limit) if encoding == "identity" else _unpacked(response, limit)
    limit.check()
    if content is None:
        raise NotFetched("it is cut short")
    return content


def _plain(response: http.client.HTTPResponse, limit: Limit) -> bytes | None:
    """None: it ends too early."""
    content = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        limit.check()
        content += piece
        _check_size(len(content), LARGEST_BYTES)
    return None if response.length else bytes(content)


def _unpacked(response: http.client.HTTPResponse, limit: Limit) -> bytes | None:
    """At no time is more unpacked than may be. None: it ends too early; what follows its end is not read."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    content = bytearray()
    packed_bytes = 0
    while not unpacking.eof and (piece := response.read1(_PIECE_BYTES)):
        limit.check()
        packed_bytes += len(piece)
        _check_size(packed_bytes, _LARGEST_PACKED_BYTES)
        content += unpacking.decompress(piece, LARGEST_BYTES + 1 - len(content))
        _check_size(len(content), LARGEST_BYTES)
    return bytes(content) if unpacking.eof else None


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise NotFetched(f"it is larger than {LARGEST_BYTES // 1024} KiB")


def told(error: Exception) -> NotFetched:
    """What went wrong, without a word of the server's."""
    if isinstance(error, TimeoutError):
        return NotFetched("no answer in time")
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return ServerTrouble("its certificate is not to be trusted, or it speaks no TLS")
    if isinstance(error, http.client.HTTPException | zlib.error):
        return NotFetched("it does not speak HTTP as it should")
    if isinstance(error, OSError):
        return ServerTrouble("it cannot be reached")
    return NotFetched("its address is no URL")
