"""
A very small HTTP server for this machine alone: a few connections, one thread, no step of which waits for a client.

One request a connection. A client that is slow, silent or says too much is hung up on, and holds up nobody meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

from loguru import logger

from pumpwatch.loopback import OWN_NAMES, listen, means_us

#: The loopback of both kinds: on some systems ``localhost`` means the second first.
ADDRESSES: Final = ("127.0.0.1", "::1")

_MOST_CLIENTS: Final = 16
_CLIENT_SECONDS: Final = 5.0
_LINGER_SECONDS: Final = 1.0
_LONGEST_HEAD_BYTES: Final = 8192
_READ_BYTES: Final = 16_384

_TARGET: Final = re.compile(rb"/[!-~]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")


class Request(NamedTuple):
    """*path* is without its query; *fields* have their names in lower case."""

    method: str
    path: str
    fields: dict[str, list[str]]

    def field(self, name: str) -> str:
        """All values of the header *name*, as one."""
        return ", ".join(self.fields.get(name, ()))


class Answer(NamedTuple):
    """What a request gets."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class Refused(Exception):
    """The client gets this *status*, and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True, eq=False)
class _Client:
    socket: socket.socket
    ends_at: float
    received: bytearray = field(default_factory=bytearray)
    to_send: bytes = b""
    is_answered: bool = False


class SmallServer:
    """
    Serves GET and HEAD to requests for this machine by name. All methods belong to one thread.

    Args:
        port: 0: any free one; :attr:`port` tells it once it is open.
        answer: By path. Quick, and does not raise.
        hosts: By what names, beside those of the loopback, a request may call this machine: a page of the web that has its own
            name resolve to this machine is refused (DNS rebinding).

    """

    def __init__(self, *, port: int, answer: dict[str, Callable[[Request], Answer]], hosts: Sequence[str] = ()) -> None:
        self.port = port
        self._answers = answer
        self._names = {*OWN_NAMES, *hosts}
        self._selector: selectors.BaseSelector | None = None
        self._clients: list[_Client] = []
        self._has_failed = False

    @property
    def is_open(self) -> bool:
        """Somebody can connect."""
        return self._selector is not None

    def open(self) -> None:
        """
        Listen.

        Raises:
            OSError: The port is taken, or not permitted.

        """
        first = _listen(ADDRESSES[0], self.port)
        self.port = first.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(first, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # this machine has no IPv6, or another program is there: the first is enough
            self._selector.register(_listen(ADDRESSES[1], self.port), selectors.EVENT_READ)

    def close(self) -> None:
        """Hang up on everybody. Idempotent."""
        selector, self._selector = self._selector, None
        if selector is None:
            return
        for key in list(selector.get_map().values()):
            with contextlib.suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr] # sockets, all of them
        selector.close()
        self._clients.clear()

    def turn(self, timeout_seconds: float) -> None:
        """Do what can be done without waiting; when there is nothing, wait so long for it."""
        assert self._selector is not None
        for key, _ in self._selector.select(timeout_seconds):
            if isinstance(key.data, _Client):
                self._serve(key.data)
            else:
                self._accept(key.fileobj)  # type: ignore[arg-type] # a socket
        now = time.monotonic()
        for client in [client for client in self._clients if now > client.ends_at]:
            self._hang_up(client)

    def _accept(self, listener: socket.socket) -> None:
        assert self._selector is not None
        try:
            accepted, _ = listener.accept()
        except OSError:  # it has gone again, or this process may open no more files
            time.sleep(0.01)
            return
        accepted.settimeout(0)
        client = _Client(accepted, time.monotonic() + _CLIENT_SECONDS)
        self._clients.append(client)
        self._selector.register(accepted, selectors.EVENT_READ, client)
        if len(self._clients) > _MOST_CLIENTS:
            self._hang_up(self._clients[0])

    def _serve(self, client: _Client) -> None:
        try:
            if client.to_send:
                self._send(client)
            else:
                self._receive(client)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(client)

    def _receive(self, client: _Client) -> None:
        read = client.socket.recv(_READ_BYTES)
        if not read:
            self._hang_up(client)
        elif not client.is_answered:  # what comes afterwards, a body say, is nothing to us
            client.received += read
            head, is_whole, _ = client.received.partition(b"\r\n\r\n")
            if len(head) > _LONGEST_HEAD_BYTES:
                self._begin_answer(client, _packed(Answer(431, b""), None))
            elif is_whole:
                self._begin_answer(client, self._answer_to(bytes(head)))

    def _begin_answer(self, client: _Client, answer: bytes) -> None:
        assert self._selector is not None
        client.is_answered = True
        client.received.clear()
        client.to_send = answer
        self._selector.modify(client.socket, selectors.EVENT_WRITE, client)
        self._send(client)

    def _send(self, client: _Client) -> None:
        assert self._selector is not None
        sent = client.socket.send(client.to_send)
        client.to_send = client.to_send[sent:]
        if not client.to_send:
            # Closing on unread bytes would throw the answer away where the client has not read it yet.
            client.socket.shutdown(socket.SHUT_WR)
            client.ends_at = min(client.ends_at, time.monotonic() + _LINGER_SECONDS)
            self._selector.modify(client.socket, selectors.EVENT_READ, client)

    def _hang_up(self, client: _Client) -> None:
        assert self._selector is not None
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()

    def _answer_to(self, head: bytes) -> bytes:
        request = None
        try:
            request = parse_request(head)
            answer = self._permitted(request)(request)
        except Refused as refused:
            answer = Answer(refused.status, b"")
        except Exception as error:  # noqa: BLE001 - a defect in an answer: it must not end what others live on
            logger.opt(exception=error).log("DEBUG" if self._has_failed else "ERROR", "a request cannot be answered")
            self._has_failed = True
            answer = Answer(500, b"")
        return _packed(answer, request)

    def _permitted(self, request: Request) -> Callable[[Request], Answer]:
        if not means_us(request.fields.get("host", []), self._names):
            raise Refused(403)
        if request.path not in self._answers:
            raise Refused(404)
        if request.method not in ("GET", "HEAD"):
            raise Refused(405)
        return self._answers[request.path]


def parse_request(head: bytes) -> Request:
    """
    Return what the *head* of a request, without the empty line at its end, asks for.

    Raises:
        Refused: It is malformed.

    """
    first, *lines = head.split(b"\r\n")
    method, _, rest = first.partition(b" ")
    target, _, version = rest.partition(b" ")
    if not method.isalpha() or not method.isupper() or not _TARGET.fullmatch(target) or version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Refused(400)
    fields: dict[str, list[str]] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Refused(400)
        fields.setdefault(found[1].decode("ascii").lower(), []).append(found[2].decode("latin-1"))
    return Request(method.decode("ascii"), target.partition(b"?")[0].decode("ascii"), fields)


def _packed(answer: Answer, request: Request | None) -> bytes:
    phrase = HTTPStatus(answer.status).phrase
    body = answer.body or f"{answer.status} {phrase}\n".encode()
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Type": answer.content_type,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Connection": "close",
        **({"Allow": "GET, HEAD"} if answer.status == 405 else {}),
    }
    head = f"HTTP/1.1 {answer.status} {phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    is_head = request is not None and request.method == "HEAD"
    return head.encode("ascii", "replace") + (b"" if is_head else body)


def _listen(address: str, port: int) -> socket.socket:
    listener = listen(address, port, waiting=_MOST_CLIENTS)
    listener.settimeout(0)
    return listener
