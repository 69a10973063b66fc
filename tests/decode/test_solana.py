from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import PUMP, to_address
from pumpwatch.decode.solana import Answer, Decoded, Notified, SlotSeen, decode_message
from pumpwatch.events import GapOpened, PoolSeen, Rejected, Trade

SIGNATURE = "5" * 87
OTHER = "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG"
BODY = layouts.TRADE.discriminator + bytes(121)
DATA = "Program data: " + base64.b64encode(BODY).decode()
LOG = [f"Program {PUMP} invoke [1]", DATA, f"Program {PUMP} success"]
CUT = [LOG[0], "Log truncated"]


def decode(message: object, pools: dict[str, PoolSeen] | None = None) -> Decoded:
    return decode_message(json.dumps(message).encode(), pools or {})


def logs(lines: object = (), *, err: object = None, signature: str = SIGNATURE, slot: object = 9) -> dict[str, Any]:
    value = {"signature": signature, "err": err, "logs": lines}
    return {
        "jsonrpc": "2.0",
        "method": "logsNotification",
        "params": {"subscription": 2**64 - 1, "result": {"context": {"slot": slot}, "value": value}},
    }


def transaction(meta: object, wire: object = None) -> dict[str, Any]:
    result = {"transaction": {"transaction": wire, "meta": meta}, "signature": SIGNATURE, "slot": 9}
    return {"jsonrpc": "2.0", "method": "transactionNotification", "params": {"subscription": 1, "result": result}}


