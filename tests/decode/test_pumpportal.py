from __future__ import annotations

import json
import math
from collections import Counter as Tally
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode.addresses import MAYHEM_AGENT, USD1, USDC, bonding_curve
from pumpwatch.decode.pumpportal import Control, decode_message
from pumpwatch.events import LARGEST_INTEGER, WRAPPED_SOL, Counted, Event, Rejected, TokenCreated, TokenMigrated, Trade
from pumpwatch.market import Reserves, curve_buy_quote

SIGNATURE = "5EMqqRbMjAPF4tBPNw1TJNv6LcFyFMJ8rhXJfVihaZVSYkvorn2j85o4h222XGDretUX4MR54MsnRUhXuMfT6SiF"
MINT = "5ygJ27k1ZyUBdeR9LeNxQ5vZ4n4togt3kxxcYnHUpump"
TRADER = "3JQvkiF2GKfca3ggMPRwTHmzvnj6emReuSFwSrBBonp5"
SHORT = {"signature": SIGNATURE, "mint": MINT, "traderPublicKey": TRADER, "txType": "buy", "tokenAmount": 1.5, "solAmount": 0.25}
CURVE = SHORT | {
    "newTokenBalance": 1.5,
    "vTokensInBondingCurve": 900,
    "vSolInBondingCurve": 30,
    "marketCapSol": 1,
    "pool": "pump",
}
CREATE = {key: value for key, value in CURVE.items() if key != "tokenAmount"} | {
    "txType": "create",
    "initialBuy": 1.5,
    "name": "n",
}


def decode(message: object) -> tuple[Event, ...] | Control:
    return decode_message(json.dumps(message).encode())


def one(message: object) -> Event:
    events = decode(message)
    assert isinstance(events, tuple)
    (event,) = events
    return event


def trade(message: object) -> Trade:
    event = one(message)
    assert isinstance(event, Trade)
    return event


def rejected(message: object) -> Rejected:
    event = one(message)
    assert isinstance(event, Rejected)
    return event


# The real captures


@pytest.fixture(scope="module")
def session(corpus: Path) -> list[tuple[dict[str, Any], tuple[Event, ...] | Control]]:
    lines = (corpus / "pumpportal/session_2026-07-03.jsonl").read_text(encoding="utf-8").splitlines()
    raws = [json.loads(line)["raw"] for line in lines]
    return [(json.loads(raw), decode_message(raw.encode())) for raw in raws]


def kinds(decoded: list[tuple[Event, ...] | Control]) -> Tally[str]:
    names: Tally[str] = Tally()
    for message in decoded:
        names.update([message.kind] if isinstance(message, Control) else [name_of(event) for event in message])
    return names


def name_of(event: Event) -> str:
    return event.kind if isinstance(event, (Counted, Rejected)) else type(event).__name__


def test_the_real_session_of_july_2026_is_what_was_counted(
    session: list[tuple[dict[str, Any], tuple[Event, ...] | Control]],
) -> None:
    """197 ``pump`` creates, 10 of them with the USDC mint; 167 of them with a first buy."""
    assert len(session) == 208
    assert kinds([decoded for _, decoded in session]) == {
        "TokenCreated": 187,
        "Trade": 167,
        "TokenMigrated": 7,
        "quote mint as mint": 10,
        "other launchpad: bonk": 1,
        "ack": 2,
        "refused": 1,
    }


def test_the_frames_of_july_2026_have_the_quirks_that_were_counted(
    session: list[tuple[dict[str, Any], tuple[Event, ...] | Control]],
) -> None:
    """What the decoder must cope with is really in the capture: ints among floats, and foreign bonding curve keys."""
    creates = [frame for frame, _ in session if frame.get("txType") == "create" and frame["pool"] == "pump"]
    assert len(creates) == 197
    numbers = ("solAmount", "initialBuy", "vSolInBondingCurve", "vTokensInBondingCurve")
    assert [sum(isinstance(frame[name], int) for frame in creates) for name in numbers] == [48, 35, 33, 35]
    assert sum(frame["initialBuy"] == 0 for frame in creates) == 30
    assert sum(frame["is_mayhem_mode"] for frame in creates) == 36
    assert sum(frame["mint"] == USDC for frame in creates) == 10 == sum("name" not in frame for frame in creates)
    wrong = [frame for frame in creates if frame["bondingCurveKey"] != bonding_curve(frame["mint"])]
    assert len(wrong) == 27
    assert sum(frame["bondingCurveKey"] == MAYHEM_AGENT for frame in wrong) == 17
    signatures = [frame["signature"] for frame, _ in session if "signature" in frame]
    assert len(signatures) == 205 == len(set(signatures))


