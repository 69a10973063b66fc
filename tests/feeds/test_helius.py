"""A Solana RPC WebSocket: heartbeat, subscriptions, refusals, and what several subscriptions tell alike."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pumpwatch.config import ConnectionSettings, Endpoint, HeliusSettings
from pumpwatch.decode.addresses import PUMP, PUMP_AMM, USDC, bonding_curve, canonical_pool
from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import GapOpened, PoolSeen, Rejected, TokenCreated, Trade
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.feeds.opens import Opens
from pumpwatch.feeds.pace import Pace
from pumpwatch.feeds.waits import Waits
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.providers import HELIUS_FREE, HELIUS_PAID, LOOPBACK

WaitUntil = Callable[[Callable[[], object]], None]

MINT = "8wUTj3HnaCWx2QAuBVUY1tR32duy86WaowTxevQypump"
OTHER = "CYYeqG2i7h5jbdbzocMrxTj4LSQ6QmGe1aVdawSCpump"
WALLET = "AV7PjXHL5JXZ1YoYRoN9Dsstg1x2UciBupMCXcJP8gUz"

WAITS = Waits(
    refused_seconds=0.3,
    exhausted_seconds=0.3,
    acknowledged_within_seconds=0.3,
    retry_first_seconds=0.1,
    retry_longest_seconds=0.2,
    gap_settles_within_seconds=0.3,
    tick_seconds=0.02,
)
CONNECTION = ConnectionSettings(
    connect_timeout_seconds=3.0, backoff_first_seconds=0.05, backoff_longest_seconds=0.1, healthy_after_seconds=0.1
)
SLOT = {
    "jsonrpc": "2.0",
    "method": "slotNotification",
    "params": {"result": {"parent": 75, "root": 44, "slot": 76}, "subscription": 0},
}


class Chain:
    """Answers as a Solana RPC server does, with subscription ids of its own."""

    def __init__(self) -> None:
        self._ids = itertools.count(9_007_199_254_740_993)
        self.granted: dict[int, dict[str, Any]] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.muted: set[str] = set()

    def __call__(self, request: dict[str, Any]) -> list[object]:
        method, request_id = request["method"], request["id"]
        if method in self.muted:
            return []
        if method in self.refusals:
            code, message = self.refusals[method]
            return [{"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": request_id}]
        if method.endswith("Unsubscribe"):
            self.granted.pop(request["params"][0], None)
            return [{"jsonrpc": "2.0", "result": True, "id": request_id}]
        subscription = next(self._ids)
        self.granted[subscription] = request
        answers: list[object] = [{"jsonrpc": "2.0", "result": subscription, "id": request_id}]
        return [SLOT, *answers] if method == "slotSubscribe" else answers

    def watched(self) -> set[str]:
        """The addresses with a ``logsSubscribe`` or in a ``transactionSubscribe`` now."""
        found: set[str] = set()
        for request in list(self.granted.values()):
            first = (request.get("params") or [{}])[0]
            found.update(first.get("mentions", ()), first.get("accountInclude", ()))
        return found


@pytest.fixture
def chain(server: Any) -> Chain:
    server.answer = Chain()
    answer: Chain = server.answer
    return answer


@pytest.fixture
def feed(server: Any, sink: Any, tmp_path: Path) -> Iterator[Callable[..., HeliusFeed]]:
    """A function that starts a feed against the server."""
    feeds: list[HeliusFeed] = []

    def start(*, scope: str = "watched", provider: Any = LOOPBACK, start: bool = True, **named: Any) -> HeliusFeed:
        endpoint = named.pop("endpoint", None) or Endpoint.of(server.url, key="a-helius-key")
        settings = HeliusSettings(ws=endpoint, rpc=endpoint, scope=scope, has_key=True)  # type: ignore[arg-type]
        named = {
            "connection": CONNECTION,
            "deliver": sink.deliver,
            "room": sink.room,
            "origin": "simulator",
            "waits": WAITS,
            "folder": tmp_path,
            **named,
        }
        feeds.append(HeliusFeed(settings=settings, provider=provider, **named))
        if start:
            feeds[-1].start()
        return feeds[-1]

    yield start
    for started in feeds:
        started.stop()
        if started.is_alive():
            started.join(5)
        assert started.error is None


def tokens(*mints: str, **more: Any) -> Wanted:
    return Wanted(mints=frozenset(mints), **more)


def notification(corpus: Path, number: int) -> dict[str, Any]:
    """The recorded message in the line *number* of the session of 2026-07-04."""
    lines = (corpus / "helius" / "logs_subscribe_2026-07-04.jsonl").read_text("utf-8").splitlines()
    message: dict[str, Any] = json.loads(json.loads(lines[number])["raw"])
    return message


def with_trades(corpus: Path) -> dict[str, Any]:
    """A recorded message of a successful transaction with trades."""
    for number in range(1, 60):
        message = notification(corpus, number)
        value = message["params"]["result"]["value"]
        if value["err"] is None and any("Program data: vdt/" in line for line in value["logs"]):
            return message
    pytest.fail("no trade in the corpus")


def test_slots_come_first_and_each_token_gets_the_logs_of_its_curve(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    feed().want(tokens(MINT, OTHER))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER)})
    assert server.methods()[0] == "slotSubscribe"
    assert "params" not in server.requests[0]
    logs = server.requests[1]
    assert [{"mentions": logs["params"][0]["mentions"]}, {"commitment": "confirmed"}] == logs["params"]
    assert len(logs["params"][0]["mentions"]) == 1


def test_from_completion_on_the_canonical_pool_is_watched_too(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT, OTHER))
    wait_until(lambda: len(chain.watched()) == 2)
    started.want(tokens(MINT, OTHER, completed=frozenset((MINT, OTHER)), quote_mints={OTHER: USDC}))

    pools = {canonical_pool(MINT), canonical_pool(OTHER, USDC)}
    wait_until(lambda: chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER), *pools})
    assert pools <= set(started._pools)
    assert started._pools[canonical_pool(OTHER, USDC)].quote_decimals == 6


def test_wallets_are_watched_and_what_is_no_longer_wanted_is_not(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT, wallets=frozenset((WALLET,))))
    wait_until(lambda: chain.watched() == {bonding_curve(MINT), WALLET})
    started.want(tokens(OTHER))

    wait_until(lambda: chain.watched() == {bonding_curve(OTHER)})


def test_scope_all_watches_the_two_programs_whatever_is_wanted(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    feed(scope="all").want(tokens(MINT))

    wait_until(lambda: chain.watched() == {PUMP, PUMP_AMM})


def test_a_mint_that_is_no_address_is_left_out_and_the_others_are_watched(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    feed().want(tokens(MINT, "no address", completed=frozenset(("no address",))))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})


def test_everything_is_subscribed_anew_after_a_reconnect(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT))
    wait_until(lambda: len(server.requests) == 2)
    server.drop()

    wait_until(lambda: len(server.requests) == 4)
    assert server.methods()[:2] == server.methods()[2:]
    ids = [request["id"] for request in server.requests]
    assert len(set(ids)) == 4, "an answer can never be taken for that of another request"


def test_an_answer_to_nothing_we_asked_is_ignored(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(started._is_settled)
    server.say({"jsonrpc": "2.0", "id": 999, "result": 5}, {"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "?"}})

    wait_until(lambda: started.state().messages == 4)
    assert started.state().state == "connected"


def test_slots_are_the_data_that_silence_is_counted_on(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil, corpus: Path, sink: Any
) -> None:
    started = feed(connection=replace(CONNECTION, helius_idle_seconds=0.5))
    wait_until(lambda: started.state().last_data_at is not None)
    message = with_trades(corpus)
    while started.state().connects < 2:
        if server.connected:
            server.say(message)

    gaps = sink.events(GapOpened)
    assert gaps[0].cause == "silent"


def test_trades_are_delivered_with_the_message(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil, corpus: Path
) -> None:
    counted: list[int] = []
    started = feed(received=lambda size, paid: counted.append(size))
    wait_until(lambda: server.connected)
    message = with_trades(corpus)
    server.say(message)

    wait_until(lambda: sink.deliveries)
    [delivery] = sink.deliveries
    assert ("helius", json.dumps(message).encode()) == (delivery.source, delivery.raw)
    trades = sink.events(Trade)
    assert trades
    assert message["params"]["result"]["value"]["signature"] == trades[0].signature
    assert len(trades) == started.state().trades
    assert len(json.dumps(message)) in counted


def test_the_same_transaction_from_two_subscriptions_is_delivered_once(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil, corpus: Path
) -> None:
    started = feed()
    wait_until(started._is_settled)
    message = with_trades(corpus)
    second = json.loads(json.dumps(message))
    second["params"]["subscription"] += 1
    server.say(message, second, SLOT)

    wait_until(lambda: started.state().messages == 5)
    assert len(sink.deliveries) == 1


def test_the_same_signature_with_other_events_is_delivered(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil, corpus: Path
) -> None:
    feed()
    wait_until(lambda: server.connected)
    message = with_trades(corpus)
    second = json.loads(json.dumps(message))
    second["params"]["result"]["context"]["slot"] += 1  # another fork
    server.say(message, second)

    wait_until(lambda: len(sink.deliveries) == 2)


def test_the_memory_of_signatures_is_bounded(feed: Callable[..., HeliusFeed], sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.feeds.helius._REMEMBERED_SIGNATURES", 3)
    from pumpwatch.decode.solana import Notified

    event = TokenCreated(signature="s", mint="m", bonding_curve="c", developer="d")
    names = iter("abcdefgh")
    started = feed(
        start=False, decode=lambda _raw, _pools: Notified(subscription=1, signature=next(names), slot=1, events=(event,))
    )
    for _ in range(8):
        started._take(b"", 1)

    assert [*started._heard_before, *started._heard] == ["d", "e", "f", "g", "h"]
    assert len(sink.deliveries) == 8


def test_a_failed_transaction_is_not_delivered(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil, corpus: Path
) -> None:
    started = feed()
    wait_until(started._is_settled)
    failed = next(
        message
        for message in (notification(corpus, number) for number in range(1, 60))
        if message["params"]["result"]["value"]["err"]
    )
    server.say(failed)

    wait_until(lambda: started.state().messages == 3)
    assert sink.deliveries == []


def test_successful_transactions_are_shown_to_the_judge_of_drift_the_silent_ones_too(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    told_of = iter(
        [
            Notified(subscription=1, signature="silent", slot=1, silent=True),
            Notified(subscription=1, signature="odd", slot=1, events=(Rejected(kind="k", reason="r", raw=b"", ours=True),)),
            Notified(subscription=1, signature="failed", slot=1, failed=True),
            Notified(subscription=1, signature="cut", slot=1, truncated=True, events=(GapOpened(cause="c", from_us=0),)),
            Notified(subscription=1, signature="of nobody", slot=1),
        ]
    )
    judged: list[str] = []
    started = feed(
        decode=lambda message, pools: next(told_of) if message == b'"next"' else decode_message(message, pools),
        judge=lambda notified: judged.append(notified.signature),
    )
    wait_until(lambda: started.state().last_data_at is not None)
    messages = started.state().messages
    for _ in range(5):
        server.say('"next"')

    wait_until(lambda: started.state().messages == messages + 5 and len(sink.events(GapOpened)) == 1)
    assert judged == ["silent", "odd"]
    assert len(sink.events(Rejected)) == 1


def test_a_truncated_log_is_a_gap_of_that_signature_at_the_time_it_came(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil, corpus: Path
) -> None:
    feed()
    wait_until(lambda: server.connected)
    message = with_trades(corpus)
    message["params"]["result"]["value"]["logs"].append("Log truncated")
    server.say(message)

    wait_until(lambda: sink.events(GapOpened))
    [gap] = sink.events(GapOpened)
    at = sink.deliveries[-1].received_at_us
    assert ("log truncated", "helius", at, at) == (gap.cause, gap.feed, gap.from_us, gap.to_us)
    assert message["params"]["result"]["value"]["signature"] == gap.signature


def test_a_broken_message_is_kept(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    feed()
    wait_until(lambda: server.connected)
    server.say("{broken")

    wait_until(lambda: sink.events(Rejected))


def test_pools_seen_on_the_way_are_known_from_then_on_and_bounded(
    feed: Callable[..., HeliusFeed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.feeds.helius._MOST_POOLS", 2)
    from pumpwatch.decode.solana import Notified

    seen = [PoolSeen(pool=f"pool{number}", mint="m", quote_mint="q") for number in range(3)]
    notified = iter(Notified(subscription=1, signature=f"s{number}", slot=1, events=(seen[number],)) for number in (1, 2))
    started = feed(start=False, pools=[seen[0]], decode=lambda _raw, _pools: next(notified))
    started._take(b"", 1)
    assert {"pool0", "pool1"} == set(started._pools)
    started._take(b"", 1)
    assert {"pool1", "pool2"} == set(started._pools)


# Refusals


def test_one_bad_subscription_is_given_up_and_the_others_go_on(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    curve = bonding_curve(MINT)

    def answer(request: dict[str, Any]) -> list[object]:
        if curve in json.dumps(request):
            return [{"jsonrpc": "2.0", "error": {"code": -32602, "message": "Invalid params"}, "id": request["id"]}]
        return chain(request)

    server.answer = answer
    started = feed()
    started.want(tokens(MINT, OTHER))

    wait_until(lambda: chain.watched() == {bonding_curve(OTHER)} and started._is_settled())
    started.send_due()
    assert len(server.requests) == 3


def told(sink: Any) -> list[tuple[str, str | None, bool]]:
    """Cause, token, and whether it is over, of each gap told by this feed."""
    return [(gap.cause, gap.mint, gap.to_us is not None) for gap in sink.events(GapOpened) if gap.feed == "helius"]


def test_a_token_that_is_refused_for_good_is_a_gap_of_its_own_until_it_is_confirmed(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    curve, refusing = bonding_curve(MINT), threading.Event()
    refusing.set()

    def answer(request: dict[str, Any]) -> list[object]:
        if refusing.is_set() and curve in json.dumps(request):
            return [{"jsonrpc": "2.0", "error": {"code": -32602, "message": "Invalid params"}, "id": request["id"]}]
        return chain(request)

    server.answer = answer
    started = feed()
    started.want(tokens(MINT, OTHER))
    wait_until(lambda: started.state().reason == "delivers nothing of 1 token: refused")
    for connects in (2, 3):  # refused again after each reconnect: still the same gap
        server.drop()
        wait_until(lambda connects=connects: started.state().connects == connects and started._books.refused())  # type: ignore[misc]
        started.send_due()
    [begun] = [gap for gap in sink.events(GapOpened) if gap.mint]
    assert (begun.cause, begun.feed, begun.mint, begun.to_us) == ("refused", "helius", MINT, None)
    assert "Invalid params (-32602)" in begun.detail
    refusing.clear()
    server.drop()

    wait_until(lambda: started.state().connects == 4 and started.state().reason == "")
    [_, ended] = [gap for gap in sink.events(GapOpened) if gap.mint]
    assert ended.to_us >= ended.from_us
    assert msgspec.structs.replace(ended, to_us=None) == begun


def test_the_gap_of_a_refused_token_ends_when_nobody_wants_it_any_more(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    chain.refusals["logsSubscribe"] = (-32602, "Invalid params")
    started = feed()
    started.want(tokens(MINT, wallets=frozenset((WALLET,))))
    wait_until(lambda: sorted(told(sink), key=str) == [("refused", MINT, False), ("refused", None, False)])
    assert started.state().reason == "delivers nothing of wallets or programs: refused; of 1 token: refused"
    started.want(tokens())

    wait_until(lambda: started.state().reason == "")
    assert sorted(told(sink)[2:], key=str) == [("refused", MINT, True), ("refused", None, True)]


def test_a_gap_of_a_token_that_finds_no_room_is_told_again(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    chain.refusals["logsSubscribe"] = (-32602, "Invalid params")
    refused_gaps: list[Any] = []

    def deliver(delivery: Any) -> bool:
        if len(refused_gaps) < 2:
            refused_gaps.append(delivery)
            return False
        return bool(sink.deliver(delivery))

    feed(deliver=deliver).want(tokens(MINT))

    wait_until(lambda: told(sink) == [("refused", MINT, False)])


def test_a_passing_refusal_is_asked_again(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.refusals["logsSubscribe"] = (-32603, "overloaded, please try again.")
    started = feed()
    started.want(tokens(MINT))
    wait_until(lambda: server.methods().count("logsSubscribe") >= 2)
    chain.refusals.clear()

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})


def test_a_request_without_an_answer_is_sent_again(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.muted.add("logsSubscribe")
    feed().want(tokens(MINT))
    wait_until(lambda: server.methods().count("logsSubscribe") >= 2)
    chain.muted.clear()

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})


def test_an_answer_that_is_no_subscription_is_asked_again(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    odd = [True]
    server.answer = lambda request: (
        [{"jsonrpc": "2.0", "id": request["id"], "result": odd.pop()}]
        if request["method"] == "logsSubscribe" and odd
        else chain(request)
    )
    feed().want(tokens(MINT))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})


def test_a_refused_unsubscription_harms_nobody(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.refusals["logsUnsubscribe"] = (-32602, "Invalid subscription id.")
    started = feed()
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched())
    started.want(tokens())

    wait_until(lambda: "logsUnsubscribe" in server.methods())
    wait_until(lambda: started.state().messages >= 4)
    assert started.state().state == "connected"


def test_a_used_up_plan_said_on_the_socket_is_loud_and_waits_long(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.refusals["logsSubscribe"] = (-32429, "max usage reached")
    started = feed(waits=replace(WAITS, exhausted_seconds=60.0))
    started.want(tokens(MINT))

    wait_until(lambda: started.state().state == "exhausted")
    assert "HELIUS_API_KEY" in started.state().reason


def test_beyond_the_providers_limit_the_rest_is_left_out_and_said(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed(provider=replace(LOOPBACK, subscriptions_per_connection=2))
    started.want(tokens(MINT, OTHER, pinned=frozenset((OTHER,))))

    wait_until(lambda: started._is_settled() and len(server.requests) == 2)
    assert {bonding_curve(OTHER)} == chain.watched(), "what a person asked for comes first"
    wait_until(lambda: "1 token: beyond the provider's limit" in started.state().reason)
    assert told(sink) == [("limit", MINT, False)]
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched() == {bonding_curve(MINT)} and started.state().reason == "")
    assert told(sink)[1:] == [("limit", MINT, True)]


def test_when_the_budget_is_spent_only_slots_are_watched(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    allowed = threading.Event()
    allowed.set()
    started = feed(paid_allowed=allowed.is_set)
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched())
    allowed.clear()

    wait_until(lambda: not chain.watched() and "budget" in started.state().reason)
    assert server.methods().count("slotSubscribe") == 1
    assert "slotUnsubscribe" not in server.methods()
    assert told(sink) == [("budget", MINT, False)]
    allowed.set()

    wait_until(lambda: chain.watched() and started.state().reason == "")
    assert told(sink)[1:] == [("budget", MINT, True)]


def test_under_scope_all_the_programs_are_one_gap(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    feed(scope="all", paid_allowed=lambda: False).want(tokens(MINT, OTHER))

    wait_until(lambda: told(sink) == [("budget", None, False)])


def test_a_gap_stays_open_while_subscriptions_are_still_being_sent(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    """However long that takes at the provider's pace."""
    started = feed(waits=replace(WAITS, gap_settles_within_seconds=0.0))
    started.want(tokens(MINT, OTHER))
    wait_until(started._is_settled)
    server.say(SLOT)
    started._pace = Pace(0.0, burst=2.0)  # the slots and one token
    server.drop()
    wait_until(lambda: started.state().connects == 2 and len(server.requests) == 5)
    messages = started.state().messages
    server.say(SLOT, SLOT)
    wait_until(lambda: started.state().messages >= messages + 2)
    assert told(sink) == [("disconnected", None, False)]
    assert not started.is_complete()
    started._pace = Pace(None)

    wait_until(lambda: len(server.requests) == 6)
    server.say(SLOT)
    ends = [("disconnected", None, False), ("disconnected", None, True)]
    wait_until(lambda: [gap for gap in told(sink) if gap[0] != "watched"] == ends)


