from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import PUMP, PUMP_AMM, to_address
from pumpwatch.decode.borsh import Field, Reader, UnreadableEvent
from pumpwatch.decode.layouts import NOT_RECORDED, Layout, discriminator

LAYOUTS: list[Layout[Any]] = [value for value in vars(layouts).values() if isinstance(value, Layout)]
TEXTS = {"ix_name": b"buy", "name": b"A name", "symbol": b"SYM", "uri": b"ipfs://x", "shareholders": bytes(68)}

Write = Callable[..., tuple[bytes, list[int]]]


@pytest.fixture(scope="module")
def published(facts: Path) -> dict[str, Any]:
    """One event is in the published IDL only."""
    idl = json.loads((facts / "idl/pump_amm.json").read_text(encoding="utf-8"))
    (event,) = [event for event in idl["events"] if event["name"] == "BoostBuyAndBurnEvent"]
    (layout,) = [layout["type"]["fields"] for layout in idl["types"] if layout["name"] == event["name"]]
    boost = {
        "program": PUMP_AMM,
        "discriminator_hex": bytes(event["discriminator"]).hex(),
        "fields": [{"name": field["name"], "type": field["type"].replace("pubkey", "pk")} for field in layout],
        "versions": [{"since": "2026-07", "bytes": "208"}],
    }
    return {event["name"]: boost, **json.loads((facts / "event_layouts.json").read_text(encoding="utf-8"))}


def test_every_layout_is_the_published_one(published: dict[str, Any]) -> None:
    assert len(LAYOUTS) == 13
    for layout in LAYOUTS:
        event = published[layout.name]
        assert layout.program == event["program"]
        assert layout.discriminator.hex() == event["discriminator_hex"]
        assert layout.fields == [(field["name"], field["type"]) for field in event["fields"]]


def test_every_published_event_is_known(published: dict[str, Any], facts: Path) -> None:
    known = {PUMP: set(NOT_RECORDED[PUMP]), PUMP_AMM: set(NOT_RECORDED[PUMP_AMM])}
    for layout in LAYOUTS:
        assert layout.name not in known[layout.program]
        known[layout.program].add(layout.name)
    for name, event in published.items():
        assert name in known[event["program"] or PUMP]
    for program, file in ((PUMP, "pump.json"), (PUMP_AMM, "pump_amm.json")):
        idl = json.loads((facts / "idl" / file).read_text(encoding="utf-8"))
        assert {event["name"] for event in idl["events"]} <= known[program]
        assert all(discriminator(event["name"]) == bytes(event["discriminator"]) for event in idl["events"])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_an_event_cut_short_anywhere_is_read_to_a_field_boundary_or_refused(layout: Layout[Any], write: Write) -> None:
    payload, ends = write(layout.discriminator, layout.fields, TEXTS)
    record = layout.read(payload)[0]
    last_required = record._fields[len(record._fields) - len(record._field_defaults) - 1]
    needed = ends[[name for name, _ in layout.fields].index(last_required) + 1]
    for length in range(len(payload) + 1):
        if length in ends and length >= needed:
            short, surplus = layout.read(payload[:length])
            present = [
                name for (name, _), end in zip(layout.fields, ends[1:], strict=True) if end <= length and name in record._fields
            ]
            assert surplus == 0
            assert short == type(record)(*record[: len(present)])
        else:
            with pytest.raises(UnreadableEvent):
                layout.read(payload[:length])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_historical_version_is_read(layout: Layout[Any], write: Write, published: dict[str, Any]) -> None:
    payload, ends = write(layout.discriminator, layout.fields, TEXTS)
    lengths = [_length(version["bytes"]) for version in published[layout.name]["versions"]]
    for length in lengths:
        assert length in ends
        assert layout.read(payload[:length])[1] == 0
    assert lengths[-1] == len(payload)


def test_bytes_of_a_newer_program_are_counted(write: Write) -> None:
    payload, _ = write(layouts.TRADE.discriminator, layouts.TRADE.fields, TEXTS)
    assert layouts.TRADE.read(payload + b"12345")[1] == 5


def test_all_expected_values_of_the_corpus_are_read(corpus: Path, published: dict[str, Any]) -> None:
    readers = {}
    for name, event in published.items():
        fields = [Field(field["name"], field["type"]) for field in event["fields"]]
        readers[bytes.fromhex(event["discriminator_hex"])] = (
            fields,
            Reader(fields, frozenset(f.name for f in fields), required=0),
            name,
        )
    checked = 0
    for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        payload = event_bytes(entry)
        fields, reader, name = readers[payload[:8]]
        values, surplus = reader.read(payload)
        assert surplus == 0, name
        found = {field.name: as_json(field, value) for field, value in zip(fields, values, strict=False)}
        for key, value in entry.get("expected", {}).items():
            assert found[key] == value, (entry["id"], key)
            checked += 1
    assert checked == 56


def event_bytes(entry: dict[str, str]) -> bytes:
    if "b64" in entry:
        return base64.b64decode(entry["b64"], validate=True)
    return bytes.fromhex(entry["hex"]).removeprefix(bytes.fromhex("e445a52e51cb9a1d"))


def as_json(field: Field, value: Any) -> object:
    match field.type:
        case "pk":
            return to_address(value)
        case "str":
            return value.decode()
        case "i128":
            return int.from_bytes(value, "little", signed=True)
    return value


def _length(expression: str) -> int:
    """Evaluate ``262+len(ix_name)+34*len(shareholders)`` for the texts above: sums of numbers, lengths and multiples of them."""
    total = 0
    for term in expression.split("+"):
        factor, _, name = term.rpartition("*")
        size = int(name) if name.isdigit() else len(TEXTS[name[4:-1]]) // (34 if "shareholders" in name else 1)
        total += size * int(factor or 1)
    return total
