"""An HTTP server on loopback whose connections can be cut, for what answers as a test says."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackHttp(ThreadingHTTPServer):
    """
    Serves in a thread of its own, from :meth:`begin` to :meth:`end`, which leaves no thread or socket behind.

    Attributes:
        owner: Whose answers the handler gives.
        connections: How many were opened.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, owner: Any, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.owner = owner
        self.connections = 0
        self._open_sockets: set[Any] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="loopback http")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        for connection in list(self._open_sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        self._open_sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""