# The time before a subscription


def watched_gaps(sink: Any) -> list[GapOpened]:
    return [gap for gap in sink.events(GapOpened) if gap.cause == "watched"]


def test_a_token_watched_later_is_a_gap_from_the_wish_to_the_servers_word(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed(waits=replace(WAITS, acknowledged_within_seconds=30.0))
    started.want(tokens(MINT))
    wait_until(started.is_complete)
    chain.muted.add("logsSubscribe")
    before_us = time.time_ns() // 1000
    started.want(tokens(MINT, OTHER))

    wait_until(lambda: watched_gaps(sink))
    [begun] = watched_gaps(sink)
    assert (begun.feed, begun.mint, begun.to_us) == ("helius", OTHER, None)
    assert before_us <= begun.from_us <= time.time_ns() // 1000
    assert started.delivers(MINT)
    assert not started.delivers(OTHER)
    chain.muted.clear()
    asked = server.requests[-1]
    server.say(*chain(asked))
    wait_until(lambda: len(watched_gaps(sink)) == 2)
    ended = watched_gaps(sink)[1]
    assert ended.to_us is not None
    assert ended.to_us >= ended.from_us
    assert msgspec.structs.replace(ended, to_us=None) == begun
    assert started.delivers(OTHER)


def test_a_passing_refusal_lies_within_that_gap(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens())
    wait_until(started.is_complete)
    chain.refusals["logsSubscribe"] = (-32603, "Internal error")
    started.want(tokens(MINT))
    wait_until(lambda: len(watched_gaps(sink)) == 1)
    chain.refusals.clear()

    wait_until(lambda: len(watched_gaps(sink)) == 2)
    assert started.delivers(MINT)


def test_the_pool_of_a_completed_curve_is_a_gap_of_its_own_until_it_is_confirmed(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT))
    wait_until(lambda: started.is_complete() and MINT in started._beginnings._settled)  # the sender has seen it too
    assert watched_gaps(sink) == [], "in the gap of the restart"
    started.want(tokens(MINT, completed=frozenset((MINT,))))

    wait_until(lambda: len(watched_gaps(sink)) == 2)
    assert [gap.mint for gap in watched_gaps(sink)] == [MINT, MINT]


