"""Promises of the history: paging misses nothing, whatever the node's known defects, and nothing is claimed that was not read."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import pytest
from rpc_server import Odd, ScriptedServer, each, error, odd, result
from simulator_clients import until

from pumpwatch import providers
from pumpwatch.backfill.history import History, Listing
from pumpwatch.backfill.rpc import Rpc, RpcBehind, RpcFailed, RpcStopped
from pumpwatch.config import Endpoint
from pumpwatch.simulator.simulator import Simulator

ADDRESS = "CurveOfSomeToken"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Rpc]:
    with Rpc(Endpoint.of(server.url), timeout_seconds=10, first_wait_seconds=0.01, tries=2) as rpc:
        yield rpc


@dataclass
class Node:
    """
    Lists transactions as nodes do.

    Attributes:
        transactions: Signature to slot.
        before: What it does with a ``before`` in the middle of a slot: right, or the known defects.
        shuffle: The order inside a slot is another at each call.
        slot: At which it is.
    """

    transactions: dict[str, int]
    before: Literal["right", "skips the slot", "repeats the slot"] = "right"
    shuffle: bool = False
    slot: int = 10_000
    limit: int = 10**9
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, call: Any) -> Any:
        address, options = call["params"]
        assert address == ADDRESS
        self.calls.append(options)
        if options.get("minContextSlot", 0) > self.slot:
            return error(call, -32016, "Minimum context slot has not been reached")
        rows = self._rows()
        if before := options.get("before"):
            rows = self._after(rows, before)
        rows = rows[: min(options["limit"], self.limit)]
        shown = [
            {"signature": name, "slot": slot, "err": {"x": 1} if "f" in name else None, "blockTime": slot * 2}
            for name, slot in rows
        ]
        return result(call, shown)

    def _rows(self) -> list[tuple[str, int]]:
        rows = sorted(self.transactions.items(), key=lambda row: -row[1])
        if not self.shuffle:
            return rows
        slots = [list(group) for _, group in groupby(rows, key=lambda row: row[1])]
        return [row for group in slots for row in self.rng.sample(group, len(group))]

    def _after(self, rows: list[tuple[str, int]], before: str) -> list[tuple[str, int]]:
        place = [name for name, _ in rows].index(before)
        if self.before == "right":
            return rows[place + 1 :]
        slot = rows[place][1]
        below = [row for row in rows if row[1] < slot]
        return below if self.before == "skips the slot" else [row for row in rows if row[1] == slot] + below


def listed(client: Rpc, node: Node, server: ScriptedServer, *, page: int = 10, **options: Any) -> Listing:
    server.script(node)
    return History(client, rows_per_page=page).signatures(ADDRESS, **options)


def chain_of(slots: list[int]) -> dict[str, int]:
    return {f"s{number}": slot for number, slot in enumerate(slots)}


@pytest.mark.parametrize("before", ["right", "skips the slot", "repeats the slot"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_paging_misses_and_repeats_nothing(server: ScriptedServer, client: Rpc, before: Any, shuffle: bool, seed: int) -> None:
    rng = random.Random(seed)
    slots, slot = [], 100
    for _ in range(120):
        slots.append(slot)
        slot += rng.choice((0, 0, 1, 1, 5))
    node = Node(chain_of(slots), before=before, shuffle=shuffle)

    listing = listed(client, node, server, page=20)

    assert sorted(row.signature for row in listing.rows) == sorted(node.transactions)
    assert listing.reached
    assert [row.slot for row in listing.rows] == sorted(slots, reverse=True), "newest first"
    assert len(node.calls) <= 20


def test_the_list_ends_where_it_goes_below_the_slot_asked_for(server: ScriptedServer, client: Rpc) -> None:
    node = Node(chain_of(list(range(1000, 1100))))

    listing = listed(client, node, server, down_to_slot=1085)

    assert listing.reached
    assert {row.slot for row in listing.rows} >= set(range(1085, 1100))
    assert len(node.calls) == 2
    assert node.calls[1]["before"] == "s91", "one slot above the oldest of the first page"


def test_a_slot_that_is_only_partly_on_the_page_is_read_wholly(server: ScriptedServer, client: Rpc) -> None:
    """The page's last row is in the slot asked for: the rest of that slot is on the next page."""
    node = Node(chain_of([99] + [100] * 4 + [101] * 8), before="skips the slot")

    listing = listed(client, node, server, down_to_slot=100)

    assert listing.reached
    assert len([row for row in listing.rows if row.slot >= 100]) == 12


