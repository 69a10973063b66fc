"""Serialized transactions: versions legacy and 0 against solders; one of version 1 is built by SIMD-0385."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from pumpwatch.decode.wire import Called, UnreadableTransaction, parse_wire

PAYER = Keypair.from_seed(bytes(range(32)))
SECOND = Keypair.from_seed(bytes(range(1, 33)))
PROGRAMS = [Pubkey(bytes([number]) * 32) for number in (5, 6)]


def instructions(*, size: int) -> list[Instruction]:
    accounts = [AccountMeta(SECOND.pubkey(), is_signer=True, is_writable=True), AccountMeta(PAYER.pubkey(), True, True)]
    return [Instruction(PROGRAMS[0], b"", accounts), Instruction(PROGRAMS[1], bytes(range(256)) * size, accounts[:1])]


@pytest.mark.parametrize("size", [0, 1, 70])
@pytest.mark.parametrize("version", ["legacy", "0"])
def test_a_transaction_of_solders_is_taken_apart(version: str, size: int) -> None:
    message: Message | MessageV0
    if version == "legacy":
        message = Message.new_with_blockhash(instructions(size=size), PAYER.pubkey(), Hash.default())
    else:
        message = MessageV0.try_compile(PAYER.pubkey(), instructions(size=size), [], Hash.default())
    transaction = VersionedTransaction(message, [PAYER, SECOND])
    wire = parse_wire(bytes(transaction))
    assert wire.signature == bytes(transaction.signatures[0])
    assert wire.keys == [str(key) for key in message.account_keys]
    assert wire.instructions == [Called(one.program_id_index, bytes(one.data)) for one in message.instructions]


def version_1(calls: list[tuple[int, bytes, bytes]], *, mask: int, keys: int = 3, signatures: int = 2) -> bytes:
    head = b"\x81" + bytes([signatures, 0, 1]) + struct.pack("<I", mask) + bytes(32) + bytes([len(calls), keys])
    accounts = b"".join(bytes([number]) * 32 for number in range(1, keys + 1))
    headers = b"".join(struct.pack("<BBH", program, len(named), len(data)) for program, named, data in calls)
    payloads = b"".join(named + data for _, named, data in calls)
    signed = b"".join(bytes([number]) * 64 for number in range(100, 100 + signatures))
    return head + accounts + b"\xaa" * 4 * mask.bit_count() + headers + payloads + signed


@pytest.mark.parametrize("mask", [0, 0b100, 0b10111])
def test_a_transaction_of_version_1_is_taken_apart(mask: int) -> None:
    wire = parse_wire(version_1([(2, b"\x00\x01", b"first"), (1, b"", b"\x07" * 600)], mask=mask))
    assert wire.signature == bytes([100]) * 64
    assert wire.keys == [str(Pubkey(bytes([number]) * 32)) for number in (1, 2, 3)]
    assert wire.instructions == [Called(2, b"first"), Called(1, b"\x07" * 600)]


def test_a_transaction_cut_short_anywhere_is_refused() -> None:
    message = Message.new_with_blockhash(instructions(size=1), PAYER.pubkey(), Hash.default())
    legacy = bytes(VersionedTransaction(message, [PAYER, SECOND]))
    for whole in (legacy, version_1([(2, b"\x00\x01", b"data")], mask=7)):
        for length in range(len(whole)):
            with pytest.raises(UnreadableTransaction):
                parse_wire(whole[:length])


def test_another_version_is_refused() -> None:
    message = MessageV0.try_compile(PAYER.pubkey(), instructions(size=0), [], Hash.default())
    wire = bytearray(bytes(VersionedTransaction(message, [PAYER, SECOND])))
    wire[1 + 2 * 64] = 0x82
    with pytest.raises(UnreadableTransaction, match="version 2"):
        parse_wire(bytes(wire))


def test_the_real_wire_transaction_calls_pump_to_sell(corpus: Path) -> None:
    data = json.loads((corpus / "onchain/block_subscribe_tx.json").read_text(encoding="utf-8"))["tx"]
    wire = parse_wire(base64.b64decode(data["transaction"][0]))
    sell = wire.instructions[-2]
    assert wire.keys[sell.program_index] == "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
    assert sell.data[:8].hex() == "33e685a4017f83ad"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x81"]))
def test_any_bytes_are_taken_apart_or_refused(data: bytes, start: bytes) -> None:
    with contextlib.suppress(UnreadableTransaction):
        parse_wire(start + data)