def test_a_reconnect_is_no_such_gap(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT, OTHER))
    wait_until(started.is_complete)
    server.drop()
    wait_until(lambda: started.state().connects == 2 and started._is_settled())
    server.say(SLOT)

    wait_until(lambda: [gap.to_us is None for gap in sink.events(GapOpened)] == [True, False])
    assert watched_gaps(sink) == []


def test_a_token_that_outlasts_the_gap_of_the_connection_gets_its_own(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT))
    wait_until(started.is_complete)
    chain.muted.add("logsSubscribe")
    server.drop()
    wait_until(lambda: started.state().connects == 2)

    def has_begun() -> bool:
        server.say(SLOT)
        return bool(watched_gaps(sink))

    wait_until(has_begun)
    ended = [gap.to_us for gap in sink.events(GapOpened) if gap.cause == "disconnected" and gap.to_us is not None]
    assert watched_gaps(sink)[0].from_us <= max(ended), "no time lies between the two gaps"


def test_a_token_that_leaves_before_ends_its_gap(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens())
    wait_until(started.is_complete)
    chain.muted.add("logsSubscribe")
    started.want(tokens(MINT))
    wait_until(lambda: len(watched_gaps(sink)) == 1)
    started.want(tokens())

    wait_until(lambda: len(watched_gaps(sink)) == 2)
    assert watched_gaps(sink)[1].to_us is not None


