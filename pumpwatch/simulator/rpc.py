"""The HTTP side: JSON-RPC of a Solana node on loopback, with a provider's limits and refusals; beside it the exchange."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pumpwatch.simulator import exchange
from pumpwatch.simulator.logs import dumps
from pumpwatch.simulator.node import Node
from pumpwatch.simulator.serving import World
from pumpwatch.simulator.solana import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError

_MOST_BODY_BYTES: Final = 2**22
_RATE_LIMITED: Final = -32429


@dataclass(slots=True)
class Trouble:
    """
    What is wrong with the HTTP endpoint at present; times are of ``time.monotonic``.

    Attributes:
        off: Every connection is closed without an answer, until *off_until* or for good.
        refuse: HTTP status for requests until *refuse_until*, with ``Retry-After`` *retry_after* (None: without).
        exhausted: It refuses because the month's credits are used up, and says so.
    """

    off: bool = False
    off_until: float = 0.0
    refuse: int = 429
    refuse_until: float = 0.0
    retry_after: str | None = None
    exhausted: bool = False

    @property
    def is_off(self) -> bool:
        return self.off or time.monotonic() < self.off_until

    @property
    def refuses(self) -> bool:
        return time.monotonic() < self.refuse_until


class Endpoint:
    """
    Takes request bodies, single or batched, as far as the provider allows. Any thread.

    Attributes:
        calls: So many were asked for, each of a batch counted, refused ones too.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.node = Node(world)
        self.trouble = Trouble()
        self.calls: Counter[str] = Counter()

    def answer(self, body: bytes) -> tuple[int, str, str | None]:
        """HTTP status, body and ``Retry-After`` for a request body: one call, or a batch of them."""
        try:
            request = json.loads(body)
        except ValueError:
            return 200, _failed(RpcError(PARSE_ERROR, "Parse error")), None
        calls = request if isinstance(request, list) else [request]
        methods = [str(call.get("method")) if isinstance(call, dict) else "?" for call in calls]
        with self._world.lock:
            self.calls.update(methods)
        if self.trouble.refuses:
            text = "max usage reached" if self.trouble.exhausted else "rate limited"
            return self.trouble.refuse, _failed(RpcError(_RATE_LIMITED, text)), self.trouble.retry_after
        if isinstance(request, list) and not self._may_batch(methods):
            return 413, _failed(RpcError(INVALID_REQUEST, "Batch too large")), None
        if not all(self._admitted(method) for method in methods):
            return 429, _failed(RpcError(_RATE_LIMITED, "rate limited")), "1"
        answers = [self._one(call) for call in calls]
        return 200, dumps(answers if isinstance(request, list) else answers[0]), None

    def _may_batch(self, methods: list[str]) -> bool:
        limits = self._world.limits
        if limits is None:
            return True
        others = sum(method != "getTransaction" for method in methods)
        return len(methods) <= limits.batch and others <= limits.batch_others and "getTransactionsForAddress" not in methods

    def _admitted(self, method: str) -> bool:
        limits = self._world.limits
        if limits is None:
            return True
        if not self._world.rate.within("", limits.calls):
            return False
        return limits.calls_per_method is None or self._world.rate.within(method, limits.calls_per_method)

    def _one(self, call: Any) -> dict[str, object]:
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            return RpcError(INVALID_REQUEST, "Invalid request").document(None)
        request_id = call.get("id")
        try:
            with self._world.lock:
                result = self.node.answer(call["method"], call.get("params") or [])
        except RpcError as error:
            return error.document(request_id)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError):
            return RpcError(INVALID_PARAMS, "Invalid params").document(request_id)
        return {"jsonrpc": "2.0", "result": result, "id": request_id}


def _failed(error: RpcError) -> str:
    return dumps(error.document(None))


class _Handler(BaseHTTPRequestHandler):
    """One HTTP connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: apart, the second would wait for the peer's acknowledgement
    disable_nagle_algorithm = True
    server: _Http

    def do_POST(self) -> None:
        """Answer one JSON-RPC request."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST_BODY_BYTES))
        world, endpoint = self.server.world, self.server.endpoint
        if endpoint.trouble.is_off:
            self.close_connection = True
            return
        key = parse_qs(urlsplit(self.path).query).get("api-key", [""])[0]
        retry_after = None
        if world.limits is not None and world.limits.needs_key and not key:
            status, text = 401, dumps({"jsonrpc": "2.0", "error": {"code": -32401, "message": "Invalid API Key"}})
        else:
            status, text, retry_after = endpoint.answer(body)
        self._send(status, text, retry_after)

    def do_GET(self) -> None:
        """Tell a price, as an exchange would."""
        endpoint = self.server.endpoint
        if endpoint.trouble.is_off:
            self.close_connection = True
            return
        self._send(*exchange.answer(self.path, time.time()), None)

    def _send(self, status: int, text: str, retry_after: str | None) -> None:
        payload = text.encode()
        self.send_response(status)
        for name, value in self.server.world.headers.items():
            self.send_header(name, value)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world = world
        self.endpoint = endpoint
        self.open_sockets: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open_sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class RpcServer:
    """The simulated node's HTTP server."""

    def __init__(self, world: World) -> None:
        self.endpoint = Endpoint(world)
        self._server = _Http(world, self.endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="simulator rpc", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """End all connections, kept-alive ones too."""
        self._server.shutdown()
        for open_socket in list(self._server.open_sockets):
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()
        self._thread.join()
