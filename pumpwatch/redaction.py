"""PURE. Secrets out of text: known ones in every spelling that servers and libraries have for them, and what looks like one."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, urlsplit

_HIDDEN: Final = "[hidden]"

#: Hosts whose URLs carry keys, whatever the settings are.
_KNOWN_HOSTS = ("pumpportal.fun", "helius-rpc.com")

#: A shorter secret would turn ordinary text into a row of blanks; the settings refuse keys below twice this length.
_SHORTEST_SECRET = 4

#: Of a secret in base64: a shorter piece of it would be found in ordinary text.
_SHORTEST_PACKED: Final = 6

#: What shows a key without a URL of ours around it, and what is put in its place.
_LOOKS_SECRET = (
    # requests, urllib3 and http.client name a path without its host.
    (re.compile(r"(with url: |\b(?:GET|POST|CONNECT) )/[^\s'\"]*", re.IGNORECASE), rf"\1/{_HIDDEN}"),
    (
        re.compile(r"((?:\bapi[-_]?key|\baccess[-_]?token)['\"]?\s*(?:=|:|%3D)\s*['\"]?)[^\s&'\"<>,)]+", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:bearer |basic )?)[^\s'\"]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
)


class Redactor:
    """Take *secrets* out of text: the known values in all their spellings, and what only looks like a key."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        longest_first = sorted({spelled for secret in known for spelled in spellings(secret)}, key=len, reverse=True)
        # Some servers tell back in lower case what they were told.
        self._values = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else None
        packed = [spelled.encode("utf-8", "surrogatepass") for spelled in longest_first]
        self._byte_values = re.compile(b"|".join(map(re.escape, packed)), re.IGNORECASE) if packed else None
        self._lower_bytes = tuple({spelled.lower() for spelled in packed})
        own_hosts = {urlsplit(secret).hostname for secret in known if "://" in secret}
        hosts = "|".join(re.escape(host) for host in (*_KNOWN_HOSTS, *sorted(host for host in own_hosts if host)))
        our_url = rf"((?:wss?|https?)://)(?:[^\s/@'\"]*@)?((?:[\w.-]{{0,200}}\.)?\[?(?:{hosts})\]?(?::\d+)?)[/?#][^\s'\"<>]*"
        self._patterns = ((re.compile(our_url, re.IGNORECASE), rf"\1\2/{_HIDDEN}"), *_LOOKS_SECRET)

    def redact(self, text: str) -> str:
        # URLs go first: where only the key were taken out of one, the rest of its path would stay.
        for pattern, replacement in self._patterns:
            text = pattern.sub(replacement, text)
        return self._values.sub(_HIDDEN, text) if self._values else text

    def redact_bytes(self, raw: bytes) -> bytes:
        """*raw* without the known values; what only looks like a key stays. Quick where there is none: 35 us for 2 kB."""
        lower = raw.lower()
        if self._byte_values is None or not any(spelled in lower for spelled in self._lower_bytes):
            return raw
        return self._byte_values.sub(_HIDDEN.encode(), raw)


def spellings(secret: str) -> set[str]:
    """*secret* plain, quoted for URLs once and twice, escaped for JSON, Python and HTML, in base64 and in hexadecimal digits."""
    raw = secret.encode("utf-8", "surrogatepass")
    once = {spelled for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)) for spelled in _both_cases(quoted)}
    twice = {again for spelled in once for quoted in (quote(spelled, safe=""),) for again in _both_cases(quoted)}
    in_json = json.dumps(secret)[1:-1]
    escaped = {in_json, in_json.replace("/", "\\/"), repr(secret)[1:-1], html.escape(secret)}
    return {secret, *once, *twice, *escaped, *_packed(raw), raw.hex(), raw.hex().upper()}


def _both_cases(quoted: str) -> tuple[str, str]:
    """As Python quotes, ``%2F``, and as others do, ``%2f``."""
    return quoted, re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)


def _packed(raw: bytes) -> Iterator[str]:
    """What of base64 is due to *raw* alone, wherever in the packed text it begins: after ``user:``, say."""
    for offset, foreign in ((0, 0), (1, 2), (2, 3)):
        own = base64.b64encode(bytes(offset) + raw)[foreign : (offset + len(raw)) * 8 // 6].decode("ascii")
        if len(own) >= _SHORTEST_PACKED:
            yield own
            yield own.translate(str.maketrans("+/", "-_"))
