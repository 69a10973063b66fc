"""What waits for one receiver: in which order it is tried, and when it is of no use any more."""

from __future__ import annotations

import math

from msgspec.structs import replace

from pumpwatch.alerts.outbox import MOST_WAITING, Letter, Outbox
from pumpwatch.events import AlertRaised, AlertResolved

LASTING = AlertRaised(rule="disk", subject="", severity="critical", raised_at_us=1, text="the disk is full")
TRADE = replace(LASTING, rule="large trade", lasts=False, is_market=True, raised_at_us=2, text="a large trade")
OVER = AlertResolved(rule="disk", subject="", raised_at_us=1, resolved_at_us=5, text="over: disk")


def first(outbox: Outbox, now: float) -> Letter:
    found = outbox.first(now)
    assert found is not None
    return found


def test_a_receiver_in_trouble_is_tried_less_and_less_often_and_at_least_every_five_minutes() -> None:
    outbox, now, waits = Outbox(first_wait_seconds=2.0), 0.0, []
    outbox.put(LASTING, now)
    for _ in range(12):
        outbox.tried(first(outbox, now), now, is_sent=False)
        assert outbox.first(now) is None
        waits.append(outbox.due_in(now))
        now += waits[-1]
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    outbox.tried(first(outbox, now), now, is_sent=True)
    assert (len(outbox), outbox.failures, outbox.due_in(now)) == (0, 0, math.inf)


def test_what_lasts_stays_a_moment_of_the_market_does_not() -> None:
    outbox = Outbox(first_wait_seconds=2.0)
    outbox.put(LASTING, 0.0)
    outbox.put(TRADE, 0.0)
    assert outbox.take_old(599.0) == []
    assert [old.text for old in outbox.take_old(601.0)] == ["a large trade"]
    assert outbox.take_old(10**9) == []
    outbox.put(OVER, 10.0**9)
    assert [old.text for old in outbox.take_old(10**9 + 3601)] == ["the disk is full; over: disk"]


def test_an_end_is_told_by_itself_when_its_beginning_was_delivered() -> None:
    outbox = Outbox(first_wait_seconds=2.0)
    outbox.put(LASTING, 0.0)
    outbox.tried(first(outbox, 0.0), 0.0, is_sent=True)
    outbox.put(OVER, 1.0)
    assert (first(outbox, 1.0).text, first(outbox, 1.0).tells) == ("over: disk", False)


def test_a_letter_that_is_never_taken_lets_others_pass() -> None:
    outbox, now = Outbox(first_wait_seconds=1.0), 0.0
    outbox.put(LASTING, now)
    outbox.put(TRADE, now)
    tried = []
    for _ in range(6):
        tried.append(first(outbox, now).text)
        outbox.tried(first(outbox, now), now, is_sent=False)
        now += outbox.due_in(now)
    assert tried == ["the disk is full"] * 5 + ["a large trade"]


def test_what_is_new_is_tried_at_once_however_long_the_receiver_was_away() -> None:
    outbox, now = Outbox(first_wait_seconds=2.0), 0.0
    outbox.put(LASTING, now)
    for _ in range(12):
        outbox.tried(first(outbox, now), now, is_sent=False)
        now += outbox.due_in(now)
    outbox.tried(first(outbox, now), now, is_sent=False)
    outbox.put(TRADE, now + 1)
    assert first(outbox, now + 1).text == "a large trade"
    outbox.tried(first(outbox, now + 1), now + 1, is_sent=True)
    assert first(outbox, now + 1).text == "the disk is full"


def test_an_end_that_comes_while_its_beginning_is_on_its_way_is_told_by_itself() -> None:
    outbox = Outbox(first_wait_seconds=2.0)
    outbox.put(LASTING, 0.0)
    letter = first(outbox, 0.0)
    outbox.put(OVER, 0.5)
    outbox.tried(letter, 1.0, is_sent=True)
    assert (letter.text, first(outbox, 1.0).text) == ("the disk is full", "over: disk")


def test_it_holds_so_many_and_no_more() -> None:
    outbox = Outbox(first_wait_seconds=1.0)
    taken = [outbox.put(replace(TRADE, raised_at_us=number), 0.0) for number in range(MOST_WAITING + 5)]
    assert sum(taken) == len(outbox) == MOST_WAITING
