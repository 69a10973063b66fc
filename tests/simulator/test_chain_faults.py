"""Faults of the chain itself and of the nodes that tell it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from pumpwatch.simulator import chain
from pumpwatch.simulator.market import Plan
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.transaction import Transaction
from pumpwatch.simulator.wire import LAYOUTS

CONFIRMED = {"commitment": "confirmed"}


def post(simulator: Simulator, method: str, *params: object) -> requests.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return requests.post(simulator.rpc_url, json=body, timeout=10)


def rpc(simulator: Simulator, method: str, *params: object) -> Any:
    return post(simulator, method, *params).json()["result"]


def test_too_many_requests_come_with_and_without_a_time_to_wait(simulator: Simulator) -> None:
    seen = set()
    for _ in range(20):
        simulator.fault("rpc_429", seconds=30)
        answer = post(simulator, "getSlot")
        assert answer.status_code == 429
        assert answer.json()["error"] == {"code": -32429, "message": "rate limited"}
        seen.add(answer.headers.get("Retry-After"))
    assert seen == {None, "1"}

    simulator.fault("rpc_429", seconds=30, exhausted=True)
    assert post(simulator, "getSlot").json()["error"]["message"] == "max usage reached"

    simulator.fault("rpc_429", seconds=0)
    assert post(simulator, "getSlot").status_code == 200


def test_a_lagging_node_knows_less_and_leaves_rows_out_until_it_has_caught_up(simulator: Simulator) -> None:
    node = simulator.rpc.endpoint.node
    node.lag.share = 1.0
    coin = simulator.market.opening["plain"]
    simulator.trade(400)
    simulator.pass_time(4)
    new = simulator.trade(1)[0]
    simulator.pass_time(4)
    whole = rpc(simulator, "getSignaturesForAddress", coin.curve, CONFIRMED)

    simulator.fault("rpc_lag", seconds=60, slots=15)

    slot = rpc(simulator, "getSlot", CONFIRMED)
    assert slot <= simulator.market.clock.slot - 16
    assert rpc(simulator, "getTransaction", new.signature, CONFIRMED) is None
    lagging = rpc(simulator, "getSignaturesForAddress", coin.curve, CONFIRMED)
    known = [row for row in whole if row["slot"] <= slot]
    assert 0 < len(lagging) < len(known)
    assert [row for row in known if row in lagging] == lagging
    refused = post(simulator, "getMultipleAccounts", [coin.curve], {**CONFIRMED, "minContextSlot": slot + 10}).json()["error"]
    assert refused["code"] == -32016

    simulator.pass_time(30)
    finalized = rpc(simulator, "getSignaturesForAddress", coin.curve)
    assert [row["signature"] for row in finalized] == [row["signature"] for row in whole], "finalized lists are whole"
    node.lag.until = 0.0
    assert rpc(simulator, "getTransaction", new.signature, CONFIRMED)["slot"] == new.slot


def test_rpc_can_be_off_for_a_while_or_for_good(simulator: Simulator) -> None:
    simulator.fault("rpc_off", seconds=60)
    with pytest.raises(requests.ConnectionError):
        post(simulator, "getSlot")
    simulator.fault("rpc_off", seconds=0)
    assert post(simulator, "getSlot").status_code == 200

    with Simulator(rpc=False) as without, pytest.raises(requests.ConnectionError):
        post(without, "getSlot")


def trade_events(made: Transaction) -> list[bytes]:
    """Payloads of the transaction's own events, as the log has them."""
    return [event.payload for call in made.calls for event in call.events()]


def test_an_upgrade_makes_events_longer_under_a_known_head() -> None:
    plan = Plan(opening=False)
    with Simulator(plan=plan) as old, Simulator(plan=plan) as new:
        new.fault("upgrade")
        new.fault("upgrade")
        for _ in range(300):
            before, after = trade_events(old._produce()), trade_events(new._produce())
            trades = [LAYOUTS[name].discriminator for name in ("TradeEvent", "BuyEvent", "SellEvent")]
            assert after == [event + b"\x5a" * 16 if event[:8] in trades else event for event in before]
        assert new.market.upgrade.unreadable == set()


@pytest.mark.parametrize("kind", ["renamed", "middle"])
def test_an_upgrade_makes_some_trades_of_curves_unreadable(simulator: Simulator, kind: str) -> None:
    simulator.fault("upgrade", kind=kind, count=4)
    made = [simulator._produce() for _ in range(80)]
    rows = [row for item in made for row in item.rows]
    unreadable = [row for row in rows if row.number in simulator.market.upgrade.unreadable]

    assert len(unreadable) in {3, 4}, "one may have been in a transaction that failed"
    known = LAYOUTS["TradeEvent"].discriminator
    for row in unreadable:
        payload = trade_events(next(item for item in made if item.signature == row.signature))[row.event_index]
        assert (payload[:8] == known) is (kind == "middle")
        assert payload[8:40] == chain.key(row.mint)
        assert payload[56] > 1 or kind == "renamed"


def test_a_log_may_be_cut_between_its_events() -> None:
    with Simulator(plan=Plan(several=1.0, failure=0, impostor=0)) as simulator:
        kept = set()
        for _ in range(60):
            made = simulator._produce()
            if len(made.rows) > 1:
                lines = made.cut_log(simulator.rng)
                kept.add(sum(line.startswith("Program data: ") for line in lines))
                assert "Log truncated" in lines
        assert {0, 1} <= kept
