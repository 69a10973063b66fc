from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode.addresses import USD1, USDC
from pumpwatch.decode.pumpportal import Control, decode_message
from pumpwatch.events import LARGEST_INTEGER, WRAPPED_SOL, Counted, Event, Rejected, TokenCreated, TokenMigrated, Trade

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
