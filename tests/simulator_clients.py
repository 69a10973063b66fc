"""Plain clients of the simulator: what it sends is looked at without the recorder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from websockets.sync.client import ClientConnection

#: Opens a connection that the test's end closes.
Connect: TypeAlias = Callable[[str], ClientConnection]


def ask(connection: ClientConnection, request: dict[str, Any]) -> Any:
    """Send *request* and wait for its answer, skipping data."""
    connection.send(json.dumps(request))
    while True:
        answer = json.loads(connection.recv(timeout=10))
        if {"message", "errors", "id", "error"} & answer.keys():
            return answer


def call(connection: ClientConnection, method: str, *params: Any) -> Any:
    """The same for JSON-RPC."""
    request: dict[str, Any] = {"jsonrpc": "2.0", "id": 5, "method": method}
    return ask(connection, request | ({"params": list(params)} if params else {}))


def collect(connection: ClientConnection, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Messages until they are *enough*."""
    messages: list[Any] = []
    while not enough(messages):
        messages.append(json.loads(connection.recv(timeout=10)))
    return messages


def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*; the test's own timeout ends a vain wait."""
    while not condition():
        time.sleep(0.005)
