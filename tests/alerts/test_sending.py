"""Alerts reach whoever is to be told, or are marked failed; nobody waits for them, and no secret or mention goes along."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from alert_samples import quiet
from webhook import Receiver

from pumpwatch.alerts.outbox import MOST_WAITING
from pumpwatch.alerts.sending import NoSender, Sender, plain, senders
from pumpwatch.alerts.watching import Alerts
from pumpwatch.config import AlertsSettings, load
from pumpwatch.errors import SettingsError
from pumpwatch.events import AlertRaised, AlertResolved, AlertSent, Event
from pumpwatch.storage.alerts import AlertRow
from pumpwatch.storage.store import Store
from pumpwatch.telemetry import redact, set_up_logging

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.server.begin()
    yield made
    made.hold.set()
    made.server.end()


@pytest.fixture
def running() -> Iterator[Callable[..., Sender]]:
    started: list[Sender] = []

    def start(*urls: str, tell: Callable[[AlertSent], object] = lambda _: None) -> Sender:
        started.append(Sender(urls, tell=tell, first_wait_seconds=0.05))
        for receiver in started[-1].receivers:
            receiver.start()
        return started[-1]

    yield start
    for sender in started:
        end(sender)


def end(sender: Sender) -> None:
    for receiver in sender.receivers:
        receiver.stop()
    for receiver in sender.receivers:
        receiver.join(20)
        assert not receiver.is_alive()


def alert(number: int = 0, text: str = "helius is waiting") -> AlertRaised:
    return AlertRaised(rule="feed down", subject="helius", severity="critical", raised_at_us=number, text=text, to_send=True)


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_an_alert_arrives_and_its_row_says_so(receiver: Receiver, running: Callable[..., Sender]) -> None:
    told: list[AlertSent] = []
    sender = running(receiver.url, tell=told.append)
    sender.put(alert())
    until(lambda: told)

    assert receiver.got[0]["message"] == "helius is waiting"
    assert receiver.got[0]["title"] == "pumpwatch"
    assert (told[0].outcome, told[0].attempts, told[0].raised_at_us) == ("sent", 1, 0)
    sender.put(AlertResolved(rule="feed down", subject="helius", raised_at_us=0, resolved_at_us=9, text="over: feed down"))
    until(lambda: len(receiver.got) == 2)
    assert receiver.got[1]["message"] == "over: feed down"


def test_a_receiver_in_trouble_is_asked_again(receiver: Receiver, running: Callable[..., Sender]) -> None:
    told: list[AlertSent] = []
    receiver.answers = [503, 500]
    running(receiver.url, tell=told.append).put(alert())
    until(lambda: told)
    assert (told[0].outcome, told[0].attempts) == ("sent", 3)


def test_one_that_is_never_reached_holds_up_no_other(receiver: Receiver, running: Callable[..., Sender]) -> None:
    told: list[AlertSent] = []
    sender = running("json://127.0.0.1:9/gone", receiver.url, tell=told.append)
    for number in range(20):
        sender.put(alert(number))
    until(lambda: len(receiver.got) == 20)
    until(lambda: len(told) == 20)
    assert {(one.outcome, one.attempts) for one in told} == {("sent", 1)}


def test_one_that_hangs_holds_up_no_other(receiver: Receiver, running: Callable[..., Sender]) -> None:
    hangs = Receiver()
    hangs.server.begin()
    hangs.hold.clear()
    try:
        sender = running(hangs.url, receiver.url)
        for number in range(20):
            sender.put(alert(number))
        until(lambda: len(receiver.got) == 20)
        assert hangs.got == []
    finally:
        hangs.hold.set()
        end(sender)
        hangs.server.end()


def test_what_lasts_is_sent_when_its_receiver_is_there_again_however_long_that_takes(
    receiver: Receiver, running: Callable[..., Sender]
) -> None:
    told: list[AlertSent] = []
    receiver.answers = [503] * 7
    sender = running(receiver.url, tell=told.append)
    sender.put(alert(1))
    sender.put(alert(2, "the disk is full"))
    until(lambda: len(told) == 2)
    assert {(one.raised_at_us, one.outcome) for one in told} == {(1, "sent"), (2, "sent")}
    assert {one["message"] for one in receiver.got} == {"helius is waiting", "the disk is full"}


def test_what_is_over_before_it_was_delivered_is_one_message(receiver: Receiver, running: Callable[..., Sender]) -> None:
    told: list[AlertSent] = []
    receiver.answers = [503] * 3
    sender = running(receiver.url, tell=told.append)
    sender.put(alert(1))
    sender.put(AlertResolved(rule="feed down", subject="helius", raised_at_us=1, resolved_at_us=9, text="over: feed down"))
    sender.put(alert(2, "the next"))
    until(lambda: len(told) == 2)
    assert [one["message"] for one in receiver.got] == ["helius is waiting; over: feed down", "the next"]


def test_a_url_that_is_none_costs_no_other(receiver: Receiver, running: Callable[..., Sender]) -> None:
    told: list[AlertSent] = []
    running("nosuch://very-secret/token", receiver.url, tell=told.append).put(alert())
    until(lambda: told)
    assert told[0].outcome == "sent"
    with pytest.raises(NoSender):
        Sender(["nosuch://very-secret/token"], tell=told.append)


def test_putting_never_waits_and_what_is_too_much_is_marked_failed(receiver: Receiver, running: Callable[..., Sender]) -> None:
    receiver.hold.clear()
    told: list[AlertSent] = []
    sender = running(receiver.url, tell=told.append)
    began = time.monotonic()
    for number in range(MOST_WAITING + 50):
        sender.put(alert(number))
    assert time.monotonic() - began < 5
    assert sender.left_out >= 49
    assert len(told) == sender.left_out
    assert {one.outcome for one in told} == {"failed"}
    receiver.hold.set()


def test_a_stop_ends_the_waits_between_tries_and_nothing_stays_pending() -> None:
    told: list[AlertSent] = []
    sender = Sender(["json://127.0.0.1:9/gone"], tell=told.append, first_wait_seconds=60)
    [receiver] = sender.receivers
    receiver.start()
    sender.put(alert(1))
    sender.put(alert(2))
    until(lambda: receiver.outbox.failures)  # it waits for its second try
    end(sender)
    assert [(one.raised_at_us, one.outcome) for one in told] == [(1, "failed"), (2, "failed")]


def test_the_row_of_an_alert_is_told_before_what_became_of_it(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(tmp_path / "record.db", origin="simulator").close()
    told: list[Event] = []

    def tell(*events: Event) -> bool:
        told.extend(events)
        return True

    alerts = Alerts(AlertsSettings(urls=(receiver.url,)), database=tmp_path / "record.db", tell=tell)
    assert alerts.sender is not None
    [one], put = alerts.sender.receivers, alerts.sender.put

    def put_and_send(alert: AlertRaised) -> None:
        put(alert)
        assert one.turn()

    monkeypatch.setattr(alerts.sender, "put", put_and_send)  # sent before anything else can happen
    alerts.take(quiet(alarm="changed"))
    alerts.turn(1000.0, 1000.0)
    assert [type(event).__name__ for event in told] == ["AlertRaised", "AlertSent"]


def test_what_an_earlier_run_could_not_send_is_sent_by_this_one_with_its_end(tmp_path: Path, receiver: Receiver) -> None:
    open_before = AlertRow(
        *("worker ended", "", "critical", False, 7, None, "the worker has ended: refused", None, None, None, None, "failed", 5)
    )
    reached = msgspec.structs.replace(open_before, rule="disk", text="make room", sent="sent")
    told: list[Event] = []

    def tell(*events: Event) -> bool:
        told.extend(events)
        return True

    settings = AlertsSettings(urls=(receiver.url,))
    alerts = Alerts(settings, database=tmp_path / "record.db", tell=tell, adopted=[open_before, reached])
    assert alerts.sender is not None
    alerts.take(quiet(shed=("raw",)))
    alerts.turn(1000.0, 61.0)
    alerts.sender.receivers[0].start()
    until(lambda: receiver.got)
    end(alerts.sender)
    messages = "; ".join(got["message"] for got in receiver.got)
    assert messages == "the worker has ended: refused; over: worker ended, after 61 s"
    kinds = [(type(event).__name__, event.rule) for event in told]  # type: ignore[union-attr]
    assert kinds == [("AlertResolved", "worker ended"), ("AlertSent", "worker ended")]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("@everyone <@123> @here", "everyone 123 here"),
        ("**bold** [click](https://evil.example/x) `code`", "bold clickhttps //evil dot example/x code"),
        ("<script>alert(1)</script> &amp;", "scriptalert1/script amp;"),
        ("win at evil.example now", "win at evil dot example now"),
        ("1.5 SOL in CAT.", "1.5 SOL in CAT."),
        ("\u202egnp\x1b[2J\nsecond line", "u202egnpx1b2Jnsecond line"),
    ],
)
def test_nothing_in_a_text_is_obeyed_by_a_chat(text: str, sent: str) -> None:
    assert plain(text) == sent


def test_a_url_that_is_none_is_said_without_itself() -> None:
    with pytest.raises(NoSender) as caught:
        senders(["json://127.0.0.1/ok", "nosuch://very-secret/token"])
    assert "alert URL 2 (nosuch://...)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_urls_are_secrets_in_all_their_parts(tmp_path: Path) -> None:
    url = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
    settings = load(config=None, environ={"PUMPWATCH_ALERTS_URLS": url}, directory=tmp_path)
    assert settings.alerts.urls == (url,)
    set_up_logging(level="WARNING", log_file=None, secrets=settings.secrets)
    try:
        hidden = redact(f"{url} https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js failed for 4174216298")
        assert "4174216298" not in hidden
        assert "JHMHI8qBe7bk2ZwO5U711o3dV_js" not in hidden
    finally:
        set_up_logging(level="WARNING", log_file=None, secrets=())
    (tmp_path / "pumpwatch.ini").write_text(f"[alerts]\nurls = {url}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(config=None, environ={}, directory=tmp_path)
    assert "PUMPWATCH_ALERTS_URLS" in str(caught.value)
    assert "4174216298" not in str(caught.value)


def test_judging_goes_on_while_nobody_can_be_reached(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hold.clear()
    Store.open(tmp_path / "record.db", origin="simulator").close()
    told: list[Event] = []
    room = [False]

    def tell(*events: Event) -> bool:
        told.extend(events if room[0] else ())
        return room[0]

    alerts = Alerts(AlertsSettings(urls=(receiver.url,)), database=tmp_path / "record.db", tell=tell)
    assert alerts.sender is not None
    alerts.sender.receivers[0].start()
    try:
        for number in range(3):
            alerts.take(quiet(alarm="changed" if number % 2 else None, shed=() if number else ("raw",)))
            alerts.turn(1000.0 + number, 1000.0 + number)
        assert told == [], "there is no room for rows either"
        room[0] = True
        alerts.turn(1010.0, 1010.0)
        kinds = [(type(event).__name__, event.rule) for event in told]  # type: ignore[union-attr]
        assert kinds == [
            ("AlertRaised", "disk"),
            ("AlertRaised", "programs changed"),
            ("AlertResolved", "disk"),
            ("AlertResolved", "programs changed"),
        ]
        assert told[0].to_send  # type: ignore[union-attr]
    finally:
        receiver.hold.set()
        end(alerts.sender)