def test_created_tokens_have_a_derived_curve_and_all_that_is_told(
    session: list[tuple[dict[str, Any], tuple[Event, ...] | Control]],
) -> None:
    found = 0
    for frame, decoded in session:
        for event in decoded if isinstance(decoded, tuple) else ():
            if isinstance(event, TokenCreated):
                assert event == TokenCreated(
                    signature=frame["signature"],
                    mint=frame["mint"],
                    bonding_curve=bonding_curve(frame["mint"]),
                    developer=frame["traderPublicKey"],
                    name=frame["name"],
                    symbol=frame["symbol"],
                    uri=frame["uri"],
                    is_mayhem_mode=frame["is_mayhem_mode"],
                )
                found += 1
    assert found == 187


def test_first_buys_are_exact_in_the_chain_s_integers(session: list[tuple[dict[str, Any], tuple[Event, ...] | Control]]) -> None:
    """164 of 167 amounts of SOL are the curve formula's, 3 are one lamport lower (fact sheet section 5)."""
    off: Tally[int] = Tally()
    start = Reserves(30_000_000_000, 1_073_000_000_000_000)
    for _, decoded in session:
        for event in decoded if isinstance(decoded, tuple) else ():
            if isinstance(event, Trade):
                assert event.virtual_token_reserves == start.token - event.token_amount == event.message_key
                assert event.quote_amount is not None
                off[event.quote_amount - curve_buy_quote(event.token_amount, start)] += 1
                assert (event.is_buy, event.venue, event.quote_mint) == (True, "curve", None)
                assert (event.event_index, event.slot, event.block_time, event.virtual_quote_reserves) == (None, None, None, None)
    assert off.total() == 167
    assert off[-1] == 3
    assert off[0] + off[1] == 164


def test_usdc_as_mint_is_set_aside_with_its_signature(session: list[tuple[dict[str, Any], tuple[Event, ...] | Control]]) -> None:
    for frame, decoded in session:
        if frame.get("mint") == USDC:
            assert isinstance(decoded, tuple)
            (event,) = decoded
            assert isinstance(event, Rejected)
            assert (event.kind, event.signature, event.ours) == ("quote mint as mint", frame["signature"], False)
            assert json.loads(event.raw) == frame


