"""The real ``logsSubscribe`` session of 2026-07-04, against the counts of the corpus's README."""

from __future__ import annotations

import base64
import copy
import json
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.decode.addresses import MAYHEM_AGENT, bonding_curve
from pumpwatch.decode.solana import Answer, Decoded, Notified, decode_message
from pumpwatch.drift import oddity
from pumpwatch.events import Counted, TokenCreated, Trade
from pumpwatch.market import Reserves, before_trade, curve_buy_quote, curve_buy_tokens, curve_sell_quote, fee


@pytest.fixture(scope="module")
def session(corpus: Path) -> list[tuple[dict[str, Any], Decoded]]:
    lines = (corpus / "helius/logs_subscribe_2026-07-04.jsonl").read_text(encoding="utf-8").splitlines()
    raws = [json.loads(line)["raw"] for line in lines]
    return [(json.loads(raw), decode_message(raw.encode(), {})) for raw in raws]


def notified(session: list[tuple[dict[str, Any], Decoded]]) -> list[Notified]:
    return [message for _, message in session if isinstance(message, Notified)]


def trades(session: list[tuple[dict[str, Any], Decoded]]) -> list[Trade]:
    return [event for message in notified(session) for event in message.events if isinstance(event, Trade)]


def test_the_real_session_is_one_ack_and_146_notifications(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    assert len(session) == 147
    assert session[0][1] == Answer(request_id=1, result=13117691)
    messages = notified(session)
    assert len(messages) == 146 == len({message.signature for message in messages})
    slots = [message.slot for message in messages]
    assert slots == sorted(slots)
    assert (slots[0], slots[-1]) == (430727484, 430727551)
    assert {message.subscription for message in messages} == {13117691}


def test_failed_transactions_of_the_real_session_are_no_trades(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    messages = notified(session)
    assert sum(message.failed for message in messages) == 47
    assert not any(message.events for message in messages if message.failed)
    assert not any(message.truncated for message in messages)
    assert sum(any(isinstance(event, Trade) for event in message.events) for message in messages) == 91


def test_the_real_session_holds_120_events_and_none_is_unreadable(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    names: Tally[str] = Tally()
    for message in notified(session):
        names.update(event.kind if isinstance(event, Counted) else type(event).__name__ for event in message.events)
    assert names == {
        "Trade": 93,
        "TokenCreated": 19,
        "not recorded: ExtendAccountEvent": 4,
        "not recorded: MigrateBondingCurveCreatorEvent": 2,
        "not recorded: DistributeCreatorFeesEvent": 2,
    }


def test_nothing_in_the_real_session_is_odd(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    assert not any(message.silent for message in notified(session))
    assert {oddity(message.events, silent=message.silent) for message in notified(session)} == {None}


def test_without_its_data_lines_every_trade_of_the_real_session_is_silent(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    """Of the 99 successful ones two only migrate a creator, which is no trade."""
    silent = 0
    for raw, message in session:
        if isinstance(message, Notified) and not message.failed:
            stripped = copy.deepcopy(raw)
            value = stripped["params"]["result"]["value"]
            value["logs"] = [line for line in value["logs"] if not line.startswith("Program data: ")]
            again = decode_message(json.dumps(stripped).encode(), {})
            assert isinstance(again, Notified)
            silent += again.silent
    assert silent == 97


def test_the_trades_of_the_real_session_are_those_counted(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    found = trades(session)
    assert Tally(trade.is_buy for trade in found) == {True: 54, False: 39}
    assert len({trade.mint for trade in found}) == 37
    assert Tally(Tally(trade.signature for trade in found).values()) == {1: 89, 2: 2}
    assert len({(trade.signature, trade.event_index) for trade in found}) == 93
    assert sum(trade.by_mayhem_agent for trade in found) == 3 == sum(trade.wallet == MAYHEM_AGENT for trade in found)


def test_payload_lengths_of_the_real_session_are_those_counted(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    lengths = Tally(len(body) for body in real_trade_payloads(session))
    assert lengths == {358: 46, 359: 38, 371: 4, 373: 4, 393: 1}


def real_trade_payloads(session: list[tuple[dict[str, Any], Decoded]]) -> Iterator[bytes]:
    for raw, message in session:
        if isinstance(message, Notified) and not message.failed:
            for line in raw["params"]["result"]["value"]["logs"]:
                if line.startswith("Program data: vdt/007mYe"):
                    yield base64.b64decode(line[14:])


def test_the_trades_of_the_real_session_satisfy_the_formulae(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    """45 of 46 exact-token buys and 37 of 39 sells as the fact sheet counts; the others are the mayhem agent's."""
    for trade in trades(session):
        assert None not in (trade.quote_amount, trade.virtual_quote_reserves, trade.virtual_token_reserves, trade.protocol_fee)
        if trade.by_mayhem_agent:
            continue
        quote, token = trade.quote_amount or 0, trade.token_amount
        after = Reserves(trade.virtual_quote_reserves or 0, trade.virtual_token_reserves or 0)
        before = before_trade(after, is_buy=trade.is_buy, token_amount=token, quote_amount=quote)
        if trade.is_buy:
            assert quote == curve_buy_quote(token, before) or token == curve_buy_tokens(quote, before)
        else:
            assert quote == curve_sell_quote(token, before)


def test_the_fees_of_the_real_session_are_rounded_up(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    rates: Tally[int | None] = Tally()
    for trade in trades(session):
        rate = next((bps for bps in (95, 0) if trade.protocol_fee == fee(trade.quote_amount or 0, bps)), None)
        rates[rate] += 1
    assert rates[None] == 0
    assert sum(rates.values()) == 93


def test_neighbouring_states_of_the_real_session_link_as_counted(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    """69 neighbouring pairs of a mint, creations included: 62 exact on virtual, 64 on real reserves (the capture is a sample)."""
    last: dict[str, tuple[Reserves, Reserves]] = {}
    pairs = virtual = real = 0
    for event in (event for message in notified(session) for event in message.events):
        if isinstance(event, TokenCreated):
            last[event.mint] = states(event, 0)
        elif isinstance(event, Trade):
            before = [
                before_trade(after, is_buy=event.is_buy, token_amount=event.token_amount, quote_amount=event.quote_amount or 0)
                for after in states(event, event.real_quote_reserves)
            ]
            if event.mint in last:
                pairs += 1
                virtual += before[0] == last[event.mint][0]
                real += before[1] == last[event.mint][1]
            last[event.mint] = states(event, event.real_quote_reserves)
    assert (pairs, virtual, real) == (69, 62, 64)


def states(event: Trade | TokenCreated, real_quote: int | None) -> tuple[Reserves, Reserves]:
    assert event.virtual_quote_reserves is not None
    assert event.virtual_token_reserves is not None
    assert event.real_token_reserves is not None
    assert real_quote is not None
    return Reserves(event.virtual_quote_reserves, event.virtual_token_reserves), Reserves(real_quote, event.real_token_reserves)


def test_the_tokens_of_the_real_session_start_as_all_do(session: list[tuple[dict[str, Any], Decoded]]) -> None:
    created = [event for message in notified(session) for event in message.events if isinstance(event, TokenCreated)]
    assert len(created) == 19
    for event in created:
        assert event.bonding_curve == bonding_curve(event.mint)
        assert (event.virtual_quote_reserves, event.virtual_token_reserves) == (30_000_000_000, 1_073_000_000_000_000)
        assert (event.real_token_reserves, event.token_total_supply) == (793_100_000_000_000, 1_000_000_000_000_000)
        assert event.token_program == "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