def self_cpi(body: bytes = BODY, program: str = PUMP) -> dict[str, Any]:
    number, text = int.from_bytes(bytes.fromhex("e445a52e51cb9a1d") + body, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return {"index": 0, "instructions": [{"programId": program, "accounts": [], "data": text, "stackHeight": 2}]}


# Real transactions


def test_the_real_transaction_notification_of_2024_is_one_sell(corpus: Path) -> None:
    raw = (corpus / "helius/transaction_notification_2024-11.json").read_bytes()
    message = decode_message(raw, {})
    assert isinstance(message, Notified)
    (trade,) = message.events
    assert isinstance(trade, Trade)
    assert (trade.is_buy, trade.quote_amount, trade.token_amount, trade.event_index) == (False, 86_110_552, 2_948_735_678_665, 0)
    assert (message.slot, trade.slot, message.subscription) == (304522881, 304522881, 132442246888657)


@pytest.mark.parametrize("lines", [None, CUT, [LOG[0]]], ids=["absent", "truncated", "unbalanced"])
def test_the_inner_instructions_stand_in_for_a_lost_log(corpus: Path, lines: object) -> None:
    raw = (corpus / "helius/transaction_notification_2024-11.json").read_bytes()
    message = json.loads(raw)
    message["params"]["result"]["transaction"]["meta"]["logMessages"] = lines
    assert decode(message) == decode_message(raw, {})


def test_the_documentation_s_example_parses(corpus: Path) -> None:
    message = decode_message((corpus / "helius/transaction_notification_docs_example.json").read_bytes(), {})
    assert isinstance(message, Notified)
    assert (message.slot, message.failed, message.truncated, message.events) == (224341380, False, False, ())


def test_a_real_moonshot_transaction_holds_no_event_of_ours(corpus: Path) -> None:
    meta = json.loads((corpus / "onchain/foreign_moonshot_tx.json").read_text(encoding="utf-8"))
    assert any("vdt/007mYe" in line for line in meta["logMessages"])
    message = decode(logs(meta["logMessages"]))
    assert isinstance(message, Notified)
    assert message.events == ()


def test_payloads_of_foreign_programs_with_our_discriminators_are_not_ours(corpus: Path) -> None:
    entries = [
        json.loads(line)
        for line in (corpus / "onchain/foreign_same_discriminator.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(entries) == 5
    for entry in entries:
        line = f"Program data: {entry['b64']}"
        foreign = decode(logs([f"Program {OTHER} invoke [1]", line, f"Program {OTHER} success"]))
        assert isinstance(foreign, Notified)
        assert foreign.events == ()
        ours = decode(logs([f"Program {PUMP} invoke [1]", line, f"Program {PUMP} success"]))
        assert isinstance(ours, Notified)
        assert [type(event) for event in ours.events] == [Rejected]


def test_the_mayhem_program_s_own_events_are_not_booked(corpus: Path) -> None:
    data = json.loads((corpus / "onchain/mayhem_and_cashback_logs_2026-07-18.json").read_text(encoding="utf-8"))
    messages = [decode(logs(fixture["logs"])) for fixture in data["fixtures"]]
    assert [len(message.events) for message in messages if isinstance(message, Notified)] == [1, 1, 1]


@pytest.mark.parametrize("file", ["pumpswap_buy_v1_2026-10.json", "pumpswap_sell_v2_2026-10-08.json"])
def test_real_pool_transactions_decode_alike_from_log_and_instructions(corpus: Path, file: str) -> None:
    data = json.loads((corpus / "onchain" / file).read_text(encoding="utf-8"))
    meta = data["meta"]
    body = base64.b64decode(next(line for line in meta["logMessages"] if line.startswith("Program data: "))[14:])
    address = to_address(body[120:152])
    pools = {address: PoolSeen(pool=address, mint="M" * 43, quote_mint="Q" * 43)}
    wire = {"message": {"accountKeys": data["accountKeys"]}}
    whole = decode(transaction(meta, wire), pools)
    assert isinstance(whole, Notified)
    assert [type(event) for event in whole.events] == [Trade]
    assert decode(transaction(meta | {"logMessages": CUT}, wire), pools) == whole


# What transactions may do to us


def test_a_failed_transaction_has_no_events_whatever_its_log_says() -> None:
    for err in ({"InstructionError": [3, {"Custom": 3}]}, "AccountInUse", 0, False):
        assert decode(logs(LOG, err=err)) == Notified(subscription=2**64 - 1, signature=SIGNATURE, slot=9, failed=True)
        assert decode(transaction({"err": err, "logMessages": LOG})) == Notified(
            subscription=1, signature=SIGNATURE, slot=9, failed=True
        )
    assert decode(logs(CUT, err="x")) == Notified(subscription=2**64 - 1, signature=SIGNATURE, slot=9, failed=True)


@pytest.mark.parametrize("lines", [CUT, [*LOG, "Log truncated"], None, [LOG[0]], [LOG[0], DATA, f"Program {OTHER} success"]])
def test_a_log_that_cannot_be_trusted_is_a_gap_and_no_trades(lines: object) -> None:
    message = decode(logs(lines))
    assert isinstance(message, Notified)
    (gap,) = message.events
    assert isinstance(gap, GapOpened)
    assert (message.truncated, gap.cause, gap.signature, gap.slot, gap.from_us) == (True, "log truncated", SIGNATURE, 9, 0)


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        {"logMessages": CUT},
        {"logMessages": CUT, "innerInstructions": None},
        {"logMessages": CUT, "innerInstructions": [{"index": 0, "instructions": [{"programIdIndex": 0, "data": "1"}]}]},
        {"logMessages": None, "innerInstructions": [{"index": 0, "instructions": [{"programId": PUMP, "data": "0"}]}]},
    ],
)
def test_a_transaction_without_usable_log_or_instructions_is_a_gap(meta: object) -> None:
    message = decode(transaction(meta))
    assert isinstance(message, Notified)
    assert message.truncated
    assert [type(event) for event in message.events] == [GapOpened]


def test_an_event_in_log_and_instructions_counts_once() -> None:
    message = decode(transaction({"err": None, "logMessages": LOG, "innerInstructions": [self_cpi()]}))
    assert isinstance(message, Notified)
    assert [type(event) for event in message.events] == [Trade]
    assert decode(transaction({"err": None, "logMessages": CUT, "innerInstructions": [self_cpi()]})) == message


def test_a_self_call_of_another_program_is_not_ours() -> None:
    message = decode(transaction({"logMessages": CUT, "innerInstructions": [self_cpi(program=OTHER)]}))
    assert isinstance(message, Notified)
    assert (message.events, message.truncated) == ((), False)


def test_the_index_counts_events_we_do_not_know() -> None:
    unknown = "Program data: " + base64.b64encode(b"unknown!").decode() + DATA[len("Program data:") :]
    message = decode(logs([LOG[0], unknown, LOG[2]]))
    assert isinstance(message, Notified)
    rejected, trade = message.events
    assert isinstance(rejected, Rejected)
    assert isinstance(trade, Trade)
    assert trade.event_index == 1


# Slots and answers


def test_a_slot_is_a_heartbeat() -> None:
    message = {
        "jsonrpc": "2.0",
        "method": "slotNotification",
        "params": {"result": {"parent": 75, "root": 44, "slot": 76}, "subscription": 0},
    }
    assert decode(message) == SlotSeen(76)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"jsonrpc": "2.0", "result": 4743323479349712, "id": 1}, Answer(request_id=1, result=4743323479349712)),
        ({"id": 2**64 - 1, "result": 2**64 - 1, "jsonrpc": "2.0"}, Answer(request_id=2**64 - 1, result=2**64 - 1)),
        ({"jsonrpc": "2.0", "result": True, "id": 3}, Answer(request_id=3, result=True)),
        ({"jsonrpc": "2.0", "result": None, "id": 3}, Answer(request_id=3)),
        ({"error": {"code": -1, "message": "m", "data": [1]}, "id": None}, Answer(error_code=-1, error_message="m")),
        ({"error": {"code": -1, "message": "a\x00b"}, "id": 4}, Answer(request_id=4, error_code=-1, error_message="a\ufffdb")),
    ],
)
def test_answers_are_told_by_their_id(message: object, answer: Answer) -> None:
    assert decode(message) == answer
    assert type(getattr(decode(message), "result", None)) is type(answer.result)


