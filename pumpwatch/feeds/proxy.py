"""The way through an HTTP proxy, where the environment or the system names one."""

from __future__ import annotations

import base64
import socket
import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pumpwatch.config import Endpoint
from pumpwatch.errors import TransientError

_LONGEST_ANSWER_BYTES = 16_384


class ProxyFailed(TransientError):
    """The proxy cannot be used, or does not let us through."""


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """
    An HTTP proxy that tunnels with CONNECT.

    Attributes:
        authorization: Value of the header ``Proxy-Authorization``, or None. SECRET.
    """

    host: str
    port: int
    authorization: str | None = None


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """
    The proxy that the environment (on Windows and macOS also the system) prescribes for *endpoint*; never one for loopback.

    Raises:
        ProxyFailed: If it is of a kind that we do not speak (SOCKS, or HTTP over TLS).

    """
    if endpoint.is_loopback or urllib.request.proxy_bypass(endpoint.host):
        return None
    proxies = urllib.request.getproxies()
    url = proxies.get("https" if endpoint.url.startswith("wss") else "http") or proxies.get("all")
    if not url:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ProxyFailed("the proxy of this system is no plain HTTP proxy; others are not supported")
    authorization = None
    if parts.username:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = f"Basic {base64.b64encode(credentials).decode('ascii')}"
    return Proxy(parts.hostname, parts.port or 80, authorization)


def tunnel(connected: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """
    Ask *proxy* at the other end of *connected* for a tunnel to *host*; afterwards the socket speaks with that host.

    Raises:
        ProxyFailed: If it says no, or nothing that we understand.

    """
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connected.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        byte = connected.recv(1)  # not one byte more: what follows belongs to the tunnel
        if not byte or len(answer) > _LONGEST_ANSWER_BYTES:
            raise ProxyFailed("the proxy gave no answer that can be read")
        answer += byte
    status = bytes(answer).split(b" ", 2)[1:2]
    if status != [b"200"]:
        # Of what is no status nothing is told: cut to a few letters, a key in it would not be recognized any more.
        shown = status[0].decode("ascii") if status and status[0].isdigit() and len(status[0]) == 3 else "?"
        raise ProxyFailed(f"the proxy refuses the tunnel (HTTP {shown})")
