"""Somebody's webhook on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback_http import LoopbackHttp


class Receiver:
    """Somebody's webhook: takes JSON, or answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.server = LoopbackHttp(self, _Handler)

    @property
    def url(self) -> str:
        return f"json://{self.server.address}/hook/very-secret-token"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        owner: Receiver = self.server.owner  # type: ignore[attr-defined]
        owner.hold.wait(20)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = owner.answers.pop(0) if owner.answers else 200
        if status == 200:
            owner.got.append(json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""