def test_what_is_refused_for_good_or_beyond_the_limit_has_no_second_gap(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed(provider=replace(LOOPBACK, subscriptions_per_connection=1))
    started.want(tokens())
    wait_until(started.is_complete)
    started.want(tokens(MINT))
    wait_until(lambda: told(sink) == [("limit", MINT, False)])
    started.send_due()

    assert watched_gaps(sink) == []


def test_such_a_gap_that_finds_no_room_is_told_again(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens())
    wait_until(started.is_complete)
    sink.is_full = True
    chain.muted.add("logsSubscribe")
    started.want(tokens(MINT))
    started.send_due()
    assert watched_gaps(sink) == []
    sink.is_full = False

    wait_until(lambda: len(watched_gaps(sink)) == 1)


def test_under_scope_all_there_is_no_such_gap(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed(scope="all")
    started.want(tokens())
    wait_until(started.is_complete)
    started.want(tokens(MINT))
    started.send_due()

    assert started.delivers(MINT)
    assert watched_gaps(sink) == []


def test_a_more_important_token_gets_the_place_of_another(
    chain: Chain, feed: Callable[..., HeliusFeed], sink: Any, wait_until: WaitUntil
) -> None:
    started = feed(provider=replace(LOOPBACK, subscriptions_per_connection=2))
    started.want(tokens(MINT))
    wait_until(lambda: started.delivers(MINT))
    started.want(tokens(MINT, OTHER, pinned=frozenset((OTHER,))))

    wait_until(lambda: chain.watched() == {bonding_curve(OTHER)} and started.delivers(OTHER))
    wait_until(lambda: ("limit", MINT, False) in told(sink))
    assert not started.delivers(MINT)


def test_a_new_token_takes_the_place_of_none_of_its_rank(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed(provider=replace(LOOPBACK, subscriptions_per_connection=2))
    later, first = sorted((MINT, OTHER))
    started.want(tokens(first))
    wait_until(lambda: started.delivers(first))
    started.want(tokens(first, later))
    wait_until(lambda: "beyond" in started.state().reason)

    assert chain.watched() == {bonding_curve(first)}


# What is mute


def test_a_mute_token_is_subscribed_to_anew_and_not_too_often(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    started.want(tokens(MINT, OTHER))
    wait_until(lambda: started.delivers(MINT) and started.delivers(OTHER))
    [old] = [number for number, request in chain.granted.items() if bonding_curve(MINT) in json.dumps(request)]
    started.resubscribe([MINT, "unknown"])

    wait_until(lambda: started.delivers(MINT) and old not in chain.granted)
    assert chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER)}
    started.resubscribe([MINT])
    started.send_due()
    started.want(tokens(MINT, OTHER, wallets=frozenset((WALLET,))))
    wait_until(lambda: WALLET in chain.watched())
    asked = [
        request for request in server.requests if request["method"] == "logsSubscribe" and bonding_curve(MINT) in str(request)
    ]
    assert len(asked) == 2, "at first, and once anew"


def test_a_mute_group_is_replaced_before_it_goes(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed(provider=HELIUS_PAID)
    started.want(tokens(MINT, OTHER))
    wait_until(lambda: started.delivers(MINT))
    [old] = [number for number, request in chain.granted.items() if request["method"] == "transactionSubscribe"]
    started.resubscribe([MINT])

    wait_until(lambda: old not in chain.granted)
    assert chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER)}
    methods = [method for method in server.methods() if method.startswith("transaction")]
    assert methods == ["transactionSubscribe", "transactionSubscribe", "transactionUnsubscribe"]
    asked = [request["params"][0]["accountInclude"] for request in server.requests if request["method"] == "transactionSubscribe"]
    assert asked[0] == asked[1][::-1], "no request is like the one before"


def test_under_scope_all_the_programs_are_subscribed_to_anew(
    chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed(scope="all")
    wait_until(lambda: started.delivers(MINT))
    old = set(chain.granted)
    started.resubscribe([MINT])

    wait_until(lambda: len(old & chain.granted.keys()) == 1 and len(chain.granted) == 3)


# transactionSubscribe


def test_a_plan_that_has_it_gets_one_transaction_subscription(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    feed(provider=HELIUS_PAID).want(tokens(MINT, OTHER, wallets=frozenset((WALLET,))))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER), WALLET})
    assert "logsSubscribe" not in server.methods()
    filters, options = next(request["params"] for request in server.requests if request["method"] == "transactionSubscribe")
    assert (filters["failed"], filters["vote"]) == (False, False)
    assert (options["transactionDetails"], options["maxSupportedTransactionVersion"]) == ("full", 1)


