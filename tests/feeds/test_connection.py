"""
Every way in which a connection can go wrong, made at the socket.

The rows of facts/libraries.md sections 1.1 to 1.6 that concern us: a new version of websocket-client that behaves otherwise shows
here.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import websocket

from pumpwatch.config import ConnectionSettings, Endpoint
from pumpwatch.feeds.connection import Connection
from pumpwatch.feeds.outcome import Ending
from pumpwatch.feeds.transport import Transport

Serve = Callable[[Callable[[socket.socket], None]], Endpoint]
WaitUntil = Callable[[Callable[[], object]], None]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Recorder:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.binary: list[bytes] = []
        self.headers: Mapping[str, str] = {}
        self.on_opened: Callable[[], Ending | None] = lambda: None
        self.on_message: Callable[[bytes], bool] = lambda _: True

    def opened(self, headers: Mapping[str, str]) -> Ending | None:
        self.headers = headers
        return self.on_opened()

    def receive(self, message: bytes, *, is_binary: bool) -> bool:
        (self.binary if is_binary else self.messages).append(message)
        return self.on_message(message)


class Running:
    """A connection in a thread, with its watchdog in another."""

    def __init__(
        self, endpoint: Endpoint, receiver: Recorder, idle_seconds: float, settings: ConnectionSettings, **named: Any
    ) -> None:
        self.connection = Connection(endpoint, receiver, settings=settings, idle_seconds=idle_seconds, **named)
        self.ending: Ending | None = None
        self._done = threading.Event()
        self._reader = threading.Thread(target=self._run, daemon=True)
        self._watchdog = threading.Thread(target=self._watch, daemon=True)
        self._reader.start()
        self._watchdog.start()

    def _run(self) -> None:
        self.ending = self.connection.run()
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.connection.watch()

    def ended(self) -> Ending:
        """How it ended; every case here must end by itself, long before the 5 s."""
        assert self._done.wait(5), "the connection hangs"
        assert self.ending is not None
        return self.ending

    def finish(self) -> None:
        self.connection.end(Ending(kind="stopped", reason="stopped"))
        assert self._done.wait(5), "the connection cannot be stopped"
        self._reader.join()
        self._watchdog.join()


@pytest.fixture
def receiver() -> Recorder:
    return Recorder()


@pytest.fixture
def run(receiver: Recorder) -> Iterator[Callable[..., Running]]:
    """A function that runs a connection to an endpoint, with short timeouts."""
    all_running: list[Running] = []

    def start(
        endpoint: Endpoint, *, idle_seconds: float = 60.0, context: Any = None, largest: int | None = None, **timeouts: float
    ) -> Running:
        values = {"connect_timeout_seconds": 3.0, "ping_interval_seconds": 20.0, "ping_timeout_seconds": 10.0, **timeouts}
        named: dict[str, Any] = {}
        if context is not None:
            named["context"] = context
        if largest is not None:
            named["largest_message_bytes"] = largest
        running = Running(endpoint, receiver, idle_seconds, ConnectionSettings(**values), **named)
        all_running.append(running)
        return running

    yield start
    for running in all_running:
        running.finish()


def read_request(client: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError("the client is gone")
        request += piece
    return request


def answer_to(request: bytes, *headers: str) -> bytes:
    key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def shake_hands(client: socket.socket, *headers: str) -> None:
    client.sendall(answer_to(read_request(client), *headers))


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, mask: bytes = b"") -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, masked | len(payload))
    elif len(payload) < 65_536:
        head = struct.pack("!BBH", first, masked | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, masked | 127, len(payload))
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload
    return head + mask + body


def linger(client: socket.socket) -> None:
    """Read and say nothing until the client goes."""
    while client.recv(65_536):
        pass


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def after_handshake(*steps: bytes, stay: bool = True) -> Callable[[socket.socket], None]:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        for step in steps:
            client.sendall(step)
        if stay:
            linger(client)

    return script


# Section 1.1: close callbacks of the pinned version


def test_the_pinned_version_is_installed() -> None:
    major, minor, patch = (int(part) for part in websocket.__version__.split("."))
    assert (1, 9, 2) <= (major, minor, patch) < (2, 0, 0)


class BareApp:
    """The library alone, without anything of ours, against a server that closes with 1012."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.errors: list[object] = []
        self.closes: list[tuple[object, object]] = []
        app = websocket.WebSocketApp(
            endpoint.url,
            on_error=lambda _, error: self.errors.append(error),
            on_close=lambda _, code, reason: self.closes.append((code, reason)),
        )
        self.raw: list[Any] = []
        app.on_open = lambda opened: self.raw.append(opened.sock and opened.sock.sock)
        self.returned = app.run_forever(skip_utf8_validation=True)
        for opened in self.raw:
            opened.close()


