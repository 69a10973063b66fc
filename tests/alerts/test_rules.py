"""What the measurements say that somebody should hear of: when it is raised, and when it is over."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from alert_samples import feed, quiet
from msgspec.structs import replace

from pumpwatch.alerts.book import Book, Rationing
from pumpwatch.alerts.rules import Rules
from pumpwatch.config import AlertsSettings
from pumpwatch.events import AlertRaised, AlertResolved
from pumpwatch.vitals import ProviderCost, Vitals

_US = 1_000_000


class Judge:
    """Rules and book together, one look every two seconds."""

    def __init__(self, **settings: object) -> None:
        made = AlertsSettings(**settings)  # type: ignore[arg-type]
        self._rules = Rules(made)
        self._book = Book(cooldown_seconds=made.cooldown_minutes * 60)
        self.now = 1000.0

    def look(self, measured: Vitals, seconds: float = 2.0) -> tuple[list[str], list[str]]:
        self.now += seconds
        raised, resolved = self._book.update(self._rules.judge(measured, self.now), now=self.now, now_us=int(self.now * _US))
        return [f"{one.rule} {one.subject}".strip() for one in raised], [one.rule for one in resolved]

    def over(self, measured: Vitals, seconds: float) -> tuple[list[str], list[str]]:
        """Look for so long at the same."""
        raised: list[str] = []
        resolved: list[str] = []
        for _ in range(int(seconds / 2)):
            some, others = self.look(measured)
            raised += some
            resolved += others
        return raised, resolved


def test_nothing_is_said_of_a_healthy_worker() -> None:
    judge = Judge()
    messages = 0
    for _ in range(2000):
        messages += 5
        assert judge.look(quiet(feeds=(feed(data=messages),))) == ([], [])


def test_a_feed_that_stays_away_is_told_once_and_its_return_too() -> None:
    judge = Judge(feed_down_seconds=60.0, silent_seconds=0.0)
    down = quiet(feeds=(feed(state="waiting", reason="the server is gone"),))
    assert judge.over(down, 58) == ([], []), "what ends by itself soon is none"
    assert judge.over(down, 600) == (["feed down helius"], [])
    assert judge.over(quiet(feeds=(feed(),)), 4) == ([], []), "it may be thrown out again at once"
    assert judge.over(quiet(feeds=(feed(),)), 4) == ([], ["feed down"])
    assert judge.over(down, 600) == ([], []), "the same again waits for the cool-down"


def test_what_was_resolved_is_raised_again_after_its_cool_down() -> None:
    judge = Judge(cooldown_minutes=5.0)
    trouble = quiet(database_trouble="locked")
    assert judge.over(trouble, 30)[0] == ["database"]
    judge.look(quiet())
    judge.over(quiet(), 310)
    assert judge.over(trouble, 30)[0] == ["database"]


@pytest.mark.parametrize(
    ("state", "rule"), [("refused", "key refused"), ("banned?", "key refused"), ("exhausted", "plan exhausted")]
)
def test_what_a_person_must_end_is_told_at_once(state: str, rule: str) -> None:
    judge = Judge(silent_seconds=0.0)
    assert judge.look(quiet(feeds=(feed(state=state),))) == ([f"{rule} helius"], [])
    assert judge.over(quiet(feeds=(feed(state=state),)), 600) == ([], []), "and not also as down"


def test_one_outage_is_told_once_however_often_it_is_tried_again() -> None:
    judge = Judge(silent_seconds=0.0, feed_down_seconds=60.0, cooldown_minutes=0.0)
    told: list[str] = []
    over: list[str] = []
    for state, seconds in [("waiting", 90), ("banned?", 60), *[("connecting", 20), ("connected", 2), ("banned?", 600)] * 5]:
        raised, resolved = judge.over(quiet(feeds=(feed(state=state),)), seconds)
        told += raised
        over += resolved
    assert (told, over) == (["feed down helius", "key refused helius"], [])
    assert judge.over(quiet(feeds=(feed(),)), 60) == ([], ["feed down", "key refused"])


def test_who_waits_before_a_refused_key_is_refused_and_not_down() -> None:
    judge = Judge(silent_seconds=0.0, feed_down_seconds=60.0)
    told = [judge.over(quiet(feeds=(feed(state=state),)), 40)[0] for state in ("connecting", "refused", "waiting", "waiting")]
    assert told == [[], ["key refused helius"], [], []]


def test_being_back_for_a_moment_does_not_make_a_short_outage_long() -> None:
    judge = Judge(silent_seconds=0.0, feed_down_seconds=6.0)
    assert judge.over(quiet(feeds=(feed(state="waiting"),)), 4) == ([], [])
    assert judge.over(quiet(feeds=(feed(),)), 60) == ([], [])


def test_silence_is_measured_on_messages_not_on_clocks() -> None:
    judge = Judge(silent_seconds=180.0, feed_down_seconds=0.0)
    silent = quiet(feeds=(feed(data=7),))
    assert judge.over(silent, 178) == ([], [])
    assert judge.over(replace(silent, at=10**9), 10) == (["silent feed helius"], []), "whatever the time of day is"
    assert judge.look(quiet(feeds=(feed(data=8),))) == ([], ["silent feed"])


def test_a_feed_that_flaps_is_told() -> None:
    judge = Judge(feed_drops_per_hour=12, silent_seconds=0.0)
    judge.look(quiet(feeds=(feed(drops=100),)))
    for drops in range(101, 112):
        assert judge.over(quiet(feeds=(feed(drops=drops),)), 240) == ([], [])
    assert judge.look(quiet(feeds=(feed(drops=112),)))[0] == ["feed flapping helius"]
    assert judge.over(quiet(feeds=(feed(drops=112),)), 3700)[1] == ["feed flapping"], "an hour later it is over"


def test_what_cannot_be_read_counts_by_the_minute() -> None:
    judge = Judge(errors_per_minute=20)
    judge.look(quiet(unread_total={"not json": 1000}))
    assert judge.over(quiet(unread_total={"not json": 1019}), 20) == ([], [])
    assert judge.look(quiet(unread_total={"not json": 1020})) == (["unreadable messages"], [])
    assert judge.over(quiet(unread_total={"not json": 1020}), 120)[1] == ["unreadable messages"]


def test_a_clock_that_jumps_for_a_moment_raises_nothing() -> None:
    judge = Judge(lag_seconds=60.0, holes_minutes=15.0)
    for lag in (1.0, 3600.0, 3600.0, 1.0, -3600.0, 1.0):
        assert judge.look(quiet(lag_seconds=lag, gaps_open={"break": 1}, gap_oldest_at=lag)) == ([], [])


def test_holes_that_last_are_told_and_those_that_come_and_go_are_not() -> None:
    judge = Judge(holes_minutes=15.0)
    for place in range(100):
        assert judge.over(quiet(gaps_open={"break": 2}, gap_oldest_at=float(place)), 60) == ([], [])
    lasting = quiet(gaps_open={"break": 2}, gap_oldest_at=5.0)
    assert judge.over(lasting, 905)[0] == ["open holes"]
    assert judge.look(quiet()) == ([], ["open holes"])


def test_a_budget_is_told_at_four_fifths_and_at_its_end_once_each() -> None:
    def spent(amount: float) -> Vitals:
        cost = ProviderCost(provider="pumpportal", unit="SOL", period="day", spent=amount, limit=1.0, projected=None)
        return quiet(costs=(cost,))

    judge = Judge()
    assert judge.look(spent(0.79)) == ([], [])
    assert judge.look(spent(0.8)) == (["budget 80 % pumpportal"], [])
    assert judge.over(spent(0.9), 60) == ([], [])
    assert judge.look(spent(1.0)) == (["budget 100 % pumpportal"], [])
    assert sorted(judge.look(spent(0.0))[1]) == ["budget 100 %", "budget 80 %"], "the next day"


def test_the_share_that_watching_may_use_is_the_end_of_watching() -> None:
    cost = ProviderCost(provider="helius", unit="credits", period="month", spent=800.0, limit=1000.0, projected=None)
    [condition] = [one for one in Rules(AlertsSettings()).judge(quiet(costs=(cost,)), 1.0) if one.subject == "helius"]
    assert (condition.rule, condition.severity) == ("budget 80 %", "critical")
    assert "watching ends until next month" in condition.text


def test_disk_programs_and_backfill() -> None:
    judge = Judge(disk_free_gb=2.0)
    assert judge.over(quiet(disk_free_bytes=10**9), 20)[0] == ["disk"]
    judge = Judge()
    assert judge.look(quiet(shed=("raw",)))[0] == ["disk"]
    assert judge.look(quiet(alarm="the programs have changed"))[0] == ["programs changed"]
    assert judge.over(quiet(backfill_state="exhausted"), 70)[0] == ["backfill"]
    assert judge.over(quiet(backfill_state="waiting"), 70)[0] == []


def test_every_rule_can_be_switched_off() -> None:
    judge = Judge(
        feed_down_seconds=0.0,
        feed_drops_per_hour=0,
        silent_seconds=0.0,
        errors_per_minute=0,
        lag_seconds=0.0,
        holes_minutes=0.0,
        disk_free_gb=0.0,
    )
    worst = quiet(
        feeds=(feed(state="waiting", drops=10**6),),
        unread_total={"x": 10**6},
        lag_seconds=10.0**6,
        spilled=5,
        gaps_open={"break": 9},
        gap_oldest_at=1.0,
        disk_free_bytes=0,
    )
    assert judge.over(worst, 7200) == ([], [])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_alert_is_raised_once_and_then_resolved_once(seed: int) -> None:
    chance = random.Random(seed)
    rules, book = Rules(AlertsSettings(cooldown_minutes=1.0)), Book(cooldown_seconds=60)
    open_now: set[tuple[str, str]] = set()

    def story() -> Iterator[Vitals]:
        for _ in range(400):
            yield quiet(
                feeds=tuple(
                    feed(name, chance.choice(["connected", "waiting", "refused", "exhausted"]), data=chance.randrange(3))
                    for name in ("pumpportal", "helius")
                ),
                database_trouble=chance.choice([None, "locked"]),
                alarm=chance.choice([None, "changed"]),
                gaps_open=chance.choice([{}, {"break": 1}]),
                gap_oldest_at=chance.choice([None, 1.0]),
            )

    now = 0.0
    for measured in story():
        now += chance.choice([2.0, 30.0])
        raised, resolved = book.update(rules.judge(measured, now), now=now, now_us=int(now * _US))
        for over in resolved:
            open_now.remove((over.rule, over.subject))
            assert over.resolved_at_us >= over.raised_at_us
        for alert in raised:
            assert (alert.rule, alert.subject) not in open_now
            open_now.add((alert.rule, alert.subject))
    assert isinstance(raised, list)


def test_alerts_that_an_earlier_run_left_open_are_taken_up() -> None:
    book = Book(cooldown_seconds=60, adopted=[("feed down", "helius", 5), ("database", "", 6)])
    rules = Rules(AlertsSettings(silent_seconds=0.0))
    down = quiet(feeds=(feed(state="connecting"),))

    raised, resolved = book.update(rules.judge(down, 101.0), now=101.0, now_us=7)

    assert raised == []
    assert [(over.rule, over.raised_at_us) for over in resolved] == [("database", 6)]
    for at in (102.0, 108.0):
        up = book.update(rules.judge(quiet(feeds=(feed(),)), at), now=at, now_us=8)
    assert [(over.rule, over.raised_at_us) for over in up[1]] == [("feed down", 5)]


def test_what_an_earlier_run_left_open_is_not_over_before_it_can_be_judged() -> None:
    day_us = 86_400 * _US
    adopted = [("open holes", "", 0), ("key refused", "helius", 0), ("feed flapping", "helius", 0)]
    judge = Judge(silent_seconds=0.0)
    judge._book = Book(cooldown_seconds=0, adopted=adopted)
    judge.now = day_us / _US
    holes = {"gaps_open": {"restart": 3}, "gap_oldest_at": 5.0}
    assert judge.over(quiet(feeds=(feed(state="connecting"),), **holes), 20) == ([], [])
    assert judge.over(quiet(feeds=(feed(state="refused"),), **holes), 2400) == ([], []), "all of it goes on"
    raised, resolved = judge.over(quiet(feeds=(feed(data=1),)), 3600)
    assert (raised, sorted(resolved)) == ([], ["feed flapping", "key refused", "open holes"])


def test_a_silence_that_an_earlier_run_has_told_is_over_with_the_first_data() -> None:
    judge = Judge(silent_seconds=180.0)
    judge._book = Book(cooldown_seconds=0, adopted=[("silent feed", "helius", 0)])
    assert judge.over(quiet(feeds=(feed(data=3),)), 600) == ([], [])
    assert judge.look(quiet(feeds=(feed(data=4),))) == ([], ["silent feed"])


def test_how_long_it_lasted_counts_from_when_it_was_raised_whoever_raised_it() -> None:
    book = Book(cooldown_seconds=60, adopted=[("database", "", 0)])
    [over] = book.update([], now=5.0, now_us=7200 * _US)[1]
    assert over.text == "over: database, after 2.0 hours"


def test_answers_to_what_was_asked_are_no_data() -> None:
    judge = Judge(silent_seconds=180.0, feed_drops_per_hour=0)
    mute = feed(data=7)
    raised = []
    for _ in range(4):
        raised += judge.over(quiet(feeds=(replace(mute, messages_total=judge.now),)), 74)[0]
        raised += judge.over(quiet(feeds=(replace(mute, state="waiting"),)), 30)[0]
    assert raised == ["silent feed helius"]


def test_a_feed_that_is_connected_and_lacks_something_is_told_when_that_lasts() -> None:
    judge = Judge(silent_seconds=0.0)
    lacks = quiet(feeds=(feed(reason="delivers nothing of 3 tokens: limit"),))
    assert judge.over(lacks, 290) == ([], [])
    assert judge.over(lacks, 600) == (["feed impaired helius"], [])
    assert judge.look(quiet(feeds=(feed(),))) == ([], ["feed impaired"])


def test_market_alerts_are_rationed_and_what_was_left_out_is_said() -> None:
    def alert(number: int) -> AlertRaised:
        return AlertRaised(rule="large trade", subject="m", severity="info", raised_at_us=number, text="a trade", is_market=True)

    rationing = Rationing(2)
    told = [rationing.admit(alert(number), now=float(number)) for number in range(5)]
    assert [one is not None for one in told] == [True, True, False, False, False]
    late = rationing.admit(alert(9), now=3601.0)
    assert late is not None
    assert "3 market alerts were left out" in late.text


def test_a_resolved_alert_says_how_long_it_lasted() -> None:
    book = Book(cooldown_seconds=0)
    rules = Rules(AlertsSettings())
    book.update(rules.judge(quiet(alarm="changed"), 0.0), now=0.0, now_us=0)
    _, [over] = book.update([], now=600.0, now_us=600 * _US)
    assert isinstance(over, AlertResolved)
    assert over.text == "over: programs changed, after 10 minutes"
