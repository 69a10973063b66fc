"""
The socket under one WebSocket: opened by us, so that it can be ended in any state, read through a buffer, and bounded.

The library given a connected socket neither follows redirects to another host with our key, nor takes a proxy for loopback, nor
blocks in a TLS handshake that nothing can end. See facts/libraries.md sections 1.3 to 1.6.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

import certifi

from pumpwatch.config import Endpoint
from pumpwatch.errors import TransientError
from pumpwatch.feeds.outcome import HandshakeUnfit
from pumpwatch.feeds.proxy import proxy_for, tunnel

#: The largest message that is taken. The library has no limit of its own, and copies fragments quadratically.
LARGEST_MESSAGE_BYTES: Final = 16 * 1024 * 1024

#: A handshake's answer, error body included, is a few hundred bytes.
LARGEST_HANDSHAKE_BYTES: Final = 65_536

_BUFFER_BYTES = 65_536
_STATUS_LINE_BYTES = 12  # "HTTP/1.1 101"
_WHOLE_TEXT = 0x81  # the first byte of an unfragmented text frame (RFC 6455 section 5.2)
_LONGEST_SHORT = 125  # a larger number in the second byte says where the length is, or that the frame is masked
_LENGTH_IN_TWO_BYTES = 126
_REDIRECTS = (b"301", b"302", b"303", b"307", b"308")

#: Dead peers are noticed by the kernel after this, whatever the pings do.
_UNACKNOWLEDGED_MS = 30_000


class MessageTooLarge(TransientError):
    """The server sends a message larger than :data:`LARGEST_MESSAGE_BYTES`."""


class Aborted(TransientError):
    """:meth:`Transport.abort` was called before the connection was made."""


@functools.lru_cache(maxsize=1)
def trusted_context() -> ssl.SSLContext:
    """The certificates we trust: those that come with certifi, as the system's store is incomplete on some Windows machines."""
    return ssl.create_default_context(cafile=certifi.where())


