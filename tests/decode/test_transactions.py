"""Answers to ``getTransaction`` against the same transactions as the feeds tell them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature
from transaction_samples import base58

from pumpwatch.decode.addresses import PUMP, PUMP_AMM, canonical_pool
from pumpwatch.decode.instructions import SELF_CPI_TAG, decode_base58
from pumpwatch.decode.solana import Fetched, Notified, decode_message, decode_transaction, signature_of
from pumpwatch.errors import DecodeError
from pumpwatch.events import WRAPPED_SOL, Counted, PoolSeen, Rejected, Trade

SIGNATURE = str(Signature(bytes(range(64))))
OTHER = "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG"
BUY = bytes.fromhex("66063d1201daebea")


def fetch(answer: object, *, signature: str = SIGNATURE, pools: dict[str, PoolSeen] | None = None) -> Fetched:
    return decode_transaction(json.dumps(answer).encode(), signature=signature, pools=pools or {})


def inner(*bodies: bytes, program_index: int = 1) -> list[dict[str, Any]]:
    calls = [{"programIdIndex": program_index, "data": base58(SELF_CPI_TAG + body), "accounts": [0]} for body in bodies]
    return [{"index": 0, "instructions": calls}]


def log(*bodies: bytes, instruction: str = "Buy") -> list[str]:
    data = [f"Program data: {base64.b64encode(body).decode()}" for body in bodies]
    return [f"Program {PUMP} invoke [1]", f"Program log: Instruction: {instruction}", *data, f"Program {PUMP} success"]


def answer(**meta: Any) -> dict[str, Any]:
    """A buy that the transaction itself makes, without its events."""
    call = {"programIdIndex": 1, "data": base58(BUY + bytes(16)), "accounts": [0]}
    return {
        "slot": 77,
        "blockTime": 1_791_000_000,
        "version": 0,
        "transaction": {"signatures": [SIGNATURE], "message": {"accountKeys": [OTHER, PUMP], "instructions": [call]}},
        "meta": {"err": None, "innerInstructions": [], "logMessages": log(), "loadedAddresses": None, **meta},
    }


@pytest.fixture(scope="module")
def sell_2024(corpus: Path) -> bytes:
    return (corpus / "helius/transaction_notification_2024-11.json").read_bytes()


def test_the_answer_has_the_events_of_the_notification(sell_2024: bytes) -> None:
    """The one real transaction that is whole, of 2024-11, in which the self-CPI stands before the data line."""
    notified = decode_message(sell_2024, {})
    result = json.loads(sell_2024)["params"]["result"]
    fetched = fetch({"slot": result["slot"], "blockTime": 1_732_000_000, **result["transaction"]}, signature=result["signature"])
    assert isinstance(notified, Notified)
    assert fetched.events == notified.events != ()
    assert (fetched.slot, fetched.block_time, fetched.failed, fetched.silent) == (304_522_881, 1_732_000_000, False, False)
    without_log = result["transaction"]
    without_log["meta"]["logMessages"] = ["Log truncated"]
    assert fetch({"slot": result["slot"], **without_log}, signature=result["signature"]).events == notified.events


def test_a_real_transaction_in_base64_has_the_event_of_its_log(corpus: Path) -> None:
    data = json.loads((corpus / "onchain/block_subscribe_tx.json").read_text(encoding="utf-8"))
    result = {"slot": data["slot"], "blockTime": None, **data["tx"]}
    signature = signature_of(json.dumps(result).encode())
    fetched = fetch(result, signature=signature)
    (trade,) = fetched.events
    assert isinstance(trade, Trade)
    assert (trade.event_index, trade.quote_amount, trade.token_amount) == (0, 1_133_469_910, 30_404_253_302_623)
    value = {"signature": signature, "err": None, "logs": data["tx"]["meta"]["logMessages"]}
    params = {"subscription": 1, "result": {"context": {"slot": data["slot"]}, "value": value}}
    notified = decode_message(json.dumps({"method": "logsNotification", "params": params}).encode(), {})
    assert isinstance(notified, Notified)
    assert notified.events == fetched.events


@pytest.mark.parametrize("file", ["pumpswap_buy_v1_2026-10.json", "pumpswap_sell_v2_2026-10-08.json"])
def test_the_real_pumpswap_transactions_are_the_same_by_log_and_by_instruction(corpus: Path, file: str) -> None:
    """These are trimmed: most accounts are missing, so the program's index is put right here."""
    data = json.loads((corpus / "onchain" / file).read_text(encoding="utf-8"))
    (mint,) = {row["mint"] for row in data["meta"]["preTokenBalances"]} - {WRAPPED_SOL}
    pool = PoolSeen(pool=canonical_pool(mint), mint=mint, quote_mint=WRAPPED_SOL)
    groups = data["meta"]["innerInstructions"]
    for call in (call for group in groups for call in group["instructions"]):
        is_event = decode_base58(call["data"]).startswith(SELF_CPI_TAG)
        call["programIdIndex"] = data["accountKeys"].index(PUMP_AMM) if is_event else 0
    body = {"signatures": [data["signature"]], "message": {"accountKeys": data["accountKeys"]}}
    result = {"slot": data["slot"], "blockTime": data["blockTime"], "transaction": body, "meta": data["meta"]}
    by_log = dict(result, meta={**data["meta"], "innerInstructions": None})
    data["meta"]["loadedAddresses"] = None
    by_instruction = dict(result, meta={**data["meta"], "logMessages": None})
    found = fetch(by_instruction, signature=data["signature"], pools={pool.pool: pool})
    assert [type(event) for event in found.events] == [Trade]
    assert found.events == fetch(by_log, signature=data["signature"], pools={pool.pool: pool}).events


