"""/metrics and /health of a real worker: the numbers are those of its record."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families
from real_worker import EVERYTHING, RealWorker, subscribed, until

from pumpwatch.simulator.simulator import Simulator


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ask(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def numbers(port: int) -> Mapping[str, float]:
    """``name{label="value",...}`` -> number."""
    status, page = ask(port, "/metrics")
    if status != 200:
        return {}
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_the_numbers_of_a_running_worker_are_those_of_its_record(worker: RealWorker, simulator: Simulator) -> None:
    port = free_port()
    worker.start(settings={**EVERYTHING, "PUMPWATCH_METRICS_PORT": str(port)})
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 100, what="trades")
    until(lambda: numbers(port).get("pumpwatch_trades_stored_total", 0) > 100, what="numbers")
    until(lambda: ask(port, "/health")[0] == 200, what="health")
    told = numbers(port)

    assert told["pumpwatch_healthy"] == 1
    assert told["pumpwatch_feed_state helius connected"] == 1
    assert told["pumpwatch_feed_state pumpportal connected"] == 1
    assert told["pumpwatch_feed_connects_total helius"] == 1
    assert told["pumpwatch_feed_data_age_seconds helius"] < 10
    assert told["pumpwatch_commit_seconds_count"] > 0
    assert 0 < told["pumpwatch_lag_seconds"] < 60
    assert told["pumpwatch_trades_stored_total"] <= worker.count("trades")
    assert told["pumpwatch_database_size_bytes"] + told["pumpwatch_wal_size_bytes"] > 10_000
    assert json.loads(ask(port, "/health")[1]) == {"healthy": True, "problems": []}
    assert worker.stop() == 0
    assert ask(port, "/health")[0] == 0


def test_a_lost_feed_is_seen_with_its_cause_and_a_taken_port_hinders_nothing(worker: RealWorker, simulator: Simulator) -> None:
    port = free_port()
    worker.start(settings={**EVERYTHING, "PUMPWATCH_METRICS_PORT": str(port)})
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 20, what="trades")
    simulator.fault("drop", feed="helius")
    until(lambda: any(value for name, value in numbers(port).items() if name.startswith("pumpwatch_feed_drops_total cut ")))
    assert worker.stop() == 0

    with socket.create_server(("127.0.0.1", 0)) as other:
        before = worker.count()
        worker.start(settings={**EVERYTHING, "PUMPWATCH_METRICS_PORT": str(other.getsockname()[1])})
        until(lambda: "cannot be used" in worker.log and worker.count() > before, what="recording without metrics")
        assert worker.stop() == 0
