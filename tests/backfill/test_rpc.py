"""Promises of the RPC client: each call gets its own answer or a classed error, politely, in bounded time, without the key."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from loguru import logger
from rpc_server import KEY, Odd, ScriptedServer, always, each, error, odd, result
from simulator_clients import until

from pumpwatch import providers
from pumpwatch.backfill import posting, rpc
from pumpwatch.backfill.rpc import Rpc, RpcAgain, RpcBehind, RpcExhausted, RpcFailed, RpcRefused, RpcStopped
from pumpwatch.config import Endpoint
from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def client(server: ScriptedServer, stopping: threading.Event) -> Iterator[Rpc]:
    with make(server, stopping=stopping) as rpc:
        yield rpc


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="INFO")
    yield lines
    logger.remove(sink)


def make(server: ScriptedServer, **changes: Any) -> Rpc:
    settings: dict[str, Any] = {"timeout_seconds": 10.0, "first_wait_seconds": 0.01}
    return Rpc(Endpoint.of(server.url), **(settings | changes))


def calls_of(*names: str) -> list[tuple[str, list[object]]]:
    return [("getTransaction", [name]) for name in names]


def decoded(outcomes: list[msgspec.Raw | RpcFailed]) -> list[Any]:
    return [outcome if isinstance(outcome, RpcFailed) else json.loads(bytes(outcome)) for outcome in outcomes]


def echo(call: Any) -> dict[str, Any]:
    return result(call, call["params"][0])


# Answers


def test_each_call_of_a_batch_gets_its_own_answer_in_whatever_order_they_come(server: ScriptedServer, client: Rpc) -> None:
    server.script(lambda batch: [echo(call) for call in reversed(batch)])

    assert decoded(client.batch(calls_of("a", "b", "c"))) == ["a", "b", "c"]
    assert len(server.requests) == 1


def test_what_a_batch_answer_lacks_is_asked_again_alone(server: ScriptedServer, client: Rpc) -> None:
    server.script(lambda batch: [echo(batch[2]), echo(batch[0])], each(echo))

    assert decoded(client.batch(calls_of("a", "b", "c"))) == ["a", "b", "c"]
    assert server.requests[1]["params"] == ["b"]


def test_an_error_of_one_call_is_not_its_neighbours(server: ScriptedServer, client: Rpc) -> None:
    server.script(lambda batch: [echo(batch[0]), error(batch[1], -32602, "Invalid params"), result(batch[2], None)])

    first, second, third = decoded(client.batch(calls_of("a", "b", "c")))

    assert (first, third) == ("a", None)
    assert isinstance(second, RpcFailed)
    assert second.code == -32602
    assert len(server.requests) == 1, "what is wrong stays wrong: not asked again"


def test_calls_that_fail_for_a_moment_are_asked_again_without_the_others(server: ScriptedServer, client: Rpc) -> None:
    overloaded = "account index service overloaded, please try again."
    server.script(lambda batch: [echo(batch[0]), error(batch[1], -32603, overloaded), echo(batch[2])], each(echo))

    assert decoded(client.batch(calls_of("a", "b", "c"))) == ["a", "b", "c"]
    assert server.methods == [["getTransaction"] * 3, "getTransaction"]


def test_one_error_for_a_whole_batch_is_that_of_each_call(server: ScriptedServer, client: Rpc) -> None:
    server.script(odd({"jsonrpc": "2.0", "error": {"code": -32011, "message": "history not available"}}))

    outcomes = client.batch(calls_of("a", "b"))

    assert [outcome.code for outcome in outcomes if isinstance(outcome, RpcFailed)] == [-32011, -32011]


@pytest.mark.parametrize("refusal", [{"status": 413}, {"body": {"error": {"code": -32600, "message": "Batch too large"}}}])
def test_a_server_that_takes_no_batches_is_asked_call_by_call_for_good(
    server: ScriptedServer, client: Rpc, said: list[str], refusal: dict[str, Any]
) -> None:
    server.script(lambda request: Odd(**refusal) if isinstance(request, list) else echo(request))

    assert decoded(client.batch(calls_of("a", "b", "c"))) == ["a", "b", "c"]
    assert decoded(client.batch(calls_of("d", "e"))) == ["d", "e"]

    assert [type(request) for request in server.requests] == [list, dict, dict, dict, dict, dict]
    assert len([line for line in said if "one by one" in line]) == 1


def test_a_null_is_a_result(server: ScriptedServer, client: Rpc) -> None:
    server.script(always(None))

    assert client.call("getTransaction", ["a"]) is None
    assert bytes(client.raw("getTransaction", ["a"])) == b"null"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"id":0}',
        b'[{"id":0,"result":1}]',
        b'{"result":"\xff"}',
        b"[" * 100_000,
        b'[{"id":"0","result":1},{"id":null,"result":1},{"id":9,"result":1},{"id":true,"result":1},{"id":-1,"result":1}]',
        b'[[],1,"x"]',
    ],
)
def test_what_is_no_answer_is_never_taken_for_one(server: ScriptedServer, body: bytes) -> None:
    server.script(odd(body))
    with make(server, tries=2, first_wait_seconds=0.001) as client:
        with pytest.raises(RpcFailed):
            client.call("getSlot")
        assert len(server.requests) == 2 or b"result" in body, "perhaps the next one is"
        outcomes = client.batch([("getSlot", []), ("getSlot", [])])

    failed = [isinstance(outcome, RpcFailed) for outcome in outcomes]
    assert failed == [body != b'[{"id":0,"result":1}]', True]


def test_an_answer_told_twice_counts_once(server: ScriptedServer, client: Rpc) -> None:
    server.script(lambda batch: [echo(batch[0]), result(batch[0], "other"), echo(batch[1])])

    assert decoded(client.batch(calls_of("a", "b"))) == ["a", "b"]


@pytest.mark.parametrize("wrong", ["text", {"message": None}, {"code": "x", "message": 7}, [], 5])
def test_an_error_in_an_unknown_shape_is_an_error(server: ScriptedServer, client: Rpc, wrong: object) -> None:
    server.script(odd({"id": 0, "result": 1, "error": wrong}))

    with pytest.raises(RpcFailed):
        client.call("getSlot")


# Errors by reaction


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "requests"),
    [
        (429, -32429, "rate limited", RpcAgain, 3),
        (200, -32429, "rate limited", RpcAgain, 3),
        (429, -32429, "max usage reached", RpcExhausted, 1),
        (200, -32429, "max usage reached", RpcExhausted, 1),
        (401, -32401, "Invalid API Key", RpcRefused, 1),
        (403, 403, "Forbidden", RpcRefused, 1),
        (200, -32005, "Node is behind by 42 slots", RpcAgain, 3),
        (200, -32014, "Block status not yet available", RpcAgain, 3),
        (200, -32603, "Internal error", RpcAgain, 3),
        (503, -32000, "unavailable", RpcAgain, 3),
        (200, -32016, "Minimum context slot has not been reached", RpcBehind, 1),
        (200, -32015, "Transaction version (2) is not supported", RpcFailed, 1),
        (200, -32602, "Invalid params", RpcFailed, 1),
    ],
)
def test_an_error_is_classed_by_what_to_do_next(
    server: ScriptedServer, status: int, code: int, message: str, kind: type[RpcFailed], requests: int
) -> None:
    server.script(odd({"jsonrpc": "2.0", "error": {"code": code, "message": message}}, status=status))

    with make(server, tries=3) as client, pytest.raises(RpcFailed, match=message.split("(", maxsplit=1)[0]) as raised:
        client.call("getSlot")

    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.code) == (status, code)
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [(429, RpcAgain, 2), (502, RpcAgain, 2), (504, RpcAgain, 2), (401, RpcRefused, 1), (404, RpcFailed, 1), (302, RpcFailed, 1)],
)
def test_a_status_without_json_is_classed_too(server: ScriptedServer, status: int, kind: type[RpcFailed], requests: int) -> None:
    server.script(odd(b"no JSON", status=status, headers={"Location": "http://127.0.0.1:1/"} if status == 302 else {}))

    with make(server, tries=2) as client, pytest.raises(RpcFailed, match=f"HTTP {status}") as raised:
        client.call("getSlot")

    assert type(raised.value) is kind
    assert len(server.requests) == requests


def test_the_bodies_that_servers_really_sent_are_classed(server: ScriptedServer, corpus: Path) -> None:
    kinds = {}
    for line in (corpus / "helius" / "error_bodies.jsonl").read_text(encoding="utf-8").splitlines():
        body = json.loads(line)["body"]
        server.script(odd(body))
        with make(server, tries=1) as client, pytest.raises(RpcFailed) as raised:
            client.call("getSlot")
        kinds[body["error"]["message"]] = type(raised.value)

    assert kinds == {
        "max usage reached": RpcExhausted,
        "rate limited": RpcAgain,
        "transactionSubscribe is not available on the free plan": RpcFailed,
        "Invalid Request: Only 1 address supported": RpcFailed,
        "account index service overloaded, please try again.": RpcAgain,
    }


def test_after_the_last_try_the_call_has_failed_for_the_reason_given(server: ScriptedServer, client: Rpc) -> None:
    server.script(odd(status=503, headers={"Retry-After": "0"}))

    with pytest.raises(RpcFailed, match="HTTP 503"):
        client.call("getSlot")

    assert len(server.requests) == 5
    outcomes = client.batch(calls_of("a", "b"))
    assert [type(outcome) for outcome in outcomes] == [RpcAgain, RpcAgain]


def test_exhausted_means_silence_for_an_hour_said_once(
    server: ScriptedServer, client: Rpc, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(odd({"error": {"code": -32429, "message": "max usage reached"}}, status=429), always("ok"))
    for _ in range(3):
        with pytest.raises(RpcExhausted):
            client.call("getHealth")
    with pytest.raises(RpcExhausted):
        client.batch(calls_of("a", "b"))

    assert len(server.requests) == 1
    assert len([line for line in said if "credits are spent" in line]) == 1

    later = time.monotonic() + rpc.EXHAUSTED_SECONDS + 1
    monkeypatch.setattr("pumpwatch.backfill.rpc.time.monotonic", lambda: later)
    assert client.call("getHealth") == "ok"


def test_a_refused_method_is_left_alone_for_a_while_and_others_are_not(server: ScriptedServer, client: Rpc) -> None:
    server.script(odd(status=403), always("ok"))
    for _ in range(2):
        with pytest.raises(RpcRefused):
            client.call("getTransactionsForAddress")

    assert client.call("getHealth") == "ok"
    assert server.methods == ["getTransactionsForAddress", "getHealth"]


def test_without_budget_nothing_is_sent(server: ScriptedServer) -> None:
    server.script(always(1))
    with make(server, allowed=lambda: False) as client, pytest.raises(RpcExhausted, match=r"\[budget\]"):
        client.call("getSlot")

    assert not server.requests


def test_every_sending_is_told_call_by_call(server: ScriptedServer) -> None:
    told: list[tuple[str, int]] = []
    server.script(odd(status=500), each(echo))
    with make(server, called=lambda method, number: told.append((method, number))) as client:
        client.batch([*calls_of("a", "b"), ("getBlockTime", ["c"])])

    assert told == [("getTransaction", 2), ("getBlockTime", 1)] * 2


# Secrets


def test_the_key_is_in_no_error_and_no_log(server: ScriptedServer, said: list[str]) -> None:
    text = f"wrong: {server.url} {KEY}"
    server.script(
        odd({"error": {"code": -32602, "message": text}}),
        odd({"error": {"code": -32600, "message": text}}),
        odd({"error": {"code": -32429, "message": f"max usage reached {text}"}}),
    )
    shown = []
    with make(server, tries=1) as client:
        with pytest.raises(RpcFailed) as first:
            client.call("getSlot")
        with pytest.raises(RpcExhausted) as second:
            client.batch(calls_of("a", "b"))
        shown += [first.value, second.value]
    server.close()
    with make(server, tries=1) as client, pytest.raises(RpcFailed) as third:
        client.call("getSlot")
    shown.append(third.value)

    assert said
    for each_shown in [*map(repr, shown), *map(str, shown), *said]:
        assert KEY not in each_shown
    assert not any(each_shown.__cause__ for each_shown in shown)
    assert all(each_shown.__suppress_context__ or each_shown.__context__ is None for each_shown in shown)


# Politeness


def test_retry_after_is_waited_for(server: ScriptedServer) -> None:
    server.script(odd(status=429, headers={"Retry-After": "0.3"}), always("ok"))
    with make(server, first_wait_seconds=0.001) as client:
        assert client.call("getHealth") == "ok"

    assert server.at[1] - server.at[0] >= 0.3


def test_no_server_makes_us_sleep_for_longer_than_a_minute(
    server: ScriptedServer, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("pumpwatch.backfill.rpc.Rpc._sleep", lambda _, seconds: slept.append(seconds))
    server.script(odd(status=429, headers={"Retry-After": "86400"}), odd(status=429), odd(status=429), always("ok"))
    with make(server, stopping=stopping, first_wait_seconds=1.0) as client:
        assert client.call("getHealth") == "ok"

    assert 60 <= slept[0] <= 61
    assert 2 <= slept[1] <= 2.5
    assert 4 <= slept[2] <= 4.5


def test_calls_are_spread_and_each_of_a_batch_counts(server: ScriptedServer) -> None:
    provider = providers.Provider(name="slow", calls_per_second=40, batching=100)
    server.script(each(echo))
    with make(server, provider=provider) as client:
        assert client.batch_size("getTransaction") == 40
        assert client.batch_size("getSignatureStatuses") == 10
        assert client.batch_size("getTransactionsForAddress") == 1
        client.batch(calls_of(*"abcdefghij"))
        client.call("getHealth", ["x"])

    assert server.at[1] - server.at[0] >= 10 / 40


def test_a_person_may_ask_for_less_and_not_for_more(server: ScriptedServer) -> None:
    for asked, size in ((3.0, 3), (0.0, 10), (500.0, 10)):
        with make(server, provider=providers.HELIUS_FREE, calls_per_second=asked) as client:
            assert client.batch_size("getTransaction") == size


def test_one_connection_is_kept(server: ScriptedServer, client: Rpc) -> None:
    server.script(always(1))
    for _ in range(20):
        client.call("getSlot")

    assert server.connections == 1


# Bounded in time and size


@pytest.mark.parametrize(
    "hanging", [{"silent_seconds": 30.0}, {"drip_seconds": 0.1}, {"body": b" " * 50 + b"{}", "drip_seconds": 0.1}]
)
def test_the_whole_of_a_request_has_one_deadline(server: ScriptedServer, hanging: dict[str, Any]) -> None:
    server.script(odd(**hanging))
    began = time.monotonic()
    with make(server, timeout_seconds=0.4, tries=1) as client, pytest.raises(RpcFailed, match="no answer in time"):
        client.call("getSlot")

    assert time.monotonic() - began < 3


def test_after_a_request_that_hung_the_next_one_is_not_confused(server: ScriptedServer) -> None:
    late = {"id": 0, "result": "late" * 1000}
    server.script(odd(late, silent_seconds=1.0), odd(late, drip_seconds=0.05), always("right"))
    with make(server, timeout_seconds=0.5, tries=3) as client:
        for _ in range(8):
            assert client.call("getHealth") == "right"
            time.sleep(0.1)


def test_a_request_that_was_given_up_leaves_no_thread_behind(server: ScriptedServer) -> None:
    server.script(odd(b" " * 1000, drip_seconds=0.05))
    with make(server, timeout_seconds=0.3, tries=1) as client, pytest.raises(RpcFailed, match="in time"):
        client.call("getSlot")

    until(lambda: not any(thread.name == "rpc request" for thread in threading.enumerate()))


def test_a_server_that_accepts_and_never_speaks_tls_does_not_hang_us() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        endpoint = Endpoint.of(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        began = time.monotonic()
        with Rpc(endpoint, timeout_seconds=0.4, tries=1) as client, pytest.raises(RpcFailed):
            client.call("getSlot")

    assert time.monotonic() - began < 3


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with closing(ScriptedServer(tls=context)) as running:
        yield running


def test_a_request_over_tls_is_bounded_and_cut_too(
    tls_server: ScriptedServer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "ca.pem"))
    tls_server.script(always("ok"), odd(b" " * 1000, drip_seconds=0.05))
    with make(tls_server, timeout_seconds=1.0, tries=1) as client:
        assert client.call("getHealth") == "ok"
        with pytest.raises(RpcFailed, match="in time"):
            client.call("getSlot")

    until(lambda: not any(thread.name == "rpc request" for thread in threading.enumerate()))


def test_a_server_whose_certificate_nobody_vouches_for_is_not_trusted(tls_server: ScriptedServer) -> None:
    tls_server.script(always("ok"))
    with make(tls_server, tries=1) as client, pytest.raises(RpcFailed, match="certificate"):
        client.call("getHealth")

    assert not tls_server.requests


def test_an_answer_cut_short_is_asked_for_again(server: ScriptedServer, client: Rpc) -> None:
    server.script(odd({"id": 0, "result": "x" * 1000}, cut_after=500), always("ok"))

    assert client.call("getHealth") == "ok"


def test_an_answer_without_end_is_not_kept(server: ScriptedServer, client: Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "LARGEST_ANSWER_BYTES", 100_000)
    server.script(odd({"id": 0, "result": "x" * 300_000}))

    with pytest.raises(RpcFailed, match="too long"):
        client.call("getSlot")
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_an_error_of_the_network() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with Rpc(Endpoint.of(f"http://127.0.0.1:{port}"), timeout_seconds=1, tries=2, first_wait_seconds=0.01) as client:
        with pytest.raises(RpcAgain, match="cannot be reached"):
            client.call("getSlot")
        assert [type(outcome) for outcome in client.batch(calls_of("a", "b"))] == [RpcAgain, RpcAgain]


# Stopping


def _while_answering(server: ScriptedServer) -> Rpc:
    server.script(odd(silent_seconds=60))
    return make(server, timeout_seconds=60)


def _while_waiting_for_another_try(server: ScriptedServer) -> Rpc:
    server.script(odd(status=429, headers={"Retry-After": "50"}))
    return make(server)


def _while_waiting_for_its_turn(server: ScriptedServer) -> Rpc:
    server.script(always(1))
    client = make(server, provider=providers.Provider(name="slow", calls_per_second=0.01))
    client.call("getSlot")
    return client


@pytest.mark.parametrize("waiting", [_while_answering, _while_waiting_for_another_try, _while_waiting_for_its_turn])
def test_a_stop_ends_every_wait(server: ScriptedServer, waiting: Callable[[ScriptedServer], Rpc]) -> None:
    stopping = threading.Event()
    with waiting(server) as client:
        client._stopping = client._poster._stopping = stopping
        timer = threading.Timer(0.2, stopping.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(RpcStopped):
            client.call("getSlot")
        timer.join()
        assert time.monotonic() - began < 5

        sent = len(server.requests)
        with pytest.raises(RpcStopped):
            client.batch(calls_of("a", "b"))
        assert len(server.requests) == sent


def test_a_client_can_be_closed_twice_and_before_any_call(server: ScriptedServer) -> None:
    client = make(server)
    client.close()
    client.close()


# The simulator


def test_the_limits_of_a_provider_are_kept_without_a_single_refusal() -> None:
    with Simulator(seed=3, provider="helius-free") as simulator:
        provider = providers.provider_named("helius-free")
        endpoint = Endpoint.of(simulator.rpc_url, key=KEY)
        with Rpc(endpoint, timeout_seconds=10, provider=provider, tries=1) as client:
            assert all(isinstance(outcome, msgspec.Raw) for outcome in client.batch([("getSlot", [])] * 20))
            assert client.call("getHealth") == "ok"


def test_without_its_key_the_simulated_provider_refuses() -> None:
    with (
        Simulator(seed=3, provider="helius-free") as simulator,
        Rpc(Endpoint.of(simulator.rpc_url), timeout_seconds=10) as client,
        pytest.raises(RpcRefused),
    ):
        client.call("getSlot")


def test_a_node_that_refuses_or_falls_silent_for_a_moment_costs_only_time() -> None:
    with (
        Simulator(seed=3) as simulator,
        Rpc(Endpoint.of(simulator.rpc_url), timeout_seconds=10, first_wait_seconds=0.1) as client,
    ):
        for fault in ("rpc_429", "rpc_off"):
            simulator.fault(fault, seconds=0.5)
            assert client.call("getHealth") == "ok"


def test_a_simulated_plan_without_credits_is_exhausted() -> None:
    with Simulator(seed=3) as simulator, Rpc(Endpoint.of(simulator.rpc_url), timeout_seconds=10) as client:
        simulator.fault("rpc_429", seconds=30, exhausted=True)
        with pytest.raises(RpcExhausted):
            client.call("getHealth")
