"""Each fault can be seen by a plain client, and what was sent before it counts as delivered."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from simulator_clients import Connect, ask, call, collect, until
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection

from pumpwatch.simulator import chain
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.simulator.logs import log_lines
from pumpwatch.simulator.markers import disk_full_marker
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.transaction import Transaction
from pumpwatch.simulator.worker_faults import install

ISSUE_2 = {
    *("drop", "close", "mute", "half_open", "refuse", "garbage", "poison", "duplicate", "reorder", "truncate_logs"),
    *("slow_handshake", "lock_database", "disk_full"),
}
ISSUE_3 = {"partial_mute", "fork", "rpc_429", "rpc_lag", "rpc_off", "kill", "lossy", "upgrade"}


@pytest.fixture
def follower(simulator: Simulator, opened: Connect) -> ClientConnection:
    """Follows all coins there are, on PumpPortal."""
    client = opened(simulator.pumpportal_url + "?api-key=k")
    ask(client, {"method": "subscribeTokenTrade", "keys": [coin.mint for coin in simulator.market.coins.values()]})
    return client


@pytest.fixture
def watcher(simulator: Simulator, opened: Connect) -> ClientConnection:
    """Watches the pump program."""
    client = opened(simulator.ws_url)
    call(client, "logsSubscribe", {"mentions": [chain.PUMP]}, {"commitment": "confirmed"})
    return client


def drained(client: ClientConnection) -> list[str | bytes]:
    """All that still comes, until the connection ends."""
    messages: list[str | bytes] = []
    while True:
        try:
            messages.append(client.recv(timeout=10))
        except ConnectionClosed:
            return messages


def answers_pings(client: ClientConnection, seconds: float) -> bool:
    return client.ping().wait(seconds)


def test_all_faults_of_the_recorder_are_there() -> None:
    assert FAULTS.keys() >= ISSUE_2 | ISSUE_3


def test_an_unknown_fault_is_an_error(simulator: Simulator) -> None:
    with pytest.raises(KeyError):
        simulator.fault("no_such_fault")


def test_drop_ends_without_a_close_frame_and_loses_nothing_sent(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.trade(300)
    until(lambda: simulator.delivered.count("pumpportal") > 50)

    simulator.fault("drop", feed="pumpportal")
    messages = drained(follower)

    assert len(messages) == simulator.delivered.count("pumpportal")
    assert follower.protocol.close_rcvd is None
    assert simulator.delivered.in_flight == 0


def test_a_reset_is_a_drop_that_does_not_count_its_last_moment(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.trade(30)
    until(lambda: simulator.delivered.count("pumpportal") > 0)

    simulator.fault("drop", feed="pumpportal", reset=True)

    drained(follower)
    until(lambda: simulator.delivered.in_flight > 0)


def test_close_sends_a_close_frame(simulator: Simulator, watcher: ClientConnection) -> None:
    simulator.fault("close", feed="helius", status=1012)

    drained(watcher)

    assert watcher.close_code == 1012


def test_mute_answers_pings_and_sends_no_data(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("mute", feed="pumpportal")
    simulator.trade(100)

    assert answers_pings(follower, 10)
    with pytest.raises(TimeoutError):
        follower.recv(timeout=0.1)
    assert simulator.delivered.count("pumpportal") == 0


def test_half_open_sends_not_even_pongs(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("half_open", feed="pumpportal")
    simulator.trade(100)
    follower.send(json.dumps({"method": "subscribeTokenTrade", "keys": ["later"]}))

    assert not answers_pings(follower, 0.2)
    assert "later" not in simulator.pumpportal.followed()
    with pytest.raises(TimeoutError):
        follower.recv(timeout=0.1)
    assert simulator.delivered.count("pumpportal") == 0


@pytest.mark.parametrize(("status", "retry_after"), [(401, None), (403, None), (429, "7"), (503, "2"), (503, None)])
def test_refuse_answers_the_next_handshakes_with_a_status(
    simulator: Simulator, opened: Connect, follower: ClientConnection, status: int, retry_after: str | None
) -> None:
    simulator.fault("refuse", feed="pumpportal", status=status, retry_after=retry_after, seconds=600)

    drained(follower)
    with pytest.raises(InvalidStatus) as refused:
        opened(simulator.pumpportal_url)

    assert refused.value.response.status_code == status
    assert refused.value.response.headers.get("Retry-After") == retry_after
    assert refused.value.response.headers["X-Pumpwatch-Origin"] == "simulator"


def test_a_refusal_ends(simulator: Simulator, opened: Connect, follower: ClientConnection) -> None:
    simulator.fault("refuse", feed="pumpportal", seconds=0.0)

    drained(follower)

    opened(simulator.pumpportal_url)


def test_slow_handshake_answers_byte_by_byte(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("slow_handshake", feed="pumpportal", seconds=600)
    drained(follower)

    address = urlsplit(simulator.pumpportal_url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert [raw.recv(100), raw.recv(100), raw.recv(100)] == [b"H", b"T", b"T"]


def test_garbage_breaks_the_connection_after_all_that_was_sent(simulator: Simulator, opened: Connect) -> None:
    for _ in range(12):
        client = opened(simulator.pumpportal_url)
        until(lambda: any(one.is_fine for one in simulator.pumpportal.open_clients()))
        simulator.fault("garbage", feed="pumpportal")
        if simulator.happened[-1].text.endswith("then silence"):
            assert not answers_pings(client, 0.2)
            continue
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=10)
    assert len({fault.text for fault in simulator.happened}) == 2


@pytest.mark.parametrize("feed", ["pumpportal", "helius"])
def test_poison_comes_on_a_connection_that_lives_on(simulator: Simulator, opened: Connect, feed: str) -> None:
    """With a client that, unlike the ``websockets`` library, survives text which is not UTF-8: as the recorder's does."""
    import websocket

    url = simulator.pumpportal_url if feed == "pumpportal" else simulator.ws_url
    client = websocket.create_connection(url + "?api-key=k", timeout=10, skip_utf8_validation=True, http_no_proxy=["127.0.0.1"])
    try:
        mints = [coin.mint for coin in simulator.market.coins.values()]
        follow: dict[str, object] = {"method": "subscribeTokenTrade", "keys": mints}
        watch: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "logsSubscribe", "params": ["all"]}
        client.send(json.dumps(follow if feed == "pumpportal" else watch))
        client.recv()

        simulator.fault("poison", feed=feed)
        simulator.trade(50)
        until(lambda: simulator.delivered.count("pumpportal" if feed == "pumpportal" else "helius") > 10)
        messages = [client.recv_data()[1] for _ in range(40)]
    finally:
        client.close()

    assert b"\xff\xfe\xed\xa0\x80{" in messages
    assert b"null" in messages
    assert any(b'"signature"' in message for message in messages)


