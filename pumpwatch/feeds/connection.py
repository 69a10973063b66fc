"""
One WebSocket connection, from the connect to its end, however it ends.

``websocket-client`` reads and pings; what it cannot do is here: end in any state at once, notice that a handshake drips or that
data stays away, bound what a server may send, and say in one word how it ended. Source: facts/libraries.md section 1.
"""

from __future__ import annotations

import logging
import selectors
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

import websocket
from loguru import logger
from websocket._dispatcher import SSLDispatcher

from pumpwatch.config import ConnectionSettings, Endpoint
from pumpwatch.config_endpoint import secret_parts
from pumpwatch.errors import PumpwatchError
from pumpwatch.feeds.outcome import Ending, ending_of
from pumpwatch.feeds.transport import LARGEST_MESSAGE_BYTES, Transport, trusted_context

#: The library's own, where no ping timeout is given.
_LONGEST_WAIT_SECONDS: Final = 10.0

_BINARY: Final = websocket.ABNF.OPCODE_BINARY


class Receiver(Protocol):
    """Who gets what a connection brings. All calls come from the thread that runs the connection."""

    def opened(self, headers: Mapping[str, str]) -> Ending | None:
        """The handshake is done, with these answer headers (names in lower case). An :class:`Ending` ends the connection."""

    def receive(self, message: bytes, *, is_binary: bool) -> bool:
        """Take one whole message; True when it is data, that is a sign of life. Never raises; may block."""


class _Dispatcher(SSLDispatcher):
    """
    The library's loop for TLS, which asks the socket what it holds already before it waits: ours holds a buffer without TLS too.

    Ordinary messages go to *on_text* right from that buffer; the library takes three reads and a dozen calls for each.
    """

    def __init__(
        self, app: websocket.WebSocketApp, timeout: float, transport: Transport, on_text: Callable[[bytes], None]
    ) -> None:
        super().__init__(app, timeout)
        self._transport = transport
        self._on_text = on_text

    def select(self, sock: Any, sel: selectors.DefaultSelector) -> Any:
        opened = self.app.sock
        # Within a message of several frames another text is an error, which the library finds.
        if opened is not None and not opened.cont_frame.recving_frames:
            while self.app.keep_running and (text := self._transport.take_text()) is not None:
                self._on_text(text)
        return super().select(sock, sel)


class _App(websocket.WebSocketApp):
    def __init__(self, url: str, *, transport: Transport, on_text: Callable[[bytes], None], **named: Any) -> None:
        super().__init__(url, socket=cast("Any", transport), **named)
        self._transport = transport
        self._on_text = on_text

    def create_dispatcher(
        self,
        ping_timeout: float | None,
        dispatcher: Any = None,  # noqa: ARG002 - the library's signature
        is_ssl: bool = False,  # noqa: FBT001, FBT002, ARG002 - the library's signature
        handleDisconnect: Callable[..., Any] | None = None,  # noqa: N803, ARG002 - the library's name
    ) -> Any:
        return _Dispatcher(self, ping_timeout or _LONGEST_WAIT_SECONDS, self._transport, self._on_text)


