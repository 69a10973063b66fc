"""The thread that proves and repairs, turn by turn: with the simulator's node, a real store, and a network that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from backfill_record import Record

from pumpwatch.backfill.asked import PROGRESS
from pumpwatch.backfill.backfill import Backfill
from pumpwatch.backfill.filling import Pieces
from pumpwatch.backfill.rpc import RpcFailed, RpcRefused
from pumpwatch.commands import Request
from pumpwatch.decode.accounts import PoolAccount
from pumpwatch.decode.transactions import decode_transaction
from pumpwatch.errors import DatabaseBusy
from pumpwatch.events import Delivery, GapOpened, PoolSeen, Rejected, Trade
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.truth import TradeRow

_SECOND_US = 1_000_000


def now_us() -> int:
    return time.time_ns() // 1000


def trades_of(simulator: Simulator, mint: str, number: int) -> list[TradeRow]:
    """Let the market go on until a token has so many trades more."""
    before = sum(row.mint == mint for row in simulator.traded())
    while True:
        simulator.trade(1)
        of = [row for row in simulator.traded() if row.mint == mint]
        if len(of) >= before + number:
            return of


def recorded(record: Record, mint: str) -> set[tuple[str, int]]:
    return {tuple(row) for row in record.ask("SELECT signature, event_index FROM trade_log WHERE mint = ? AND confirmed", mint)}


def truth(rows: Iterable[TradeRow]) -> set[tuple[str, int]]:
    return {(row.signature, row.event_index) for row in rows}


def fed(record: Record, rows: Iterable[TradeRow]) -> None:
    """Deliver the transactions of *rows* as the chain's feed would."""
    for signature in dict.fromkeys(row.signature for row in rows):
        made = record.simulator.market.transaction(signature)
        assert made is not None
        raw = msgspec.json.encode(
            {
                "slot": made.slot,
                "blockTime": made.block_time,
                "transaction": made.encoded("json"),
                "meta": made.meta(made.rendered(), "json"),
            }
        )
        record.tell(*decode_transaction(raw, signature=signature, pools={}).events, source="helius")


def states(record: Record, mint: str) -> list[Any]:
    return record.ask("SELECT cause, state, closed_by FROM gaps WHERE mint = ? ORDER BY id", mint)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=11) as running:
        yield running


@pytest.fixture
def record(tmp_path: Path, simulator: Simulator) -> Iterator[Record]:
    made = Record(tmp_path, simulator)
    yield made
    made.close()


@pytest.fixture
def mint(simulator: Simulator) -> str:
    return simulator.market.opening["plain"].mint


def order(backfill: Backfill, number: int | None) -> Any:
    assert number is not None
    return backfill.asked.progress(number)


def test_a_history_that_was_asked_for_is_whole_from_the_creation(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 7)
    simulator.pass_time(2)
    backfill = record.backfill()
    number = backfill.asked.ask(mint)

    record.turn(backfill, 3)

    progress = order(backfill, number)
    assert (progress.state, progress.remaining, progress.reason) == ("done", 0, None)
    assert recorded(record, mint) == truth(rows)
    assert record.ask("SELECT from_slot, commitment FROM listings") == [(0, "confirmed")]


def test_the_history_of_a_graduated_token_has_curve_and_pool(record: Record, simulator: Simulator) -> None:
    mint = simulator.market.opening["graduated"].mint
    rows = trades_of(simulator, mint, 3)
    simulator.pass_time(2)
    backfill = record.backfill()
    number = backfill.asked.ask(mint)

    record.turn(backfill, 3)

    assert order(backfill, number).state == "done"
    assert recorded(record, mint) == truth(rows)
    assert sorted(record.ask("SELECT venue FROM listings")) == [(0,), (1,)]


def test_what_a_deposit_leaves_in_doubt_is_settled_by_a_list_that_is_final(record: Record, simulator: Simulator) -> None:
    coin = simulator.market.opening["graduated"]
    record.watch(coin.mint)
    trades_of(simulator, coin.mint, 3)
    simulator.market._commit(simulator.market._deals.liquidity(coin))
    rows = trades_of(simulator, coin.mint, 3)
    simulator.pass_time(2)
    backfill = record.backfill()
    backfill.asked.ask(coin.mint)

    record.turn(backfill, 3)
    assert recorded(record, coin.mint) == truth(rows)
    assert ("doubt", "closed", "signatures") not in states(record, coin.mint)
    record.turn(backfill, 12)

    assert states(record, coin.mint) == [("doubt", "closed", "signatures")]
    assert record.ask("SELECT completeness FROM token_board WHERE mint = ?", coin.mint) == [("complete",)]


