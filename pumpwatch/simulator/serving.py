"""A WebSocket server on loopback whose connections can be made to fail, and which knows what it sent."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import Server, ServerConnection, serve

from pumpwatch.simulator.delivered import Delivered, Feed, Interest
from pumpwatch.simulator.limits import Limits, Rate
from pumpwatch.simulator.market import Market
from pumpwatch.simulator.sockets import FaultySocket, Listener
from pumpwatch.simulator.transaction import Transaction

ORIGIN_HEADER: Final = "X-Pumpwatch-Origin"
PROVIDER_HEADER: Final = "X-Pumpwatch-Provider"

#: A peer that left without being told to cannot have read what was sent at the last moment.
_LAST_MOMENT_SECONDS: Final = 0.25

#: A consumer that is so far behind is cut off, as real servers do.
_LONGEST_OUTBOX: Final = 200_000

_log = logging.getLogger("pumpwatch.simulator")
_log.addHandler(logging.NullHandler())
_log.propagate = False


@dataclass(slots=True)
class World:
    """
    What all servers of one simulator share.

    Attributes:
        finality_slots: How many slots later than confirmed a transaction is finalized.
    """

    market: Market
    delivered: Delivered
    interest: Interest
    origin: str | None
    limits: Limits | None
    rate: Rate
    rng: random.Random
    finality_slots: int = 33
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every answer."""
        headers = {} if self.origin is None else {ORIGIN_HEADER: self.origin}
        if self.limits is not None:
            headers[PROVIDER_HEADER] = self.limits.name
        return headers


class Outgoing(NamedTuple):
    """One message to send; *numbers* are the trades it carries, *data* tells it from acknowledgements."""

    text: str
    numbers: tuple[int, ...] = ()
    data: bool = True


@dataclass(slots=True)
class Trouble:
    """
    What is wrong with a server at present; times are of ``time.monotonic``.

    Attributes:
        refuse: HTTP status for handshakes until *refuse_until*, with ``Retry-After`` *retry_after* (None: without).
        drip_until: Handshakes until then are answered one byte at a time.
        twice, shuffled, lost: Until when messages are sent twice, out of order, or not at all (one in *lost_one_in*).
    """

    refuse: int = 503
    refuse_until: float = 0.0
    retry_after: str | None = None
    drip_until: float = 0.0
    drip_seconds: float = 0.5
    twice_until: float = 0.0
    shuffled_until: float = 0.0
    lost_until: float = 0.0
    lost_one_in: int = 3


class Client:
    """
    One connection: what it is subscribed to is the server's affair, sending and failing is done here.

    A thread of its own sends, so that a peer which does not read stalls nobody else.
    """

    def __init__(self, connection: ServerConnection, feed: Feed, world: World, trouble: Trouble) -> None:
        self.connection = connection
        self.feed = feed
        assert isinstance(connection.socket, FaultySocket)
        self.socket = connection.socket
        request = connection.request
        assert request is not None
        self.api_key = parse_qs(urlsplit(request.path).query).get("api-key", [""])[0]
        self.muted = False
        self.ended_by_us = False
        self._world = world
        self._trouble = trouble
        self._outbox: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()
        self._held: list[Outgoing] = []
        self._recent: deque[tuple[float, list[int]]] = deque()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._send_all, name=f"simulator {feed} sender", daemon=True)
        self._thread.start()

    @property
    def is_fine(self) -> bool:
        """Open, and no fault was put on it."""
        return not (self.muted or self.ended_by_us)

    @property
    def is_idle(self) -> bool:
        """Nothing waits to be sent."""
        return self._outbox.empty() and not self._held and not self._sending.locked()

    def put(self, text: str, numbers: Sequence[int] = (), *, data: bool = True) -> None:
        """Send *text* soon. Any thread; never blocks."""
        if self._outbox.qsize() > _LONGEST_OUTBOX:
            self.cut()
            return
        self._outbox.put(Outgoing(text, tuple(numbers), data))

    def finish(self) -> None:
        """The connection has ended: stop the sender, and take back what the peer cannot have read."""
        ended = time.monotonic()
        self._outbox.put(None)
        self._thread.join()
        if not self.ended_by_us:
            for at, numbers in self._recent:
                if at > ended - _LAST_MOMENT_SECONDS:
                    self._world.delivered.unmark(self.feed, numbers)

    def _send_all(self) -> None:
        while True:
            try:
                outgoing = self._outbox.get(timeout=0.1 if self._held else None)
            except queue.Empty:
                outgoing = None
                batch = self._release()
            else:
                if outgoing is None:
                    return
                batch = self._mangled(outgoing)
            for item in batch:
                if not self._send(item):
                    return

    def _release(self) -> list[Outgoing]:
        held, self._held = self._held, []
        self._world.rng.shuffle(held)
        return held

    def _mangled(self, outgoing: Outgoing) -> list[Outgoing]:
        """What goes out now for *outgoing*, with the server's trouble applied."""
        if not outgoing.data:
            return [outgoing]
        now = time.monotonic()
        trouble = self._trouble
        if now < trouble.lost_until and self._world.rng.randrange(trouble.lost_one_in) == 0:
            return []
        batch = [outgoing, outgoing] if now < trouble.twice_until else [outgoing]
        if now < trouble.shuffled_until:
            self._held.extend(batch)
            return self._release() if len(self._held) >= 12 else []
        return [*self._release(), *batch] if self._held else batch

    def _send(self, outgoing: Outgoing) -> bool:
        """Send one message; False if the connection is gone."""
        with self._sending:
            if self.muted:
                return True
            try:
                self.connection.send(outgoing.text)
            except (ConnectionClosed, OSError):
                return False
            if outgoing.numbers:
                now = time.monotonic()
                new = self._world.delivered.mark(self.feed, outgoing.numbers)
                while self._recent and self._recent[0][0] < now - _LAST_MOMENT_SECONDS:
                    self._recent.popleft()
                self._recent.append((now, new))
        return True

    def mute(self) -> None:
        """Send nothing more but protocol pongs."""
        with self._held_sender():
            self.muted = True

    def freeze(self) -> None:
        """Send nothing more at all."""
        with self._held_sender():
            self.muted = True
            self.socket.freeze()

    def cut(self) -> None:
        """End without a close frame."""
        self.ended_by_us = True
        self.socket.cut()

    def reset(self) -> None:
        """End with a TCP reset; what was sent at the last moment may not have arrived, and is not counted."""
        with self._held_sender():
            self.muted = True
            self.socket.reset()

    def close(self, code: int, reason: str = "") -> None:
        """End with a close frame."""
        with self._held_sender():
            self.ended_by_us = True
            self.muted = True
        threading.Thread(target=self._close, args=(code, reason), name="simulator closer", daemon=True).start()

    def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            self.connection.close(code, reason)

    def inject(self, raw: bytes, *, then_silence: bool = False) -> None:
        """Put *raw* bytes on the wire below the protocol, then end or freeze: no peer can go on after them."""
        with self._held_sender():
            self.muted = True
            self.ended_by_us = True
            with contextlib.suppress(OSError):
                self.socket.sendall(raw)
        if then_silence:
            self.socket.freeze()
        else:
            self.socket.cut()

    def put_raw(self, frame: bytes) -> None:
        """Put one whole frame on the wire that the library would refuse to make; the connection goes on."""
        with self._held_sender(), contextlib.suppress(OSError):
            self.socket.sendall(frame)

    @contextlib.contextmanager
    def _held_sender(self) -> Iterator[None]:
        """Between two messages; not longer than a second, should the peer have stopped reading."""
        held = self._sending.acquire(timeout=1.0)
        try:
            yield
        finally:
            if held:
                self._sending.release()