class Connection:
    """
    One connection to *endpoint*: good for one :meth:`run`, which returns when it has ended.

    :meth:`run` belongs to the feed's thread, :meth:`send` to its sender, :meth:`watch` to its watchdog; :meth:`end` to anyone.

    Args:
        idle_seconds: Without data for so long, counted from the connect, the connection is ended as ``silent``.
        context: Makes the TLS context.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        receiver: Receiver,
        *,
        settings: ConnectionSettings,
        idle_seconds: float,
        context: Callable[[], ssl.SSLContext] = trusted_context,
        largest_message_bytes: int = LARGEST_MESSAGE_BYTES,
    ) -> None:
        self._endpoint = endpoint
        self._receiver = receiver
        self._settings = settings
        self._idle_seconds = idle_seconds
        self._transport = Transport(
            endpoint,
            timeout_seconds=settings.connect_timeout_seconds,
            context=context,
            largest_message_bytes=largest_message_bytes,
        )
        self._app = _App(
            endpoint.url,
            transport=self._transport,
            on_text=self._on_text,
            on_open=self._on_open,
            on_data=self._on_data,
            on_error=self._on_error,
        )
        self._lock = threading.Lock()
        self._ending: Ending | None = None
        self._error: Exception | None = None
        self._secrets = secret_parts(endpoint.url)
        self._started_at = time.monotonic()
        self._opened_at: float | None = None
        self._last_data_at = 0.0
        self._in_receiver = False
        self._received = 0
        self._received_at_last_watch = 0

    @property
    def is_open(self) -> bool:
        """The handshake is done and nothing has ended the connection yet."""
        return self._opened_at is not None and self._ending is None

    @property
    def reached(self) -> bool:
        """The server was spoken to, or refused us: this attempt counts as one."""
        return self._transport.reached

    @property
    def connected_seconds(self) -> float:
        """How long the connection has been open; 0 when it never was."""
        return 0.0 if self._opened_at is None else time.monotonic() - self._opened_at

    def run(self) -> Ending:
        """Connect, read until the end, close. Nothing of this connection is left afterwards but what it delivered."""
        # It logs each failed handshake with all headers and the whole body. What there is to say is in the ending.
        logging.getLogger("websocket").setLevel(logging.CRITICAL + 1)
        self._started_at = time.monotonic()
        try:
            self._transport.open()
            self._app.run_forever(
                ping_interval=self._settings.ping_interval_seconds,
                ping_timeout=self._settings.ping_timeout_seconds,
                skip_utf8_validation=True,
            )
        except (OSError, ValueError, websocket.WebSocketException, PumpwatchError) as error:
            self._error = self._error or error
        finally:
            self._transport.close()
        return self._finish(ending_of(self._error, hide=self._hide))

    def send(self, text: str) -> bool:
        """
        Send one text message. Blocks at most the connect timeout at a time; a send that fails ends the connection.

        A send that ran out of time may have left half a frame, so there is no going on after one.
        """
        try:
            self._app.send(text)
        except (OSError, websocket.WebSocketException) as error:
            self.end(ending_of(error, hide=self._hide))
            return False
        return True

    def end(self, ending: Ending) -> None:
        """End the connection now, for this reason (the first one given counts). From any thread; never blocks."""
        self._finish(ending)
        self._app.keep_running = False
        self._transport.abort()

    def watch(self) -> None:
        """Have one look: end the connection if it does not open, or brings no data. Time in the receiver is no silence."""
        now = time.monotonic()
        if self._opened_at is None:
            if now - self._started_at > self._settings.connect_timeout_seconds:
                waited = self._settings.connect_timeout_seconds
                self.end(Ending(kind="not opened", reason=f"no connection within {waited:g} s"))
        elif self._in_receiver and self._received == self._received_at_last_watch:
            self._last_data_at = now  # one message has been in the receiver since the last look: we are slow, not the server
        elif now - self._last_data_at > self._idle_seconds:
            self.end(Ending(kind="silent", reason=f"no data for {self._idle_seconds:g} s"))
        self._received_at_last_watch = self._received

    def _finish(self, ending: Ending) -> Ending:
        with self._lock:
            self._ending = self._ending or ending
            return self._ending

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text

    # Called by the library

    def _on_open(self, _app: websocket.WebSocketApp) -> None:
        self._transport.finish_handshake()
        headers = (self._app.sock.getheaders() if self._app.sock else None) or {}
        ending = self._receiver.opened({str(name).lower(): str(value) for name, value in headers.items()})
        self._last_data_at = self._opened_at = time.monotonic()
        if ending is not None:
            self.end(ending)

    def _on_data(self, _app: websocket.WebSocketApp, message: bytes, opcode: int, _finished: bool) -> None:  # noqa: FBT001
        self._transport.unfinished_bytes = 0
        self._take(message, is_binary=opcode == _BINARY)

    def _on_text(self, text: bytes) -> None:
        self._take(text, is_binary=False)

    def _take(self, message: bytes, *, is_binary: bool) -> None:
        self._received += 1
        self._in_receiver = True
        if self._receiver.receive(message, is_binary=is_binary):
            self._last_data_at = time.monotonic()
        self._in_receiver = False

    def _on_error(self, _app: websocket.WebSocketApp, error: Exception) -> None:
        self._error = self._error or error
        # The library would now send a close frame, wait 3 s for the answer and throw away what it reads meanwhile.
        self._transport.abort()
        logger.debug("{}: {}", self._endpoint.shown, type(error).__name__)
