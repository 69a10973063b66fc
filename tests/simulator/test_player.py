"""Recorded messages reach whom they concern, unchanged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from simulator_clients import Connect, ask, call, collect

from pumpwatch.decode.pumpportal import decode_message as decode_pumpportal
from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import Trade
from pumpwatch.simulator import chain
from pumpwatch.simulator.player import (
    HistoricTrade,
    Player,
    Recorded,
    logs_notifications,
    pumpportal_frames,
    read_session,
    read_trades,
)
from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def historic(corpus: Path) -> list[HistoricTrade]:
    with (corpus / "trades/FCuk4XWLR6fAJFTcQoMrm3KeywSt2X6wK4Ufh4Xjpump.csv").open(encoding="utf-8", newline="") as file:
        return read_trades(csv.DictReader(file))


def test_the_pumpportal_session_comes_as_it_was_recorded(simulator: Simulator, opened: Connect, corpus: Path) -> None:
    session = read_session(corpus / "pumpportal/session_2026-07-03.jsonl")
    everything = opened(simulator.pumpportal_url)
    ask(everything, {"method": "subscribeNewToken"})
    ask(everything, {"method": "subscribeMigration"})
    migrations = opened(simulator.pumpportal_url)
    ask(migrations, {"method": "subscribeMigration"})

    assert Player(simulator).play("pumpportal", session) == 205

    assert collect(everything, lambda got: len(got) == 205) == [json.loads(message.text) for message in session]
    assert len(collect(migrations, lambda got: len(got) == 7)) == 7


def test_the_helius_session_comes_under_our_subscription_ids(simulator: Simulator, opened: Connect, corpus: Path) -> None:
    session = read_session(corpus / "helius/logs_subscribe_2026-07-04.jsonl")
    client = opened(simulator.ws_url)
    made = call(client, "logsSubscribe", {"mentions": [chain.PUMP]})["result"]

    reached = Player(simulator).play("helius", session)
    got = collect(client, lambda messages: len(messages) == reached)

    assert len(session) == 146
    assert {message["params"]["subscription"] for message in got} == {made}
    signatures = [message["params"]["result"]["value"]["signature"] for message in got]
    texts = {json.loads(message.text)["params"]["result"]["value"]["signature"] for message in session}
    assert set(signatures) <= texts
    trades = [json.dumps(message).encode() for message in got]
    told = [decode_message(raw, {}) for raw in trades]
    assert sum(isinstance(event, Trade) for one in told if isinstance(one, Notified) for event in one.events) == 93


def test_a_coins_own_subscription_gets_its_messages_only(
    simulator: Simulator, opened: Connect, historic: list[HistoricTrade]
) -> None:
    client = opened(simulator.ws_url)
    mint = historic[0].row.mint
    call(client, "logsSubscribe", {"mentions": [chain.bonding_curve(mint)]})
    other = opened(simulator.ws_url)
    call(other, "logsSubscribe", {"mentions": [simulator.market.opening["plain"].curve]})

    reached = Player(simulator).play("helius", [Recorded(0, text) for text in logs_notifications(historic)])

    assert reached == 287
    assert len(collect(client, lambda got: len(got) == reached)) == reached
    with pytest.raises(TimeoutError):
        other.recv(timeout=0.05)


def test_history_says_the_same_in_both_protocols(historic: list[HistoricTrade]) -> None:
    told = [decode_message(text.encode(), {}) for text in logs_notifications(historic)]
    trades = [event for one in told if isinstance(one, Notified) for event in one.events]
    rows = {(item.row.signature, item.row.event_index): item.row for item in historic}

    assert len(trades) == len(rows) == 499
    for trade in trades:
        assert isinstance(trade, Trade)
        assert trade.event_index is not None
        row = rows[trade.signature, trade.event_index]
        assert (trade.token_amount, trade.quote_amount, trade.trader_quote_amount) == (
            row.token_amount,
            row.quote_amount,
            row.trader_quote_amount,
        )
        assert (trade.virtual_token_reserves, trade.real_quote_reserves) == (row.virtual_token_reserves, row.real_quote_reserves)
    for text, item in zip(pumpportal_frames(historic), historic, strict=True):
        told_there = decode_pumpportal(text.encode())
        assert isinstance(told_there, tuple)
        (event,) = told_there
        assert isinstance(event, Trade)
        assert (event.token_amount, event.quote_amount) == (item.row.token_amount, item.row.quote_amount)


def test_what_concerns_nobody_is_not_sent(simulator: Simulator) -> None:
    assert not Player(simulator).send("pumpportal", '{"txType":"migrate"}')
    assert not Player(simulator).send("pumpportal", "no json")
