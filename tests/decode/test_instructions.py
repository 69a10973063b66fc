from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from transaction_samples import base58

from pumpwatch.decode.addresses import PUMP, PUMP_AMM, to_address
from pumpwatch.decode.instructions import (
    SELF_CPI_TAG,
    Instruction,
    InstructionSet,
    LoadedAddresses,
    TransactionBody,
    UnreadableInstructions,
    decode_base58,
    payloads_of_instructions,
)
from pumpwatch.decode.payloads import Payload

OTHER = "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG"
NOTHING = TransactionBody()


EVENT = base58(SELF_CPI_TAG + b"an event")


def sets(*instructions: Instruction, index: int = 0) -> list[InstructionSet]:
    return [InstructionSet(index=index, instructions=list(instructions))]


def wire(keys: list[str], *, version: int | None = None, signatures: int = 1) -> bytes:
    head = bytes([signatures]) + bytes(64 * signatures) + (b"" if version is None else bytes([0x80 | version])) + b"\x01\x00\x02"
    return head + bytes([len(keys)]) + b"".join(bytes(Pubkey.from_string(key)) for key in keys) + bytes(40)


@given(st.binary(max_size=300))
def test_base58_is_decoded_at_any_length(data: bytes) -> None:
    assert decode_base58(base58(data)) == data


@pytest.mark.parametrize("text", ["0", "abcO", "é", "\ud800", " ", "1" * 14_001])
def test_what_is_no_base58_is_refused(text: str) -> None:
    with pytest.raises(UnreadableInstructions):
        decode_base58(text)


def test_only_calls_of_our_programs_to_themselves_count() -> None:
    found = payloads_of_instructions(
        sets(
            Instruction(programId=PUMP, data=EVENT),
            Instruction(programId=OTHER, data=EVENT),
            Instruction(programId=PUMP, data=base58(b"another instruction")),
            Instruction(programId=PUMP_AMM, data=EVENT),
            Instruction(programId=PUMP),
        ),
        NOTHING,
    )
    assert found == [Payload(PUMP, b"an event"), Payload(PUMP_AMM, b"an event")]


def test_events_are_in_the_order_of_the_instructions_that_made_them() -> None:
    late = sets(Instruction(programId=PUMP, data=base58(SELF_CPI_TAG + b"late")), index=5)
    early = sets(Instruction(programId=PUMP, data=base58(SELF_CPI_TAG + b"early")), index=2)
    assert [payload.body for payload in payloads_of_instructions(late + early, NOTHING)] == [b"early", b"late"]


