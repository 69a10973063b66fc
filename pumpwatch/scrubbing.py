"""
What may leave the machine: text without secrets in any spelling, without paths of URLs, without the user's own addresses.

Stricter than the redaction of logs, which keeps what a person needs in front of the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from pumpwatch.redaction import Redactor, spellings

HIDDEN: Final = "[hidden]"
_WATCHED: Final = "[watched]"

#: Shorter ones would blank ordinary words; keys are longer.
_SHORTEST: Final = 6

#: Of other schemes (those of alert services) even the host is a secret.
PUBLIC_HOSTS: Final = ("http", "https", "ws", "wss", "socks5", "socks5h")
_URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]{1,20})://([^\s'\"<>\\]*)", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)?(:\d+)?")


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