def test_a_hole_is_fetched_at_once_and_closed_by_the_chain(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 9)
    record.watch(mint)
    fed(record, [*rows[:3], *rows[6:]])
    record.settle()
    assert [cause for cause, *_ in states(record, mint)] == ["break"]
    simulator.pass_time(2)

    record.turn(record.backfill())

    assert recorded(record, mint) >= truth(rows[3:6])
    assert states(record, mint) == [("break", "closed", "chain")]


def test_what_the_feed_did_not_tell_at_the_end_is_seen_in_the_account_and_fetched(
    record: Record, simulator: Simulator, mint: str
) -> None:
    rows = trades_of(simulator, mint, 8)
    record.watch(mint)
    fed(record, rows[:5])
    simulator.pass_time(2)
    backfill = record.backfill()

    record.turn(backfill, 3)

    assert recorded(record, mint) == truth(rows)
    assert states(record, mint) == [("tail", "closed", "chain")]
    assert record.ask("SELECT anchored_slot IS NOT NULL, unmatched_slot FROM tokens WHERE mint = ?", mint) == [(1, None)]


def test_a_time_without_feeds_is_closed_by_one_look_at_the_accounts(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 5)
    record.watch(mint)
    fed(record, rows)
    simulator.pass_time(2)
    record.tell(GapOpened(cause="disconnected", feed="helius", from_us=now_us() - 1_000_000, to_us=now_us()))
    backfill = record.backfill()

    record.turn(backfill, 4)

    assert record.ask("SELECT state, closed_by FROM gaps") == [("closed", "chain")]
    assert "getTransaction" not in record.calls
    assert "getSignaturesForAddress" not in record.calls


def test_a_time_that_goes_on_is_left_alone(record: Record, mint: str) -> None:
    record.watch(mint)
    record.tell(GapOpened(cause="disconnected", feed="helius", from_us=now_us() - _SECOND_US))

    record.turn(record.backfill(), 3)

    assert record.ask("SELECT state FROM gaps") == [("open",)]


def test_a_token_without_a_trade_of_ours_is_listed_before_its_time_is_closed(
    record: Record, simulator: Simulator, mint: str
) -> None:
    record.watch(mint)
    backfill = record.backfill(listed=lambda: [mint])
    simulator.pass_time(2)
    record.turn(backfill)
    assert record.ask("SELECT mint FROM tokens") == [(mint,)]  # by its account's state
    from_us = now_us() - _SECOND_US
    rows = trades_of(simulator, mint, 4)
    record.tell(GapOpened(cause="disconnected", feed="helius", from_us=from_us, to_us=now_us()))

    record.turn(backfill, 16)

    assert record.ask("SELECT state, closed_by FROM gaps WHERE cause = 'disconnected'") == [("closed", "signatures")]
    assert recorded(record, mint) >= truth(rows[-4:])
    assert ("finalized",) in record.ask("SELECT commitment FROM listings")


def test_a_token_that_graduated_before_it_was_watched_is_listed_in_its_pool_too(record: Record, simulator: Simulator) -> None:
    mint = simulator.market.opening["graduated"].mint
    record.watch(mint)
    backfill = record.backfill(listed=lambda: [mint])
    simulator.pass_time(2)
    record.turn(backfill)
    rows = trades_of(simulator, mint, 3)
    record.tell(GapOpened(cause="start", from_us=now_us() - _SECOND_US, to_us=now_us()))

    record.turn(backfill, 16)

    assert record.ask("SELECT state, closed_by FROM gaps WHERE cause = 'start'") == [("closed", "signatures")]
    assert recorded(record, mint) >= truth(rows[-3:])


def test_a_cut_log_is_closed_by_its_transaction(record: Record, simulator: Simulator, mint: str) -> None:
    (row,) = trades_of(simulator, mint, 1)[-1:]
    simulator.pass_time(2)
    record.tell(GapOpened(cause="log truncated", from_us=now_us(), to_us=now_us(), signature=row.signature, slot=row.slot))

    record.turn(record.backfill())

    assert record.ask("SELECT state, closed_by FROM gaps") == [("closed", "transaction")]
    assert (row.signature, row.event_index) in recorded(record, mint)