ENCODED: dict[str, Any] = {
    "json": {"message": {"accountKeys": [OTHER, PUMP]}},
    "jsonParsed": {"message": {"accountKeys": [{"pubkey": OTHER, "writable": True}, {"pubkey": PUMP}]}},
    "base64": [base64.b64encode(wire([OTHER, PUMP])).decode(), "base64"],
    "base64 version 0": [base64.b64encode(wire([OTHER, PUMP], version=0, signatures=3)).decode(), "base64"],
    "base58": [base58(wire([OTHER, PUMP])), "base58"],
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_a_program_is_found_by_its_index_in_every_encoding(encoding: str) -> None:
    transaction = msgspec.Raw(json.dumps(ENCODED[encoding]).encode())
    calls = sets(Instruction(programIdIndex=1, data=EVENT), Instruction(programIdIndex=0, data=EVENT))
    assert payloads_of_instructions(calls, TransactionBody(transaction)) == [Payload(PUMP, b"an event")]


@pytest.mark.parametrize("encoding", ["json", "base64 version 0"])
def test_looked_up_accounts_follow_the_transaction_s_own(encoding: str) -> None:
    transaction = msgspec.Raw(json.dumps(ENCODED[encoding]).encode())
    loaded = LoadedAddresses(writable=[OTHER], readonly=[PUMP_AMM])
    assert payloads_of_instructions(sets(Instruction(programIdIndex=3, data=EVENT)), TransactionBody(transaction, loaded)) == [
        Payload(PUMP_AMM, b"an event")
    ]


def test_parsed_accounts_contain_the_looked_up_ones_already() -> None:
    transaction = msgspec.Raw(json.dumps(ENCODED["jsonParsed"]).encode())
    body = TransactionBody(transaction, LoadedAddresses(readonly=[PUMP]))
    with pytest.raises(UnreadableInstructions, match="index 2 of 2"):
        payloads_of_instructions(sets(Instruction(programIdIndex=2, data=EVENT)), body)


@pytest.mark.parametrize(
    "transaction",
    [
        None,
        {},
        {"message": {}},
        [],
        ["AAAA"],
        ["", "base64"],
        ["!!", "base64"],
        ["AAAA", "base99"],
        ["0", "base58"],
        [base64.b64encode(wire([OTHER, PUMP], version=1)).decode(), "base64"],
        [base64.b64encode(wire([OTHER, PUMP])[:90]).decode(), "base64"],
        [base64.b64encode(b"\x01" + bytes(64)).decode(), "base64"],
        [base64.b64encode(b"\xff\xff\xff").decode(), "base64"],
    ],
)
def test_programs_that_cannot_be_told_make_the_instructions_unreadable(transaction: object) -> None:
    raw = msgspec.Raw(json.dumps(transaction).encode())
    with pytest.raises(UnreadableInstructions):
        payloads_of_instructions(sets(Instruction(programIdIndex=1, data=EVENT)), TransactionBody(raw))


@pytest.mark.parametrize("index", [-1, 2, 2**63, None])
def test_an_index_outside_the_accounts_is_refused(index: int | None) -> None:
    body = TransactionBody(msgspec.Raw(json.dumps(ENCODED["json"]).encode()))
    with pytest.raises(UnreadableInstructions):
        payloads_of_instructions(sets(Instruction(programIdIndex=index)), body)


def test_absent_instructions_are_not_none() -> None:
    with pytest.raises(UnreadableInstructions):
        payloads_of_instructions(None, NOTHING)
    assert payloads_of_instructions([], NOTHING) == []


@given(st.binary(max_size=400), st.integers(-5, 300))
def test_any_wire_bytes_are_read_or_refused(data: bytes, index: int) -> None:
    raw = msgspec.Raw(json.dumps([base64.b64encode(data).decode(), "base64"]).encode())
    with contextlib.suppress(UnreadableInstructions):
        payloads_of_instructions(sets(Instruction(programIdIndex=index, data=EVENT)), TransactionBody(raw))


def test_the_accounts_of_a_real_wire_transaction_are_read(corpus: Path) -> None:
    """A pump sell of 2026-08-30: its self-CPI holds the event of its log line; its account keys are in the wire bytes."""
    data = json.loads((corpus / "onchain/block_subscribe_tx.json").read_text(encoding="utf-8"))["tx"]
    groups = msgspec.convert(data["meta"]["innerInstructions"], list[InstructionSet])
    loaded = msgspec.convert(data["meta"].get("loadedAddresses"), LoadedAddresses | None)
    (payload,) = payloads_of_instructions(groups, TransactionBody(msgspec.Raw(json.dumps(data["transaction"]).encode()), loaded))
    (line,) = [line for line in data["meta"]["logMessages"] if line.startswith("Program data: vdt/")]
    assert payload == Payload(PUMP, base64.b64decode(line[14:]))
    assert len(payload.body or b"") == 359


def test_the_log_line_equals_the_self_cpi_in_every_twin_of_the_corpus(corpus: Path) -> None:
    twins = 0
    for transaction in json.loads((corpus / "onchain/completing_txs_2026-10-09.json").read_text(encoding="utf-8"))["txs"]:
        lines = [base64.b64decode(line[14:]) for line in transaction["program_data_lines"]]
        for text in transaction.get("emit_cpi_b58") or ():
            assert decode_base58(text).removeprefix(SELF_CPI_TAG) in lines
            twins += 1
    assert twins == 7
    for file in ("pumpswap_buy_v1_2026-10.json", "pumpswap_sell_v2_2026-10-08.json"):
        data = json.loads((corpus / "onchain" / file).read_text(encoding="utf-8"))
        (line,) = [base64.b64decode(line[14:]) for line in data["meta"]["logMessages"] if line.startswith("Program data: ")]
        calls = [one["data"] for group in data["meta"]["innerInstructions"] for one in group["instructions"]]
        assert SELF_CPI_TAG + line in [decode_base58(call) for call in calls]


def test_addresses_of_the_wire_are_spelled_as_everywhere() -> None:
    assert to_address(bytes(Pubkey.from_string(PUMP))) == PUMP