@pytest.fixture
def closed_by_1012(serve_raw: Serve) -> BareApp:
    return BareApp(serve_raw(after_handshake(frame(struct.pack("!H", 1012) + b"bye", CLOSE))))


def test_a_close_frame_reaches_on_error_as_an_exception_with_its_code(closed_by_1012: BareApp) -> None:
    [error] = closed_by_1012.errors
    assert isinstance(error, websocket.WebSocketConnectionClosedException)
    assert (getattr(error, "status_code", None), getattr(error, "reason", None)) == (1012, "bye")


def test_a_close_frame_reaches_on_close_with_its_code(closed_by_1012: BareApp) -> None:
    assert closed_by_1012.closes == [(1012, "bye")]


def test_run_forever_returns_false_after_a_close_frame(closed_by_1012: BareApp) -> None:
    assert closed_by_1012.returned is False


# Section 1.2: each ending


@pytest.mark.parametrize("code", [1000, 1001, 1009, 1011, 1012, 1013, 1014])
def test_a_close_code_of_daily_life_is_a_lost_connection(serve_raw: Serve, run: Callable[..., Running], code: int) -> None:
    ending = run(serve_raw(after_handshake(frame(struct.pack("!H", code) + b"bye", CLOSE)))).ended()

    assert ("lost", code) == (ending.kind, ending.status)
    assert "bye" in ending.reason


@pytest.mark.parametrize("code", [1008, 4000, 4999])
def test_a_close_code_of_policy_is_a_refusal(serve_raw: Serve, run: Callable[..., Running], code: int) -> None:
    assert run(serve_raw(after_handshake(frame(struct.pack("!H", code), CLOSE)))).ended().kind == "refused"


@pytest.mark.parametrize("code", [1006, 1015, 5000])
def test_a_close_code_that_no_frame_may_have_is_a_lost_connection(
    serve_raw: Serve, run: Callable[..., Running], code: int
) -> None:
    assert run(serve_raw(after_handshake(frame(struct.pack("!H", code), CLOSE)))).ended().kind == "lost"


def test_a_close_without_a_code_is_a_lost_connection(serve_raw: Serve, run: Callable[..., Running]) -> None:
    assert run(serve_raw(after_handshake(frame(b"", CLOSE)))).ended().kind == "lost"


def test_a_fin_without_a_close_frame_is_a_lost_connection(serve_raw: Serve, run: Callable[..., Running]) -> None:
    assert run(serve_raw(after_handshake(frame(b"{}"), stay=False))).ended().kind == "lost"


