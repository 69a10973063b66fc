"""Ranges of one token: by whole pages where the plan has them, by transactions else, and never called whole when they are not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rpc_server import ScriptedServer, always, error, result

from pumpwatch.backfill.filling import PRUNED, Filled, Filling, NotYet, Span
from pumpwatch.backfill.history import History
from pumpwatch.backfill.rpc import Rpc
from pumpwatch.config import Endpoint
from pumpwatch.decode.addresses import bonding_curve
from pumpwatch.events import WRAPPED_SOL, Delivery, Listed, Trade
from pumpwatch.providers import provider_named
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.pruning import prune_token
from pumpwatch.storage.store import Store
from pumpwatch.storage.worklist import Worklist


@pytest.fixture
def worklist(tmp_path: Path) -> Iterator[Worklist]:
    path = tmp_path / "pumpwatch.db"
    Store.open(path, origin="simulator").close()
    made = Worklist(path)
    yield made
    made.close()


def span(mint: str, **changes: Any) -> Span:
    return Span(mint, WRAPPED_SOL, 0, None, "confirmed", pool_too=False)._replace(**changes)


def into(put: list[Delivery]) -> Callable[[Delivery], bool]:
    def take(delivery: Delivery) -> bool:
        put.append(delivery)
        return True

    return take


def outcome(pieces: Any) -> Filled:
    while True:
        try:
            next(pieces)
        except StopIteration as ended:
            value: Filled = ended.value
            return value


@pytest.mark.parametrize("provider", ["helius-paid", "loopback"])
def test_both_ways_to_a_history_bring_the_same(worklist: Worklist, provider: str) -> None:
    calls: list[str] = []
    put: list[Delivery] = []
    plays = provider if provider != "loopback" else None
    with Simulator(seed=5, provider=plays) as simulator:
        simulator.trade(400)
        simulator.pass_time(2)
        ((mint, _),) = Counter(row.mint for row in simulator.traded() if row.venue == "curve").most_common(1)
        of_it = {(row.signature, row.event_index) for row in simulator.traded() if row.mint == mint and row.venue == "curve"}
        with Rpc(
            Endpoint.of(simulator.rpc_url, key="test-key-2"),
            timeout_seconds=5,
            provider=provider_named(provider),
            called=lambda method, number: calls.extend([method] * number),
        ) as rpc:
            filling = Filling(History(rpc), worklist, put=into(put))
            done = outcome(filling.fill(span(mint)))

    events = [event for delivery in put for event in delivery.events]
    trades = {(e.signature, e.event_index) for e in events if isinstance(e, Trade) and e.mint == mint and e.venue == "curve"}
    assert trades == of_it
    assert done.missing is None
    assert len([event for event in events if isinstance(event, Listed) and event.venue == "curve"]) == 1
    assert ("getTransactionsForAddress" in calls) is (provider == "helius-paid")
    assert ("getTransaction" in calls) is (provider == "loopback")


def test_what_was_pruned_is_not_fetched_again(tmp_path: Path) -> None:
    put: list[Delivery] = []
    calls: list[str] = []
    store = Store.open(tmp_path / "pumpwatch.db", origin="simulator")
    with (
        Simulator(seed=5) as simulator,
        contextlib.closing(store),
        contextlib.closing(Worklist(tmp_path / "pumpwatch.db")) as work,
    ):
        simulator.trade(200)
        simulator.pass_time(120)
        simulator.trade(200)
        simulator.pass_time(2)
        ((mint, _),) = Counter(row.mint for row in simulator.traded() if row.venue == "curve").most_common(1)
        with Rpc(
            Endpoint.of(simulator.rpc_url, key="test-key-2"),
            timeout_seconds=5,
            called=lambda method, number: calls.extend([method] * number),
        ) as rpc:
            filling = Filling(History(rpc), work, put=into(put))
            fetched = outcome(filling.fill(span(mint))).fetched
            store.apply(put)
            with store._engine.begin() as connection:
                token_id = connection.exec_driver_sql("SELECT id FROM tokens WHERE mint = ?", (mint,)).scalar_one()
                assert prune_token(connection, token_id, before=2**40, rows=10**6, now_us=0).rows
                left = connection.exec_driver_sql(
                    "SELECT count(DISTINCT signature) FROM trades WHERE token_id = ?", (token_id,)
                ).scalar_one()
            pruned_to = work.pruned_to_slot(mint)
            assert pruned_to is not None
            put.clear()
            calls.clear()

            again = outcome(filling.fill(span(mint)))
            before = outcome(filling.fill(span(mint, to_slot=pruned_to)))

    assert again == Filled(fetched=0), "what is left of it is on record, and the rest is not asked for"
    assert "getTransaction" not in calls
    listed = [event for delivery in put for event in delivery.events if isinstance(event, Listed)]
    assert [event.from_slot for event in listed] == [pruned_to + 1]
    assert left <= listed[0].signatures < fetched
    assert before == Filled(missing=PRUNED)


class Node:
    """Answers for one account whose list has one transaction."""

    def __init__(self, server: ScriptedServer, transaction: object, *, slot: int = 100) -> None:
        self._transaction = transaction
        self._slot = slot
        server.script(self.answer)

    def answer(self, request: Any) -> Any:
        if isinstance(request, list):
            return [self.answer(call) for call in request]
        match request["method"]:
            case "getSlot":
                return result(request, self._slot)
            case "getSignaturesForAddress":
                rows = [{"signature": "3" * 88, "slot": 50, "err": None, "blockTime": 1}]
                return result(request, rows if "before" not in request["params"][1] else [])
            case "getTransaction":
                return result(request, self._transaction)
        return error(request, -32601, "Method not found")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    made = ScriptedServer()
    yield made
    made.close()


def filled(server: ScriptedServer, worklist: Worklist, wanted: Span) -> tuple[Filled, list[Delivery]]:
    put: list[Delivery] = []
    with Rpc(Endpoint.of(server.url), timeout_seconds=5, tries=1) as rpc:
        filling = Filling(History(rpc), worklist, put=into(put))
        return outcome(filling.fill(wanted)), put


MINT = "So11111111111111111111111111111111111111112"


def test_a_transaction_that_holds_nothing_of_the_token_is_no_hindrance_and_fetched_once(
    server: ScriptedServer, worklist: Worklist
) -> None:
    Node(server, _transaction())
    put: list[Delivery] = []
    with Rpc(Endpoint.of(server.url), timeout_seconds=5, tries=1) as rpc:
        filling = Filling(History(rpc), worklist, put=into(put))
        first, second = outcome(filling.fill(span(MINT))), outcome(filling.fill(span(MINT)))

    assert (first, second) == (Filled(1, None), Filled(0, None))
    listed = [event for delivery in put for event in delivery.events if isinstance(event, Listed)]
    assert [(event.from_slot, event.to_slot, event.signatures) for event in listed] == [(0, 100, 1)] * 2


@pytest.mark.parametrize(
    ("transaction", "missing"),
    [(None, "the endpoint does not have 1 of its transactions"), ({"slot": "x"}, "1 of its transactions cannot be read")],
)
def test_what_is_lacking_or_unreadable_is_no_whole_list(
    server: ScriptedServer, worklist: Worklist, transaction: object, missing: str
) -> None:
    Node(server, transaction)

    done, put = filled(server, worklist, span(MINT))

    assert str(done.missing).startswith(missing)
    assert not any(isinstance(event, Listed) for delivery in put for event in delivery.events)


@pytest.mark.parametrize("ahead", [{"to_slot": 101}, {"after_slot": 101}])
def test_a_node_that_is_not_past_the_range_is_not_asked_for_it(
    server: ScriptedServer, worklist: Worklist, ahead: dict[str, Any]
) -> None:
    Node(server, None)

    with pytest.raises(NotYet):
        filled(server, worklist, span(MINT, **ahead))

    assert server.methods == ["getSlot"]


def test_a_list_that_does_not_join_is_not_called_whole(server: ScriptedServer, worklist: Worklist) -> None:
    server.script(always(100), lambda request: result(request, [{"signature": "3" * 88, "slot": 50, "err": {"a": 1}}] * 1000))

    done, put = filled(server, worklist, span(MINT))

    assert done.missing == "the list of signatures could not be read to its end"
    assert put == []
    assert bonding_curve(MINT) in msgspec.json.encode(server.requests).decode()


def _transaction() -> dict[str, object]:
    return {
        "slot": 50,
        "blockTime": 1,
        "transaction": {"signatures": ["3" * 88], "message": {"accountKeys": [MINT], "instructions": []}},
        "meta": {"err": None, "innerInstructions": [], "logMessages": []},
    }
