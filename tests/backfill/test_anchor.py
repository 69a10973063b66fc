"""Account snapshots, read from the simulator's node: what they show, and what they do when the node has nothing or lags."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from rpc_server import ScriptedServer, result

from pumpwatch.backfill.anchor import ACCOUNTS_OF_TOKENS, Snapshots, Target
from pumpwatch.backfill.rpc import Rpc, RpcBehind, RpcFailed
from pumpwatch.config import Endpoint
from pumpwatch.decode.addresses import canonical_pool
from pumpwatch.events import Anchor
from pumpwatch.simulator.chain import USDC
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=11) as running:
        yield running


@pytest.fixture
def rpc(simulator: Simulator) -> Iterator[Rpc]:
    with Rpc(Endpoint.of(simulator.rpc_url), timeout_seconds=5) as client:
        yield client


@pytest.fixture
def snapshots(rpc: Rpc) -> Snapshots:
    return Snapshots(rpc)


def reserves(anchor: Anchor) -> tuple[int | None, ...]:
    return (
        anchor.virtual_token_reserves,
        anchor.virtual_quote_reserves,
        anchor.real_token_reserves,
        anchor.real_quote_reserves,
    )


def in_pool(coin: Coin) -> tuple[int, ...]:
    return (coin.base, coin.vault + coin.virtual, coin.base, coin.vault)


def test_a_curve_and_a_pool_are_shown_as_they_are_with_slot_and_time(simulator: Simulator, snapshots: Snapshots) -> None:
    opening = simulator.market.opening
    plain, usdc, graduated = opening["plain"], opening["usdc"], opening["graduated"]

    anchors = {
        anchor.mint: anchor
        for anchor in snapshots.take(
            [Target(plain.mint), Target(usdc.mint, quote_mint=USDC), Target(graduated.mint, "pool", graduated.quote_mint)]
        )
    }

    assert reserves(anchors[plain.mint]) == (plain.virtual_token, plain.virtual_quote, plain.real_token, plain.real_quote)
    assert reserves(anchors[usdc.mint]) == (usdc.virtual_token, usdc.virtual_quote, usdc.real_token, usdc.real_quote)
    assert reserves(anchors[graduated.mint]) == in_pool(graduated)
    assert [anchors[coin.mint].venue for coin in (plain, usdc, graduated)] == ["curve", "curve", "pool"]
    for anchor in anchors.values():
        assert anchor.commitment == "confirmed"
        assert anchor.block_time == simulator.market.time_of(anchor.slot)


def test_a_curve_that_has_migrated_gives_the_state_of_its_pool(simulator: Simulator, snapshots: Snapshots) -> None:
    graduated = simulator.market.opening["graduated"]

    (anchor,) = snapshots.take([Target(graduated.mint, "curve", graduated.quote_mint)])

    assert (anchor.venue, reserves(anchor)) == ("pool", in_pool(graduated))


def test_what_is_not_there_is_asked_for_again_at_finalized(simulator: Simulator, rpc: Rpc, snapshots: Snapshots) -> None:
    plain = simulator.market.opening["plain"]
    nothing = canonical_pool(plain.mint)  # an address of which the chain knows no token

    (anchor,) = snapshots.take([Target(nothing)])

    assert (anchor.exists, anchor.commitment, reserves(anchor)) == (False, "finalized", (None,) * 4)
    assert anchor.slot <= rpc.call("getSlot", [{"commitment": "finalized"}])


def test_a_new_token_whose_account_is_not_yet_confirmed_is_not_said_to_exist_not(simulator: Simulator, rpc: Rpc) -> None:
    simulator.trade(1)
    created = next(iter(reversed(simulator.market.coins.values())))
    simulator.pass_time(30)

    (anchor,) = Snapshots(rpc).take([Target(created.mint, "pool" if created.stage == "pool" else "curve", created.quote_mint)])

    assert anchor.exists


def test_a_hundred_accounts_go_in_one_call_and_a_pool_is_never_split(simulator: Simulator) -> None:
    opening = simulator.market.opening
    calls: list[str] = []
    targets = [Target(opening["graduated"].mint, "pool")] + [
        Target(canonical_pool(opening["plain"].mint, mint)) for mint in (coin.mint for coin in list(opening.values())[:1])
    ]
    fillers = [Target(_mint(number)) for number in range(ACCOUNTS_OF_TOKENS - 2)]
    with Rpc(
        Endpoint.of(simulator.rpc_url), timeout_seconds=5, called=lambda method, number: calls.extend([method] * number)
    ) as rpc:
        found = list(Snapshots(rpc).take([*fillers, *targets]))

    assert len(found) == len(fillers) + len(targets)
    # The vaults are learnt; 97 curves, then the pool's three with the last curve; those that are not there once more.
    assert calls == ["getMultipleAccounts"] * 4


def _mint(number: int) -> str:
    from pumpwatch.simulator.chain import address

    return address(number.to_bytes(32, "big"))


def test_a_node_that_is_behind_is_waited_for_by_the_caller(simulator: Simulator, rpc: Rpc, snapshots: Snapshots) -> None:
    target = Target(simulator.market.opening["plain"].mint)
    slot = rpc.call("getSlot", [{"commitment": "processed"}])

    with pytest.raises(RpcBehind):
        list(snapshots.take([target], min_context_slot=slot + 1_000))
    simulator.pass_time(500)

    (anchor,) = snapshots.take([target], min_context_slot=slot + 1_000)
    assert anchor.slot >= slot + 1_000


@pytest.mark.parametrize(
    "answer",
    [
        {"context": {"slot": 5}, "value": []},
        {"context": {"slot": -1}, "value": [None, None]},
        {"context": {"slot": 5}, "value": [None, {"data": ["no base64!", "base64"]}]},
        {"context": {"slot": 5}, "value": [{"data": ["AAAA", "base64"]}, None]},
        {"value": [None, None]},
        [],
    ],
)
def test_an_odd_answer_is_a_failed_call(answer: object) -> None:
    with contextlib.closing(ScriptedServer()) as server, Rpc(Endpoint.of(server.url), timeout_seconds=5, tries=1) as rpc:
        server.answers = [lambda call: result(call, answer)]

        with pytest.raises(RpcFailed):
            list(Snapshots(rpc).take([Target(_mint(7))]))


def test_a_strange_account_in_the_place_of_a_curve_gives_no_state(simulator: Simulator) -> None:
    strange = {"data": ["AAAAAAAAAAAAAAAAAAAA", "base64"]}
    with contextlib.closing(ScriptedServer()) as server, Rpc(Endpoint.of(server.url), timeout_seconds=5, tries=1) as rpc:
        server.answers = [lambda call: result(call, {"context": {"slot": 5}, "value": [None, strange]})]
        snapshots = Snapshots(rpc)

        assert list(snapshots.take([Target(_mint(7))])) == []
        assert len(server.requests) == 1
