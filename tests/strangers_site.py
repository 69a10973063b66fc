"""A server with TLS that a stranger runs, and the internet around it: its addresses are public, its socket is on loopback."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any

import trustme

from pumpwatch.safe_fetch import SafeFetch

HOST = "makers.test"
PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Site:
    """
    Answers each path as it is told to.

    Args:
        secure: With TLS.

    Attributes:
        names: What the internet's names resolve to; other names are not known.
        looked_up: The names that were asked for.
        dialled: Addresses and ports to which somebody wanted to connect.
        requests: What came, and from where.
    """

    def __init__(self, authority: trustme.CA, *, secure: bool = True) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST, f"*.{HOST}", "gateway.test", "*.ipfs.gateway.test", "localhost", PUBLIC).configure_cert(
            context
        )
        self._trusting = ssl.create_default_context()
        authority.configure_trust(self._trusting)
        self.names: dict[str, Sequence[str]] = {HOST: [PUBLIC]}
        self.answers: dict[str, Answer] = {}
        self.looked_up: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.requests: list[http.server.BaseHTTPRequestHandler] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self)
                site.answers[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, Any]:
                connected, address = super().get_request()
                if not secure:
                    return connected, address
                return context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_: object) -> None:
                pass  # a client that hangs up is what is tested

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def says(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> str:
        """Give *body* for *path*; returns its URL."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return f"https://{HOST}{path}"

    def sends(self, path: str, *pieces: bytes) -> str:
        """Give *pieces* for *path*, after the head of an answer that ends with the connection; returns its URL."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            for piece in pieces:
                handler.wfile.write(piece)
            handler.close_connection = True

        self.answers[path] = answer
        return f"https://{HOST}{path}"

    def fetcher(self, **more: Any) -> SafeFetch:
        """With all its rules in force."""
        return SafeFetch(**{"context": self._trusting, "resolver": self.resolve, "dial": self.dial, "seconds": 3.0, **more})

    def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.looked_up.append(host)
        found = self.names.get(host)
        if found is not None:
            return found
        # Addresses are their own names, in all spellings that the system knows.
        return [str(socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4][0])]

    def dial(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        if (address, port) not in ((PUBLIC, 443), (PUBLIC_V6, 443), ("127.0.0.1", self.port)):
            raise ConnectionRefusedError(f"nobody listens at {address}")
        return socket.create_connection(("127.0.0.1", self.port), seconds)
