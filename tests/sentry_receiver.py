"""What takes Sentry's envelopes, on loopback."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback_http import LoopbackHttp


class SentryReceiver:
    """
    Attributes:
        bodies: What came, unpacked; *heads* the headers of each.
        silent: Set: answers are held back.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        self.silent = threading.Event()
        self.closing = threading.Event()
        self._server = LoopbackHttp(self, _Handler)
        self.dsn = f"http://publickey1@{self._server.address}/1"
        self._server.begin()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event of each envelope: the line after the envelope's and the item's."""
        return [json.loads(body.split(b"\n")[2]) for body in self.bodies]

    def close(self) -> None:
        self.closing.set()
        self._server.end()


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHttp

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packing = self.headers.get("Content-Encoding")
        assert packing in (None, "gzip"), packing
        owner.heads.append(str(self.headers))
        owner.bodies.append(gzip.decompress(body) if packing else body)
        if owner.silent.is_set():
            owner.closing.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
