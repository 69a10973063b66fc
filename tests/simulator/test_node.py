"""RPC answers as a real node's do: by commitment, at one slot, null where nothing is known yet."""

from __future__ import annotations

import struct
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from pumpwatch.simulator import chain
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.market import Plan
from pumpwatch.simulator.simulator import Simulator

CONFIRMED = {"commitment": "confirmed"}


def answer(simulator: Simulator, method: str, *params: object, key: str = "") -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return requests.post(simulator.rpc_url + key, json=body, timeout=10).json()


def rpc(simulator: Simulator, method: str, *params: object) -> Any:
    return answer(simulator, method, *params)["result"]


def listed(simulator: Simulator, account: str, **options: object) -> list[str]:
    return [row["signature"] for row in rpc(simulator, "getSignaturesForAddress", account, options)]


def accounts(simulator: Simulator, addresses: list[str], **options: object) -> tuple[int, list[bytes | None]]:
    got = rpc(simulator, "getMultipleAccounts", addresses, {"encoding": "base64", **CONFIRMED, **options})
    return got["context"]["slot"], [item and b64decode(item["data"][0]) for item in got["value"]]


def u64(data: bytes | None, place: int) -> int:
    assert data is not None
    return int.from_bytes(data[place : place + 8], "little")


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A chain whose clock moves by :meth:`Simulator.pass_time` only, 200 trades into its run."""
    monkeypatch.setattr(Simulator, "seconds", property(lambda simulator: simulator._passed))
    with Simulator(seed=4) as simulator:
        simulator.trade(200)
        yield simulator


def test_a_slot_is_known_once_it_has_ended(frozen: Simulator) -> None:
    now = frozen.market.clock.slot
    new = frozen.market.history[-1]

    for commitment, slot in (("processed", now - 1), ("confirmed", now - 1), ("finalized", now - 34)):
        assert rpc(frozen, "getSlot", {"commitment": commitment}) == slot
    assert rpc(frozen, "getTransaction", new.signature, CONFIRMED) is None
    assert new.signature not in listed(frozen, new.payer, **CONFIRMED)

    frozen.pass_time(0.4)

    assert rpc(frozen, "getTransaction", new.signature, CONFIRMED)["slot"] == new.slot
    assert new.signature in listed(frozen, new.payer, **CONFIRMED)
    for finalized in ({}, {"commitment": "finalized"}):
        assert rpc(frozen, "getTransaction", new.signature, finalized) is None
        assert new.signature not in listed(frozen, new.payer, **finalized)

    frozen.pass_time(13.2)

    assert rpc(frozen, "getTransaction", new.signature)["slot"] == new.slot
    assert new.signature in listed(frozen, new.payer)


def test_the_chains_clock_is_ours() -> None:
    before = int(time.time())
    with Simulator() as simulator:
        simulator.trade(5)
        simulator.pass_time(0.4)
        slot, (clock,) = accounts(simulator, [chain.CLOCK])
        assert clock is not None
        of_slot, _, epoch, next_epoch, seconds = struct.unpack("<QqQQq", clock)

        assert (of_slot, epoch, next_epoch) == (slot, slot // 432_000, slot // 432_000 + 1)
        assert before - 1 <= seconds <= time.time() + 1
        assert rpc(simulator, "getBlockTime", slot) == seconds
        assert rpc(simulator, "getBlockTime", simulator.market.ledger[0].slot) == simulator.market.ledger[0].block_time
        assert answer(simulator, "getBlockTime", slot + 1000)["error"]["code"] == -32004


def test_every_trade_of_a_slot_shows_the_same_time(simulator: Simulator) -> None:
    for _ in range(6):
        simulator.trade(30)
        simulator.pass_time(0.7)

    times = {(row.slot, row.block_time) for row in simulator.traded()}

    assert len(times) == len(dict(times)) > 6


def test_accounts_hold_the_state_after_the_last_trade_of_their_slot(frozen: Simulator) -> None:
    """Every coin's curve or pool, all at one slot, at any moment of a busy market: never a trade more or less."""
    for _ in range(12):
        frozen.trade(60)
        frozen.pass_time(0.4)
        frozen.trade(10)
        coins = list(frozen.market.coins.values())[-30:]
        slot, datas = accounts(frozen, [coin.curve for coin in coins])
        assert slot == frozen.market.clock.slot - 1
        for coin, data in zip(coins, datas, strict=True):
            last = [row for row in frozen.traded() if (row.mint, row.venue) == (coin.mint, "curve") and row.slot <= slot]
            if data is None:
                assert not last
            elif last and data[48] == 0:
                row = last[-1]
                first = 2 if coin.is_mayhem else 0  # whose virtual reserves change without a trade
                assert [u64(data, place) for place in (8, 16, 24, 32)][first:] == list(row[-4:])[first:]