def test_a_plan_that_lacks_it_falls_back_at_once_and_is_never_asked_again(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.refusals["transactionSubscribe"] = (-32600, "transactionSubscribe is not available on the free plan")
    started = feed(provider=HELIUS_FREE, plays_provider=True)
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})
    started.stop()
    started.join(5)

    again = feed(provider=HELIUS_FREE, plays_provider=True)
    again.want(tokens(OTHER))
    wait_until(lambda: bonding_curve(OTHER) in chain.watched())
    assert server.methods().count("transactionSubscribe") == 1


def test_that_a_plan_has_it_is_remembered(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil, tmp_path: Path
) -> None:
    started = feed(provider=HELIUS_FREE, plays_provider=True)
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})

    memory = Opens(Endpoint.of(server.url, key="a-helius-key"), folder=tmp_path, waits=WAITS)
    wait_until(lambda: memory.plan_allows_transactions() is True)
    other = Opens(Endpoint.of(server.url, key="another-key"), folder=tmp_path, waits=WAITS)
    assert other.plan_allows_transactions() is None


def test_a_server_that_does_not_take_version_1_is_asked_with_version_0(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    def answer(request: dict[str, Any]) -> list[object]:
        if request["method"] == "transactionSubscribe" and request["params"][1]["maxSupportedTransactionVersion"] == 1:
            return [{"jsonrpc": "2.0", "error": {"code": -32602, "message": "invalid version"}, "id": request["id"]}]
        return chain(request)

    server.answer = answer
    feed(provider=HELIUS_PAID).want(tokens(MINT))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})
    assert server.methods().count("transactionSubscribe") == 2
    assert "logsSubscribe" not in server.methods()


