"""PumpPortal's real messages of the corpus, against the counts of its README."""

from __future__ import annotations

import json
from collections import Counter as Tally
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.decode.addresses import MAYHEM_AGENT, USDC, bonding_curve
from pumpwatch.decode.pumpportal import Control, decode_message
from pumpwatch.events import Counted, Event, Rejected, TokenCreated, Trade
from pumpwatch.market import Reserves, curve_buy_quote


def decode(message: object) -> tuple[Event, ...] | Control:
    return decode_message(json.dumps(message).encode())


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