def test_a_reset_is_a_lost_connection(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        reset(client)

    assert run(serve_raw(script)).ended().kind == "lost"


def test_a_message_cut_in_the_middle_by_the_end_of_the_stream_is_not_delivered(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    assert run(serve_raw(after_handshake(frame(b"whole"), frame(b"half of it")[:-3], stay=False))).ended().kind == "lost"
    assert receiver.messages == [b"whole"]


def test_bytes_that_are_no_utf8_are_delivered_as_they_are(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    run(serve_raw(after_handshake(frame(b"\xff\xfe"), frame(b"next"), stay=False))).ended()

    assert receiver.messages == [b"\xff\xfe", b"next"]


def test_a_compressed_frame_ends_the_connection(serve_raw: Serve, run: Callable[..., Running], receiver: Recorder) -> None:
    ending = run(serve_raw(after_handshake(frame(b"zip", rsv=4)))).ended()

    assert ending.kind == "lost"
    assert "rsv" in ending.reason
    assert receiver.messages == []


def test_a_masked_frame_is_accepted(serve_raw: Serve, run: Callable[..., Running], receiver: Recorder) -> None:
    run(serve_raw(after_handshake(frame(b"masked", mask=b"abcd"), stay=False))).ended()

    assert receiver.messages == [b"masked"]


def test_a_binary_message_is_told_apart(serve_raw: Serve, run: Callable[..., Running], receiver: Recorder) -> None:
    run(serve_raw(after_handshake(frame(b"\x00\x01", BINARY), frame(b"text"), stay=False))).ended()

    assert (receiver.binary, receiver.messages) == ([b"\x00\x01"], [b"text"])


def test_fragments_make_one_message_with_a_ping_between_them(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    pieces = (frame(b"one ", fin=False), frame(b"p", PING), frame(b"two ", 0, fin=False), frame(b"three", 0))
    run(serve_raw(after_handshake(*pieces)))

    wait_until(lambda: receiver.messages == [b"one two three"])


def test_a_text_between_the_fragments_of_another_ends_the_connection(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    pieces = frame(b"half", fin=False) + frame(b"ping", PING) + frame(b"no place for it") + frame(b"half", 0)
    assert run(serve_raw(after_handshake(pieces))).ended().kind == "lost"
    assert receiver.messages == []


def test_many_messages_in_one_packet_are_all_delivered_at_once(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    run(serve_raw(after_handshake(b"".join(frame(b"%d" % number) for number in range(5000)))))

    wait_until(lambda: len(receiver.messages) == 5000)
    assert [b"%d" % number for number in range(5000)] == receiver.messages


def test_messages_that_come_with_the_handshake_are_delivered(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    def script(client: socket.socket) -> None:
        client.sendall(answer_to(read_request(client)) + frame(b"early") + frame(b"bird"))
        linger(client)

    run(serve_raw(script))

    wait_until(lambda: receiver.messages == [b"early", b"bird"])


def test_a_server_that_never_pongs_is_lost_by_the_librarys_pings(serve_raw: Serve, run: Callable[..., Running]) -> None:
    started = time.monotonic()
    ending = run(serve_raw(after_handshake()), ping_interval_seconds=0.3, ping_timeout_seconds=0.2).ended()

    assert ending.kind == "lost"
    assert "ping/pong timed out" in ending.reason
    assert time.monotonic() - started < 2.5, "the library's 3 s for a close frame are avoided"


def http(status: str, *headers: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    def script(client: socket.socket) -> None:
        read_request(client)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        client.sendall("\r\n".join(lines).encode() + body)

    return script


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", "refused"),
        ("403 Forbidden", "refused"),
        ("429 Too Many Requests", "slow down"),
        ("503 Service Unavailable", "slow down"),
        ("500 Internal Server Error", "lost"),
        ("502 Bad Gateway", "lost"),
        ("200 OK", "unwelcome"),
        ("404 Not Found", "unwelcome"),
    ],
)
def test_an_http_answer_is_classed_by_its_status(serve_raw: Serve, run: Callable[..., Running], status: str, kind: str) -> None:
    ending = run(serve_raw(http(status))).ended()

    assert (kind, int(status[:3])) == (ending.kind, ending.status)


def test_retry_after_is_taken_along(serve_raw: Serve, run: Callable[..., Running]) -> None:
    assert run(serve_raw(http("429 Too Many Requests", "Retry-After: 17"))).ended().retry_after_seconds == 17.0


@pytest.mark.parametrize("status", ["429 Too Many Requests", "200 OK"])
def test_a_used_up_plan_is_told_from_a_slow_down_by_its_text(serve_raw: Serve, run: Callable[..., Running], status: str) -> None:
    body = b'{"jsonrpc":"2.0","error":{"code":-32429,"message":"max usage reached"}}'
    assert run(serve_raw(http(status, body=body))).ended().kind == "exhausted"


def test_an_answer_that_quotes_our_key_does_not_get_it_into_the_reason(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        request = read_request(client)
        assert b"raw-server-secret-key" in request
        body = b"Invalid API Key raw-server-secret-key\r\nin " + request
        client.sendall(b"HTTP/1.1 401 No\r\nX-Key: raw-server-secret-key\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    reason = run(serve_raw(script)).ended().reason

    assert "Invalid API Key" in reason
    assert "raw-server-secret-key" not in reason
    assert "\n" not in reason


def test_the_library_logs_nothing_of_a_failed_handshake(
    serve_raw: Serve, run: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    run(serve_raw(http("401 No", "X-Key: raw-server-secret-key", body=b"raw-server-secret-key"))).ended()

    assert "raw-server-secret-key" not in caplog.text


def test_a_redirect_is_not_followed(serve_raw: Serve, run: Callable[..., Running]) -> None:
    followed: list[bytes] = []
    elsewhere = serve_raw(lambda client: followed.append(read_request(client)))
    ending = run(serve_raw(http("302 Found", f"Location: {elsewhere.shown}/stolen"))).ended()

    assert (ending.kind, ending.status) == ("unwelcome", 302)
    assert "another address" in ending.reason
    assert followed == []


def test_a_wrong_accept_key_is_no_websocket(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        client.sendall(answer_to(read_request(client)).replace(b"Accept: ", b"Accept: x"))

    assert run(serve_raw(script)).ended().kind == "lost"


def test_a_refused_connect_is_lost_and_has_reached_the_host(run: Callable[..., Running]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    running = run(Endpoint.of(f"ws://127.0.0.1:{port}"))

    assert running.ended().kind == "lost"
    assert running.connection.reached


def test_an_unknown_name_is_lost_and_has_reached_nobody(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_named: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    running = run(Endpoint.of("ws://no-such-host.invalid"))

    assert "Name or service not known" in running.ended().reason
    assert not running.connection.reached


# Section 1.3: what the library's pings do not notice


def test_half_a_message_and_then_pongs_is_ended_as_silent(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        client.sendall(frame(b"x" * 1000)[:100])
        while True:
            client.sendall(frame(b"", PONG))
            time.sleep(0.05)

    assert run(serve_raw(script), idle_seconds=0.4).ended().kind == "silent"


def test_half_a_message_and_then_nothing_is_ended_by_the_sockets_timeout(serve_raw: Serve, run: Callable[..., Running]) -> None:
    ending = run(serve_raw(after_handshake(frame(b"x" * 1000)[:100])), connect_timeout_seconds=0.4).ended()

    assert ending.kind == "lost"
    assert "timed out" in ending.reason


def test_a_mute_server_that_answers_pings_is_ended_as_silent(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        while client.recv(4096):
            client.sendall(frame(b"", PONG))

    ending = run(serve_raw(script), idle_seconds=0.5, ping_interval_seconds=0.2, ping_timeout_seconds=0.1).ended()

    assert ending.kind == "silent"


def test_silence_is_counted_from_the_connect(serve_raw: Serve, run: Callable[..., Running]) -> None:
    assert run(serve_raw(after_handshake()), idle_seconds=0.2).ended().kind == "silent"


def test_messages_that_are_no_data_do_not_break_the_silence(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    receiver.on_message = lambda _: False

    def script(client: socket.socket) -> None:
        shake_hands(client)
        while True:
            client.sendall(frame(b"acknowledged"))
            time.sleep(0.02)

    assert run(serve_raw(script), idle_seconds=0.4).ended().kind == "silent"
    assert receiver.messages


def test_data_breaks_the_silence(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        while True:
            client.sendall(frame(b"data"))
            time.sleep(0.02)

    running = run(serve_raw(script), idle_seconds=0.4)

    wait_until(lambda: len(receiver.messages) > 40)
    assert running.ending is None


def test_a_slow_consumer_is_not_taken_for_a_silent_server(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    release = threading.Event()
    receiver.on_message = lambda _: release.wait(5) and False
    running = run(serve_raw(after_handshake(frame(b"stuck"))), idle_seconds=0.4)
    wait_until(lambda: receiver.messages)
    time.sleep(0.8)  # twice the idle time: the point of the test

    assert running.ending is None
    released = time.monotonic()
    release.set()
    assert running.ended().kind == "silent", "afterwards the silence counts again"
    assert time.monotonic() - released > 0.2, "but not the time in the receiver"


def test_an_idle_connection_outlives_the_sockets_timeout(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client)
        time.sleep(0.5)
        client.sendall(frame(b"late"))
        linger(client)

    run(serve_raw(script), connect_timeout_seconds=0.2)

    wait_until(lambda: receiver.messages == [b"late"])


# Opening


def test_a_handshake_that_never_comes_is_ended_at_the_deadline(serve_raw: Serve, run: Callable[..., Running]) -> None:
    # Whichever of the two sees it first: the watchdog, or the read that runs out of time.
    assert run(serve_raw(linger), connect_timeout_seconds=0.3).ended().kind in ("not opened", "lost")


def test_a_handshake_that_drips_is_ended_at_the_deadline(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        for byte in answer_to(read_request(client)) * 20:
            client.sendall(bytes((byte,)))
            time.sleep(0.02)

    assert run(serve_raw(script), connect_timeout_seconds=0.5).ended().kind == "not opened"


def test_a_tls_handshake_that_is_never_answered_is_ended_at_the_deadline(serve_raw: Serve, run: Callable[..., Running]) -> None:
    endpoint = serve_raw(linger)
    secure = Endpoint.of(endpoint.url.replace("ws://", "wss://"))

    assert run(secure, connect_timeout_seconds=0.3).ended().kind in ("not opened", "lost")


def test_a_handshake_without_an_end_is_not_read_for_ever(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 101 Switching\r\n")
        while True:
            client.sendall(b"X-More: and more\r\n" * 100)

    ending = run(serve_raw(script)).ended()

    assert ending.kind == "unwelcome"
    assert "too long" in ending.reason


def test_an_endless_error_body_still_tells_its_status(serve_raw: Serve, run: Callable[..., Running]) -> None:
    def script(client: socket.socket) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 429 Slow\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            client.sendall(b"x" * 65_536)

    ending = run(serve_raw(script)).ended()

    assert (ending.kind, ending.status) == ("slow down", 429)


def test_the_answers_headers_reach_the_receiver(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    def script(client: socket.socket) -> None:
        shake_hands(client, "X-Pumpwatch-Origin: simulator")
        linger(client)

    run(serve_raw(script))

    wait_until(lambda: receiver.headers.get("x-pumpwatch-origin") == "simulator")


def test_a_receiver_that_does_not_want_the_connection_ends_it(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    receiver.on_opened = lambda: Ending(kind="wrong origin", reason="not this one")

    assert run(serve_raw(after_handshake())).ended().reason == "not this one"


def test_a_receiver_that_fails_on_opening_ends_the_connection(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder
) -> None:
    def fail() -> Ending | None:
        raise RuntimeError("a defect")

    receiver.on_opened = fail

    assert "a defect" in run(serve_raw(after_handshake())).ended().reason


# Section 1.4: stopping and sending


STATES: dict[str, Callable[[socket.socket], None]] = {
    "idle": after_handshake(),
    "half a message": after_handshake(frame(b"x" * 1000)[:100]),
    "handshake": linger,
}


@pytest.mark.parametrize("state", STATES)
def test_it_stops_at_once_in_every_state(serve_raw: Serve, run: Callable[..., Running], state: str) -> None:
    arrived = threading.Event()

    def script(client: socket.socket) -> None:
        arrived.set()
        STATES[state](client)

    running = run(serve_raw(script))
    assert arrived.wait(5)
    time.sleep(0.1)

    started = time.monotonic()
    running.finish()
    assert time.monotonic() - started < 1
    assert running.ended().kind == "stopped"


def test_it_stops_at_once_in_a_tls_handshake(serve_raw: Serve, run: Callable[..., Running]) -> None:
    arrived = threading.Event()

    def script(client: socket.socket) -> None:
        client.recv(1)
        arrived.set()
        linger(client)

    running = run(Endpoint.of(serve_raw(script).url.replace("ws://", "wss://")))
    assert arrived.wait(5)

    started = time.monotonic()
    running.finish()
    assert time.monotonic() - started < 1


def test_a_sender_blocked_by_a_peer_that_does_not_read_is_freed_by_the_end(
    serve_raw: Serve, run: Callable[..., Running], wait_until: WaitUntil
) -> None:
    over = threading.Event()

    def script(client: socket.socket) -> None:
        shake_hands(client)
        over.wait(10)

    running = run(serve_raw(script))
    wait_until(lambda: running.connection.is_open)
    sent: list[bool] = []

    def flood() -> None:
        while running.connection.send("x" * 1_000_000):
            pass
        sent.append(False)

    sender = threading.Thread(target=flood, daemon=True)
    sender.start()
    time.sleep(0.3)
    assert sender.is_alive()

    started = time.monotonic()
    running.finish()
    sender.join(5)
    over.set()
    assert time.monotonic() - started < 1
    assert sent == [False]


def test_a_send_that_runs_out_of_time_ends_the_connection(
    serve_raw: Serve, run: Callable[..., Running], wait_until: WaitUntil
) -> None:
    over = threading.Event()

    def script(client: socket.socket) -> None:
        shake_hands(client)
        over.wait(10)

    running = run(serve_raw(script), connect_timeout_seconds=0.3)
    wait_until(lambda: running.connection.is_open)
    while running.connection.send("x" * 1_000_000):
        pass

    assert running.ended().kind == "lost"
    over.set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses, it does not hang")
def test_it_stops_at_once_in_a_tcp_connect(run: Callable[..., Running]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        running = run(Endpoint.of(f"ws://127.0.0.1:{address[1]}"), connect_timeout_seconds=30.0)
        time.sleep(0.2)
        assert running.ending is None, "the connect hangs"

        started = time.monotonic()
        running.finish()
        assert time.monotonic() - started < 1
        for filler in fillers:
            filler.close()


def test_a_closed_transport_reads_nothing_and_sends_nothing(serve_raw: Serve) -> None:
    transport = Transport(serve_raw(linger), timeout_seconds=3.0)
    transport.open()
    transport.close()
    transport.close()
    transport.abort()
    transport.settimeout(1.0)

    assert (transport.recv(10), transport.fileno(), transport.pending(), transport.gettimeout()) == (b"", -1, 0, 1.0)
    with pytest.raises(OSError, match="closed"):
        transport.send(b"x")


def test_a_host_without_any_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: [])

    with pytest.raises(OSError, match="no address"):
        Transport(Endpoint.of("ws://nowhere.invalid"), timeout_seconds=1.0).open()


def test_the_next_address_is_tried_when_one_refuses(serve_raw: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = serve_raw(linger)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (refusing, (endpoint.host, endpoint.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)
    transport = Transport(endpoint, timeout_seconds=3.0)
    transport.open()

    assert transport.fileno() > 0
    transport.close()


def test_a_connection_that_was_ended_before_it_began_makes_none(serve_raw: Serve) -> None:
    connection = Connection(serve_raw(linger), Recorder(), settings=ConnectionSettings(), idle_seconds=60)
    connection.end(Ending(kind="stopped", reason="stopped"))

    assert connection.run().kind == "stopped"
    assert not connection.reached
    assert not connection.send("x")


# Section 1.6: size


def test_a_message_above_the_bound_ends_the_connection(serve_raw: Serve, run: Callable[..., Running], receiver: Recorder) -> None:
    ending = run(serve_raw(after_handshake(frame(b"small"), frame(b"x" * 300_000))), largest=200_000).ended()

    assert "larger than 200,000 bytes" in ending.reason
    assert receiver.messages == [b"small"]


def test_a_message_above_the_bound_in_fragments_ends_the_connection(serve_raw: Serve, run: Callable[..., Running]) -> None:
    fragments = b"".join(frame(b"x" * 1000, 0 if number else TEXT, fin=False) for number in range(300))
    ending = run(serve_raw(after_handshake(fragments)), largest=200_000).ended()

    assert "larger than 200,000 bytes" in ending.reason


def test_messages_below_the_bound_may_be_more_in_total(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, wait_until: WaitUntil
) -> None:
    run(serve_raw(after_handshake(*(frame(b"x" * 150_000) for _ in range(10)))), largest=200_000)

    wait_until(lambda: len(receiver.messages) == 10)


# Section 1.5: TLS, proxies


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, script: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secure:
            script(secure)

    return serve


def trusting(authority: trustme.CA) -> Callable[[], ssl.SSLContext]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return lambda: context


def secured(endpoint: Endpoint) -> Endpoint:
    return Endpoint.of(endpoint.url.replace("ws://", "wss://"))


def test_messages_come_through_tls_at_once(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, authority: trustme.CA, wait_until: WaitUntil
) -> None:
    endpoint = serve_raw(tls(authority, after_handshake(b"".join(frame(b"x" * 700) for _ in range(1000)))))
    running = run(secured(endpoint), context=trusting(authority))

    wait_until(lambda: len(receiver.messages) == 1000)
    started = time.monotonic()
    running.finish()
    assert time.monotonic() - started < 1


def test_a_certificate_of_an_unknown_authority_is_refused(
    serve_raw: Serve, run: Callable[..., Running], authority: trustme.CA
) -> None:
    ending = run(secured(serve_raw(tls(authority, after_handshake())))).ended()

    assert ending.kind == "lost"
    assert "CERTIFICATE_VERIFY_FAILED" in ending.reason


def test_a_certificate_of_another_host_is_refused(serve_raw: Serve, run: Callable[..., Running], authority: trustme.CA) -> None:
    def serve(client: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("elsewhere.example").configure_cert(context)
        context.wrap_socket(client, server_side=True).close()

    assert "CERTIFICATE_VERIFY_FAILED" in run(secured(serve_raw(serve)), context=trusting(authority)).ended().reason


def test_an_idle_connection_over_tls_is_ended_as_silent(
    serve_raw: Serve, run: Callable[..., Running], authority: trustme.CA
) -> None:
    endpoint = serve_raw(tls(authority, after_handshake()))

    assert run(secured(endpoint), context=trusting(authority), idle_seconds=0.3).ended().kind == "silent"


def test_a_proxy_in_the_environment_is_not_used_for_loopback(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    proxied: list[bytes] = []
    proxy = serve_raw(lambda client: proxied.append(read_request(client)))
    monkeypatch.setenv("http_proxy", proxy.shown.replace("ws://", "http://"))

    run(serve_raw(after_handshake(frame(b"direct"))))

    wait_until(lambda: receiver.messages == [b"direct"])
    assert proxied == []


def tunnelling(to: Endpoint, seen: list[bytes], status: bytes = b"200 OK") -> Callable[[socket.socket], None]:
    def script(client: socket.socket) -> None:
        seen.append(read_request(client))
        client.sendall(b"HTTP/1.1 %s\r\nVia: test\r\n\r\n" % status)
        with socket.create_connection((to.host, to.port)) as upstream:

            def back() -> None:
                while piece := upstream.recv(4096):
                    client.sendall(piece)

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while piece := client.recv(4096):
                upstream.sendall(piece)
            upstream.shutdown(socket.SHUT_RDWR)
            thread.join()

    return script


def test_a_proxy_in_the_environment_is_used_for_other_hosts(
    serve_raw: Serve, run: Callable[..., Running], receiver: Recorder, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    seen: list[bytes] = []
    proxy = serve_raw(tunnelling(serve_raw(after_handshake(frame(b"through"))), seen))
    monkeypatch.setenv("http_proxy", f"http://name:pass%20word@127.0.0.1:{proxy.port}")

    run(Endpoint.of("ws://somewhere.example"))

    wait_until(lambda: receiver.messages == [b"through"])
    [request] = seen
    assert request.startswith(b"CONNECT somewhere.example:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"name:pass word") in request


def test_a_proxy_that_says_no_is_a_lost_connection(
    serve_raw: Serve, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    proxy = serve_raw(tunnelling(serve_raw(linger), seen, status=b"407 No"))
    monkeypatch.setenv("all_proxy", proxy.shown.replace("ws://", "http://"))

    assert "refuses the tunnel (HTTP 407)" in run(Endpoint.of("ws://[2001:db8::1]:99")).ended().reason
    assert seen[0].startswith(b"CONNECT [2001:db8::1]:99 ")


def test_a_proxy_that_says_nothing_is_a_lost_connection(
    serve_raw: Serve, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", serve_raw(read_request_and_go).shown.replace("ws://", ""))

    assert "no answer" in run(Endpoint.of("ws://somewhere.example")).ended().reason


def read_request_and_go(client: socket.socket) -> None:
    read_request(client)


def test_a_socks_proxy_is_refused_with_a_sentence(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")

    assert "no plain HTTP proxy" in run(Endpoint.of("wss://somewhere.example")).ended().reason


def test_a_host_that_the_environment_exempts_goes_without_the_proxy(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "exempt.invalid")

    def unknown(host: str, *_args: object, **_named: object) -> None:
        raise socket.gaierror(-2, f"asked for {host}")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert "asked for exempt.invalid" in run(Endpoint.of("wss://exempt.invalid")).ended().reason


def test_no_module_of_the_feeds_turns_off_certificate_checks() -> None:
    folder = Path(__file__).resolve().parents[2] / "pumpwatch" / "feeds"
    assert not [file for file in folder.glob("*.py") if "CERT_NONE" in file.read_text("utf-8")]