def test_a_gap_that_the_chain_does_not_explain_ends_with_that_reason(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 6)
    record.watch(mint)
    fed(record, rows)
    (gone,) = rows[2:3]
    made = simulator.market.transaction(gone.signature)
    assert made is not None
    # A trade that never was: no history explains its states.
    odd = Trade(
        signature="5" * 88,
        mint=mint,
        wallet=gone.wallet,
        is_buy=True,
        venue="curve",
        token_amount=1,
        quote_amount=1,
        event_index=0,
        slot=made.slot,
        block_time=made.block_time,
        virtual_token_reserves=5,
        virtual_quote_reserves=5,
        real_token_reserves=5,
        real_quote_reserves=5,
    )
    record.tell(odd, source="helius")
    record.settle()
    backfill = record.backfill()

    record.turn(backfill, 12)

    reasons = {reason for (reason,) in record.ask("SELECT reason FROM gaps WHERE cause = 'break'")}
    assert reasons == {"the chain's own history does not explain it"}


def test_an_endpoint_in_trouble_leaves_gaps_open_and_says_so(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 6)
    record.watch(mint)
    fed(record, [*rows[:2], *rows[4:]])
    record.settle()
    simulator.pass_time(2)
    simulator.fault("rpc_429", seconds=60, exhausted=True)
    backfill = record.backfill()

    record.turn(backfill, 2)

    assert [state for _, state, _ in states(record, mint)] == ["open"]
    assert backfill.state().state == "exhausted"
    assert "max usage reached" in str(backfill.state().reason)


