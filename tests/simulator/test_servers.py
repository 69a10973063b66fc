"""The servers speak the real protocols, deliver what was subscribed, and note what they sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from simulator_clients import Connect, ask, call, collect, until
from websockets.exceptions import InvalidStatus

from pumpwatch.simulator import chain, frames
from pumpwatch.simulator.simulator import Simulator

_WANTED = {"accountInclude": [chain.PUMP], "failed": False}
_OPTIONS = {"commitment": "confirmed", "encoding": "base64", "maxSupportedTransactionVersion": 1}


def rpc(simulator: Simulator, method: str, *params: object) -> object:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = requests.post(simulator.rpc_url, json=body, timeout=10)
    return answer.json()["result"]


def test_every_answer_names_its_origin(simulator: Simulator, opened: Connect) -> None:
    for url in (simulator.pumpportal_url, simulator.ws_url):
        response = opened(url).response
        assert response is not None
        assert response.headers["X-Pumpwatch-Origin"] == "simulator"
    answer = requests.post(simulator.rpc_url, data=b"{", timeout=10)
    assert answer.headers["X-Pumpwatch-Origin"] == "simulator"
    assert answer.json()["error"]["code"] == -32700


def test_pumpportal_answers_as_the_real_one(simulator: Simulator, opened: Connect) -> None:
    free = opened(simulator.pumpportal_url)
    funded = opened(simulator.pumpportal_url + "?api-key=k")

    assert ask(free, {"method": "subscribeNewToken"}) == {"message": frames.SUBSCRIBED_NEW}
    assert ask(free, {"method": "subscribeMigration"}) == {"message": frames.SUBSCRIBED_MIGRATION}
    assert ask(free, {"method": "unsubscribeNewToken"}) == {"message": frames.UNSUBSCRIBED}
    assert ask(free, {"method": "unsubscribeMigration"}) == {"errors": frames.BAD_METHOD}
    assert ask(free, {"method": "subscribeTokenTrade", "keys": ["x"]}) == {"message": frames.UNFUNDED}
    assert ask(funded, {"method": "subscribeTokenTrade", "keys": ["x"]}) == {"message": frames.SUBSCRIBED_KEYS}
    funded.send("no json")
    assert json.loads(funded.recv(timeout=10)) == {"errors": frames.BAD_METHOD}


def test_pumpportal_delivers_exactly_the_followed_trades(simulator: Simulator, opened: Connect) -> None:
    client = opened(simulator.pumpportal_url + "?api-key=k")
    mint = simulator.market.opening["plain"].mint
    wallet = simulator.market.wallets[3]
    ask(client, {"method": "subscribeTokenTrade", "keys": [mint]})
    ask(client, {"method": "subscribeAccountTrade", "keys": [wallet]})

    followed = [row for row in simulator.trade(500) if mint == row.mint or wallet == row.wallet]
    got = collect(client, lambda messages: len(messages) == len(followed))

    assert [(message["signature"], message["mint"], message["txType"] == "buy") for message in got] == [
        (row.signature, row.mint, row.is_buy) for row in followed
    ]
    until(lambda: simulator.delivered.count("pumpportal") == len(followed))
    assert list(simulator.delivered.numbers("pumpportal")) == [row.number for row in followed]


def test_logs_come_to_those_who_watch_the_curve_pool_or_program(simulator: Simulator, opened: Connect) -> None:
    client = opened(simulator.ws_url)
    coin = simulator.market.opening["plain"]
    ids = [
        call(client, "logsSubscribe", {"mentions": [address]}, {"commitment": "confirmed"})["result"]
        for address in (coin.curve, chain.PUMPSWAP)
    ]
    before = len(simulator.market.history)

    simulator.trade(2_000)
    made = list(simulator.market.history)[before:]
    expected = [
        (wanted, item.signature)
        for item in made
        for wanted, address in zip(ids, (coin.curve, chain.PUMPSWAP), strict=True)
        if address in item.mentions
    ]
    got = collect(client, lambda messages: len(messages) == len(expected))

    told = [message["params"] for message in got]
    assert sorted((item["subscription"], item["result"]["value"]["signature"]) for item in told) == sorted(expected)
    assert any(item["result"]["value"]["err"] for item in told), "failed ones come too"
    assert min(ids) > 2**53, "ids are u64"


def test_transactions_come_whole_and_failed_ones_not_when_unwanted(simulator: Simulator, opened: Connect) -> None:
    client = opened(simulator.ws_url)
    made = call(client, "transactionSubscribe", _WANTED, _OPTIONS)["result"]
    before = len(simulator.market.history)

    simulator.trade(200)
    expected = [item for item in list(simulator.market.history)[before:] if item.err is None and chain.PUMP in item.mentions]
    got = collect(client, lambda messages: len(messages) == len(expected))

    assert [message["params"]["result"]["signature"] for message in got] == [item.signature for item in expected]
    assert {message["params"]["subscription"] for message in got} == {made}
    assert all(message["params"]["result"]["transaction"]["meta"]["innerInstructions"] for message in got)


def test_a_transaction_notification_has_the_documented_fields(simulator: Simulator, opened: Connect, corpus: Path) -> None:
    documented = json.loads((corpus / "helius/transaction_notification_docs_example.json").read_text(encoding="utf-8"))
    client = opened(simulator.ws_url)
    call(client, "transactionSubscribe", _WANTED, _OPTIONS)
    simulator.trade(20)
    got = collect(client, lambda messages: len(messages) == 1)[0]

    theirs, ours = documented["params"]["result"], got["params"]["result"]
    assert theirs.keys() == ours.keys()
    assert theirs["transaction"].keys() <= ours["transaction"].keys()
    assert theirs["transaction"]["meta"].keys() == ours["transaction"]["meta"].keys()
    assert ours["transaction"]["transaction"][1] == "base64"


def test_slots_tick_until_unsubscribed(simulator: Simulator, opened: Connect) -> None:
    client = opened(simulator.ws_url)
    made = call(client, "slotSubscribe")["result"]

    one, two = (message["params"]["result"] for message in collect(client, lambda messages: len(messages) == 2))
    assert two["parent"] >= one["slot"]
    assert call(client, "slotUnsubscribe", made)["result"] is True
    assert call(client, "slotUnsubscribe", made)["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("logsSubscribe", [{"mentions": [chain.PUMP, chain.PUMPSWAP]}], -32602, "Only 1 address supported"),
        ("logsSubscribe", [{"mentions": ["no address"]}], -32602, "Invalid pubkey"),
        ("logsSubscribe", [], -32602, "filter"),
        ("logsSubscribe", ["all", {"commitment": "soon"}], -32602, "soon"),
        ("transactionSubscribe", [{"accountInclude": []}, {}], -32602, "maxSupportedTransactionVersion"),
        ("noSuchMethod", [], -32601, "not found"),
    ],
)
def test_wrong_requests_get_the_real_errors(
    simulator: Simulator, opened: Connect, method: str, params: list[object], code: int, text: str
) -> None:
    error = call(opened(simulator.ws_url), method, *params)["error"]

    assert error["code"] == code
    assert text in error["message"]


def test_a_free_plan_refuses_what_it_does_not_include(opened: Connect) -> None:
    with Simulator(provider="helius-free") as simulator:
        with pytest.raises(InvalidStatus) as refused:
            opened(simulator.ws_url)
        assert refused.value.response.status_code == 401
        assert call(opened(simulator.ws_url + "?api-key=k"), "transactionSubscribe", _WANTED, _OPTIONS)["error"] == {
            "code": -32600,
            "message": "transactionSubscribe is not available on the free plan",
        }
        opened(simulator.pumpportal_url)
        with pytest.raises(InvalidStatus):
            opened(simulator.pumpportal_url)
        calls = [{"jsonrpc": "2.0", "id": number, "method": "getSlot"} for number in range(11)]
        statuses = [requests.post(simulator.rpc_url + "?api-key=k", json=body, timeout=10).status_code for body in calls]
        assert statuses == [200] * 10 + [429]


def test_a_batch_is_answered_in_one_document(simulator: Simulator) -> None:
    calls = [
        {"jsonrpc": "2.0", "id": 7, "method": "getHealth"},
        {"jsonrpc": "2.0", "id": 8, "method": "getVersion"},
        {"jsonrpc": "2.0", "id": 9, "method": "nothing"},
        {"jsonrpc": "2.0", "id": 10, "method": "getTransaction"},
    ]

    answers = requests.post(simulator.rpc_url, json=calls, timeout=10).json()

    assert [answer["id"] for answer in answers] == [7, 8, 9, 10]
    assert answers[0]["result"] == "ok"
    assert answers[2]["error"]["code"] == -32601
    assert answers[3]["error"]["code"] == -32602
