"""The web page's real server over a file, in a thread of the test, and requests as nobody's library would send them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pumpwatch.config import DashboardSettings, PumpwatchSettings, Settings
from pumpwatch.dashboard.app import create_app
from pumpwatch.dashboard.context import Context
from pumpwatch.dashboard.live import Live
from pumpwatch.dashboard.server import Server

ACTION_TOKEN = "the-action-token-of-this-very-run"


@dataclass(frozen=True, slots=True)
class Got:
    """An answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The word for programs."""
        return str(self.json["error"]["code"])


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers."""

    server: Server
    live: Live

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def host(self) -> str:
        """As a browser names it."""
        return f"127.0.0.1:{self.port}"

    @property
    def own(self) -> dict[str, str]:
        """What our own page sends with what changes something."""
        return {"Origin": f"http://{self.host}", "X-Pumpwatch-Action": ACTION_TOKEN, "Content-Type": "application/json"}

    def ask(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Got:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """Whatever bytes, and all that is answered to them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection.settimeout(5)
                while piece := connection.recv(65_536):
                    answer += piece
            return answer


@contextmanager
def served(database: Path, settings: Settings | None = None, **dashboard: Any) -> Iterator[Served]:
    """The page over *database*, whether that is there or not."""
    chosen = settings or Settings(pumpwatch=PumpwatchSettings(database=database), dashboard=DashboardSettings(**dashboard))
    live = Live(database)
    server = Server(create_app(Context(settings=chosen, live=live, action_token=ACTION_TOKEN)), host="127.0.0.1", port=0)
    stopping = threading.Event()
    live.start()
    thread = threading.Thread(target=server.serve, kwargs={"until": stopping.is_set, "streams": live})
    thread.start()
    try:
        yield Served(server, live)
    finally:
        stopping.set()
        thread.join(10)
        assert not thread.is_alive()
