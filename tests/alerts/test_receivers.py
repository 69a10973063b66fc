"""What is said of receivers, and what is tried for them when there is little time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger
from webhook import Receiver

from pumpwatch.alerts.sending import Sender
from pumpwatch.alerts.watching import Alerts
from pumpwatch.config import AlertsSettings
from pumpwatch.events import AlertRaised, AlertSent
from pumpwatch.storage.alerts import AlertRow

ALERT = AlertRaised(rule="disk", subject="", severity="critical", raised_at_us=7, text="make room", to_send=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.server.begin()
    yield made
    made.server.end()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []
    sink = logger.add(said.append, level="INFO", format="{level} {message}")
    yield said
    logger.remove(sink)


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def end(sender: Sender) -> None:
    for receiver in sender.receivers:
        receiver.stop()
        receiver.join(20)
        assert not receiver.is_alive()


def test_a_url_that_is_none_is_named_in_the_log_without_its_secret(receiver: Receiver, lines: list[str]) -> None:
    Sender([receiver.url, "nosuch://very-secret/token"], tell=lambda _: None)
    [line] = [line for line in lines if line.startswith("ERROR")]
    assert "alert URL 2 (nosuch://...)" in line
    assert not [line for line in lines if "secret" in line]


def test_it_is_said_once_which_one_cannot_be_reached_and_when_it_can_again(receiver: Receiver, lines: list[str]) -> None:
    told: list[AlertSent] = []
    receiver.answers = [503] * 7
    sender = Sender([receiver.url], tell=told.append, first_wait_seconds=0.01)
    sender.receivers[0].start()
    try:
        sender.put(ALERT)
        until(lambda: told)
    finally:
        end(sender)
    said = [line.split(",")[0].strip() for line in lines if "reached" in line]
    assert said == ["ERROR alerts: json cannot be reached", "INFO alerts: json can be reached again"]


def test_what_was_raised_last_before_a_stop_is_still_sent(receiver: Receiver) -> None:
    told: list[AlertSent] = []
    sender = Sender([receiver.url], tell=told.append)
    sender.put(ALERT)
    sender.receivers[0].stop()
    sender.receivers[0].start()
    sender.receivers[0].join(20)
    assert [got["message"] for got in receiver.got] == ["make room"]
    assert [one.outcome for one in told] == ["sent"]


@pytest.mark.parametrize("sent", ["pending", "failed"])
def test_what_reached_nobody_is_sent_by_the_next_run(tmp_path: Path, receiver: Receiver, sent: str) -> None:
    row = AlertRow(*("disk", "", "critical", False, 7, None, "make room", None, None, None, None, sent, 0))
    settings = AlertsSettings(urls=(receiver.url,))
    alerts = Alerts(settings, database=tmp_path / "record.db", tell=lambda *_: True, adopted=[row])
    assert alerts.sender is not None
    alerts.sender.receivers[0].start()
    try:
        until(lambda: receiver.got)
    finally:
        end(alerts.sender)
    assert [got["message"] for got in receiver.got] == ["make room"]
