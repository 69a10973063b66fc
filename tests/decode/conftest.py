"""Synthetic payloads, made by a writer that shares no code with the reader under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

WIDTHS = {"pk": 32, "u64": 8, "i64": 8, "i128": 16, "u16": 2, "u8": 1, "bool": 1}

Fields = Sequence[tuple[str, str]]
Written = tuple[bytes, list[int]]


@pytest.fixture(scope="session")
def facts(corpus: Path) -> Path:
    """The folder of facts beside the corpus."""
    return corpus.parent / "facts"


@pytest.fixture(scope="session")
def write() -> Callable[[bytes, Fields, Mapping[str, object]], Written]:
    """A function (discriminator, fields, values) -> (payload, offsets at which a field ends). What is not given is 0 or empty."""
    return _write


def _write(discriminator: bytes, fields: Fields, values: Mapping[str, object]) -> Written:
    payload, ends = discriminator, [len(discriminator)]
    for name, kind in fields:
        value = values.get(name)
        if kind in ("str", "shv"):
            body = value if isinstance(value, bytes) else b""
            payload += (len(body) // (34 if kind == "shv" else 1)).to_bytes(4, "little") + body
        elif kind == "pk":
            payload += value if isinstance(value, bytes) else bytes(32)
        else:
            number = value if isinstance(value, int) else 0
            payload += number.to_bytes(WIDTHS[kind], "little", signed=kind.startswith("i"))
        ends.append(len(payload))
    return payload, ends
