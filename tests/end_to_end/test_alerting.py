"""A real worker in real trouble: the alert arrives, its end too, and both are rows; the market's likewise."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from real_worker import EVERYTHING, RealWorker, subscribed, until
from webhook import Receiver

from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.server.begin()
    yield made
    made.server.end()


def test_a_feed_that_goes_away_is_told_and_its_return_too(worker: RealWorker, simulator: Simulator, receiver: Receiver) -> None:
    settings = {
        **EVERYTHING,
        "PUMPWATCH_ALERTS_URLS": receiver.url,
        "PUMPWATCH_ALERTS_FEED_DOWN_SECONDS": "1",
        "PUMPWATCH_ALERTS_SILENT_SECONDS": "0",
        "PUMPWATCH_ALERTS_LARGE_TRADE_SOL": "0.000001",
        "PUMPWATCH_ALERTS_MOST_PER_HOUR": "3",
    }
    worker.start(settings=settings)
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 20, what="trades")
    simulator.fault("refuse", feed="helius", status=503, seconds=8)
    simulator.fault("drop", feed="helius")

    def messages() -> list[str]:
        return [got["message"] for got in receiver.got]

    until(lambda: any(text.startswith("helius is ") for text in messages()), what="the alert")
    until(lambda: any(text.startswith("over: feed down, helius") for text in messages()), what="its end")
    until(lambda: worker.ask("SELECT 1 FROM alerts WHERE rule = 'feed down' AND sent = 'sent' AND resolved_at_us IS NOT NULL"))
    assert worker.stop() == 0, worker.log
    assert worker.ask("SELECT count(*) FROM alerts WHERE rule = 'feed down'") == [(1,)]
    market = worker.ask("SELECT text, completeness, resolved_at_us = raised_at_us FROM alerts WHERE is_market")
    assert len(market) == 3, "so many within an hour, and no more"
    assert all("SOL in" in text and completeness and is_momentary for text, completeness, is_momentary in market)
    assert receiver.url not in worker.log
    assert "very-secret-token" not in worker.log
    assert b"very-secret-token" not in worker.database.read_bytes()
    shown = worker.command("alerts", "--operational", settings=settings)
    assert shown.status == 0
    assert "feed down" in shown.out
    assert "large trade" not in shown.out


def test_a_worker_that_ends_because_nobody_lets_it_in_says_so_before_it_is_gone(
    worker: RealWorker, simulator: Simulator, receiver: Receiver
) -> None:
    for server in simulator.next_servers():
        server.trouble.refuse = 401
        server.trouble.refuse_until = time.monotonic() + 60
    worker.start(settings={**EVERYTHING, "PUMPWATCH_ALERTS_URLS": receiver.url})

    assert worker.wait() == 5, worker.log

    [text] = [got["message"] for got in receiver.got if got["message"].startswith("the worker has ended")]
    assert "every enabled feed was refused" in text
    assert worker.ask("SELECT severity, sent, resolved_at_us FROM alerts WHERE rule = 'worker ended'") == [
        ("critical", "sent", None)
    ]


def test_a_test_alert_says_for_each_service_whether_it_was_sent(worker: RealWorker, receiver: Receiver) -> None:
    urls = {"PUMPWATCH_ALERTS_URLS": f"{receiver.url}, json://127.0.0.1:9/very-secret-token"}

    done = worker.command("alerts", "test", settings=urls)

    assert done.status == 1
    assert done.out == "json: sent\njson: NOT sent: is its URL right, and can this machine reach it?\n"
    assert "very-secret-token" not in done.err
    assert [got["message"] for got in receiver.got] == ["this is a test: alerts of pumpwatch arrive here"]
    assert worker.command("alerts", "test").status == 2
    assert worker.command("alerts", "test", settings={"PUMPWATCH_ALERTS_URLS": "nosuch://very-secret-token"}).status == 1


def test_alerts_of_a_record_without_any(worker: RealWorker, simulator: Simulator) -> None:
    assert worker.command("alerts").status == 4
    worker.start("--for", "2")
    worker.wait()
    assert worker.command("alerts").out == "no alerts\n"
    assert worker.command("alerts", "--json", "--open", "--market", "--rule", "large trade").out.strip() == "[]"