@pytest.mark.parametrize("where", ["writable", "readonly"])
def test_a_program_may_come_from_a_look_up_table(where: str) -> None:
    loaded = {"writable": [PUMP] if where == "writable" else [], "readonly": [PUMP] if where == "readonly" else []}
    found = answer(innerInstructions=inner(b"12345678", program_index=2), loadedAddresses=loaded, logMessages=None)
    found["transaction"]["message"]["accountKeys"] = [OTHER, OTHER]
    assert [event.kind for event in fetch(found).events if isinstance(event, Rejected)] == ["unknown event"]


def test_a_transaction_of_version_1_in_base64_is_read() -> None:
    """Built by SIMD-0385: no public one was found."""
    head = b"\x81\x01\x00\x01" + bytes(4 + 32) + b"\x01\x02"
    call = b"\x01\x00\x18\x00" + BUY + bytes(16)
    wire = head + bytes(32) + bytes(Pubkey.from_string(PUMP)) + call + bytes(range(64))
    found = answer(innerInstructions=inner(b"12345678"), logMessages=None)
    found |= {"version": 1, "transaction": [base64.b64encode(wire).decode(), "base64"]}
    assert [event.kind for event in fetch(found).events if isinstance(event, Rejected)] == ["unknown event"]
    found["meta"]["innerInstructions"] = []
    found["meta"]["logMessages"] = []
    assert fetch(found).silent


def test_the_ordinal_counts_unknown_events_too() -> None:
    found = fetch(answer(innerInstructions=inner(b"unknown1", b"unknown2"), logMessages=["Log truncated"]))
    assert [event.raw.split(b" ")[1] for event in found.events if isinstance(event, Rejected)] == [b"0", b"1"]


def test_a_whole_log_with_more_events_than_the_instructions_is_believed() -> None:
    """Else the same transaction would have other ordinals by the feeds, which read the log."""
    found = fetch(answer(innerInstructions=inner(b"unknown1"), logMessages=log(b"unknown0", b"unknown1")))
    assert len(found.events) == 2
    assert len(fetch(answer(innerInstructions=inner(b"unknown0", b"unknown1"), logMessages=log(b"unknown0"))).events) == 2


def test_a_failed_transaction_has_no_events() -> None:
    found = fetch(answer(err={"InstructionError": [0, {"Custom": 1}]}, innerInstructions=inner(b"unknown1")))
    assert found == Fetched(signature=SIGNATURE, slot=77, block_time=1_791_000_000, failed=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (b"null", "Expected `object`, got `null`"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field"),
        (b"{", "truncated"),
        (b'{"meta": {"err": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"slot": 1, "meta": {"err": null, "logMessages": ["\xff"]}}', "not UTF-8"),
        ({"slot": -1}, "out of range"),
        ({"blockTime": 2**63}, "out of range"),
        ({"meta": None}, "no meta in the answer"),
        ({"transaction": {"signatures": [str(Signature.default())], "message": {"accountKeys": []}}}, "another transaction"),
        ({"transaction": {"signatures": [], "message": {"accountKeys": []}}}, "no signature"),
        ({"transaction": ["AAAA", "base99"]}, "encoding 'base99'"),
        ({"transaction": [base64.b64encode(b"\x82" + bytes(80)).decode(), "base64"]}, "the transaction ends inside"),
        ({"meta": {"err": None, "innerInstructions": None, "logMessages": ["Log truncated"]}}, "no inner instructions"),
    ],
)
def test_what_cannot_be_understood_is_kept_and_the_signature_not_settled(change: object, reason: str) -> None:
    raw = change if isinstance(change, bytes) else json.dumps({**answer(), **change}).encode()  # type: ignore[dict-item]
    found = decode_transaction(raw, signature=SIGNATURE, pools={})
    (kept,) = found.events
    assert isinstance(kept, Rejected)
    assert (kept.kind, kept.ours, kept.signature, kept.raw) == ("unreadable transaction", True, SIGNATURE, raw)
    assert reason in kept.reason
    assert (found.slot, found.failed, found.silent) == (None, False, False)