def graduated(simulator: Simulator) -> Coin:
    simulator.pass_time(1)
    simulator.trade(400)
    return simulator.market.opening["graduated"]


def test_a_pool_and_its_vaults_agree_in_one_call(frozen: Simulator) -> None:
    coin = graduated(frozen)
    frozen.pass_time(0.4)

    _, (curve, pool) = accounts(frozen, [coin.curve, coin.pool])
    assert curve is not None
    assert pool is not None
    assert (curve[48], curve[8:40]) == (1, bytes(32)), "migrated: complete, with nothing in it"
    assert pool[:8].hex() == "f19a6d0411b16dbc"
    assert [chain.address(pool[place : place + 32]) for place in (43, 75)] == [coin.mint, chain.WRAPPED_SOL]
    vaults = [chain.address(pool[place : place + 32]) for place in (139, 171)]
    _, (pool, base, quote) = accounts(frozen, [coin.pool, *vaults])
    assert pool is not None
    assert quote is not None
    row = [row for row in frozen.traded() if row.mint == coin.mint][-1]
    assert (u64(base, 64), u64(quote, 64)) == (row.real_token_reserves, row.real_quote_reserves)
    assert u64(quote, 64) + int.from_bytes(pool[245:261], "little", signed=True) == row.virtual_quote_reserves
    assert chain.address(quote[:32]) == chain.WRAPPED_SOL


def test_there_is_no_account_before_its_creation_and_no_pool_before_the_migration(frozen: Simulator) -> None:
    new = next(coin for coin in reversed(frozen.market.coins.values()) if coin.stage == "curve")

    _, datas = accounts(frozen, [new.curve, new.pool, chain.ROUTERS[0]])
    assert datas == [None, None, None]

    frozen.pass_time(0.4)
    _, (curve, pool) = accounts(frozen, [new.curve, new.pool])
    assert (u64(curve, 8), pool) == (new.virtual_token, None)
    assert accounts(frozen, [new.curve], commitment="finalized")[1] == [None]
    assert rpc(frozen, "getAccountInfo", new.curve, CONFIRMED)["value"]["owner"] == chain.PUMP


@pytest.mark.parametrize("method", ["getSignaturesForAddress", "getMultipleAccounts", "getAccountInfo"])
def test_a_node_that_is_not_so_far_yet_says_so(frozen: Simulator, method: str) -> None:
    address = frozen.market.opening["plain"].curve
    now = frozen.market.clock.slot
    params: object = [address] if method == "getMultipleAccounts" else address

    error = answer(frozen, method, params, {**CONFIRMED, "minContextSlot": now})["error"]

    assert error == {"code": -32016, "message": "Minimum context slot has not been reached", "data": {"contextSlot": now - 1}}
    assert "result" in answer(frozen, method, params, {**CONFIRMED, "minContextSlot": now - 1})
    assert "error" in answer(frozen, method, params, {"minContextSlot": now - 1})


def test_signatures_are_listed_newest_first_in_pages(frozen: Simulator) -> None:
    coin = frozen.market.opening["plain"]
    frozen.trade(2_000)
    frozen.pass_time(20)
    expected = [item.signature for item in reversed(frozen.market.history) if coin.curve in item.mentions]

    page = rpc(frozen, "getSignaturesForAddress", coin.curve, {"limit": 20})
    rest = listed(frozen, coin.curve, before=page[-1]["signature"])

    assert [row["signature"] for row in page] + rest == expected
    assert listed(frozen, coin.curve, until=expected[7]) == expected[:7]
    assert any(row["err"] for row in rpc(frozen, "getSignaturesForAddress", coin.curve))
    assert answer(frozen, "getSignaturesForAddress", coin.curve, {"commitment": "processed"})["error"]["code"] == -32602


