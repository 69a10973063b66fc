"""Serving the app until somebody stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import flask
import waitress.server
from waitress import wasyncore

from pumpwatch.errors import UsageError
from pumpwatch.loopback import listen
from pumpwatch.threads import WorkerThread

#: Each open stream holds a thread for good (live.MOST_STREAMS of them); the others answer everything else.
THREADS: Final = 48

_MOST_CONNECTIONS: Final = 200
_CHANNEL_SECONDS: Final = 60
_MOST_WAITING: Final = 128
_LARGEST_HEAD_BYTES: Final = 16_384
_LARGEST_BODY_BYTES: Final = 65_536

#: A stream whose client does not take what is there waits: what it would have been told meanwhile costs no memory.
_MOST_WAITING_BYTES: Final = 1 << 20
_STOP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1


class Server:
    """
    One app on one address. Listens from the beginning, answers in :meth:`serve`.

    Args:
        port: 0: any free one; :attr:`port` tells it.

    Raises:
        UsageError: The address is taken, is not this machine's, or is not permitted.

    """

    def __init__(self, app: flask.Flask, *, host: str, port: int) -> None:
        plain = host.strip("[]")
        try:
            listening = listen(plain, port, waiting=_MOST_WAITING)
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be listened on ({error.strerror or error}): give another --port, or stop what has it"
            ) from error
        self.port: int = listening.getsockname()[1]
        self._sockets: dict[int, Any] = {}
        self._server: Any = waitress.server.create_server(
            app,
            map=self._sockets,
            sockets=[listening],
            threads=THREADS,
            ident="",
            connection_limit=_MOST_CONNECTIONS,
            channel_timeout=_CHANNEL_SECONDS,
            max_request_header_size=_LARGEST_HEAD_BYTES,
            max_request_body_size=_LARGEST_BODY_BYTES,
            clear_untrusted_proxy_headers=True,
            channel_request_lookahead=1,  # so it is seen at once when the client of a stream is gone
            outbuf_high_watermark=_MOST_WAITING_BYTES,
        )
        shown = f"[{plain}]" if ":" in plain else plain
        self.url = f"http://{shown}:{self.port}/"

    def serve(self, *, until: Callable[[], bool], streams: WorkerThread) -> None:
        """Answer until *until* says so. *streams* is the thread that feeds the open ones: with its stop they end."""
        try:
            while not until():
                if streams.error is not None:
                    raise streams.error
                # Its own run() ends with a KeyboardInterrupt alone.
                wasyncore.loop(timeout=_LOOK_SECONDS, map=self._sockets, count=1)
        finally:
            streams.stop()
            self._server.task_dispatcher.shutdown(timeout=_STOP_SECONDS)
            wasyncore.close_all(self._sockets, ignore_all=True)
            streams.join(_STOP_SECONDS)
