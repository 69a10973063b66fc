"""
What a token's uri names: content on IPFS, wherever it points, or a file of a server of its maker's choice.

A CID is the hash of the content: whoever serves it, it is the same, so any gateway of our own choice can be asked for it.
Source: https://github.com/multiformats/cid (CIDv0: base58btc of a sha2-256 multihash; CIDv1 in base32: version, codec, hash).
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from pumpwatch.decode.text import clean_text, mend_surrogates

#: Longer uris are left alone.
_LONGEST_URI: Final = 1024
_LONGEST_PATH: Final = 256

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CID_V0: Final = re.compile(rf"Qm[{_BASE58}]{{44}}", re.ASCII)
_CID_V1: Final = re.compile(r"b[a-z2-7]{58}", re.ASCII)
_SHA2_256: Final = b"\x12\x20"

#: Characters kept of each text: descriptions are sentences, links are not.
_LIMITS: Final = {
    "name": 256,
    "symbol": 64,
    "description": 1000,
    "image": 512,
    "website": 512,
    "twitter": 512,
    "telegram": 512,
}


class OnIpfs(NamedTuple):
    """Content by its hash, and a path below it: empty, or beginning with a slash and fit for a URL."""

    cid: str
    path: str


def on_ipfs(uri: str) -> OnIpfs | None:
    """The content that a uri of any scheme names: ``ipfs://CID/path``, ``https://host/ipfs/CID``, ``https://CID.ipfs.host``."""
    if len(uri) > _LONGEST_URI:
        return None
    try:
        parts = urlsplit(uri.strip())
        host = parts.hostname or ""
    except ValueError:
        return None
    pieces = [piece for piece in parts.path.split("/") if piece]
    if parts.scheme == "ipfs":
        names = [parts.netloc, *pieces]
        place = 1 if names[0] == "ipfs" else 0
    elif parts.scheme in ("http", "https") and host.partition(".")[2].startswith("ipfs."):
        names, place = [host.partition(".")[0], *pieces], 0
    elif parts.scheme in ("http", "https") and "ipfs" in pieces:
        names, place = pieces, pieces.index("ipfs") + 1
    else:
        return None
    if place >= len(names) or not is_cid(names[place]):
        return None
    path = _path_of(names[place + 1 :])
    return None if path is None else OnIpfs(names[place], path)


def is_cid(text: str) -> bool:
    """Whether *text* is the sha2-256 hash of content in one of the two usual forms."""
    if _CID_V0.fullmatch(text):
        number = 0
        for letter in text:
            number = number * 58 + _BASE58.index(letter)
        return number.bit_length() <= 34 * 8 and number.to_bytes(34, "big").startswith(_SHA2_256)
    if not _CID_V1.fullmatch(text):
        return False
    try:
        content = base64.b32decode(text[1:].upper() + "=" * 6)
    except binascii.Error:
        return False
    # Version 1, a codec of one byte, and the multihash.
    is_sha2 = len(content) == 36 and content[0] == 1 and content[1] < 0x80 and content[2:4] == _SHA2_256
    # One spelling of each: the last letter has bits to spare.
    return is_sha2 and text[1:] == base64.b32encode(content).decode().rstrip("=").lower()


def _path_of(pieces: list[str]) -> str | None:
    names = [unquote(piece) for piece in pieces]
    if any(name in (".", "..") or not name.isprintable() or "/" in name for name in names):
        return None
    path = "".join(f"/{quote(name, safe='')}" for name in names)
    return path if len(path) <= _LONGEST_PATH else None


class Texts(NamedTuple):
    """What a maker says of a token, each text bounded and storable; None: nothing, or nothing readable."""

    name: str | None
    symbol: str | None
    description: str | None
    image: str | None
    website: str | None
    twitter: str | None
    telegram: str | None


def read_texts(content: bytes) -> Texts | None:
    """The texts of a metadata file; None if it is no JSON object. Anything in it that is no text is left out."""
    try:
        document: Any = msgspec.json.decode(mend_surrogates(content.removeprefix(codecs.BOM_UTF8)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return Texts(*(_text(document.get(name), limit) for name, limit in _LIMITS.items()))


def _text(value: object, limit: int) -> str | None:
    if not isinstance(value, str):
        return None
    return clean_text(value)[:limit] or None
