"""Servers on loopback that fail in every way there is, and tell our keys back to us in every spelling while they do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Final

from secret_spellings import spellings

_READ_SECONDS: Final = 5.0
_TLS_HELLO: Final = b"\x16"
_ORIGIN: Final = "X-Pumpwatch-Origin"

#: What one connection gets: its socket, the head (and body) of its request, and all that is to be told back.
Case = Callable[[socket.socket, bytes, str], None]


class HostileServer:
    """
    Gives each connection the next of *cases*, for ever.

    Attributes:
        served: How often each case, by its name.
        asked: What came: the keys must be in it, or nothing is proven.
    """

    def __init__(self, cases: Sequence[Case], secrets: Sequence[str]) -> None:
        self._cases = cases
        self._told = " ".join(sorted(spelled for secret in secrets for spelled in spellings(secret)))
        self.served: dict[str, int] = dict.fromkeys((case.__name__ for case in cases), 0)
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, name="hostile server")
        self._accepting.start()

    @property
    def is_done(self) -> bool:
        """Every case was served."""
        return all(self.served.values())

    def close(self) -> None:
        self._closing.set()
        self._accepting.join()
        self._listener.close()
        for accepted in self._sockets:
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        number = 0
        while not self._closing.is_set():
            try:
                accepted, _ = self._listener.accept()
            except TimeoutError:
                continue
            case = self._cases[number % len(self._cases)]
            number += 1
            self._sockets.append(accepted)
            self._threads.append(threading.Thread(target=self._serve, args=(accepted, case), name=case.__name__))
            self._threads[-1].start()

    def _serve(self, accepted: socket.socket, case: Case) -> None:
        with accepted, contextlib.suppress(OSError):
            accepted.settimeout(_READ_SECONDS)
            request = _request(accepted)
            self.asked.append(request)
            case(accepted, request, self._told)
            self.served[case.__name__] += 1


def _request(accepted: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = accepted.recv(65_536)
        if not piece:
            return received
        received += piece
        if received[:1] == _TLS_HELLO:
            return received
    head, _, body = received.partition(b"\r\n\r\n")
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lines[0].split(b":")[1]) if lines else 0
    while len(body) < length:
        piece = accepted.recv(65_536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


# HTTP, as an answer to a handshake and to a call


def http(status: int, **headers: str) -> Case:
    """Answer with *status*, the keys in headers and body."""

    def case(client: socket.socket, request: bytes, told: str) -> None:
        path = request.split(b" ")[1].decode("latin-1")
        body = f'{{"error": "no, not with {path}: {told}"}}'.encode()
        fields = {"Content-Length": str(len(body)), "X-Echo": told[:2000], "Connection": "close", _ORIGIN: "simulator", **headers}
        if status in (301, 307):
            fields["Location"] = f"http://127.0.0.1:9{path}&api-key={told[:500].replace(' ', '')}"
        head = f"HTTP/1.1 {status} {told[:300]}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        client.sendall(head.encode("latin-1") + body)

    case.__name__ = f"http {status}"
    return case


def reset(client: socket.socket, _request: bytes, _told: str) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(_client: socket.socket, _request: bytes, _told: str) -> None:
    """The end, without a word."""


def silence(client: socket.socket, _request: bytes, _told: str) -> None:
    client.recv(1)


def no_http(client: socket.socket, request: bytes, told: str) -> None:
    client.sendall(told.encode() + b"\r\n" + request + b"\r\n\r\n")


def bad_header(client: socket.socket, _request: bytes, told: str) -> None:
    client.sendall(f"HTTP/1.1 101 x\r\n{told}\r\n:{told}\r\n\r\n".encode())


def not_json(client: socket.socket, request: bytes, told: str) -> None:
    _answer(client, b"<html>" + request + told.encode())


def wrong_json(client: socket.socket, _request: bytes, told: str) -> None:
    _answer(client, f'{{"{told[:500]}": [1, 2, "{told}"]}}'.replace("\\", "/").encode())


def refused_call(client: socket.socket, _request: bytes, told: str) -> None:
    text = told.replace("\\", "").replace('"', "")
    _answer(client, f'{{"jsonrpc": "2.0", "id": 1, "error": {{"code": -32600, "message": "{text}"}}}}'.encode())


def cut_body(client: socket.socket, _request: bytes, told: str) -> None:
    client.sendall(f"HTTP/1.1 200 OK\r\n{_ORIGIN}: simulator\r\nContent-Length: 99999\r\n\r\n{told}".encode())


def bad_chunks(client: socket.socket, _request: bytes, told: str) -> None:
    client.sendall(f"HTTP/1.1 200 OK\r\n{_ORIGIN}: simulator\r\nTransfer-Encoding: chunked\r\n\r\n{told}\r\n{told}\r\n".encode())


def _answer(client: socket.socket, body: bytes) -> None:
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{_ORIGIN}: simulator"
    head = f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"
    client.sendall(head.encode() + body)


# WebSocket: after a handshake that is right


def closes_with_a_reason(client: socket.socket, request: bytes, told: str) -> None:
    _shake_hands(client, request)
    for word in told.split()[:3]:
        client.sendall(_frame(8, struct.pack(">H", 4000) + word.encode()[:100]))


def talks(client: socket.socket, request: bytes, told: str) -> None:
    """Texts that are no messages, errors and refusals, all with keys in them."""
    _shake_hands(client, request)
    text = told.replace("\\", "").replace('"', "")
    for message in (
        f"no JSON: {told}",
        f'{{"errors": "{text}"}}',
        f'{{"message": "Invalid API key {text[:200]}"}}',
        f'{{"jsonrpc": "2.0", "id": 1, "error": {{"code": -32602, "message": "{text}"}}}}',
        f'{{"txType": "buy", "signature": "{text[:300]}", "mint": "{text[:100]}"}}',
    ):
        client.sendall(_frame(1, message.encode()))
    client.sendall(_frame(2, told.encode()))
    with contextlib.suppress(TimeoutError):
        client.settimeout(1.0)
        while client.recv(65_536):
            pass


def other_origin(client: socket.socket, request: bytes, told: str) -> None:
    _shake_hands(client, request, origin=told[:1000])


def bad_frame(client: socket.socket, request: bytes, told: str) -> None:
    _shake_hands(client, request)
    client.sendall(bytes([0xF3, 100]) + told.encode())


def _shake_hands(client: socket.socket, request: bytes, origin: str = "simulator") -> None:
    lines = [line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")]
    key = lines[0].split(b":")[1].strip()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    client.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
        f"X-Pumpwatch-Origin: {origin}\r\n\r\n".encode()
    )


def _frame(opcode: int, payload: bytes) -> bytes:
    length = bytes([len(payload)]) if len(payload) < 126 else bytes([126]) + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + length + payload


HANDSHAKES: Final[tuple[Case, ...]] = (
    talks,
    http(404),
    http(429),
    http(500),
    http(301),
    reset,
    hang_up,
    no_http,
    bad_header,
    bad_frame,
)
REFUSALS: Final[tuple[Case, ...]] = (http(401), http(403), closes_with_a_reason, other_origin, silence)
CALLS: Final[tuple[Case, ...]] = (
    *(cut_body, bad_chunks, reset, hang_up, no_http, http(500), not_json, http(429, **{"Retry-After": "0"}), wrong_json),
    *(http(307), refused_call, http(404), http(403), http(401), silence),
)
