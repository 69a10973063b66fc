"""What both feeds share, seen from outside: states, waits, gaps, pauses, stops."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.config import ConnectionSettings, Endpoint, PumpPortalSettings
from pumpwatch.events import GapOpened, TokenCreated
from pumpwatch.feeds.opens import Opens
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.feeds.waits import LOOPBACK_WAITS, Waits

WaitUntil = Callable[[Callable[[], object]], None]
StartFeed = Callable[..., PumpPortalFeed]

WAITS = Waits(
    refused_seconds=0.2,
    banned_seconds=(0.2,),
    opens_per_hour=1000,
    exhausted_seconds=0.2,
    acknowledged_within_seconds=0.3,
    gap_settles_within_seconds=0.2,
    place_seconds=0.05,
    tick_seconds=0.02,
)
CONNECTION = ConnectionSettings(
    connect_timeout_seconds=3.0, backoff_first_seconds=0.05, backoff_longest_seconds=0.1, healthy_after_seconds=0.1
)
ACKNOWLEDGED = {
    "subscribeNewToken": {"message": "Successfully subscribed to token creation events."},
    "subscribeMigration": {"message": "Subscribed to 'migration' events."},
}


def decode_anything(message: bytes) -> Any:
    """Each message but an acknowledgement is a new token."""
    from pumpwatch.decode.pumpportal import decode_message

    if b'"message"' in message:
        return decode_message(message)
    return (TokenCreated(signature=message.decode(), mint="m", bonding_curve="c", developer="d"),)


@pytest.fixture
def feed(server: Any, sink: Any, tmp_path: Path) -> Iterator[StartFeed]:
    """A function that starts a feed against the server."""
    server.answer = lambda request: [ACKNOWLEDGED[request["method"]]]
    feeds: list[PumpPortalFeed] = []

    def start(*, start: bool = True, key: str | None = None, **named: Any) -> PumpPortalFeed:
        endpoint = named.pop("endpoint", None) or Endpoint.of(server.url, key=key)
        named = {
            "connection": CONNECTION,
            "deliver": sink.deliver,
            "room": sink.room,
            "origin": "simulator",
            "waits": WAITS,
            "folder": tmp_path,
            "decode": decode_anything,
            **named,
        }
        feeds.append(PumpPortalFeed(settings=PumpPortalSettings(endpoint=endpoint, has_key=key is not None), **named))
        if start:
            feeds[-1].start()
        return feeds[-1]

    yield start
    for started in feeds:
        started.stop()
        if started.is_alive():
            started.join(5)


def test_a_life_from_connecting_to_stopped(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    started = feed(start=False)
    before = started.state()
    assert (before.state, before.name, before.connects, before.last_data_at) == ("connecting", "pumpportal", 0, None)
    started.start()
    wait_until(lambda: started.state().state == "connected")
    assert started.state().since >= before.since
    started.stop()
    started.join(5)

    assert started.state().state == "stopped"
    assert started.error is None


def test_each_handshake_is_counted_as_a_connection(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    counted: list[int] = []
    feed(connected=lambda: counted.append(1))
    wait_until(lambda: counted == [1] and server.accepted == 1)
    server.drop()
    wait_until(lambda: counted == [1, 1])


def test_lost_connections_and_failed_attempts_are_counted_apart_by_cause(
    server: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(lambda: started.state().state == "connected" and server.accepted == 1)
    server.drop()
    wait_until(lambda: started.state().connects == 2 and server.accepted == 2)
    server.status = (401, {}, b"no")
    server.close_with(1001, "going away")
    wait_until(lambda: started.state().state == "refused")
    refusals = started.state().failed_connects["refused"]
    started.stop()
    started.join(5)

    assert started.state().drops == {"cut": 1, "closed": 1}
    assert refusals >= 1
    assert set(started.state().failed_connects) == {"refused"}


# Refusals


@pytest.mark.parametrize(("key", "said"), [("a-wrong-key", "PUMPPORTAL_API_KEY"), (None, "this computer's address")])
def test_a_refusal_says_in_one_sentence_what_is_wrong_and_is_asked_again(
    server: Any, feed: StartFeed, wait_until: WaitUntil, key: str | None, said: str
) -> None:
    server.status = (401, {}, b"Invalid API Key")
    started = feed(key=key)
    wait_until(lambda: started.state().state == "refused")
    reason = started.state().reason
    assert said in reason
    assert "a-wrong-key" not in reason
    assert server.endpoint.shown in reason
    server.status = None

    wait_until(lambda: started.state().state == "connected")


def test_a_refusal_of_the_process_before_is_waited_for_without_asking(
    server: Any, feed: StartFeed, wait_until: WaitUntil, tmp_path: Path
) -> None:
    server.status = (403, {}, b"")
    first = feed(plays_provider=True, waits=replace(WAITS, refused_seconds=300))
    wait_until(lambda: first.state().state == "refused")
    first.stop()
    first.join(5)
    opens = server.opens

    second = feed(plays_provider=True, waits=replace(WAITS, refused_seconds=300))
    wait_until(lambda: second.state().state == "refused")
    assert second.state().reason == first_reason(tmp_path, server)
    assert server.opens == opens


def first_reason(folder: Path, server: Any) -> str:
    stored = Opens(Endpoint.of(server.url), folder=folder, waits=Waits()).wait_before_next()
    assert stored is not None
    return stored.reason


def test_a_used_up_plan_is_exhausted(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    server.status = (429, {}, b'{"error":{"message":"max usage reached"}}')
    started = feed()

    wait_until(lambda: started.state().state == "exhausted")
    server.status = None
    wait_until(lambda: started.state().state == "connected")


def test_a_slow_down_waits_at_least_half_of_the_longest_delay(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    server.status = (429, {"Retry-After": "1"}, b"")
    started = feed(connection=replace(CONNECTION, backoff_longest_seconds=0.2), waits=replace(WAITS, unanswered_opens=100))
    wait_until(lambda: started.state().state == "waiting")
    since = time.monotonic()
    server.status = None
    wait_until(lambda: started.state().state == "connected")

    assert time.monotonic() - since > 0.9, "what Retry-After asked for"


def test_a_handshake_answered_oddly_is_perhaps_a_ban(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    server.status = (404, {}, b"gone")
    started = feed(waits=replace(WAITS, banned_seconds=(60.0,)))

    wait_until(lambda: started.state().state == "banned?")
    assert "banned" in started.state().reason


def test_an_odd_answer_whose_wait_is_over_already_still_backs_off(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    server.status = (404, {}, b"gone")
    started = feed(waits=replace(WAITS, banned_seconds=(0.0,)))
    wait_until(lambda: server.opens >= 2)
    assert started.state().state in ("waiting", "connecting")


def test_three_opens_without_a_message_are_perhaps_a_ban(
    serve_raw: Callable[[Callable[[socket.socket], None]], Endpoint], feed: StartFeed, wait_until: WaitUntil
) -> None:
    opened: list[int] = []
    endpoint = serve_raw(lambda client: opened.append(1))
    started = feed(endpoint=endpoint, waits=replace(WAITS, banned_seconds=(60.0,)))

    wait_until(lambda: started.state().state == "banned?")
    assert len(opened) == 3


def test_loopback_is_exempt_from_long_waits_and_from_the_disk(feed: StartFeed, tmp_path: Path) -> None:
    started = feed(start=False, waits=None)

    assert started._waits == LOOPBACK_WAITS
    started._patience.opening()
    assert list(tmp_path.iterdir()) == []


def test_a_real_server_is_not_exempt(tmp_path: Path, feed: StartFeed) -> None:
    started = feed(start=False, waits=None, endpoint=Endpoint.of("wss://pumpportal.fun/api/data"))

    assert started._waits == Waits()
    started._patience.opening()
    assert [file.name for file in tmp_path.iterdir()] == ["pumpportal.fun.json"]


HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire(blocking=False)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_worker_of_this_user_waits_until_the_first_is_gone(
    server: Any, feed: StartFeed, wait_until: WaitUntil, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "127.0.0.1.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith(b"held")
        started = feed(plays_provider=True)
        wait_until(lambda: started.state().state == "waiting")
        assert "another pumpwatch" in started.state().reason
        assert server.opens == 0
        holder.kill()
    wait_until(lambda: started.state().state == "connected")


# Origin

SIMULATOR = {"X-Pumpwatch-Origin": "simulator"}
OTHER = {"X-Pumpwatch-Origin": "mainnet"}


@pytest.mark.parametrize(("header", "origin"), [({}, "simulator"), (SIMULATOR, "mainnet"), (OTHER, "mainnet")])
def test_a_server_of_another_origin_is_refused(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil, header: dict[str, str], origin: str
) -> None:
    server.headers = header
    server.greeting = ["{}"]
    started = feed(origin=origin)

    wait_until(lambda: started.state().state == "refused")
    assert "must not be mixed" in started.state().reason
    assert started.state().connects == 0
    assert sink.deliveries == []


@pytest.mark.parametrize(("header", "origin"), [({}, "mainnet"), ({}, "replay"), (SIMULATOR, "simulator")])
def test_a_server_of_the_same_origin_is_taken(
    server: Any, feed: StartFeed, wait_until: WaitUntil, header: dict[str, str], origin: str
) -> None:
    server.headers = header
    started = feed(origin=origin)

    wait_until(lambda: started.state().state == "connected")


# Gaps


def gaps(sink: Any) -> list[GapOpened]:
    found: list[GapOpened] = sink.events(GapOpened)
    return found


def test_a_lost_connection_is_a_gap_from_the_last_data_to_the_first(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(lambda: server.connected and started._is_settled())
    server.say("before")
    wait_until(lambda: len(sink.deliveries) == 1)
    server.drop()
    wait_until(lambda: gaps(sink))
    wait_until(lambda: started.state().connects == 2 and started._is_settled())
    assert gaps(sink)[0].to_us is None, "it is known the moment it begins"
    server.say("after")

    wait_until(lambda: len(gaps(sink)) == 2)
    last, first = (delivery for delivery in sink.deliveries if delivery.source == "pumpportal")
    gap = gaps(sink)[1]
    assert (gap.cause, gap.feed, gap.from_us, gap.to_us) == (
        "disconnected",
        "pumpportal",
        last.received_at_us,
        first.received_at_us,
    )
    assert gaps(sink)[0].from_us == gap.from_us, "told twice, it is one"
    assert all(delivery.source == "pumpwatch" for delivery in sink.deliveries if type(delivery.events[0]) is GapOpened)


def test_a_mute_connection_is_a_gap_too(server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    feed(connection=replace(CONNECTION, pumpportal_idle_seconds=0.2))

    wait_until(lambda: gaps(sink))
    assert gaps(sink)[0].cause == "silent"


def test_several_attempts_within_one_gap_are_one_gap(server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    started = feed()
    wait_until(lambda: server.connected)
    server.say("before")
    wait_until(lambda: sink.deliveries)
    for connects in (2, 3, 4):
        server.drop()
        wait_until(lambda connects=connects: started.state().connects == server.accepted == connects)  # type: ignore[misc]
    wait_until(started._is_settled)
    server.say("after")

    wait_until(lambda: any(gap.to_us for gap in gaps(sink)))
    assert len({gap.from_us for gap in gaps(sink)}) == 1


def test_a_gap_ends_only_when_the_server_has_confirmed_what_we_want(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed(waits=replace(WAITS, gap_settles_within_seconds=60.0, acknowledged_within_seconds=60.0))
    wait_until(started._is_settled)
    server.answer = lambda _: []
    server.drop()
    wait_until(lambda: started.state().connects == 2 and len(server.requests) == 4)
    server.say("unconfirmed")
    wait_until(lambda: started.state().last_data_at is not None)
    assert [gap.to_us for gap in gaps(sink)] == [None]
    server.say(*ACKNOWLEDGED.values(), "confirmed")

    wait_until(lambda: gaps(sink)[-1].to_us is not None)


def test_a_server_that_never_confirms_does_not_keep_a_gap_open(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(started._is_settled)
    server.answer = lambda _: []
    server.drop()
    wait_until(lambda: started.state().connects == 2)

    def say_and_look() -> bool:
        server.say("data")
        return gaps(sink)[-1].to_us is not None

    wait_until(say_and_look)


def test_a_stop_makes_no_gap_of_its_own_but_tells_the_one_that_is_open(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    calm = feed()
    wait_until(lambda: server.connected)
    calm.stop()
    calm.join(5)
    assert gaps(sink) == []

    paused = feed(room=lambda: False)
    wait_until(lambda: server.accepted == 2)
    sink.is_full = True
    server.say("no room")
    wait_until(lambda: paused.state().state == "paused")
    sink.is_full = False  # there is room for a gap at the very end
    paused.stop()
    paused.join(5)
    assert [(gap.cause, gap.to_us) for gap in gaps(sink)] == [("spill full", None)]


# No room


def test_without_room_the_feed_pauses_and_reopens_with_a_gap(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed()
    wait_until(lambda: server.connected and started._is_settled())
    server.say("kept")
    wait_until(lambda: len(sink.deliveries) == 1)
    kept_at = sink.deliveries[0].received_at_us
    sink.is_full = True
    server.say("lost", "lost too")
    wait_until(lambda: started.state().state == "paused" and not server.connected)
    assert "no room" in started.state().reason
    sink.is_full = False

    wait_until(lambda: started.state().state == "connected" and started._is_settled())
    server.say("again")
    wait_until(lambda: gaps(sink))
    [gap] = gaps(sink)
    again = next(delivery for delivery in sink.deliveries if delivery.raw == b"again")
    assert (gap.cause, gap.from_us, gap.to_us) == ("spill full", kept_at, again.received_at_us)
    assert [event.signature for event in sink.events(TokenCreated)] == ["kept", "again"]


def test_a_gap_that_finds_no_room_is_told_again(server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    refuse_gaps = threading.Event()
    refuse_gaps.set()

    def deliver(delivery: Any) -> bool:
        if refuse_gaps.is_set() and type(delivery.events[0]) is GapOpened:
            return False
        return bool(sink.deliver(delivery))

    started = feed(deliver=deliver)
    wait_until(started._is_settled)
    server.drop()
    wait_until(lambda: started.state().connects == 2 and started._is_settled())
    server.say("one")
    wait_until(lambda: sink.deliveries)
    refuse_gaps.clear()
    server.say("two")

    wait_until(lambda: gaps(sink) and gaps(sink)[0].to_us is not None)


# Stopping


def stop_within_a_second(started: PumpPortalFeed) -> None:
    begun = time.monotonic()
    started.stop()
    started.stop()
    started.join(5)
    assert not started.is_alive()
    assert time.monotonic() - begun < 1
    assert started.state().state == "stopped"


def test_it_stops_at_once_while_connected(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    started = feed()
    wait_until(lambda: server.connected)
    stop_within_a_second(started)


def test_it_stops_at_once_while_backing_off(feed: StartFeed, wait_until: WaitUntil) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    slow = replace(CONNECTION, backoff_first_seconds=3600.0, backoff_longest_seconds=3600.0)
    started = feed(endpoint=Endpoint.of(f"ws://127.0.0.1:{port}"), connection=slow)
    wait_until(lambda: started.state().state == "waiting")
    stop_within_a_second(started)


def test_it_stops_at_once_while_refused(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    server.status = (401, {}, b"")
    started = feed(waits=replace(WAITS, refused_seconds=300.0))
    wait_until(lambda: started.state().state == "refused")
    stop_within_a_second(started)


def test_it_stops_at_once_while_paused(server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    started = feed()
    wait_until(lambda: server.connected)
    sink.is_full = True
    server.say("no room")
    wait_until(lambda: started.state().state == "paused")
    stop_within_a_second(started)


def test_it_stops_at_once_in_an_unanswered_handshake(
    serve_raw: Callable[[Callable[[socket.socket], None]], Endpoint], feed: StartFeed
) -> None:
    arrived = threading.Event()

    def script(client: socket.socket) -> None:
        arrived.set()
        while client.recv(4096):
            pass

    started = feed(endpoint=serve_raw(script))
    assert arrived.wait(5)
    stop_within_a_second(started)


def test_a_stop_before_the_first_connection_makes_none(server: Any, feed: StartFeed) -> None:
    started = feed(start=False)
    started.stop()
    started.start()
    started.join(5)
    assert server.opens == 0

    late = feed(start=False)
    late.stop()
    assert late._connect_and_read().kind == "stopped"
    late._wait(late._patience.after(late._connect_and_read()))
    assert server.opens == 0


def test_a_helper_that_fails_stops_the_feed_with_its_error(server: Any, feed: StartFeed, wait_until: WaitUntil) -> None:
    def broken() -> bool:
        raise RuntimeError("a defect in the sender")

    started = feed(paid_allowed=broken, key="a-key-that-pays")
    started.join(5)

    assert not started.is_alive()
    assert isinstance(started.error, RuntimeError)
    assert started.state().state == "stopped"


def test_a_step_without_a_connection_does_nothing(feed: StartFeed) -> None:
    started = feed(start=False)
    started.watch()
    started.send_due()


def test_nothing_is_said_twice_within_a_minute(feed: StartFeed) -> None:
    started = feed(start=False)

    assert [started.is_time("a"), started.is_time("a"), started.is_time("b")] == [True, False, True]


# Backoff


def test_a_server_that_accepts_and_drops_is_asked_ever_more_slowly(
    serve_raw: Callable[[Callable[[socket.socket], None]], Endpoint], feed: StartFeed, wait_until: WaitUntil
) -> None:
    endpoint = serve_raw(lambda client: None)
    started = feed(endpoint=endpoint, waits=replace(WAITS, unanswered_opens=1000))

    wait_until(lambda: started._patience._backoff.attempts >= 5)


def test_a_connection_that_held_with_data_begins_the_delays_anew(
    server: Any, sink: Any, feed: StartFeed, wait_until: WaitUntil
) -> None:
    started = feed(connection=replace(CONNECTION, healthy_after_seconds=0.05))
    for connects in (1, 2, 3):
        wait_until(lambda connects=connects: started.state().connects == connects and started._is_settled())  # type: ignore[misc]
        count = len(sink.events(TokenCreated))
        server.say("data")
        wait_until(lambda count=count: len(sink.events(TokenCreated)) > count)  # type: ignore[misc]
        time.sleep(0.06)
        server.drop()
    wait_until(lambda: started.state().connects == 4)
    assert started._patience._backoff.attempts == 1