class FeedServer(ABC):
    """One WebSocket server. Subclasses speak its protocol."""

    feed: Feed

    def __init__(self, world: World) -> None:
        self.world = world
        self.trouble = Trouble()
        self.clients: list[Client] = []
        self.refused = 0
        self._admitted: set[ServerConnection] = set()
        self._clients_lock = threading.Lock()
        self._listener = Listener()
        self.url = f"ws://127.0.0.1:{self._listener.port}"
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def receive(self, client: Client, text: str) -> None:
        """Answer one message of a client."""

    @abstractmethod
    def publish(self, transaction: Transaction) -> None:
        """Send what the clients' subscriptions cover of *transaction*."""

    @abstractmethod
    def connected(self, client: Client) -> None:
        """Prepare an empty set of subscriptions."""

    @abstractmethod
    def disconnected(self, client: Client) -> None:
        """Forget its subscriptions."""

    def may_connect(self, api_key: str, others: int) -> tuple[int, str] | None:
        """A status and text that refuse the connection, or None; *others* are there or on their way already."""
        del api_key, others
        return None

    def start(self) -> None:
        """Listen."""
        self._server = serve(
            self._handle,
            sock=self._listener,
            process_request=self._before,
            process_response=self._mark_origin,
            ping_interval=None,
            close_timeout=1,
            open_timeout=60,
            compression=None,
            max_size=2**24,
            logger=_log,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"simulator {self.feed}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections at once, then the server."""
        for client in self.open_clients():
            client.ended_by_us = True
        for accepted in self._listener.accepted:
            accepted.wake()
        if self._server is not None:
            self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._listener.close()

    def open_clients(self) -> list[Client]:
        """A snapshot of the connections."""
        with self._clients_lock:
            return list(self.clients)

    def _before(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse or slow down the handshake, if that is what is wrong with this server."""
        now = time.monotonic()
        if now < self.trouble.drip_until and isinstance(connection.socket, FaultySocket):
            connection.socket.drip(self.trouble.drip_seconds)
        if now < self.trouble.refuse_until:
            return self._refusal(self.trouble.refuse, "refused by the simulator", self.trouble.retry_after)
        api_key = parse_qs(urlsplit(request.path).query).get("api-key", [""])[0]
        with self._clients_lock:
            self._admitted = {other for other in self._admitted if other.protocol.state is not State.CLOSED}
            refusal = self.may_connect(api_key, len(self._admitted))
            if refusal is None:
                self._admitted.add(connection)
        return None if refusal is None else self._refusal(*refusal, None)

    def _refusal(self, status: int, text: str, retry_after: str | None) -> Response:
        self.refused += 1
        headers = Headers({"Content-Type": "text/plain", "Connection": "close", "Content-Length": str(len(text))})
        if retry_after is not None:
            headers["Retry-After"] = retry_after
        return Response(status, HTTPStatus(status).phrase, headers, text.encode())

    def _mark_origin(self, connection: ServerConnection, request: Request, response: Response) -> None:
        del connection, request
        for name, value in self.world.headers.items():
            response.headers[name] = value

    def _handle(self, connection: ServerConnection) -> None:
        client = Client(connection, self.feed, self.world, self.trouble)
        if isinstance(connection.socket, FaultySocket):
            connection.socket.drip(0)
        self.connected(client)
        with self._clients_lock:
            self.clients.append(client)
        try:
            for text in connection:
                self.receive(client, text if isinstance(text, str) else text.decode("utf-8", "replace"))
        except ConnectionClosed:
            pass
        finally:
            with self._clients_lock:
                self.clients.remove(client)
            self.disconnected(client)
            client.finish()
