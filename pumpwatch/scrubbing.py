"""
What may leave the machine: text without secrets in any spelling, without paths of URLs, without the user's own addresses.

Stricter than the redaction of logs, which keeps what a person needs in front of the machine.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from pumpwatch.redaction import Redactor

HIDDEN: Final = "[hidden]"
_WATCHED: Final = "[watched]"

#: Shorter ones would blank ordinary words; keys are longer.
_SHORTEST: Final = 6

#: Of other schemes (those of alert services) even the host is a secret.
PUBLIC_HOSTS: Final = ("http", "https", "ws", "wss", "socks5", "socks5h")
_URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]{1,20})://([^\s'\"<>\\]*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)?(:\d+)?")


def spellings(secret: str) -> set[str]:
    """Every way in which *secret* may stand somewhere: plain, quoted for URLs (once, twice, each letter), hex, base64."""
    raw = secret.encode()
    every = "".join(f"%{byte:02X}" for byte in raw)
    once = quote(secret, safe="")
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, once, quote(secret), quote_plus(secret), quote(once, safe=""), every, raw.hex(), *in_json, *_in_base64(raw)}


def _in_base64(raw: bytes) -> Iterator[str]:
    """What is the same in the base64 of any text that holds *raw*, for each of its three places in a group; in both alphabets."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        sure = whole[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        if len(sure) >= _SHORTEST:
            yield sure
            yield sure.replace("+", "-").replace("/", "_")


class Scrubber:
    """
    Cleans texts.

    Args:
        secrets: In every spelling they are hidden.
        private: Addresses of the watch list, which are hidden as they are.
        home: The user's folder, which is shown as ``~``.

    """

    def __init__(self, secrets: Iterable[str], *, private: Iterable[str] = (), home: str = "") -> None:
        secrets = tuple(secrets)
        found = {spelled for secret in secrets if len(secret) >= _SHORTEST for spelled in spellings(secret)}
        self._secrets = _any_of(found)
        self._private = _any_of(private)
        home = home.rstrip("/\\")
        self._homes = (json.dumps(home)[1:-1], home) if len(home) > 1 else ()
        self._redactor = Redactor(secrets)

    def clean(self, text: str) -> str:
        """*text* as it may leave the machine."""
        text = _URL.sub(_bare, self._redactor.redact(text))
        if self._secrets is not None:
            text = self._secrets.sub(HIDDEN, text)
        if self._private is not None:
            text = self._private.sub(_WATCHED, text)
        for home in self._homes:
            text = text.replace(home, "~")
        return text

    def holds_a_secret(self, text: str) -> bool:
        """Whether one is left in *text*."""
        return self._secrets is not None and self._secrets.search(text) is not None


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(filter(None, set(texts)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else None


def _bare(url: re.Match[str]) -> str:
    """Scheme and host."""
    scheme, rest = url[1].lower(), url[2]
    host = _HOST.match(rest)
    if scheme not in PUBLIC_HOSTS or host is None or not host[1]:
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host[1]}{host[2] or ''}" + ("/..." if rest[host.end() :].strip("/") else "")
