"""Every way to write down a secret that a server, a library or a format may use."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> set[str]:
    """*secret* plain, quoted, quoted twice, in JSON, in base64 and in hexadecimal digits."""
    raw = secret.encode()
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    quoted |= {spelled.lower() for spelled in quoted if "%" in spelled}
    twice = {quote(spelled, safe="") for spelled in quoted}
    packed = {
        packed.decode().rstrip("=")
        for text in (raw, *(prefix + raw for prefix in (b":", b"user:", b"x:")), raw + b":")
        for packed in (base64.b64encode(text), base64.urlsafe_b64encode(text))
    }
    return {secret, *quoted, *twice, *packed, json.dumps(secret)[1:-1], json.dumps(secret)[1:-1].replace("/", "\\/"), raw.hex()}