def test_duplicate_sends_everything_twice_and_counts_it_once(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("duplicate", feed="pumpportal", seconds=600)
    simulator.trade(40)

    messages = collect(follower, lambda got: len(got) == 20)

    assert messages[::2] == messages[1::2]
    until(lambda: simulator.delivered.count("pumpportal") >= 10)
    numbers = list(simulator.delivered.numbers("pumpportal"))
    assert len(numbers) == len(set(numbers))


def test_reorder_sends_everything_in_another_order(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("reorder", feed="pumpportal", seconds=600)
    mints = simulator.pumpportal.followed()
    rows = [row for row in simulator.trade(200) if row.mint in mints]

    got = collect(follower, lambda messages: len(messages) == len(rows))

    signatures = [message["signature"] for message in got]
    assert sorted(signatures) == sorted(row.signature for row in rows)
    assert signatures != [row.signature for row in rows]


def test_lossy_leaves_out_some_and_does_not_count_them(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.fault("lossy", feed="pumpportal", seconds=600)
    mints = simulator.pumpportal.followed()
    rows = [row for row in simulator.trade(300) if row.mint in mints]
    until(lambda: simulator.pumpportal.open_clients()[0].is_idle)

    simulator.fault("drop", feed="pumpportal")
    messages = drained(follower)

    assert 0 < len(messages) < len(rows)
    assert simulator.delivered.count("pumpportal") == len(messages)


def test_truncated_logs_deliver_no_trade(simulator: Simulator, watcher: ClientConnection) -> None:
    simulator.fault("truncate_logs", feed="helius", count=3)
    with_trades: list[Transaction] = []
    while len(with_trades) < 5:
        made = simulator._produce()
        if made.rows and chain.PUMP in made.mentions:
            with_trades.append(made)
    got = collect(watcher, lambda messages: messages[-1:] != [] and with_trades[-1].signature in json.dumps(messages[-1]))
    logs = {message["params"]["result"]["value"]["signature"]: message["params"]["result"]["value"]["logs"] for message in got}

    cut = [signature for signature, lines in logs.items() if "Log truncated" in lines]
    assert cut == [made.signature for made in with_trades[:3]]
    for made in with_trades[:3]:
        whole = log_lines(made.calls)
        assert sum(line.startswith("Program data: ") for line in logs[made.signature]) < str(whole).count("Program data: ")
        assert logs[made.signature] == made.rendered(), "cut for every node, and for good"
    numbers = [row.number for made in with_trades[3:] for row in made.rows]
    until(lambda: list(simulator.delivered.numbers("helius")) == numbers)


def test_partial_mute_silences_some_subscriptions_only(simulator: Simulator, opened: Connect) -> None:
    client = opened(simulator.ws_url)
    ids = [call(client, "logsSubscribe", {"mentions": [chain.PUMP]})["result"] for _ in range(4)]
    simulator.fault("partial_mute")
    call(client, "slotSubscribe")

    simulator.trade(20)
    got = collect(client, lambda messages: sum("slot" in json.dumps(item) for item in messages) >= 12)

    speaking = {message["params"]["subscription"] for message in got if message["method"] == "logsNotification"}
    assert speaking == {ids[1], ids[2]}


def test_partial_mute_of_pumpportal_ends_trades_only_until_they_are_asked_for_again(
    simulator: Simulator, follower: ClientConnection
) -> None:
    ask(follower, {"method": "subscribeNewToken"})
    simulator.fault("partial_mute", feed="pumpportal")
    simulator.trade(300)
    silent = collect(follower, lambda messages: sum(message["txType"] == "create" for message in messages) >= 2)
    assert {message["txType"] for message in silent} == {"create"}

    ask(follower, {"method": "subscribeTokenTrade", "keys": [coin.mint for coin in simulator.market.coins.values()]})
    simulator.trade(50)
    collect(follower, lambda messages: any(message["txType"] in {"buy", "sell"} for message in messages))


def test_fork_tells_trades_that_are_not_on_chain(simulator: Simulator, follower: ClientConnection) -> None:
    simulator.trade(30)
    simulator.fault("fork", count=2)

    phantoms = {row.signature for row in simulator.phantoms}
    collect(follower, lambda messages: sum(message["signature"] in phantoms for message in messages) == 2)

    assert phantoms.isdisjoint(row.signature for row in simulator.traded())


def test_lock_database_keeps_writers_out_for_a_while(simulator: Simulator, tmp_path: Path) -> None:
    simulator.database = tmp_path / "some.db"
    mine = sqlite3.connect(simulator.database, isolation_level=None, timeout=0)
    mine.execute("CREATE TABLE t (x)")

    simulator.fault("lock_database", seconds=0.3)

    def locked() -> bool:
        try:
            mine.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        mine.execute("ROLLBACK")
        return False

    until(locked)
    until(lambda: not locked())
    mine.close()


def test_disk_full_lets_sqlite_say_so_and_ends(simulator: Simulator, tmp_path: Path) -> None:
    database = tmp_path / "some.db"
    simulator.database = database
    engines = [sa.create_engine(f"sqlite:///{path}") for path in (database, tmp_path / "other.db")]
    install(database)
    for engine in engines:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")

    refusals: list[str] = []

    def fill(engine: sa.Engine) -> bool:
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("INSERT INTO t SELECT zeroblob(100000)")
        except sa.exc.OperationalError as error:
            refusals.append(getattr(error.orig, "sqlite_errorname", ""))
            return False
        return True

    assert fill(engines[0])
    simulator.fault("disk_full", seconds=0.3)
    until(disk_full_marker(database).exists)
    until(lambda: not fill(engines[0]))
    assert fill(engines[1]), "another database is not concerned"
    until(lambda: fill(engines[0]))
    assert not disk_full_marker(database).exists()
    assert set(refusals) == {"SQLITE_FULL"}
    for engine in engines:
        engine.dispose()


def test_kill_calls_whoever_can(simulator: Simulator) -> None:
    killed: list[int] = []
    simulator.kill_worker = lambda: killed.append(1)

    simulator.fault("kill")

    assert killed == [1]


def test_a_fault_waits_for_its_trade_and_comes_again(simulator: Simulator, opened: Connect) -> None:
    opened(simulator.ws_url)
    simulator.fault("drop", feed="helius", at_trade=len(simulator.market.ledger) + 50, every_seconds=0.01)
    until(lambda: simulator.seconds > 0.05)
    assert simulator.happened == []

    simulator.trade(60)

    until(lambda: len(simulator.happened) == 1)
    opened(simulator.ws_url)
    until(lambda: len(simulator.happened) == 2)


def test_stopping_leaves_nothing_behind_whatever_is_broken(opened: Connect) -> None:
    before = set(threading.enumerate())
    with Simulator(rate=50) as simulator:
        simulator.open_market()
        for fault in ("half_open", "mute", "garbage", "drop"):
            opened(simulator.ws_url)
            opened(simulator.pumpportal_url)
            simulator.fault(fault)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("simulator")]
