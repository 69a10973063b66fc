"""/metrics and /health: what they say, whom they answer, and that nobody holds them up."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from vitals_samples import NOW, some_feed, some_vitals

from pumpwatch.metrics import families
from pumpwatch.metrics_server import MetricsServer
from pumpwatch.small_server import Refused, parse_request

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def problems() -> list[str]:
    return []


Served = Callable[..., MetricsServer]


@pytest.fixture
def serve(problems: list[str]) -> Iterator[Served]:
    """A function that starts a server, and waits until it listens or has said why not."""
    servers: list[MetricsServer] = []

    def start(*, is_open: bool = True, **named: Any) -> MetricsServer:
        server = MetricsServer(**{"port": 0, "health": lambda: problems, **named})
        server.take(some_vitals(at=time.time()))
        servers.append(server)
        server.start()
        until(lambda: server.is_open or not is_open)
        return server

    yield start
    for server in servers:
        server.stop()
        server.join(5)
        assert server.error is None


@pytest.fixture
def server(serve: Served) -> MetricsServer:
    return serve()


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def ask(server: MetricsServer, path: str = "/metrics", *, method: str = "GET", **headers: str) -> tuple[Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def say(server: MetricsServer, request: bytes) -> bytes:
    """Send bytes as they are, and read to the end."""
    with socket.create_connection(("127.0.0.1", server.port), 8) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        return answer


def numbers(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_families(page.decode())
        for sample in family.samples
    }


# What it says


def test_every_vital_sign_is_on_the_page_under_its_name_and_labels(server: MetricsServer) -> None:
    answer, page = ask(server)
    told = numbers(page)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert told["pumpwatch_build_info", (("origin", "simulator"), ("version", "0.1.0"))] == 1
    assert told["pumpwatch_feed_state", (("feed", "helius"), ("state", "connected"))] == 1
    assert told["pumpwatch_feed_state", (("feed", "helius"), ("state", "banned"))] == 0
    assert told["pumpwatch_feed_connects_total", (("feed", "helius"),)] == 3
    assert told["pumpwatch_feed_drops_total", (("cause", "silent"), ("feed", "helius"))] == 1
    assert told["pumpwatch_feed_drops_total", (("cause", "closed"), ("feed", "helius"))] == 0
    assert told["pumpwatch_feed_failed_connects_total", (("cause", "not_opened"), ("feed", "helius"))] == 2
    assert told["pumpwatch_feed_last_data_timestamp_seconds", (("feed", "helius"),)] == NOW - 1.5
    assert told["pumpwatch_unread_total", (("kind", "unknown_event"),)] == 2
    assert told["pumpwatch_commit_seconds_count", ()] == 100
    assert told["pumpwatch_commit_seconds_sum", ()] == 2.5
    assert told["pumpwatch_gaps_open", (("cause", "log_truncated"),)] == 2
    assert told["pumpwatch_watched_tokens", (("completeness", "complete"),)] == 15
    assert told["pumpwatch_watched_tokens", (("completeness", "holes"),)] == 0
    assert told["pumpwatch_cost_used_ratio", (("period", "day"), ("provider", "pumpportal"), ("unit", "SOL"))] == 0.5
    assert told["pumpwatch_cost_part_spent", (("part", "messages"), ("provider", "pumpportal"))] == 0.01
    assert ("pumpwatch_cost_projected", (("period", "month"), ("provider", "helius"), ("unit", "credits"))) not in told
    assert told["pumpwatch_database_growth_bytes_per_second", ()] == 1
    assert told["pumpwatch_shed", (("what", "metadata"),)] == 0
    assert told["pumpwatch_healthy", ()] == 1


def test_ages_are_those_of_the_scrape_and_before_the_first_data_count_from_the_start() -> None:
    vitals = some_vitals(feeds=(some_feed("pumpportal", last_data_at=None), some_feed()))
    told = {family.name: family for family in families(vitals, now=NOW + 10)}

    ages = [sample.value for sample in told["pumpwatch_feed_data_age_seconds"].samples]
    assert ages == [3610, 11.5]
    assert len(told["pumpwatch_feed_last_data_timestamp_seconds"].samples) == 1
    assert told["pumpwatch_gap_oldest_age_seconds"].samples[0].value == 70


def test_what_is_unknown_is_left_out_and_never_zero() -> None:
    vitals = some_vitals(
        lag_seconds=None,
        backfill_state=None,
        backfill_requests_total=None,
        disk_free_bytes=None,
        database_growth_bytes_per_day=None,
        last_commit_at=None,
        costs=(),
    )
    empty = {family.name for family in families(vitals, now=NOW) if not family.samples}

    assert {"pumpwatch_lag_seconds", "pumpwatch_backfill_state", "pumpwatch_disk_free_bytes", "pumpwatch_cost_spent"} <= empty


def test_a_value_that_no_label_knows_is_counted_as_other() -> None:
    told = {family.name: family for family in families(some_vitals(gaps_open={"brand new": 3}), now=NOW)}

    assert [sample for sample in told["pumpwatch_gaps_open"].samples if sample.value] == [({"cause": "other"}, 3, "")]


def test_kinds_are_few_whatever_happens() -> None:
    kinds = {f"kind {number}": 1 for number in range(1000)}
    told = {family.name: family for family in families(some_vitals(unread_total=kinds), now=NOW)}
    samples = told["pumpwatch_unread"].samples

    assert len(samples) == 61
    assert sum(sample.value for sample in samples) == 1000


def test_the_other_format_is_given_to_who_asks_for_it_with_units(server: MetricsServer) -> None:
    answer, page = ask(server, Accept=OPENMETRICS)
    told = {family.name: family for family in openmetrics_families(page.decode())}  # type: ignore[no-untyped-call]

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert page.endswith(b"# EOF\n")
    assert told["pumpwatch_feed_drops"].type == "counter"
    assert told["pumpwatch_database_size_bytes"].unit == "bytes"
    assert told["pumpwatch_commit_seconds"].type == "summary"


def test_names_and_meanings_follow_the_conventions() -> None:
    for family in families(some_vitals(), now=NOW):
        assert re.fullmatch(r"pumpwatch_[a-z]+(_[a-z]+)*", family.name)
        assert not family.name.endswith(("_total", "_info")), "the format adds it"
        assert family.meaning.endswith(".")
        for sample in family.samples:
            assert all(re.fullmatch(r"[a-z]+", name) for name in sample.labels)
        labels = [(*sample.labels.items(), sample.suffix) for sample in family.samples]
        assert len(set(labels)) == len(labels)


def test_nothing_of_it_is_in_the_registry_of_the_process(server: MetricsServer) -> None:
    ask(server)

    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("pumpwatch")]


def test_before_the_first_measurement_there_is_no_page(serve: Served) -> None:
    server = serve()
    server._vitals = None

    assert ask(server)[0].status == 503


def test_health_is_200_when_all_is_well_and_503_with_every_problem_when_not(server: MetricsServer, problems: list[str]) -> None:
    answer, body = ask(server, "/health")
    assert (answer.status, json.loads(body)) == (200, {"healthy": True, "problems": []})
    assert answer.headers["Content-Type"] == "application/json"

    problems.append("helius is waiting: \x1b[2J\u202e no such host")
    answer, body = ask(server, "/health")
    assert answer.status == 503
    assert json.loads(body) == {"healthy": False, "problems": [r"helius is waiting: \x1b[2J\u202e no such host"]}


def test_a_measurement_that_is_old_is_no_health(server: MetricsServer) -> None:
    server.take(some_vitals(at=time.time() - 40))
    answer, body = ask(server, "/health")

    assert answer.status == 503
    assert "40 s" in json.loads(body)["problems"][0]
    assert numbers(ask(server)[1])["pumpwatch_healthy", ()] == 0


# Whom it answers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1234", "127.0.0.1:80", "[::1]:9464", "box.lan:1"])
def test_who_calls_this_machine_by_its_name_is_answered(serve: Served, host: str) -> None:
    assert ask(serve(hosts=("box.lan",)), Host=host)[0].status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "box.lan", "[::2]", "localhost:x"]
)
@pytest.mark.parametrize("path", ["/metrics", "/health", "/nothing"])
def test_any_other_host_gets_403(server: MetricsServer, host: str, path: str) -> None:
    answer, body = ask(server, path, Host=host)

    assert answer.status == 403
    assert b"pumpwatch" not in body


@pytest.mark.parametrize(
    "request_text",
    [b"GET /metrics HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"],
    ids=["none", "two"],
)
def test_no_host_and_two_hosts_get_403(server: MetricsServer, request_text: bytes) -> None:
    assert say(server, request_text).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_get_405_whatever_they_bring(server: MetricsServer, method: str) -> None:
    answer = say(
        server, f"{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 100_000
    )

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, HEAD\r\n" in answer


def test_unknown_paths_get_404_and_a_query_changes_nothing(server: MetricsServer) -> None:
    assert ask(server, "/")[0].status == 404
    assert ask(server, "/metrics/../health")[0].status == 404
    assert ask(server, "/metrics?name[]=x")[0].status == 200


def test_head_is_get_without_a_body(server: MetricsServer) -> None:
    answer, body = ask(server, method="HEAD")

    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 1000


@pytest.mark.parametrize("path", ["/metrics", "/health", "/nothing"])
def test_every_answer_forbids_guessing_keeping_and_embedding(server: MetricsServer, path: str) -> None:
    headers = ask(server, path)[0].headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Access-Control-Allow-Origin"] is None
    assert headers["Connection"] == "close"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /metrics",
        b"get /metrics HTTP/1.1",
        b"GET http://localhost/metrics HTTP/1.1",
        b"GET /met\x01rics HTTP/1.1",
        b"GET /metrics HTTP/2",
        b"GET /metrics HTTP/1.1\r\nHost : localhost",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n folded",
        b"GET /metrics HTTP/1.1\r\nHost: local\x00host",
        b"GET /metrics HTTP/1.1\nHost: localhost",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_what_is_no_request_is_refused(head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_request(head)
    assert refused.value.status == 400


def test_an_odd_accept_gets_the_plain_text(server: MetricsServer) -> None:
    assert ask(server, Accept="application/openmetrics-text; version=x.y")[0].status == 200
    for accept in ("*/*", "text/plain; version=9.9.9.9.9", "\xff" * 500):
        answer, page = ask(server, Accept=accept)
        assert answer.status == 200
        assert b"pumpwatch_trades 1e+06" in page or b"pumpwatch_trades 1000000" in page


# Nobody holds it up


def test_silent_slow_and_greedy_clients_hold_up_nobody_and_are_hung_up_on(server: MetricsServer) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(40)]
    for client in silent[::2]:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localh")
    began = time.monotonic()
    assert ask(server)[0].status == 200
    assert time.monotonic() - began < 2
    assert len(server._server._clients) <= 17

    until(lambda: not server._server._clients)
    for client in silent:
        client.close()
    assert ask(server)[0].status == 200


def test_a_head_without_end_is_refused(server: MetricsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 8) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_never_reads_is_hung_up_on(server: MetricsServer) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ask(server)[0].status == 200
        until(lambda: not server._server._clients)


def test_a_client_that_resets_costs_nothing(server: MetricsServer) -> None:
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", server.port), 5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.close()

    assert ask(server)[0].status == 200


def test_many_ask_at_once_and_all_are_answered(server: MetricsServer) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(server)[0].status)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 10


def test_a_defect_in_an_answer_is_a_500_and_ends_nothing(serve: Served) -> None:
    def fail() -> list[str]:
        raise ZeroDivisionError

    server = serve(health=fail)

    assert ask(server, "/health")[0].status == 500
    assert ask(server)[0].status == 500
    assert server.is_alive()


def test_requests_are_not_logged(server: MetricsServer) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), level="INFO")
    try:
        for path in ("/metrics", "/health", "/nothing"):
            ask(server, path)
        say(server, b"nonsense\r\n\r\n")
    finally:
        logger.remove(sink)

    assert said == []


# The port


def test_it_listens_on_the_loopback_alone(server: MetricsServer) -> None:
    assert server._server._selector is not None
    addresses = {key.fileobj.getsockname()[0] for key in server._server._selector.get_map().values()}  # type: ignore[union-attr]

    assert addresses <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses


def test_a_taken_port_is_said_in_one_line_and_tried_again(serve: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.metrics_server._TRY_AGAIN_SECONDS", 0.05)
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    try:
        with socket.create_server(("127.0.0.1", 0)) as other:
            server = serve(is_open=False, port=other.getsockname()[1])
            until(lambda: said)
            time.sleep(0.3)
            assert server.is_alive()
            assert len(said) == 1
            assert f"[metrics] port {server.port} cannot be used" in said[0]
        until(lambda: server.is_open)
    finally:
        logger.remove(sink)

    assert ask(server)[0].status == 200


def test_without_the_library_health_is_served_and_the_log_says_what_to_install(
    serve: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pumpwatch.metrics_page", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="ERROR")
    try:
        server = serve()
    finally:
        logger.remove(sink)

    assert 'pip install "pumpwatch[metrics]"' in said[0]
    assert ask(server, "/health")[0].status == 200
    answer, body = ask(server)
    assert (answer.status, b"pumpwatch[metrics]" in body) == (503, True)