@pytest.mark.parametrize("slots", [[], [7], [7, 7, 7], [5, 7], list(range(9))])
def test_short_lists_are_read_to_their_end(server: ScriptedServer, client: Rpc, slots: list[int]) -> None:
    listing = listed(client, Node(chain_of(slots)), server)

    assert (len(listing.rows), listing.reached) == (len(slots), True)


def test_a_short_page_is_not_taken_for_the_end(server: ScriptedServer, client: Rpc) -> None:
    """Where a node's own storage meets the archive, it gives less than was asked for."""
    node = Node(chain_of(list(range(40))), limit=6)

    listing = listed(client, node, server)

    assert (len(listing.rows), listing.reached) == (40, True)


def test_a_slot_larger_than_a_page_ends_and_proves_nothing(server: ScriptedServer, client: Rpc) -> None:
    node = Node(chain_of([50] * 3 + [60] * 35 + [70] * 2))

    listing = listed(client, node, server)

    assert len(listing.rows) == 40
    assert not listing.reached


@pytest.mark.parametrize("page", [10, 5])
def test_a_node_that_turns_in_a_circle_is_left(server: ScriptedServer, client: Rpc, page: int) -> None:
    rows = [{"signature": f"s{number}", "slot": 100 - number // 2, "err": None, "blockTime": 5} for number in range(page)]
    server.script(lambda call: result(call, rows))

    listing = History(client, rows_per_page=page).signatures(ADDRESS)

    assert (len(listing.rows), listing.reached) == (page, False)
    assert len(server.requests) == 3


def test_a_page_that_does_not_join_the_one_before_proves_nothing(server: ScriptedServer, client: Rpc) -> None:
    node = Node(chain_of(list(range(100, 140))))

    def forgetful(call: Any) -> Any:
        if len(node.calls) == 2:
            for name in ("s30", "s29", "s28"):
                del node.transactions[name]
            call = {**call, "params": [ADDRESS, {**call["params"][1], "before": "s31"}]}
        return node(call)

    server.script(forgetful)
    listing = History(client, rows_per_page=5).signatures(ADDRESS, down_to_slot=110)
    assert not listing.reached

    again = Node(chain_of(list(range(100, 140))))
    server.script(again, odd({"id": 0, "result": []}))
    assert not History(client, rows_per_page=5).signatures(ADDRESS).reached, "an empty page below an overlap"


def test_a_page_in_disorder_does_not_end_the_list_early(server: ScriptedServer, client: Rpc) -> None:
    def row(name: str, slot: int) -> dict[str, Any]:
        return {"signature": name, "slot": slot, "err": None, "blockTime": None}

    pages = [
        [row("a", 110), row("c", 90), row("b", 105), row("x", 95)],
        [row("c", 90), row("d", 101), row("y", 89), row("z", 88)],
        [row("z", 88), row("u", 70), row("v", 60), row("w", 50)],
    ]
    server.script(*[odd({"id": 0, "result": page}) for page in pages])

    listing = History(client, rows_per_page=4).signatures(ADDRESS, down_to_slot=100)

    assert [row.signature for row in listing.rows if row.slot >= 100] == ["a", "b", "d"]


def test_a_node_that_has_not_reached_the_slot_says_so(server: ScriptedServer, client: Rpc) -> None:
    node = Node(chain_of([1, 2, 3]), slot=500)
    with pytest.raises(RpcBehind):
        listed(client, node, server, min_context_slot=501)

    assert listed(client, node, server, min_context_slot=500, commitment="finalized").reached
    assert node.calls[-1]["minContextSlot"] == 500
    assert node.calls[-1]["commitment"] == "finalized"


def test_failed_transactions_are_listed_as_such(server: ScriptedServer, client: Rpc) -> None:
    listing = listed(client, Node({"good": 5, "fails": 4}), server)

    assert [(row.signature, row.failed, row.block_time) for row in listing.rows] == [("good", False, 10), ("fails", True, 8)]


@pytest.mark.parametrize(
    "answer", [{"rows": []}, [{"slot": 5}], [{"signature": 5, "slot": 5}], "x", [[]], None, [{"signature": "a", "slot": -1}]]
)
def test_a_list_in_another_shape_is_an_error(server: ScriptedServer, client: Rpc, answer: Any) -> None:
    server.script(odd({"id": 0, "result": answer}))

    with pytest.raises(RpcFailed, match="shape"):
        History(client).signatures(ADDRESS)


def test_current_slot(server: ScriptedServer, client: Rpc) -> None:
    server.script(lambda call: result(call, {"processed": 32, "confirmed": 30}[call["params"][0]["commitment"]]))

    assert History(client).current_slot() == 30
    assert History(client).current_slot("processed") == 32


# Transactions


def transaction(name: str) -> dict[str, Any]:
    return {"slot": 5, "transaction": {"signatures": [name], "message": {}}, "meta": {"err": None}}


def test_transactions_come_batch_by_batch_in_order_and_null_is_not_yet(server: ScriptedServer) -> None:
    server.script(each(lambda call: result(call, None if call["params"][0] == "s7" else transaction(call["params"][0]))))
    names = [f"s{number}" for number in range(25)]
    provider = providers.Provider(name="ten", batching=10)
    with Rpc(Endpoint.of(server.url), timeout_seconds=10, provider=provider) as client:
        coming = History(client).transactions(names, commitment="finalized")
        first, raw = next(coming)
        assert len(server.requests) == 1, "the rest is not fetched before it is wanted"
        rest = dict(coming)

    assert first == "s0"
    assert raw is not None
    assert json.loads(bytes(raw)) == transaction("s0")
    assert list(rest) == names[1:]
    assert [name for name, value in rest.items() if value is None] == ["s7"]
    assert [len(request) for request in server.requests] == [10, 10, 5]
    assert server.requests[0][0]["params"][1] == {
        "encoding": "json",
        "commitment": "finalized",
        "maxSupportedTransactionVersion": 1,
    }


def test_one_that_cannot_be_fetched_costs_no_other(server: ScriptedServer, client: Rpc) -> None:
    def answer(call: Any) -> Any:
        name = call["params"][0]
        return error(call, -32015, "version (2) is not supported") if name == "s3" else result(call, transaction(name))

    server.script(each(answer))
    got: list[str] = []
    with pytest.raises(RpcFailed, match=r"^1 of 250 transactions could not be fetched: .*version") as raised:
        got.extend(name for name, _ in History(client).transactions([f"s{number}" for number in range(250)]))

    assert raised.value.code == -32015
    assert len(got) == 249


def test_a_stop_ends_the_fetching(server: ScriptedServer, client: Rpc) -> None:
    server.script(each(lambda call: result(call, None)))
    coming = History(client).transactions([f"s{number}" for number in range(250)])
    next(coming)
    client.stopping.set()

    with pytest.raises(RpcStopped):
        list(coming)
    assert len(server.requests) == 1


# getTransactionsForAddress


PAID = replace(providers.HELIUS_PAID, calls_per_second=None)


class Archive:
    """A node with ``getTransactionsForAddress``."""

    def __init__(self, slots: list[int]) -> None:
        self.rows = sorted(chain_of(slots).items(), key=lambda row: row[1])
        self.refuse_at: int | None = None
        self.refusal: Any = Odd(status=403)
        self.asked: list[Any] = []

    def __call__(self, request: Any) -> Any:
        if isinstance(request, list):
            return [self._other(call) for call in request]
        return self._page(request) if request["method"] == "getTransactionsForAddress" else self._other(request)

    def _other(self, call: Any) -> Any:
        if call["method"] == "getSignaturesForAddress":
            return Node(dict(self.rows))(call)
        return result(call, transaction(call["params"][0]))

    def _page(self, call: Any) -> Any:
        address, options = call["params"]
        assert address == ADDRESS
        self.asked.append(options)
        if self.refuse_at == len(self.asked):
            return self.refusal
        slots = options["filters"]["slot"]
        rows = [row for row in self.rows if slots["gte"] <= row[1] <= slots["lte"]]
        start = int(options.get("paginationToken", "0"))
        data = [
            {"transactionIndex": 4, **transaction(name), "slot": slot} for name, slot in rows[start : start + options["limit"]]
        ]
        more = start + options["limit"] < len(rows)
        return result(call, {"data": data, "paginationToken": str(start + options["limit"]) if more else None})


@pytest.fixture
def paid(server: ScriptedServer) -> Iterator[Rpc]:
    with Rpc(Endpoint.of(server.url), timeout_seconds=10, provider=PAID, tries=2, first_wait_seconds=0.01) as rpc:
        yield rpc


def test_where_the_plan_has_it_whole_history_comes_in_pages_oldest_first(server: ScriptedServer, paid: Rpc) -> None:
    archive = Archive(list(range(1000, 1300)))
    server.script(archive)

    got = list(History(paid).whole(ADDRESS, from_slot=1010, to_slot=1259))

    assert [name for name, _ in got] == [f"s{number}" for number in range(10, 260)]
    assert len(archive.asked) == 3
    assert archive.asked[0] == {
        "transactionDetails": "full",
        "sortOrder": "asc",
        "limit": 100,
        "encoding": "json",
        "commitment": "confirmed",
        "maxSupportedTransactionVersion": 1,
        "filters": {"slot": {"gte": 1010, "lte": 1259}, "status": "succeeded", "tokenAccounts": "none"},
    }


@pytest.mark.parametrize(
    "refusal",
    [
        Odd(status=403),
        {"id": 0, "error": {"code": -32601, "message": "Method not found"}},
        {"id": 0, "error": {"code": -32600, "message": "not available on the free plan"}},
        {"id": 0, "error": {"code": -32602, "message": "Invalid params"}},
    ],
)
@pytest.mark.parametrize("at", [1, 2])
def test_refused_it_falls_back_for_good_and_gives_nothing_twice(server: ScriptedServer, paid: Rpc, refusal: Any, at: int) -> None:
    archive = Archive(list(range(1000, 1300)))
    archive.refuse_at, archive.refusal = at, refusal
    server.script(archive)
    history = History(paid)

    got = [name for name, _ in history.whole(ADDRESS, from_slot=1010, to_slot=1259)]

    assert sorted(got) == sorted(f"s{number}" for number in range(10, 260))
    assert not history.has_whole
    list(history.whole(ADDRESS, from_slot=1010, to_slot=1020))
    assert len(archive.asked) == at


def test_pages_that_overlap_give_nothing_twice(server: ScriptedServer, paid: Rpc) -> None:
    pages = [
        {"data": [transaction("a"), transaction("b")], "paginationToken": "1:1"},
        {"data": [transaction("b"), transaction("c")]},
    ]
    server.script(*[odd({"id": 0, "result": page}) for page in pages])

    assert [name for name, _ in History(paid).whole(ADDRESS, from_slot=0, to_slot=9)] == ["a", "b", "c"]


def test_trouble_is_not_a_refusal(server: ScriptedServer, paid: Rpc) -> None:
    server.script(odd(status=503, headers={"Retry-After": "0"}))
    history = History(paid)

    with pytest.raises(RpcFailed, match="503"):
        list(history.whole(ADDRESS, from_slot=0, to_slot=9))
    assert history.has_whole


def test_pages_without_end_are_left(server: ScriptedServer, paid: Rpc) -> None:
    server.script(lambda call: result(call, {"data": [], "paginationToken": "7:1"}))

    with pytest.raises(RpcFailed, match="do not end"):
        list(History(paid).whole(ADDRESS, from_slot=0, to_slot=9))
    assert len(server.requests) == 2


def test_other_plans_are_not_even_asked(server: ScriptedServer, client: Rpc) -> None:
    archive = Archive(list(range(1000, 1040)))
    server.script(archive)
    history = History(client)

    assert [name for name, _ in history.whole(ADDRESS, from_slot=1010, to_slot=1019)] == [
        f"s{number}" for number in range(10, 20)
    ]
    assert not history.has_whole
    assert not archive.asked


# The simulator


@pytest.mark.parametrize("provider", [None, "helius-free", "helius-paid"])
def test_a_simulated_coins_history_is_read_as_it_was_traded(provider: str | None) -> None:
    with Simulator(seed=11, provider=provider) as simulator:
        for _ in range(30):
            simulator.trade()
        made = simulator.market.history
        address = Counter(each.curve for each in simulator.market.coins.values() for one in made if each.curve in one.mentions)
        [(curve, number)] = address.most_common(1)
        of_curve = [each for each in made if curve in each.mentions]
        profile = providers.provider_named(provider or "loopback")
        with Rpc(Endpoint.of(simulator.rpc_url, key="k" * 20), timeout_seconds=10, provider=profile) as client:
            history = History(client)
            until(lambda: history.current_slot() >= made[-1].slot)
            listing = history.signatures(curve, min_context_slot=made[-1].slot)
            if provider is None:
                assert not history.has_whole
            whole = dict(history.whole(curve, from_slot=0, to_slot=made[-1].slot))
            assert history.has_whole == (provider == "helius-paid")

    assert number > 3
    assert listing.reached
    assert {(row.signature, row.slot, row.failed) for row in listing.rows} == {
        (each.signature, each.slot, each.err is not None) for each in of_curve
    }
    assert list(whole) == [each.signature for each in of_curve if each.err is None]
    for signature, raw in whole.items():
        assert raw is not None
        assert json.loads(bytes(raw))["transaction"]["signatures"][0] == signature