def test_the_real_session_of_september_2026_is_what_was_counted(corpus: Path) -> None:
    lines = [
        json.loads(line) for line in (corpus / "pumpportal/session_2026-09-28.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    frames = [line["data"] for line in lines if line["dir"] == "in"]
    names = kinds([decode(frame) for frame in frames])
    first_buys = names.pop("Trade", 0)
    assert names == {"TokenCreated": 6, "other launchpad: bonk": 1, "TokenMigrated": 1, "ack": 2, "refused": 1}
    assert first_buys == sum(frame.get("initialBuy", 0) > 0 and frame["pool"] == "pump" for frame in frames)
    creates = [frame for frame in frames if frame.get("txType") == "create" and frame["pool"] == "pump"]
    assert sum(frame["is_mayhem_mode"] for frame in creates) == 2
    assert sum(frame["bondingCurveKey"] == MAYHEM_AGENT for frame in creates) == 1


def test_real_trades_on_the_curve_are_exact(corpus: Path) -> None:
    raws = (corpus / "pumpportal/trades_pool_pump.jsonl").read_bytes().splitlines()
    trades = [event for raw in raws for event in decode_message(raw) if isinstance(event, Trade)]  # type: ignore[union-attr]
    assert [event.is_buy for event in trades] == [True, False, False, True]
    assert [event.token_amount for event in trades] == [30589322786086, 72625000000, 36189104326, 30582206734745]
    assert [event.quote_amount for event in trades] == [2629842459, 2054500, 1014365, None]
    assert [event.virtual_token_reserves for event in trades] == [
        596796597218102,
        1066756445497429,
        1071666285328535,
        977513247598136,
    ]
    assert {event.venue for event in trades} == {"curve"}
    for raw in raws:
        frame = json.loads(raw)
        assert frame["bondingCurveKey"] == bonding_curve(frame["mint"])
        assert frame["vSolInBondingCurve"] == pytest.approx(32190000000 / frame["vTokensInBondingCurve"], rel=1e-15)


def test_tokens_of_another_launchpad_are_counted_only(corpus: Path) -> None:
    raws = (corpus / "pumpportal/creates_pool_bonk.jsonl").read_bytes().splitlines()
    assert [decode_message(raw) for raw in raws] == [(Counted(kind="other launchpad: bonk"),)] * 5


def test_every_real_control_frame_is_told_by_its_text(corpus: Path) -> None:
    raws = (corpus / "pumpportal/error_and_notice_frames.jsonl").read_bytes().splitlines()
    controls = [control for control in map(decode_message, raws) if isinstance(control, Control)]
    assert Tally(control.kind for control in controls) == {"ack": 3, "unsubscribed": 1, "refused": 2, "bad method": 1}
    assert {control.method for control in controls if control.kind == "ack"} == {
        "keys",
        "subscribeNewToken",
        "subscribeMigration",
    }
    assert all(control.text in raw.decode() for control, raw in zip(controls, raws, strict=True))


def test_six_real_requests_got_six_answers(corpus: Path) -> None:
    data = json.loads((corpus / "pumpportal/control_2026-09-28.json").read_text(encoding="utf-8"))
    controls = [decode(entry["message"]) for entry in data["received"]]
    assert kinds(controls) == {"ack": 2, "refused": 2, "unsubscribed": 1, "bad method": 1}
    assert len(data["sent"]) == 6 == len(controls)


# Control frames


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"message": "Minimum balance not met for PumpSwap websocket data."}, "refused"),
        ({"errors": ["Minimum balance not met for PumpSwap websocket data."]}, "refused"),
        ({"errors": ["x", 1, "'method' must be one of"], "message": "Successfully subscribed to keys."}, "bad method"),
        ({"message": "Hello"}, "unknown"),
        ({"message": None}, "unknown"),
        ({"errors": {"code": 1}}, "unknown"),
        ({}, "unknown"),
        ({"a": 1}, "unknown"),
        ({"txType": None, "message": "Unsubscribed."}, "unsubscribed"),
    ],
)
def test_any_object_without_txtype_is_a_control_frame(frame: object, kind: str) -> None:
    control = decode(frame)
    assert isinstance(control, Control)
    assert (control.kind, control.method) == (kind, None)


def test_what_a_server_says_is_cleaned_and_bounded() -> None:
    control = decode({"message": "a\x00" + "x" * 10_000})
    assert isinstance(control, Control)
    assert control.text == "a\ufffd" + "x" * 1022
    unknown = decode({"z": "y" * 10_000})
    assert isinstance(unknown, Control)
    assert len(unknown.text) == 1024


# Trades


@pytest.mark.parametrize(
    ("changes", "venue"),
    [
        ({}, "curve"),
        ({"pool": "pump-amm"}, "pool"),
        ({"pool": None}, "curve"),
        ({"vTokensInBondingCurve": None}, "curve"),
        ({"pool": None, "vTokensInBondingCurve": None}, "pool"),
    ],
)
def test_the_venue_is_told_or_follows_from_the_curve_fields(changes: dict[str, object], venue: str) -> None:
    assert trade(CURVE | changes).venue == venue


def test_a_trade_with_only_the_required_fields_is_a_trade_of_a_pool() -> None:
    """The short form of September 2026: 657 of 693 frames in one production log."""
    event = trade(SHORT)
    assert (event.venue, event.token_amount, event.quote_amount, event.virtual_token_reserves) == (
        "pool",
        1_500_000,
        250_000_000,
        None,
    )
    assert event.message_key is not None
    assert event.message_key < 0
    without_sol = trade({key: value for key, value in SHORT.items() if key != "solAmount"})
    assert without_sol.quote_amount is None


def test_the_same_first_buy_has_one_key_however_it_arrives() -> None:
    events = decode(CREATE)
    assert isinstance(events, tuple)
    assert events[1] == trade(CURVE)


