"""PumpPortal: what it is asked, how its answers are read, what is paid for."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from pumpwatch.config import ConnectionSettings, Endpoint, PumpPortalSettings
from pumpwatch.events import Rejected, TokenCreated, Trade
from pumpwatch.feeds.pace import Pace
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.feeds.waits import Waits
from pumpwatch.feeds.wanted import Wanted

WaitUntil = Callable[[Callable[[], object]], None]

MINT = "8wUTj3HnaCWx2QAuBVUY1tR32duy86WaowTxevQypump"
OTHER = "CYYeqG2i7h5jbdbzocMrxTj4LSQ6QmGe1aVdawSCpump"
WALLET = "AV7PjXHL5JXZ1YoYRoN9Dsstg1x2UciBupMCXcJP8gUz"
SIGNATURE = "5" * 88
BUY = {
    "signature": "2VRuCYyPBR6rUB8qZV7xM3pLRnZcnsbhLdcCL9BiUoATD5A6mWRMmZjaYEJmEGKUqs3BV9P1GKpWrvZ2L5rD9bYy",
    "mint": MINT,
    "traderPublicKey": WALLET,
    "txType": "buy",
    "tokenAmount": 1000.5,
    "solAmount": 0.25,
    "newTokenBalance": 1000.5,
    "bondingCurveKey": MINT,
    "vTokensInBondingCurve": 900000000,
    "vSolInBondingCurve": 35.7,
    "marketCapSol": 39.7,
    "pool": "pump",
}
ACKNOWLEDGED = {
    "subscribeNewToken": {"message": "Successfully subscribed to token creation events."},
    "subscribeMigration": {"message": "Subscribed to 'migration' events."},
    "subscribeTokenTrade": {"message": "Successfully subscribed to keys."},
    "subscribeAccountTrade": {"message": "Successfully subscribed to keys."},
    "unsubscribeTokenTrade": {"message": "Unsubscribed."},
    "unsubscribeAccountTrade": {"message": "Unsubscribed."},
}
UNFUNDED = {
    "message": "'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available when connecting with an API key "
    "funded with at least 0.02 SOL."
}
BAD_METHOD = {
    "errors": "Invalid message. 'method' must be 'subscribeNewToken', 'subscribeTokenTrade', 'subscribeAccountTrade', or "
    "'subscribeMigration'."
}

WAITS = Waits(
    refused_seconds=0.3,
    banned_seconds=(0.3, 0.5),
    opens_per_hour=1000,
    exhausted_seconds=0.3,
    unfunded_seconds=0.3,
    acknowledged_within_seconds=0.3,
    retry_first_seconds=0.1,
    retry_longest_seconds=0.2,
    gap_settles_within_seconds=0.3,
    place_seconds=0.1,
    tick_seconds=0.02,
)
CONNECTION = ConnectionSettings(
    connect_timeout_seconds=3.0, backoff_first_seconds=0.05, backoff_longest_seconds=0.1, healthy_after_seconds=0.1
)


def acknowledge(request: dict[str, Any]) -> list[object]:
    return [ACKNOWLEDGED[request["method"]]]


@pytest.fixture
def feed(server: Any, sink: Any, tmp_path: Path) -> Iterator[Callable[..., PumpPortalFeed]]:
    """A function that starts a feed against the server."""
    feeds: list[PumpPortalFeed] = []

    def start(*, trades: str = "pinned", key: str | None = "a-paid-key", start: bool = True, **named: Any) -> PumpPortalFeed:
        endpoint = named.pop("endpoint", None) or Endpoint.of(server.url, key=key)
        settings = PumpPortalSettings(endpoint=endpoint, trades=trades, has_key=key is not None)  # type: ignore[arg-type]
        named = {
            "connection": CONNECTION,
            "deliver": sink.deliver,
            "room": sink.room,
            "origin": "simulator",
            "waits": WAITS,
            "folder": tmp_path,
            **named,
        }
        feeds.append(PumpPortalFeed(settings=settings, **named))
        if start:
            feeds[-1].start()
        return feeds[-1]

    yield start
    for started in feeds:
        started.stop()
        if started.is_alive():
            started.join(5)
        assert started.error is None or getattr(started, "expects_error", False)


def test_new_tokens_and_migrations_are_asked_for_without_a_key(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed(key=None)
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,)), wallets=frozenset((WALLET,))))

    wait_until(lambda: len(server.requests) == 2)
    assert server.requests == [{"method": "subscribeNewToken"}, {"method": "subscribeMigration"}]
    assert started.state().state == "connected"


def test_with_a_key_pinned_tokens_and_wallets_are_asked_for_too(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed()
    started.want(Wanted(mints=frozenset((MINT, OTHER)), pinned=frozenset((MINT,)), wallets=frozenset((WALLET,))))

    wait_until(lambda: len(server.requests) == 4)
    assert {"method": "subscribeTokenTrade", "keys": [MINT]} in server.requests
    assert {"method": "subscribeAccountTrade", "keys": [WALLET]} in server.requests


def test_trades_no_pays_for_nothing(server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil) -> None:
    server.answer = acknowledge
    started = feed(trades="no")
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: len(server.requests) == 2)
    started.send_due()

    assert server.methods() == ["subscribeNewToken", "subscribeMigration"]


def test_trades_all_asks_for_every_watched_token_in_messages_of_bounded_size(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    mints = frozenset(f"mint{number:04}" for number in range(1200))
    started = feed(trades="all")
    started.want(Wanted(mints=mints))

    wait_until(lambda: len(server.requests) == 5)
    keys = [request["keys"] for request in server.requests if "keys" in request]
    assert [len(some) for some in keys] == [500, 500, 200]
    assert mints == {key for some in keys for key in some}


def test_only_differences_are_sent_while_connected(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed()
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: len(server.requests) == 3)
    started.want(Wanted(mints=frozenset((OTHER,)), pinned=frozenset((OTHER,))))

    wait_until(lambda: len(server.requests) == 5)
    assert {"method": "unsubscribeTokenTrade", "keys": [MINT]} in server.requests[3:]
    assert {"method": "subscribeTokenTrade", "keys": [OTHER]} in server.requests[3:]


def test_the_whole_set_is_sent_again_after_each_connect(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed()
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: len(server.requests) == 3)
    first = sorted(server.methods())
    server.requests.clear()
    server.drop()

    wait_until(lambda: len(server.requests) == 3)
    assert first == sorted(server.methods())
    assert started.state().connects == 2


def test_trades_are_delivered_and_counted_with_what_they_cost(
    server: Any, sink: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    counted: list[tuple[int, bool]] = []
    started = feed(received=lambda size, paid: counted.append((size, paid)))
    wait_until(lambda: len(server.requests) == 2)
    server.say(json.dumps(BUY))

    wait_until(lambda: sink.events(Trade))
    [trade] = sink.events(Trade)
    assert (trade.token_amount, trade.quote_amount) == (1_000_500_000, 250_000_000)
    assert json.dumps(BUY).encode() == sink.deliveries[-1].raw
    assert sink.deliveries[-1].source == "pumpportal"
    wait_until(lambda: (len(json.dumps(BUY)), True) in counted)
    assert sum(not paid for _, paid in counted) == 2, "two acknowledgements are free"
    state = started.state()
    assert (state.messages, state.trades) == (3, 1)
    assert state.last_data_at == pytest.approx(sink.deliveries[-1].received_at_us / 1e6)


def test_the_recorded_control_messages_are_answered_as_they_mean(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil, corpus: Path
) -> None:
    """The requests and answers of 2026-09-28: a key without money, while the free subscriptions go on."""
    recorded = json.loads((corpus / "pumpportal" / "control_2026-09-28.json").read_text("utf-8"))
    answers = {sent["sent"]["method"]: said["message"] for sent, said in zip(recorded["sent"], recorded["received"], strict=True)}
    server.answer = lambda request: [answers[request["method"]]]
    started = feed(waits=replace(WAITS, unfunded_seconds=60.0))
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,)), wallets=frozenset((WALLET,))))

    wait_until(lambda: "unfunded" in started.state().reason)
    assert started.state().state == "exhausted"
    assert started.state().is_open, "free messages flow"
    assert "0.02 SOL" in started.state().reason
    assert server.methods()[:3] == ["subscribeNewToken", "subscribeMigration", "subscribeTokenTrade"]
    assert len(server.requests) <= 4, "it does not ask again at once"


def test_an_unfunded_key_is_tried_again_after_a_long_time_and_then_serves(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    answers = iter([UNFUNDED])
    server.answer = lambda request: (
        [next(answers, ACKNOWLEDGED["subscribeTokenTrade"])] if "keys" in request else acknowledge(request)
    )
    started = feed()
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))

    wait_until(lambda: server.methods().count("subscribeTokenTrade") == 2)
    wait_until(lambda: started.state().reason == "")
    assert started.state().state == "connected"


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        (UNFUNDED, "exhausted", "is unfunded: 'subscribeTokenTrade' and"),
        ({"errors": "Minimum balance not met for PumpSwap websocket data."}, "exhausted", "is unfunded: Minimum balance"),
        ({"message": "Insufficient SOL in the linked wallet"}, "exhausted", "is unfunded: Insufficient SOL"),
        ({"errors": ["Balance too low"]}, "exhausted", "is unfunded: Balance too low"),
        ({"message": "Invalid API key"}, "refused", "does not take PUMPPORTAL_API_KEY: Invalid API key"),
        ({"errors": "Unauthorized"}, "refused", "does not take PUMPPORTAL_API_KEY: Unauthorized"),
    ],
)
def test_a_refusal_in_the_middle_of_a_running_stream_is_a_state_at_once(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil, text: object, state: str, said: str
) -> None:
    server.answer = acknowledge
    started = feed(waits=replace(WAITS, unfunded_seconds=60.0))
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())
    wait_until(started._is_settled)
    server.say(BUY)
    wait_until(lambda: started.state().trades == 1)
    assert started.state().state == "connected"

    server.say(text)
    wait_until(lambda: started.state().state == state)
    assert started.state().reason.startswith(said)
    before = started.state().messages
    server.say({"signature": SIGNATURE, "mint": OTHER, "txType": "migrate", "pool": "pump-amm"})
    wait_until(lambda: started.state().messages > before)
    assert started.state().state == state, "free messages go on"


def test_the_nearer_the_end_of_the_days_money_the_fewer_tokens_are_paid_for_pinned_last(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    share = [0.0]
    pinned, asked, brought, admitted = (str(Pubkey.from_bytes(bytes([number]) * 32)) for number in range(1, 5))
    started = feed(trades="all", spent_share=lambda: share[0])
    mints = frozenset((pinned, asked, brought, admitted))
    started.want(Wanted(mints=mints, pinned=frozenset((pinned, asked)), asked=frozenset((asked,)), brought=frozenset((brought,))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())

    for spent, gone in ((0.79, None), (0.8, admitted), (0.9, brought), (0.95, asked), (1.0, pinned)):
        share[0] = spent
        if gone is not None:
            wait_until(lambda key=gone: {"method": "unsubscribeTokenTrade", "keys": [key]} in server.requests)  # type: ignore[misc]
    assert server.methods().count("unsubscribeTokenTrade") == 4
    assert server.methods().count("subscribeTokenTrade") == 1
    share[0] = 0.0
    wait_until(lambda: {"method": "subscribeTokenTrade", "keys": sorted(mints)} in server.requests[-1:])


def test_when_the_budget_is_spent_paid_subscriptions_end_and_free_ones_go_on(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    allowed = threading.Event()
    allowed.set()
    started = feed(paid_allowed=allowed.is_set)
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())

    allowed.clear()
    wait_until(lambda: {"method": "unsubscribeTokenTrade", "keys": [MINT]} in server.requests)
    allowed.set()
    wait_until(lambda: server.methods().count("subscribeTokenTrade") == 2)
    assert server.methods().count("subscribeNewToken") == 1


def test_a_request_without_an_answer_is_sent_again(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    muted = {"subscribeMigration", "subscribeTokenTrade"}
    server.answer = lambda request: [] if request["method"] in muted else acknowledge(request)
    started = feed()
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: server.methods().count("subscribeMigration") >= 2 and server.methods().count("subscribeTokenTrade") >= 2)
    muted.clear()

    wait_until(started._is_settled)
    assert server.methods().count("subscribeNewToken") == 1


def test_what_was_not_sent_yet_has_not_had_its_time(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed()
    wait_until(started._is_settled)
    started._pace = Pace(0.0, burst=0.0)
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    assert not started._is_settled(sent_before=math.inf)
    server.answer = lambda _request: []
    started._pace = Pace(None)

    wait_until(lambda: "subscribeTokenTrade" in server.methods())
    assert not started._is_settled()
    wait_until(lambda: started._is_settled(sent_before=math.inf))


def test_an_unanswered_unsubscribe_is_sent_again(server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil) -> None:
    server.answer = lambda request: [] if request["method"].startswith("un") else acknowledge(request)
    started = feed()
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())
    started.want(Wanted())

    wait_until(lambda: server.methods().count("unsubscribeTokenTrade") >= 2)


def test_a_method_the_server_does_not_know_is_given_up_for_this_connection(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = lambda request: [BAD_METHOD] if request["method"] == "subscribeMigration" else acknowledge(request)
    started = feed()
    wait_until(lambda: len(server.requests) == 2)
    wait_until(started._is_settled)
    started.send_due()

    assert server.methods() == ["subscribeNewToken", "subscribeMigration"]


def test_an_unasked_bad_method_answer_harms_nobody(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed()
    wait_until(lambda: len(server.requests) == 2)
    wait_until(started._is_settled)
    server.say(BAD_METHOD, ACKNOWLEDGED["unsubscribeTokenTrade"], ACKNOWLEDGED["subscribeNewToken"])

    wait_until(lambda: started.state().messages == 5)
    assert started.state().state == "connected"


def test_an_unknown_control_message_is_kept(
    server: Any, sink: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    feed()
    wait_until(lambda: server.connected)
    server.say({"message": "We are\nmoving to \x1b[2J v2"}, {"message": "again"})

    wait_until(lambda: len(sink.events(Rejected)) == 2)
    assert {"unknown control"} == {event.kind for event in sink.events(Rejected)}


def test_broken_messages_are_kept_and_are_no_sign_of_life(
    server: Any, sink: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(lambda: server.connected)
    server.say("{broken", b"\x00binary")

    wait_until(lambda: len(sink.events(Rejected)) == 2)
    assert [event.kind for event in sink.events(Rejected)] == ["not json", "binary message"]
    assert started.state().last_data_at is None


def test_a_defect_of_ours_costs_the_message_its_decoding_but_not_its_bytes(
    server: Any, sink: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    def decode(message: bytes) -> Any:
        if message == b"poison":
            raise KeyError("secret detail")
        return (TokenCreated(signature="s", mint="m", bonding_curve="c", developer="d"),)

    started = feed(decode=decode)
    wait_until(lambda: server.connected)
    server.say("poison", "fine", "poison")

    wait_until(lambda: len(sink.deliveries) == 3)
    [first, second] = sink.events(Rejected)
    assert (first.raw, first.kind, first.reason) == (b"poison", "defect", "KeyError")
    assert first == second
    assert len(sink.events(TokenCreated)) == 1
    assert started.state().state == "connected"


def of_chain(mint: str = MINT) -> Trade:
    return Trade(signature=SIGNATURE, mint=mint, wallet=WALLET, is_buy=True, venue="curve", token_amount=1, event_index=0, slot=1)


def test_a_token_that_only_the_chain_delivers_is_said_and_subscribed_to_anew_once(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed(waits=replace(WAITS, mute_seconds=0.1))
    started.want(Wanted(mints=frozenset((MINT, OTHER)), pinned=frozenset((MINT, OTHER))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())

    def is_said() -> bool:
        started.heard_elsewhere((of_chain(),))
        server.say(json.dumps({**BUY, "mint": OTHER}))
        return "delivers no trades of 1 token that the chain has trades of" in started.state().reason

    wait_until(is_said)
    wait_until(lambda: server.methods().count("subscribeTokenTrade") == 2)
    assert server.requests[-2:] == [
        {"method": "unsubscribeTokenTrade", "keys": [MINT]},
        {"method": "subscribeTokenTrade", "keys": [MINT]},
    ]
    for _ in range(20):
        is_said()
        started.send_due()
    assert server.methods().count("subscribeTokenTrade") == 2
    server.say(json.dumps(BUY))
    wait_until(lambda: started.state().reason == "")


def test_what_it_is_not_paid_for_is_not_missed(server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil) -> None:
    server.answer = acknowledge
    started = feed(waits=replace(WAITS, mute_seconds=0.0))
    started.want(Wanted(mints=frozenset((MINT, OTHER)), pinned=frozenset((OTHER,)), quote_mints={OTHER: "a quote"}))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())
    for _ in range(10):
        started.heard_elsewhere((of_chain(), of_chain(OTHER)))
        started.send_due()

    assert started.state().reason == ""


def test_it_is_said_until_trades_come_however_long_the_new_subscription_takes(
    server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil
) -> None:
    server.answer = acknowledge
    started = feed(waits=replace(WAITS, mute_seconds=0.05))
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))
    wait_until(lambda: "subscribeTokenTrade" in server.methods())
    started._pace = Pace(0.0, burst=1.0)

    def is_ended() -> bool:
        started.heard_elsewhere((of_chain(),))
        return "unsubscribeTokenTrade" in server.methods()

    wait_until(is_ended)
    started.send_due()
    assert "delivers no trades" in started.state().reason
    started._pace = Pace(None)
    wait_until(lambda: server.methods().count("subscribeTokenTrade") == 2)
    assert "delivers no trades" in started.state().reason


def test_a_new_connection_is_not_called_mute(server: Any, feed: Callable[..., PumpPortalFeed], wait_until: WaitUntil) -> None:
    server.answer = acknowledge
    started = feed(waits=replace(WAITS, mute_seconds=0.1))
    started.want(Wanted(mints=frozenset((MINT,)), pinned=frozenset((MINT,))))

    def is_said() -> bool:
        started.heard_elsewhere((of_chain(),))
        return "delivers no trades" in started.state().reason

    wait_until(is_said)
    server.drop()

    wait_until(lambda: started.state().connects == 2 and started.state().reason == "")
