"""Our event bytes are the programs' own: every real payload of the corpus, read by a second reader and written again."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.simulator.chain import PUMP, PUMPSWAP
from pumpwatch.simulator.logs import SELF_CPI, base58, truncated
from pumpwatch.simulator.wire import LAYOUTS, FieldValue, Layout

_SIZES = {"pk": 32, "u64": 8, "i64": 8, "u16": 2, "u8": 1, "bool": 1, "i128": 16}
_BY_DISCRIMINATOR = {(layout.program, layout.discriminator): layout for layout in LAYOUTS.values()}


def read(layout: Layout, payload: bytes) -> tuple[dict[str, FieldValue], str]:
    """Values of a payload and the name of its last field."""
    values: dict[str, FieldValue] = {}
    at, last = 8, ""
    for name, kind in layout.fields:
        if at == len(payload):
            break
        value: FieldValue
        if kind == "str":
            size = int.from_bytes(payload[at : at + 4], "little")
            value = payload[at + 4 : at + 4 + size]
            at += 4 + size
        elif kind == "shares":
            count = int.from_bytes(payload[at : at + 4], "little")
            pairs = [payload[at + 4 + 34 * place : at + 38 + 34 * place] for place in range(count)]
            value = [(pair[:32], int.from_bytes(pair[32:], "little")) for pair in pairs]
            at += 4 + 34 * count
        else:
            raw = payload[at : at + _SIZES[kind]]
            value = raw if kind == "pk" else int.from_bytes(raw, "little", signed=kind in {"i64", "i128"})
            at += _SIZES[kind]
        values[name] = value
        last = name
    assert at == len(payload)
    return values, last


def payloads_of(lines: list[str]) -> Iterator[tuple[str, bytes]]:
    stack: list[str] = []
    for line in lines:
        words = line.split(" ")
        if line.startswith("Program data: "):
            yield stack[-1], base64.b64decode(words[2])
        elif words[-2:-1] == ["invoke"]:
            stack.append(words[1])
        elif words[2:3] in (["success"], ["failed:"]):
            stack.pop()


def real_payloads(corpus: Path) -> Iterator[tuple[str, bytes]]:
    for line in (corpus / "helius/logs_subscribe_2026-07-04.jsonl").read_text(encoding="utf-8").splitlines():
        message = json.loads(json.loads(line)["raw"])
        if "params" in message:
            yield from payloads_of(message["params"]["result"]["value"]["logs"])
    for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        raw = bytes.fromhex(entry["hex"]) if "hex" in entry else base64.b64decode(entry["b64"])
        raw = raw.removeprefix(SELF_CPI)
        yield (PUMP if (PUMP, raw[:8]) in _BY_DISCRIMINATOR else PUMPSWAP), raw
    completing = json.loads((corpus / "onchain/completing_txs_2026-10-09.json").read_text(encoding="utf-8"))
    for transaction in completing["txs"]:
        for line in transaction["program_data_lines"]:
            yield PUMP, base64.b64decode(line.split(" ")[2])
    for name in ("pumpswap_buy_v1_2026-10.json", "pumpswap_sell_v2_2026-10-08.json"):
        yield from payloads_of(_pumpswap_lines(json.loads((corpus / "onchain" / name).read_text(encoding="utf-8"))))


def _pumpswap_lines(document: dict[str, Any]) -> list[str]:
    lines: list[str] = document["meta"]["logMessages"]
    return lines


def test_every_real_payload_comes_out_byte_for_byte(corpus: Path) -> None:
    seen: Counter[str] = Counter()
    for program, payload in real_payloads(corpus):
        layout = _BY_DISCRIMINATOR.get((program, payload[:8]))
        if layout is None:
            continue
        values, last = read(layout, payload)
        assert layout.encode(values, last=last) == payload
        if last == layout.fields[-1][0]:
            assert layout.encode(values) == payload
        seen[layout.name] += 1

    assert seen["TradeEvent"] >= 93 + 32 + 6
    assert seen["CreateEvent"] == 21
    assert {"BuyEvent", "SellEvent", "CompleteEvent", "PostCompleteBuyEvent", "CreatePoolEvent", "InitBoostEvent"} <= seen.keys()


def test_what_is_left_out_is_zero() -> None:
    payload = LAYOUTS["TradeEvent"].encode({})

    assert len(payload) == 379
    assert payload[8:] == bytes(371)


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"", ""), (b"\0", "1"), (b"\0\0\x01", "112"), (bytes(32), "1" * 32), (b"hello world", "StV1DL6CwTryKyV")],
)
def test_base58_is_bitcoins(raw: bytes, text: str) -> None:
    assert base58(raw) == text


def test_inner_instructions_of_the_corpus_have_our_base58(corpus: Path) -> None:
    document = json.loads((corpus / "onchain/pumpswap_buy_v1_2026-10.json").read_text(encoding="utf-8"))
    ((_, payload),) = payloads_of(_pumpswap_lines(document))

    assert base58(SELF_CPI + payload) == document["meta"]["innerInstructions"][0]["instructions"][0]["data"]


def test_a_log_is_cut_as_agave_cuts_it() -> None:
    lines = ["a" * 50, "b" * 60, "short", "c" * 60]

    assert truncated(lines, 100) == ["a" * 50, "Log truncated", "short"]
    assert truncated(lines, 1_000) == lines