def test_what_fails_in_the_middle_of_a_fill_is_begun_anew(
    record: Record, simulator: Simulator, mint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = trades_of(simulator, mint, 6)
    record.watch(mint)
    fed(record, [*rows[:2], *rows[4:]])
    record.settle()
    simulator.pass_time(2)
    backfill = record.backfill()
    number = backfill.asked.ask(mint)
    for error in (DatabaseBusy("locked"), RpcRefused("no"), RpcFailed("cut")):
        with monkeypatch.context() as patched:

            def fail(*_: object, error: Exception = error) -> set[str]:
                raise error

            patched.setattr(backfill._worklist, "recorded", fail)
            record.turn(backfill, 2, step_seconds=40)

    record.turn(backfill, 6, step_seconds=40)

    assert states(record, mint) == [("break", "closed", "chain")]
    assert order(backfill, number).state == "done"


def test_an_order_ends_with_the_reason_when_the_credits_are_spent(record: Record, simulator: Simulator, mint: str) -> None:
    backfill = record.backfill()
    record.turn(backfill)
    simulator.fault("rpc_429", seconds=60, exhausted=True)
    number = backfill.asked.ask(mint)

    record.turn(backfill)

    progress = order(backfill, number)
    assert (progress.state, progress.remaining) == ("done", 1)
    assert "max usage reached" in progress.reason


def test_a_transaction_that_the_node_lacks_closes_nothing(record: Record, simulator: Simulator, mint: str) -> None:
    rows = trades_of(simulator, mint, 6)
    record.watch(mint)
    fed(record, [*rows[:2], *rows[4:]])
    record.settle()
    simulator.pass_time(2)
    lost = rows[3].signature
    known = simulator.market.history._by_signature
    made = known.pop(lost)
    backfill = record.backfill()

    record.turn(backfill, 8)
    assert record.ask("SELECT state FROM gaps WHERE cause = 'break' AND state = 'closed'") == []
    assert record.ask("SELECT count(*) FROM listings WHERE from_slot <= ? AND to_slot >= ?", made.slot, made.slot) == [(0,)]

    known[lost] = made
    record.turn(backfill, 12)
    assert states(record, mint) == [("break", "closed", "chain")]


def test_what_cannot_be_filled_for_an_hour_is_given_up_with_the_reason(tmp_path: Path, simulator: Simulator, mint: str) -> None:
    record = Record(tmp_path, simulator, give_up_after_minutes=0.1)
    try:
        rows = trades_of(simulator, mint, 6)
        record.watch(mint)
        fed(record, [*rows[:2], *rows[4:]])
        record.settle()
        simulator.pass_time(2)
        for row in rows[2:4]:
            simulator.market.history._by_signature.pop(row.signature)

        record.turn(record.backfill(), 12)

        ((state, reason),) = record.ask("SELECT state, reason FROM gaps WHERE cause = 'break'")
        assert state == "unfillable"
        assert reason.startswith("after 0.1 min: the endpoint does not have")
    finally:
        record.close()


def test_a_portal_trade_is_confirmed_dropped_or_waited_for_by_what_became_of_it(
    record: Record, simulator: Simulator, mint: str
) -> None:
    (landed,) = trades_of(simulator, mint, 1)[-1:]
    simulator.pass_time(5)
    told = Trade(
        signature=landed.signature,
        mint=mint,
        wallet=landed.wallet,
        is_buy=landed.is_buy,
        venue="curve",
        token_amount=landed.token_amount,
    )
    record.tell(told, msgspec.structs.replace(told, signature="4" * 88, token_amount=7), source="pumpportal")
    backfill = record.backfill()

    record.turn(backfill, 6)
    assert record.ask("SELECT count(*) FROM trades WHERE state = 0") == [(2,)]  # too young to be asked for

    record.ahead_seconds = 100
    record.turn(backfill, 6)
    assert (landed.signature, landed.event_index) in recorded(record, mint)
    assert record.ask("SELECT signature FROM trades WHERE state = 0") == [("4" * 88,)]  # may land yet

    record.ahead_seconds = 200
    record.turn(backfill, 1, step_seconds=20)
    assert record.ask("SELECT state FROM trades WHERE signature = ?", "4" * 88) == [(3,)]
    assert backfill.state().dropped == 1


class Feed:
    """Stands for the chain's feed."""

    def __init__(self, *, delivers: bool) -> None:
        self._delivers = delivers
        self.anew: list[str] = []

    def delivers(self, _mint: str) -> bool:
        return self._delivers

    def resubscribe(self, mints: Iterable[str]) -> None:
        self.anew += mints


@pytest.mark.parametrize("delivers", [True, False])
def test_a_mute_subscription_is_begun_anew_once_a_minute(
    record: Record, simulator: Simulator, mint: str, *, delivers: bool
) -> None:
    feed = record.feed = Feed(delivers=delivers)
    rows = trades_of(simulator, mint, 4)
    record.watch(mint)
    fed(record, rows[:2])
    simulator.pass_time(2)
    for row in rows[2:]:
        simulator.market.history._by_signature.pop(row.signature)
    backfill = record.backfill()

    for seconds in range(6):
        record.ahead_seconds = 5.0 * seconds
        record.turn(backfill)

    assert feed.anew == ([mint] if delivers else [])


def test_the_pool_of_an_event_that_nobody_knew_is_looked_up(record: Record, simulator: Simulator) -> None:
    coin = simulator.market.opening["graduated"]
    found: list[PoolSeen] = []
    for pool in (coin.pool, coin.curve):
        record.tell(Rejected(kind="unknown pool", reason=f"pool {pool}", raw=b"x", ours=True, signature="6" * 88, slot=1))
    simulator.pass_time(2)
    backfill = record.backfill(found_pools=found.extend)

    record.turn(backfill)
    calls = len(record.calls)
    record.turn(backfill, 12)

    assert [(seen.pool, seen.mint) for seen in found] == [(coin.pool, coin.mint)]
    assert record.ask("SELECT pool FROM pools") == [(coin.pool,)]
    assert len(record.calls) == calls  # the other is none, and not asked for again


def test_a_pool_that_is_not_the_canonical_one_stays_unknown(
    record: Record, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PoolAccount, "is_canonical", lambda _pool, _address: False)
    pool = simulator.market.opening["graduated"].pool
    record.tell(Rejected(kind="unknown pool", reason=f"pool {pool}", raw=b"x", ours=True, signature="6" * 88, slot=1))
    simulator.pass_time(2)

    record.turn(record.backfill())

    assert record.ask("SELECT count(*) FROM pools") == [(0,)]


def test_a_portal_trade_whose_transaction_failed_is_dropped(record: Record, simulator: Simulator, mint: str) -> None:
    while not (failed := [made for made in simulator.market.history if made.err is not None]):
        simulator.trade(10)
    simulator.pass_time(5)
    told = Trade(signature=failed[0].signature, mint=mint, wallet=mint, is_buy=True, venue="curve", token_amount=7)
    record.tell(told, source="pumpportal")
    record.ahead_seconds = 100

    record.turn(record.backfill())

    assert record.ask("SELECT state FROM trades WHERE signature = ?", failed[0].signature) == [(3,)]


def test_an_endpoint_that_is_away_for_an_hour_makes_no_gap_unfillable(
    tmp_path: Path, simulator: Simulator, mint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(tmp_path, simulator, give_up_after_minutes=1.0)
    try:
        rows = trades_of(simulator, mint, 6)
        record.watch(mint)
        fed(record, [*rows[:2], *rows[4:]])
        record.settle()
        simulator.pass_time(2)
        for row in rows[2:4]:
            simulator.market.history._by_signature.pop(row.signature)
        backfill = record.backfill()
        record.turn(backfill)

        def away(*_: object) -> Pieces:
            raise RpcFailed("it cannot be reached")

        with monkeypatch.context() as patched:
            patched.setattr(backfill._filling, "fill", away)
            record.turn(backfill, 10, step_seconds=31)
            assert backfill.state().state == "waiting"
        record.turn(backfill, step_seconds=31)

        assert [state for _, state, _ in states(record, mint)] == ["open"]
        assert backfill.state().reason is None
    finally:
        record.close()


def test_another_chain_is_not_asked_for_anything(record: Record, mint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.backfill.backfill.MAINNET", "another")
    record.watch(mint)
    backfill = record.backfill()

    record.turn(backfill, 3)

    assert set(record.calls) == {"getGenesisHash"}
    assert backfill.state().state == "refused"


def test_a_stop_ends_the_thread_at_once_even_where_the_writer_has_no_room(
    record: Record, simulator: Simulator, mint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades_of(simulator, mint, 5)
    simulator.pass_time(2)
    asked = threading.Event()

    def no_room(_delivery: Delivery, *, timeout_seconds: float) -> bool:
        asked.set()
        return threading.Event().wait(timeout_seconds)

    monkeypatch.setattr(record.intake, "put_backfill", no_room)
    backfill = record.backfill()
    backfill.asked.ask(mint)
    backfill.start()
    assert asked.wait(5)

    backfill.stop()
    backfill.join(2)

    assert not backfill.is_alive()
    assert backfill.error is None
    assert record.ask("SELECT count(*) FROM listings") == [(0,)]


def test_waiting_for_a_writer_that_cannot_write_is_no_hang(
    record: Record, simulator: Simulator, mint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is locked for minutes must not end the process: that would start it anew before the same lock."""
    trades_of(simulator, mint, 5)
    simulator.pass_time(2)
    pulses: list[float] = []

    def no_room(_delivery: Delivery, *, timeout_seconds: float) -> bool:
        pulses.append(backfill.pulse.alive_until)
        return threading.Event().wait(min(timeout_seconds, 0.02))

    monkeypatch.setattr(record.intake, "put_backfill", no_room)
    backfill = record.backfill()
    backfill.asked.ask(mint)
    backfill.start()
    ends = time.monotonic() + 5
    while len(pulses) < 5 and time.monotonic() < ends:
        time.sleep(0.01)
    backfill.stop()
    backfill.join(2)

    assert len(pulses) >= 5
    assert pulses == sorted(set(pulses))


def test_an_order_is_taken_and_told_of_through_the_commands(record: Record, mint: str) -> None:
    backfill = record.backfill()
    handlers = backfill.asked.handlers()

    def ask(command: str, **arguments: str) -> Any:
        return handlers[command](Request(id="0" * 16, command=command, asked_at=0, arguments=arguments))

    assert not ask("backfill", mint="no mint").ok
    taken = ask("backfill", mint=mint)
    assert taken.ok
    assert '"waiting"' in ask(PROGRESS, order=taken.text).text
    assert not ask(PROGRESS, order="99").ok
    record.turn(backfill, 3)
    assert '"done"' in ask(PROGRESS, order=taken.text).text
    assert [ask("backfill").ok for _ in range(21)].count(False) == 1