def test_every_real_error_body_is_an_answer(corpus: Path) -> None:
    bodies = [
        json.loads(line)["body"] for line in (corpus / "helius/error_bodies.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answers = [decode(body) for body in bodies]
    assert all(isinstance(answer, Answer) for answer in answers)
    assert [answer.error_code for answer in answers if isinstance(answer, Answer)] == [-32429, -32429, -32600, -32602, -32603]
    assert [answer.error_message for answer in answers if isinstance(answer, Answer)] == [
        body["error"]["message"] for body in bodies
    ]


# Whatever comes


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "not json"),
        (b"{", "not json"),
        (b"\x00", "not json"),
        (b"null", "unknown shape"),
        (b"[]", "unknown shape"),
        (b"{}", "unknown shape"),
        (b'{"id":1}', "unknown shape"),
        (b'{"method":"accountNotification","params":{}}', "unknown shape"),
        (b'{"method":"slotNotification"}', "unknown shape"),
        (b'{"method":"slotNotification","params":{"result":{"slot":-1}}}', "unknown shape"),
        (b'{"method":"slotNotification","params":{"result":{"slot":9223372036854775808}}}', "unknown shape"),
        (b'{"method":"slotNotification","params":{"result":{"slot":1e3}}}', None),
        (b'{"method":"slotNotification","params":{"result":{"slot":NaN}}}', "not json"),
        (b'{"id":1,"result":{"solana-core":"3.0"}}', "unknown shape"),
        (b'{"id":1,"error":"x"}', "unknown shape"),
        (b'{"id":' + b"9" * 5000 + b',"result":1}', "unknown shape"),
        (b'{"id":1,"error":{"code":1,"message":"\xff"}}', "not utf-8"),
        (b'{"x":' + b"[" * 100_000, "unknown shape"),
        (b'{"x":"\\ud800"', "not json"),
    ],
)
def test_what_is_no_message_is_set_aside_with_its_bytes(raw: bytes, kind: str | None) -> None:
    message = decode_message(raw, {})
    if kind is None:
        assert isinstance(message, (SlotSeen, Rejected))
    else:
        assert isinstance(message, Rejected)
        assert (message.kind, message.raw, message.ours) == (kind, raw, False)


@pytest.mark.parametrize("signature", ["", "x", "0" * 88, "5" * 100])
def test_a_transaction_without_a_real_signature_is_set_aside(signature: str) -> None:
    message = decode(logs(LOG, signature=signature))
    assert isinstance(message, Rejected)
    assert (message.kind, message.slot) == ("unknown shape", 9)
    broken = transaction({"logMessages": LOG})
    broken["params"]["result"]["signature"] = signature
    assert isinstance(decode(broken), Rejected)


def test_half_a_character_in_a_log_does_not_cost_its_trades() -> None:
    raw = json.dumps(logs([LOG[0], "Program log: HALF", *LOG[1:]])).encode().replace(b"HALF", b"\\ud83d")
    message = decode_message(raw, {})
    assert isinstance(message, Notified)
    assert [type(event) for event in message.events] == [Trade]


def test_lost_bytes_anywhere_in_a_real_message_never_raise(corpus: Path) -> None:
    raw = (corpus / "helius/transaction_notification_2024-11.json").read_bytes().rstrip()
    for at in range(0, len(raw), 7):
        assert isinstance(decode_message(raw[:at], {}), Rejected)
        decode_message(raw[:at] + raw[at + 1 :], {})


@given(st.binary())
def test_no_bytes_make_the_decoder_raise(raw: bytes) -> None:
    assert isinstance(decode_message(raw, {}), (Answer, Notified, Rejected, SlotSeen))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.sampled_from(
        [
            "logs",
            "value",
            "context",
            "result",
            "subscription",
            "signature",
            "meta",
            "innerInstructions",
            "slot",
            "method",
            "transaction",
        ]
    ),
    JSON,
)
def test_no_value_in_any_field_makes_the_decoder_raise(field: str, value: Any) -> None:
    for message in (logs(LOG), transaction({"logMessages": CUT, "innerInstructions": [self_cpi()]})):
        text = json.dumps(replaced(message, field, value))
        assert isinstance(decode_message(text.encode("utf-8", "surrogatepass"), {}), (Answer, Notified, Rejected, SlotSeen))


def replaced(node: Any, field: str, value: Any) -> Any:
    if isinstance(node, dict):
        return {key: value if key == field else replaced(inner, field, value) for key, inner in node.items()}
    return node