@pytest.mark.parametrize("change", [{}, {"innerInstructions": None}, {"logMessages": None}])
def test_a_trade_of_ours_that_yields_nothing_is_silent(change: dict[str, Any]) -> None:
    found = fetch(answer(**change))
    assert found.silent
    assert found.events == ()


def test_a_trade_called_by_another_program_can_be_silent_too() -> None:
    call = {"programIdIndex": 1, "data": base58(BUY + bytes(16)), "accounts": []}
    found = answer(innerInstructions=[{"index": 0, "instructions": [call]}])
    found["transaction"]["message"]["instructions"] = [{"programIdIndex": 0, "data": base58(b"route it"), "accounts": []}]
    assert fetch(found).silent
    found["meta"]["innerInstructions"][0]["instructions"] = []
    assert not fetch(found).silent


def test_only_events_that_are_never_recorded_are_silence_too() -> None:
    extended = bytes.fromhex("6161d7905d92167c") + bytes(88)
    found = fetch(answer(innerInstructions=inner(extended)))
    assert [type(event) for event in found.events] == [Counted]
    assert found.silent
    assert not fetch(answer(innerInstructions=inner(extended, b"unknown1"))).silent


def test_an_instruction_that_does_not_trade_may_say_nothing() -> None:
    found = answer(logMessages=log(instruction="CollectCreatorFee"))
    found["transaction"]["message"]["instructions"][0]["data"] = base58(bytes(8))
    assert not fetch(found).silent


@pytest.mark.parametrize(("instruction", "silent"), [("Buy", True), ("SellV2", True), ("CreateV2", True), ("Migrate", False)])
def test_a_notification_tells_of_silence_by_its_log(instruction: str, silent: bool) -> None:
    value = {"signature": SIGNATURE, "err": None, "logs": log(instruction=instruction)}
    params = {"subscription": 1, "result": {"context": {"slot": 5}, "value": value}}
    found = decode_message(json.dumps({"method": "logsNotification", "params": params}).encode(), {})
    assert isinstance(found, Notified)
    assert found.silent == silent


def test_the_instruction_of_another_program_is_not_ours() -> None:
    lines = [f"Program {OTHER} invoke [1]", "Program log: Instruction: Buy", f"Program {OTHER} success"]
    value = {"signature": SIGNATURE, "err": None, "logs": lines}
    params = {"subscription": 1, "result": {"context": {"slot": 5}, "value": value}}
    found = decode_message(json.dumps({"method": "logsNotification", "params": params}).encode(), {})
    assert isinstance(found, Notified)
    assert not found.silent


def test_an_event_without_a_time_gets_the_block_s(facts: Path) -> None:
    """A TradeEvent that ends before its timestamp: older than any known, and readable."""
    body = bytes.fromhex("bddb7fd34ee661ee") + bytes(32) + (5).to_bytes(8, "little") * 2 + b"\x01" + bytes(32)
    (trade,) = fetch(answer(innerInstructions=inner(body))).events
    assert isinstance(trade, Trade)
    assert trade.block_time == 1_791_000_000
    (trade,) = fetch(answer(innerInstructions=inner(body + (1_690_000_000).to_bytes(8, "little")))).events
    assert isinstance(trade, Trade)
    assert trade.block_time == 1_690_000_000


def test_the_signature_of_an_answer_is_its_first() -> None:
    assert signature_of(json.dumps(answer()).encode()) == SIGNATURE
    assert signature_of(msgspec.Raw(json.dumps(answer()).encode())) == SIGNATURE
    for broken in (b"null", b"{", b'{"slot": 1}', b'{"slot": 1, "transaction": ["AAAA", "base64"]}'):
        with pytest.raises(DecodeError):
            signature_of(broken)


@given(st.binary(max_size=300))
def test_any_answer_is_decoded_or_kept(raw: bytes) -> None:
    (kept,) = decode_transaction(raw, signature=SIGNATURE, pools={}).events
    assert isinstance(kept, Rejected)