class Transport:
    """
    One connection's socket, as ``websocket-client`` uses it (``recv``, ``send``, ``pending``, ``shutdown``, ``close``, ...).

    Only the thread that opened it reads; any thread may send, and :meth:`abort` it. :attr:`reached`: the server (or a proxy) was
    spoken to or refused us, which an unresolvable name or a missing network is not.

    Args:
        endpoint: Where to.
        timeout_seconds: For each single step: a connect, a read in mid-message, a send. The whole is the watchdog's.
        context: Makes the TLS context; :func:`trusted_context` unless a test has its own certificates.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float,
        context: Callable[[], ssl.SSLContext] = trusted_context,
        largest_message_bytes: int = LARGEST_MESSAGE_BYTES,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._context = context
        self._lock = threading.Lock()
        self._aborted = False
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._buffer = b""
        self._position = 0
        self._limit = LARGEST_HANDSHAKE_BYTES
        self._largest_message_bytes = largest_message_bytes
        self._status_line = b""
        self._in_handshake = True
        self.reached = False
        #: Bytes handed over since the last whole message: the reader of messages sets it to 0 with each.
        self.unfinished_bytes = 0

    # Opening and ending

    def open(self) -> None:
        """
        Connect, through a proxy where one is prescribed, and make TLS.

        Raises:
            OSError: Among them ``ssl.SSLError``, ``socket.gaierror`` and ``TimeoutError``.
            ProxyFailed: See there.
            Aborted: If :meth:`abort` was called meanwhile.

        """
        proxy = proxy_for(self._endpoint)
        host, port = (proxy.host, proxy.port) if proxy else (self._endpoint.host, self._endpoint.port)
        connected = self._connect(host, port)
        if proxy:
            tunnel(connected, proxy, self._endpoint.host, self._endpoint.port)
        if self._endpoint.url.startswith("wss"):
            # The handshake apart from the wrapping, so that abort() reaches the socket while it goes on.
            tls = self._context().wrap_socket(connected, server_hostname=self._endpoint.host, do_handshake_on_connect=False)
            self._hold(tls)
            self._tls = tls
            tls.do_handshake()

    def _connect(self, host: str, port: int) -> socket.socket:
        error: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            candidate = socket.socket(family, kind, protocol)
            self._hold(candidate)
            try:
                candidate.settimeout(self._timeout_seconds)
                _set_options(candidate)
                candidate.connect(address)
            except OSError as failure:
                self.reached = self.reached or isinstance(failure, (ConnectionRefusedError, TimeoutError))
                error = failure
                candidate.close()
            else:
                self.reached = True
                return candidate
        self._raise_if_aborted()
        raise error or OSError("the host name has no address")

    def _hold(self, opened: socket.socket) -> None:
        """From here on :meth:`abort` and :meth:`close` reach *opened*."""
        with self._lock:
            self._socket = opened
        self._raise_if_aborted()

    def _raise_if_aborted(self) -> None:
        if self._aborted:
            raise Aborted("the attempt was ended")

    def abort(self) -> None:
        """End the connection at once, in any state: a thread inside a read or a send returns. From any thread, idempotent."""
        with self._lock:
            self._aborted = True
            opened = self._socket
        if opened is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which would let a send of another thread go out unencrypted.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def finish_handshake(self) -> None:
        """The WebSocket is open: from now on messages are bounded, not the handshake."""
        self._in_handshake = False
        self._limit = self._largest_message_bytes
        self.unfinished_bytes = 0

    # What the library calls

    def recv(self, size: int) -> bytes:
        """At most *size* bytes; empty at the end of the stream."""
        position = self._position
        piece = self._buffer[position : position + size]
        if not piece:
            self._buffer = self._fill()
            position = 0
            piece = self._buffer[:size]
        taken = len(piece)
        self._position = position + taken
        self.unfinished_bytes += taken
        if self.unfinished_bytes > self._limit:
            self._raise_too_large()
        return piece

    def take_text(self) -> bytes | None:
        """The text of the next frame, if it is an ordinary one and held whole already; None leaves it to :meth:`recv`."""
        buffer, start = self._buffer, self._position + 2
        if len(buffer) < start + 2 or buffer[start - 2] != _WHOLE_TEXT:
            return None
        size = buffer[start - 1]
        if size > _LONGEST_SHORT:
            if size != _LENGTH_IN_TWO_BYTES:
                return None
            size = buffer[start] << 8 | buffer[start + 1]
            start += 2
        end = start + size
        if end > len(buffer):
            return None
        self._position = end
        return buffer[start:end]

    def _fill(self) -> bytes:
        opened = self._socket
        if opened is None:
            return b""
        received = opened.recv(_BUFFER_BYTES)
        if self._in_handshake and len(self._status_line) < _STATUS_LINE_BYTES:
            self._status_line += received[:_STATUS_LINE_BYTES]
            self._refuse_redirect()
        return received

    def _refuse_redirect(self) -> None:
        status = self._status_line[9:12]
        if status in _REDIRECTS:
            raise HandshakeUnfit("the server sends us to another address, which we do not follow", int(status))

    def _raise_too_large(self) -> None:
        if self._in_handshake:
            status = self._status_line[9:12]
            raise HandshakeUnfit("the answer is too long for a handshake", int(status) if status.isdigit() else None)
        raise MessageTooLarge(f"the server sends a message larger than {self._limit:,} bytes")

    def send(self, payload: bytes) -> int:
        opened = self._socket
        if opened is None:
            raise OSError("the socket is closed")
        return opened.send(payload)

    def pending(self) -> int:
        """Bytes that can be read without the socket becoming readable."""
        left = len(self._buffer) - self._position
        return left or (self._tls.pending() if self._tls is not None else 0)

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def gettimeout(self) -> float:
        return self._timeout_seconds  # asked with every read: not passed on

    def settimeout(self, seconds: float) -> None:
        self._timeout_seconds = seconds
        if self._socket is not None:
            self._socket.settimeout(seconds)

    def shutdown(self, _how: int) -> None:
        self.abort()

    def close(self) -> None:
        with self._lock:
            opened, self._socket, self._tls = self._socket, None, None
        if opened is not None:
            opened.close()


def _set_options(candidate: socket.socket) -> None:
    candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
