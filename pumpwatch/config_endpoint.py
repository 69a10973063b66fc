"""A server's address whose secret parts are used and never shown."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

#: Shorter parts of a URL are too common in ordinary text to be hidden one by one (``v2``, ``api``).
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """
    A server that we connect to.

    Attributes:
        url: The full URL, with the key where it belongs. SECRET: for the connecting call only.
        shown: Scheme, host and, where given, port: all that may ever be shown.
        host: Lower case; an IPv6 address without brackets.
        port: As given, or that of the scheme.
        has_key: The URL carries a key or another secret.
    """

    url: str
    shown: str
    host: str
    port: int
    is_loopback: bool
    has_key: bool = False

    @classmethod
    def of(cls, url: str, *, key: str | None = None) -> Endpoint:
        """
        Take *url* apart, and add *key* as ``api-key`` unless it has one.

        Raises:
            ValueError: With a sentence that does not contain the URL.

        """
        parts = _split(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme in ("wss", "https") else 80)
        in_brackets = f"[{host}]" if ":" in host else host
        shown = f"{parts.scheme}://{in_brackets}" + (f":{parts.port}" if parts.port else "")
        has_key = bool(parts.query or parts.username or parts.password)
        if key and "api-key" not in dict(parse_qsl(parts.query)):
            query = f"{parts.query}&" if parts.query else ""
            parts = parts._replace(query=f"{query}api-key={quote(key, safe='')}", path=parts.path or "/")
            has_key = True
        return cls(parts.geturl(), shown, host, port, _is_loopback(host), has_key)

    def belongs_to(self, domain: str) -> bool:
        """Whether the host is *domain* or below it."""
        return self.host == domain or self.host.endswith(f".{domain}")

    def __repr__(self) -> str:
        return self.shown


def beyond_host(url: str) -> str:
    """What *url* has beyond scheme, host and port (path, query, userinfo); empty when nothing."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    return userinfo + parts.path.rstrip("/") + parts.query + parts.fragment


def secret_parts(url: str) -> tuple[str, ...]:
    """The whole *url* and each of its parts that could be a key, for the redaction of logs."""
    parts = urlsplit(url)
    pieces = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.username or "", parts.password or ""]
    hidden = {unquote(piece) for piece in pieces} | set(pieces)
    return (url, *sorted(piece for piece in hidden if len(piece) >= _SHORTEST_SECRET))


def _split(url: str) -> SplitResult:
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("is no URL: it holds blanks, control characters or characters beyond ASCII")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number or too large
    except ValueError as error:
        raise ValueError("is no URL: its host or port is malformed") from error
    if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
        raise ValueError("is no URL: it must begin with wss:// or https:// and a host")
    if parts.fragment:
        raise ValueError("must not contain '#'")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
