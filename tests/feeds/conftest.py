"""Servers on loopback, right and wrong ones, and a watch over forgotten threads."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve

from pumpwatch.config import Endpoint
from pumpwatch.events import Delivery, Event

_QUIET = logging.getLogger("tests.feeds.server")
_QUIET.disabled = True

Script = Callable[[socket.socket], None]


class RawServer:
    """Accepts on a free port and gives each connection to the script, in a thread of its own."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.endpoint = Endpoint.of(f"ws://127.0.0.1:{self._listener.getsockname()[1]}/api/data", key="raw-server-secret-key")
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                self._sockets.append(accepted)
                thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            self._script(accepted)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for accepted in self._sockets:
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def serve_raw() -> Iterator[Callable[[Script], Endpoint]]:
    """A function that starts a server which does to each connection what the script does, and returns its address."""
    servers: list[RawServer] = []

    def start(script: Script) -> Endpoint:
        servers.append(RawServer(script))
        return servers[-1].endpoint

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """A function that waits for a condition, and fails when it does not come."""

    def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("the condition did not come")
            time.sleep(0.005)

    return wait


@pytest.fixture(autouse=True)
def no_forgotten_threads() -> Iterator[None]:
    """Each test leaves as many threads as it found."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]:
        if time.monotonic() > deadline:
            pytest.fail(f"forgotten threads: {left}")
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine gets into a test that does not ask for one."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


class FriendlyServer:
    """
    A correct WebSocket server that keeps what it is sent, answers as it is told, and sends what a test wants.

    Attributes:
        requests: Every JSON message received, with all connections in one list.
        answer: Given a request, the messages to send back.
        greeting: Sent to each new connection.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], list[object]] = lambda _request: []
        self.greeting: list[object] = []
        self.headers: dict[str, str] = {"X-Pumpwatch-Origin": "simulator"}
        self.status: tuple[int, dict[str, str], bytes] | None = None
        self.opens = 0
        self.reading = threading.Event()
        self.reading.set()
        self._connections: list[ServerConnection] = []
        self._server = serve(
            self._handle, "127.0.0.1", 0, process_request=self._refuse, process_response=self._add_headers, logger=_QUIET
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.endpoint = Endpoint.of(self.url)

    def _refuse(self, _connection: ServerConnection, _request: Request) -> Response | None:
        self.opens += 1
        if self.status is None:
            return None
        code, headers, body = self.status
        return Response(code, "No", Headers({**headers, "Content-Length": str(len(body))}), body)

    def _add_headers(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        response.headers.update(self.headers)

    def _handle(self, connection: ServerConnection) -> None:
        self._connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            for message in self.greeting:
                connection.send(_text(message))
            for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                for message in self.answer(request):
                    connection.send(_text(message))

    @property
    def accepted(self) -> int:
        """Connections that were taken since the start."""
        return len(self._connections)

    @property
    def connected(self) -> int:
        """Connections that are open now."""
        return sum(connection.state is State.OPEN for connection in self._connections)

    def say(self, *messages: object) -> None:
        """Send to the newest connection: text as it is, anything else as JSON."""
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                self._connections[-1].send(_text(message))

    def drop(self) -> None:
        """Cut all connections."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def close_with(self, code: int, reason: str = "") -> None:
        """Close the newest connection with a close frame."""
        self._connections[-1].close(code, reason)

    def methods(self) -> list[str]:
        """The methods asked for, in order."""
        return [request["method"] for request in self.requests]

    def stop(self) -> None:
        self._server.shutdown()
        self.drop()
        self._thread.join(5)
        self._server.socket.close()


def _text(message: object) -> str | bytes:
    return message if isinstance(message, str | bytes) else json.dumps(message)


@pytest.fixture
def server() -> Iterator[FriendlyServer]:
    """A correct WebSocket server that says it is a simulator."""
    started = FriendlyServer()
    yield started
    started.stop()


class Sink:
    """What the queue is to a feed."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.is_full = False

    def deliver(self, delivery: Delivery) -> bool:
        if self.is_full:
            return False
        self.deliveries.append(delivery)
        return True

    def room(self) -> bool:
        return not self.is_full

    def events(self, kind: type[Event] | None = None) -> list[Any]:
        """All events, or those of one kind."""
        return [event for delivery in self.deliveries for event in delivery.events if kind is None or type(event) is kind]


@pytest.fixture
def sink() -> Sink:
    return Sink()
