"""JSON-RPC over HTTP: one call, bounded in time and size, whose errors show neither URL nor key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
import requests

from pumpwatch.config import Endpoint
from pumpwatch.config_endpoint import secret_parts
from pumpwatch.errors import TransientError
from pumpwatch.telemetry import visible

#: A page of 1,000 signatures is 250 kB, a large transaction 100 kB.
LARGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024

_PIECE_BYTES = 65_536
_SHOWN_CHARACTERS = 160


class RpcFailed(TransientError):
    """
    A call brought no result. The text is for a person, without secrets.

    Attributes:
        status: HTTP status, where there was one.
        code: JSON-RPC error code, where there was one.
    """

    def __init__(self, text: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct):
    result: Any = None
    error: _Error | None = None


class Rpc:
    """
    A Solana RPC endpoint. One thread at a time; to be closed.

    Redirects are not followed (they would carry the key elsewhere), proxies not used for loopback.

    Attributes:
        headers: Of the last answer, names in lower case.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = not endpoint.is_loopback
        self._secrets = secret_parts(endpoint.url)
        self.headers: dict[str, str] = {}

    def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """
        Return the result of *method*.

        Raises:
            RpcFailed: Not reached, too slow, refused, no JSON, or an error in the answer.

        """
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        status, raw = self._post(body)
        try:
            answer = msgspec.json.decode(raw, type=_Answer)
        except msgspec.DecodeError as error:
            if status != 200:
                raise RpcFailed(self._hide(f"HTTP {status}"), status=status) from error
            raise RpcFailed("the answer is no JSON-RPC", status=status) from error
        if answer.error is not None:
            text = f"{method}: {answer.error.message} ({answer.error.code})"
            raise RpcFailed(self._hide(text), status=status, code=answer.error.code)
        if status != 200:
            raise RpcFailed(f"HTTP {status}", status=status)
        return answer.result

    def server_time(self) -> float | None:
        """Unix time in seconds at which the server sent the last answer, by its own clock; to the second."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, body: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout_seconds
        try:
            with self._session.post(
                self._endpoint.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as response:
                self.headers = {name.lower(): value for name, value in response.headers.items()}
                return response.status_code, _read(response, deadline)
        except (requests.RequestException, OSError) as error:
            # The library's texts quote the URL with the key: only the kind of error is passed on, as its cause is not either.
            raise RpcFailed(_kind_of(error)) from None

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return visible(text, limit=_SHOWN_CHARACTERS)


def _read(response: requests.Response, deadline: float) -> bytes:
    """The whole body; the timeout of the library bounds each read only."""
    pieces = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        pieces += piece
        if len(pieces) > LARGEST_ANSWER_BYTES:
            raise RpcFailed("the answer is too long")
        if time.monotonic() > deadline:
            raise RpcFailed("the answer takes too long")
    return bytes(pieces)


def _kind_of(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not to be trusted, or it speaks no TLS"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of this system does not let us through"
    if isinstance(error, requests.ConnectionError):
        return "it cannot be reached (name, network or port)"
    return type(error).__name__
