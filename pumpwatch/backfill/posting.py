"""POST to one endpoint, or GET from it, bounded as a whole and given up when stopping, which the library does not promise."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import requests
import requests.adapters
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pumpwatch.backfill.answers import RpcAgain, RpcFailed, RpcStopped
from pumpwatch.config import Endpoint

#: A page of 1,000 signatures is 250 kB, a large transaction 100 kB.
LARGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024

_PIECE_BYTES = 65_536
#: How soon a stop is seen while a request is under way.
_LOOK_SECONDS = 0.05
_JOIN_SECONDS = 1.0


class Answered(NamedTuple):
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Poster:
    """
    Sends requests over one kept connection. One thread at a time; to be closed.

    The library bounds each read and never the whole, and cannot be interrupted: so a thread of ours does the request, and is cut
    off and left behind when it takes too long. Redirects are not followed (they would carry the key elsewhere), proxies not used
    for loopback.

    Args:
        timeout_seconds: For the whole of a request, from the connect to the last byte.
        stopping: When set, a request is given up within a tenth of a second.
        largest_bytes: Of an answer, when it is unpacked; default :data:`LARGEST_ANSWER_BYTES`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float,
        stopping: threading.Event | None = None,
        largest_bytes: int | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._stopping = stopping
        self._largest_bytes = largest_bytes
        self._line: _Line | None = None

    def post(self, body: bytes) -> Answered:
        """
        Send *body*, JSON.

        Raises:
            RpcAgain: Not reached, too slow, cut short.
            RpcFailed: The answer is too long.
            RpcStopped: We are stopping.

        """
        return self._answer(_Job(self._endpoint.url, {"Content-Type": "application/json"}, body))

    def get(self, url: str, *, headers: Mapping[str, str]) -> Answered:
        """Ask for *url*, of the same server; raises as :meth:`post` does."""
        return self._answer(_Job(url, headers, None))

    def _answer(self, job: _Job) -> Answered:
        if self._line is None:
            self._line = _Line(self._endpoint, self._timeout_seconds, self._largest_bytes or LARGEST_ANSWER_BYTES)
        self._line.put(job)
        deadline = time.monotonic() + self._timeout_seconds
        while not job.done.is_set():
            left = deadline - time.monotonic()
            if left <= 0 or self._is_stopping():
                self._line.cut()
                self._line = None
                raise RpcAgain("no answer in time") if left <= 0 else RpcStopped("stopping")
            job.done.wait(left if self._stopping is None else min(left, _LOOK_SECONDS))
        if job.answer is None:
            # The library's texts quote the URL with the key: only the kind of error is passed on.
            raise job.error if isinstance(job.error, RpcFailed) else RpcAgain(_kind_of(job.error))
        return job.answer

    def close(self) -> None:
        """End the connection. Idempotent."""
        if self._line is not None:
            self._line.cut()
            self._line.join(_JOIN_SECONDS)
            self._line = None

    def _is_stopping(self) -> bool:
        return self._stopping is not None and self._stopping.is_set()


class _Job:
    def __init__(self, url: str, headers: Mapping[str, str], body: bytes | None) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.done = threading.Event()
        self.answer: Answered | None = None
        self.error: Exception | None = None


class _Line(threading.Thread):
    """The thread that does the requests of one session."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float, largest_bytes: int) -> None:
        super().__init__(name="rpc request", daemon=True)
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._largest_bytes = largest_bytes
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._wire = _Wire()
        self.start()

    def put(self, job: _Job) -> None:
        self._jobs.put(job)

    def cut(self) -> None:
        """End what is under way, and the thread: at once where a connection is open, in a look-up of names when that ends."""
        self._jobs.put(None)
        self._wire.cut()

    def run(self) -> None:
        with requests.Session() as session:
            session.trust_env = not self._endpoint.is_loopback
            adapter = _Adapter(self._wire)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            while (job := self._jobs.get()) is not None:
                try:
                    job.answer = self._ask(session, job)
                except Exception as error:  # noqa: BLE001 - the caller's thread gets it
                    job.error = error
                job.done.set()
        self._wire.cut()

    def _ask(self, session: requests.Session, job: _Job) -> Answered:
        with session.request(
            "GET" if job.body is None else "POST",
            job.url,
            data=job.body,
            headers=dict(job.headers),
            timeout=self._timeout_seconds,
            allow_redirects=False,
            stream=True,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answered(response.status_code, headers, _read(response, self._largest_bytes))


class _Wire:
    """The open connection of a session, so that another thread can cut it: a second handle on its socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._is_cut = False

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._drop()
            # A wrapping in TLS takes the first handle away.
            self._handle = connection.dup()
            if self._is_cut:
                self._shut()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            self._shut()
            self._drop()

    def _shut(self) -> None:
        if self._handle is not None:
            try:
                self._handle.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _drop(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class _Adapter(requests.adapters.HTTPAdapter):
    """The library's, with connections that tell *wire* of themselves."""

    def __init__(self, wire: _Wire) -> None:
        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                wire.opened(connection)
                return connection

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                wire.opened(connection)
                return connection

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _read(response: requests.Response, largest_bytes: int) -> bytes:
    pieces = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        pieces += piece
        if len(pieces) > largest_bytes:
            raise RpcFailed("the answer is too long")
    return bytes(pieces)


def _kind_of(error: Exception | None) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not to be trusted, or it speaks no TLS"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this system does not let us through"
    if isinstance(error, requests.ConnectionError):
        return "it cannot be reached (name, network or port)"
    return type(error).__name__