def test_a_transaction_comes_whole_in_every_encoding(frozen: Simulator) -> None:
    frozen.pass_time(20)
    made = frozen.market.history[-1]

    for encoding in ("json", "base64", "jsonParsed"):
        got = rpc(frozen, "getTransaction", made.signature, {"encoding": encoding, "maxSupportedTransactionVersion": 1})
        assert (got["slot"], got["blockTime"], got["meta"]["err"]) == (made.slot, made.block_time, made.err)
        assert got["meta"]["logMessages"] == made.rendered()
    assert rpc(frozen, "getTransaction", "1" * 64) is None


def test_statuses_tell_landed_failed_and_unknown(frozen: Simulator) -> None:
    frozen.pass_time(0.4)
    landed = next(item for item in frozen.market.history if item.err is None)
    failed = next(item for item in frozen.market.history if item.err is not None)
    new = frozen.trade(1)[0]
    asked = [landed.signature, failed.signature, new.signature, "2" * 87]

    first, second, *unknown = rpc(frozen, "getSignatureStatuses", asked, {"searchTransactionHistory": True})["value"]

    assert (first["slot"], first["err"], first["confirmationStatus"]) == (landed.slot, None, "finalized")
    assert second["err"] == failed.err
    assert unknown == [None, None]
    frozen.pass_time(100)
    assert rpc(frozen, "getSignatureStatuses", asked)["value"] == [None] * 4, "no longer recent"
    assert answer(frozen, "getSignatureStatuses", ["2" * 87] * 257)["error"]["code"] == -32602


def test_a_paid_plan_lists_whole_transactions_by_slot() -> None:
    with Simulator(provider="helius-paid", finality_seconds=0) as simulator:
        simulator.trade(1_500)
        simulator.pass_time(0.4)
        coin = simulator.market.opening["plain"]
        expected = [item for item in simulator.market.history if coin.curve in item.mentions and item.err is None]
        slots = {"gte": expected[3].slot, "lte": simulator.market.clock.slot}
        options = {"transactionDetails": "full", "sortOrder": "asc", "limit": 4, "maxSupportedTransactionVersion": 1}
        options["filters"] = {"slot": slots, "status": "succeeded"}

        found: list[str] = []
        token = None
        while token or not found:
            more = {**options, **({"paginationToken": token} if token else {})}
            page = answer(simulator, "getTransactionsForAddress", coin.curve, more, key="?api-key=k")["result"]
            found += [item["transaction"]["signatures"][0] for item in page["data"]]
            token = page["paginationToken"]

        assert found == [item.signature for item in expected if item.slot >= slots["gte"]]
        assert len(found) > 5
    with Simulator(provider="helius-free") as simulator:
        got = answer(simulator, "getTransactionsForAddress", coin.curve, options, key="?api-key=k")
        assert got["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("provider", "method", "most"),
    [("helius-free", "getTransaction", 100), ("helius-free", "getSlot", 10), ("helius-paid", "getTransactionsForAddress", 0)],
)
def test_a_batch_may_be_only_so_large(provider: str, method: str, most: int) -> None:
    with Simulator(provider=provider) as simulator:
        calls = [{"jsonrpc": "2.0", "id": number, "method": method} for number in range(most + 1)]
        url = simulator.rpc_url + "?api-key=k"

        assert requests.post(url, json=calls, timeout=10).status_code == 413
        assert requests.post(url, json=calls[:most], timeout=10).status_code != 413


def test_states_are_kept_for_a_lagging_node_and_no_longer(frozen: Simulator) -> None:
    coin = frozen.market.opening["plain"]
    for _ in range(40):
        frozen.pass_time(10)
        frozen.trade(40)

    kept = frozen.market.accounts._reserves[coin.mint]

    assert len(kept) < 20
    assert kept[1].slot >= kept[-1].slot - 200


def test_old_transactions_are_forgotten_everywhere() -> None:
    with Simulator(plan=Plan(history=50), finality_seconds=0) as simulator:
        coin = simulator.market.opening["plain"]
        first = simulator.market.ledger[0].signature
        simulator.trade(600)
        simulator.pass_time(1)
        known = {item.signature for item in simulator.market.history}

        assert len(known) == 50
        assert set(listed(simulator, coin.curve)) <= known
        assert first not in known
