"""A JSON-RPC server on loopback that answers as a test says, however odd."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias

from loopback_http import LoopbackHttp

KEY = "0a1b2c3d-secret-key-4e5f"


@dataclass(frozen=True)
class Odd:
    """An HTTP answer that is not simply the JSON of what was asked for."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: Seconds before the first byte, and before each further byte of head and body.
    silent_seconds: float = 0.0
    drip_seconds: float = 0.0
    #: So many bytes of the body, then the end of the connection.
    cut_after: int | None = None


#: Of the decoded request body, a call or a list of them, to what is answered: JSON, or an :class:`Odd`.
Answer: TypeAlias = Callable[[Any], Any]


def result(call: Any, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "result": value}


def error(call: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}}


class ScriptedServer:
    """
    Answers by the functions in *answers*, one for each request; the last for all that follow.

    Attributes:
        requests: Decoded bodies, in the order of their arrival, and *at* when (monotonic).
        connections: How many were opened so far.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[Answer] = []
        self.requests: list[Any] = []
        self.at: list[float] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = LoopbackHttp(self, _Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://{self._server.address}/?api-key={KEY}"
        self._server.begin()

    @property
    def connections(self) -> int:
        return self._server.connections

    def script(self, *answers: Answer) -> None:
        self.answers = list(answers)

    @property
    def methods(self) -> list[str | list[str]]:
        """Of each request: the method, or those of its batch."""
        return [[call["method"] for call in each] if isinstance(each, list) else each["method"] for each in self.requests]

    def answer(self, body: bytes) -> Odd:
        request = json.loads(body)
        with self._lock:
            self.requests.append(request)
            self.at.append(time.monotonic())
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answered = answer(request)
        return answered if isinstance(answered, Odd) else Odd(answered)

    def close(self) -> None:
        self.closing.set()
        self._server.end()


def each(answer: Callable[[Any], Any]) -> Answer:
    """Answer a batch call by call."""
    return lambda request: [answer(call) for call in request] if isinstance(request, list) else answer(request)


def always(value: Any) -> Answer:
    """Give *value* as the result of every call."""
    return each(lambda call: result(call, value))


def odd(body: Any = None, **changes: Any) -> Answer:
    return lambda _: Odd(body, **changes)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackHttp

    def do_POST(self) -> None:
        owner = self.server.owner
        odd = owner.answer(self.rfile.read(int(self.headers["Content-Length"])))
        body = odd.body if isinstance(odd.body, bytes) else json.dumps(odd.body).encode()
        if owner.closing.wait(odd.silent_seconds):
            return
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **odd.headers}
        head = f"HTTP/1.1 {odd.status} Whatever\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self._write(head.encode() + body[: odd.cut_after], odd.drip_seconds)
        self.close_connection = odd.cut_after is not None

    def _write(self, content: bytes, drip_seconds: float) -> None:
        pieces: Sequence[bytes] = [content[i : i + 1] for i in range(len(content))] if drip_seconds else [content]
        for piece in pieces:
            if self.server.owner.closing.wait(drip_seconds):
                return
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