@pytest.mark.parametrize("how", ["muted", "busy", "invalid"])
def test_while_it_is_unknown_whether_the_plan_has_it_nothing_goes_unwatched(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil, how: str, tmp_path: Path
) -> None:
    if how == "muted":
        chain.muted.add("transactionSubscribe")
    else:
        chain.refusals["transactionSubscribe"] = (-32603, "busy") if how == "busy" else (-32602, "invalid")
    feed(provider=HELIUS_FREE, plays_provider=True).want(tokens(MINT))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})
    assert "logsSubscribe" in server.methods()
    memory = Opens(Endpoint.of(server.url, key="a-helius-key"), folder=tmp_path, waits=WAITS)
    assert memory.plan_allows_transactions() is None, "only what the plan says is remembered"


def test_a_known_plan_is_asked_again_when_it_is_busy(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    chain.refusals["transactionSubscribe"] = (-32603, "busy")
    feed(provider=HELIUS_PAID).want(tokens(MINT))
    wait_until(lambda: server.methods().count("transactionSubscribe") >= 2)
    chain.refusals.clear()

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})
    assert "logsSubscribe" not in server.methods()


def test_new_tokens_get_an_additional_subscription_and_old_ones_stay_covered(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed(provider=HELIUS_PAID)
    started.want(tokens(MINT))
    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})
    started.want(tokens(MINT, OTHER))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT), bonding_curve(OTHER)})
    asked = [request["params"][0]["accountInclude"] for request in server.requests if request["method"] == "transactionSubscribe"]
    assert [[bonding_curve(MINT)], [bonding_curve(OTHER)]] == asked
    assert "transactionUnsubscribe" not in server.methods()


def test_a_change_is_on_the_wire_at_once(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    """Woken, not polled: with a tick of a minute the change still goes out."""
    started = feed(waits=replace(WAITS, tick_seconds=60.0))
    wait_until(lambda: "slotSubscribe" in server.methods())
    started.want(tokens(MINT))

    wait_until(lambda: chain.watched() == {bonding_curve(MINT)})


def test_requests_are_paced_to_the_provider(
    server: Any, chain: Chain, feed: Callable[..., HeliusFeed], wait_until: WaitUntil
) -> None:
    started = feed(provider=replace(LOOPBACK, calls_per_second_per_method=0.001))
    mints = [bonding_curve(f"{number}" * 32 if number else MINT) for number in (0,)]  # any addresses will do
    wallets = frozenset(canonical_pool(MINT, quote) for quote in (MINT, OTHER, WALLET, USDC, PUMP, PUMP_AMM, *mints))
    more = frozenset(bonding_curve(address) for address in (MINT, OTHER, WALLET, USDC, PUMP, PUMP_AMM))
    started.want(Wanted(wallets=wallets | more))
    wait_until(lambda: len(server.requests) == 10)
    started.send_due()

    assert len(server.requests) == 10