def test_one_message_has_one_key_and_alike_trades_have_their_own() -> None:
    key = trade(SHORT).message_key
    assert key == trade(dict(reversed(SHORT.items()))).message_key == trade(SHORT).message_key
    others: list[dict[str, object]] = [
        {"newTokenBalance": 1},
        {"tokensInPool": 1},
        {"solInPool": 1.5},
        {"tokenAmount": 2},
        {"txType": "sell"},
        {"solAmount": 1},
    ]
    keys = {trade(SHORT | other).message_key for other in others} | {key}
    assert len(keys) == len(others) + 1
    assert all(key is not None and -LARGEST_INTEGER <= key < 0 for key in keys)


def test_a_key_is_the_same_in_another_process() -> None:
    """It is stored: Python's own hash, which differs in every process, would not do."""
    assert trade(SHORT).message_key == -145072446431498559


def test_a_pool_trade_with_curve_fields_keeps_no_curve_reserve() -> None:
    assert trade(CURVE | {"pool": "pump-amm"}).virtual_token_reserves is None


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (31.999999999999968, 32_000_000_000),
        (1, 1_000_000_000),
        (0, 0),
        (1e-9, 1),
        (4e-10, 0),
        (2.629842459, 2_629_842_459),
        (85.005359057, 85_005_359_057),
        (123456789.123456789, 123456789123456790),
        (9223372036, 9223372036000000000),
        (9223372036.854774, 9223372036854774000),
    ],
)
def test_human_numbers_become_exact_base_units(amount: float, units: int) -> None:
    assert trade(SHORT | {"solAmount": amount}).quote_amount == units


@given(st.integers(0, 2_000_000_000 * 10**6))
def test_every_amount_of_a_token_survives_being_a_float(units: int) -> None:
    assert trade(CURVE | {"tokenAmount": units / 10**6}).token_amount == units


def test_the_largest_amounts_are_exact_or_refused() -> None:
    """The numbers around 2**63 base units, in the steps that floats have there."""
    for field, units in (("solAmount", 10**9), ("tokenAmount", 10**6)):
        amount = math.nextafter(LARGEST_INTEGER / units, 0)
        for _ in range(20):
            amount = math.nextafter(amount, 0)
        for _ in range(40):
            amount = math.nextafter(amount, math.inf)
            event = one(SHORT | {field: amount})
            exact = round(Fraction(repr(amount)) * units)
            if isinstance(event, Trade):
                assert exact == (event.quote_amount if field == "solAmount" else event.token_amount)
                assert exact <= LARGEST_INTEGER
            else:
                assert exact > LARGEST_INTEGER - 2048  # half a step of a float


@pytest.mark.parametrize("digits", [30, 300, 4299, 4301, 100_000])
def test_a_number_of_any_length_is_set_aside(digits: int) -> None:
    raw = json.dumps(SHORT | {"solAmount": "AMOUNT"}).replace('"AMOUNT"', "9" * digits).encode()
    assert isinstance(decode_message(raw)[0], Rejected)  # type: ignore[index]


@pytest.mark.parametrize("field", ["tokenAmount", "solAmount", "vTokensInBondingCurve"])
@pytest.mark.parametrize("amount", ["-1", "-1e-9", "9223372037", "1e30", "1e300", "123456789012345678901234567890"])
def test_amounts_that_cannot_be_are_out_of_range(field: str, amount: str) -> None:
    amount = amount.replace("9223372037", "9223372036855") if field != "solAmount" else amount
    raw = json.dumps(CURVE | {field: "AMOUNT"}).replace('"AMOUNT"', amount).encode()
    (event,) = decode_message(raw)  # type: ignore[misc]
    assert isinstance(event, Rejected)
    assert (event.kind, event.signature, event.raw) == ("out of range", SIGNATURE, raw)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e999", '"1"', "true", "[]", "{}", "9" * 5000])
def test_amounts_that_are_no_numbers_are_set_aside(amount: str) -> None:
    raw = json.dumps(CURVE | {"tokenAmount": "AMOUNT"}).replace('"AMOUNT"', amount).encode()
    (event,) = decode_message(raw)  # type: ignore[misc]
    assert isinstance(event, Rejected)
    assert event.kind in ("not json", "unknown shape")


@pytest.mark.parametrize("mint", [USDC, USD1, WRAPPED_SOL])
@pytest.mark.parametrize("message", [CURVE, CREATE, {**CURVE, "txType": "migrate", "pool": "pump-amm"}])
def test_a_known_quote_mint_is_no_token(message: dict[str, object], mint: str) -> None:
    event = rejected(message | {"mint": mint})
    assert (event.kind, event.signature) == ("quote mint as mint", SIGNATURE)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "x"},
        {"signature": None},
        {"signature": 5},
        {"mint": "x"},
        {"mint": None},
        {"traderPublicKey": ""},
        {"traderPublicKey": "0" * 44},
        {"tokenAmount": None},
        {"txType": "burn"},
        {"txType": ""},
        {"txType": 1},
        {"pool": "moonshot"},
        {"pool": 1},
    ],
)
def test_a_trade_that_lacks_something_is_set_aside(changes: dict[str, object]) -> None:
    assert rejected(CURVE | changes).kind == "unknown shape"


def test_a_create_needs_a_trader() -> None:
    assert rejected(CREATE | {"traderPublicKey": "x"}).kind == "unknown shape"


def test_other_launchpads_are_known_by_name() -> None:
    for pool in ("bonk", "launchlab", "raydium", "raydium-cpmm"):
        assert one(CURVE | {"pool": pool}) == Counted(kind=f"other launchpad: {pool}")


# Creates and migrations


@pytest.mark.parametrize("amount", [0, 0.0, None])
def test_a_create_without_a_buy_is_no_trade(amount: object) -> None:
    assert isinstance(one(CREATE | {"initialBuy": amount}), TokenCreated)


def test_a_migration_has_nothing_but_its_token() -> None:
    frame = {"signature": SIGNATURE, "mint": MINT, "txType": "migrate", "pool": "pump-amm"}
    assert one(frame) == TokenMigrated(signature=SIGNATURE, mint=MINT)


def test_hostile_names_are_storable_and_bounded() -> None:
    raw = json.dumps(CREATE | {"initialBuy": 0, "symbol": "S" * 5000}).replace('"n"', r'"\ud83d=\u0000\ud83d\ude80"').encode()
    (event,) = decode_message(raw)  # type: ignore[misc]
    assert isinstance(event, TokenCreated)
    assert (event.name, event.symbol) == ("\ufffd=\ufffd🚀", "S" * 1024)


def test_a_mended_message_that_is_refused_keeps_its_own_bytes() -> None:
    raw = json.dumps(CREATE | {"mint": "x"}).replace('"n"', r'"\ud83d"').encode()
    (event,) = decode_message(raw)  # type: ignore[misc]
    assert isinstance(event, Rejected)
    assert event.raw == raw
    control = decode_message(rb'{"message":"\ud83d"}')
    assert control == Control(kind="unknown", text="\ufffd")


# Whatever comes


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "not json"),
        (b"{", "not json"),
        (b"null", "unknown shape"),
        (b"[1]", "unknown shape"),
        (b'"text"', "unknown shape"),
        (b'{"message":"\xff"}', "not utf-8"),
        (b'{"x":' + b"[" * 100_000, "unknown shape"),
        (b'\xef\xbb\xbf{"message":"x"}', "not json"),
        (b'{"x":"\\ud800"', "not json"),
    ],
)
def test_what_is_no_message_is_set_aside_with_its_bytes(raw: bytes, kind: str) -> None:
    (event,) = decode_message(raw)  # type: ignore[misc]
    assert isinstance(event, Rejected)
    assert (event.kind, event.raw, event.ours) == (kind, raw, False)


@given(st.binary())
def test_no_bytes_make_the_decoder_raise(raw: bytes) -> None:
    decode_message(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from([CURVE, CREATE]), st.dictionaries(st.sampled_from([*CREATE, "tokenAmount", "message", "errors"]), JSON))
def test_no_values_make_the_decoder_raise(message: dict[str, object], values: dict[str, object]) -> None:
    decoded = decode_message(json.dumps(message | values).encode("utf-8", "surrogatepass"))
    for event in decoded if isinstance(decoded, tuple) else ():
        if isinstance(event, Trade):
            assert 0 <= event.token_amount <= LARGEST_INTEGER
            assert event.quote_amount is None or 0 <= event.quote_amount <= LARGEST_INTEGER
