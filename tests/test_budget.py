"""Promises of the budget: counts survive, limits hold and are said once, the month is paced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
from loguru import logger

from pumpwatch.budget import BYTES_PER_CREDIT, GUESSED_BYTES_PER_TOKEN_HOUR, HELIUS, PUMPPORTAL, Budget
from pumpwatch.events import Usage


class Clock:
    """A unix clock that a test moves."""

    def __init__(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-11-01T00:00:00")


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="ERROR")
    yield lines
    logger.remove(sink)


def make(clock: Clock, **changes: Any) -> Budget:
    settings: dict[str, Any] = {"pumpportal_sol_per_day": 0.02, "helius_credits_per_month": 1_000_000, "metered": True}
    return Budget(**{**settings, **changes}, clock=clock)


def spend_credits(budget: Budget, credits_spent: int) -> None:
    budget.received(HELIUS, credits_spent * BYTES_PER_CREDIT)


def test_what_was_counted_is_handed_out_once_per_provider_and_day(clock: Clock) -> None:
    budget = make(clock)
    budget.connected(HELIUS)
    budget.received(HELIUS, 700)
    budget.received(HELIUS, 300)
    budget.received(PUMPPORTAL, 50, paid=True)
    clock.now += 86_400
    budget.received(PUMPPORTAL, 60)

    assert sorted(budget.drain(), key=lambda usage: (usage.provider, usage.day)) == [
        Usage(provider=HELIUS, day="2026-11-01", messages=2, received_bytes=1000, connections=1),
        Usage(provider=PUMPPORTAL, day="2026-11-01", messages=1, paid_messages=1, received_bytes=50),
        Usage(provider=PUMPPORTAL, day="2026-11-02", messages=1, received_bytes=60),
    ]
    assert budget.drain() == []


def test_what_could_not_be_recorded_is_given_again(clock: Clock) -> None:
    budget = make(clock)
    budget.received(HELIUS, 10)
    budget.give_back(budget.drain())
    budget.received(HELIUS, 5)

    assert budget.drain() == [Usage(provider=HELIUS, day="2026-11-01", messages=2, received_bytes=15)]


def test_threads_that_count_at_once_lose_nothing(clock: Clock) -> None:
    budget = make(clock)

    def count() -> None:
        for _ in range(5000):
            budget.received(HELIUS, 1)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert budget.drain() == [Usage(provider=HELIUS, day="2026-11-01", messages=20_000, received_bytes=20_000)]


def test_paid_trades_end_exactly_at_the_sol_of_the_day_and_begin_again_tomorrow(clock: Clock, said: list[str]) -> None:
    budget = make(clock, pumpportal_sol_per_day=0.0001)
    for _ in range(99):
        budget.received(PUMPPORTAL, 400, paid=True)
    assert budget.paid_allowed(PUMPPORTAL)
    budget.received(PUMPPORTAL, 400)
    assert budget.paid_allowed(PUMPPORTAL), "a free message costs nothing"
    budget.received(PUMPPORTAL, 400, paid=True)

    assert not budget.paid_allowed(PUMPPORTAL)
    assert not budget.paid_allowed(PUMPPORTAL)
    assert len(said) == 1, "said once"
    assert "0.0001 SOL" in said[0]

    clock.now += 86_400
    assert budget.paid_allowed(PUMPPORTAL)
    for _ in range(100):
        budget.received(PUMPPORTAL, 400, paid=True)
    assert not budget.paid_allowed(PUMPPORTAL)
    assert len(said) == 2, "said again when the limit is hit again"


@pytest.mark.parametrize(("sol", "messages"), [(0.02, 20_000), (0.07, 70_000), (0.000001, 1), (0.3, 300_000)])
def test_the_limit_in_messages_is_exact_whatever_the_float(clock: Clock, sol: float, messages: int) -> None:
    at_limit = [Usage(provider=PUMPPORTAL, day="2026-11-01", messages=messages, paid_messages=messages)]
    below = [Usage(provider=PUMPPORTAL, day="2026-11-01", messages=messages, paid_messages=messages - 1)]

    assert not make(clock, pumpportal_sol_per_day=sol, start=at_limit).paid_allowed(PUMPPORTAL)
    assert make(clock, pumpportal_sol_per_day=sol, start=below).paid_allowed(PUMPPORTAL)


def test_no_sol_means_no_paid_trade_at_all(clock: Clock) -> None:
    assert not make(clock, pumpportal_sol_per_day=0.0).paid_allowed(PUMPPORTAL)


def test_a_clock_set_back_and_forth_does_not_buy_the_day_twice(clock: Clock) -> None:
    budget = make(clock, pumpportal_sol_per_day=0.000001)
    budget.received(PUMPPORTAL, 400, paid=True)
    clock.now -= 3 * 86_400
    budget.received(PUMPPORTAL, 400)
    clock.now += 3 * 86_400

    assert not budget.paid_allowed(PUMPPORTAL)


def test_a_restart_continues_the_month_and_forgets_the_last_one(clock: Clock) -> None:
    clock.now += 10 * 86_400
    start = [
        Usage(provider=HELIUS, day="2026-11-03", messages=9, received_bytes=500_000 * BYTES_PER_CREDIT),
        Usage(provider=HELIUS, day="2026-11-10", messages=9, received_bytes=299_990 * BYTES_PER_CREDIT, connections=9),
        Usage(provider=HELIUS, day="2026-10-30", messages=9, received_bytes=700_000 * BYTES_PER_CREDIT),
    ]
    budget = make(clock, start=start)
    assert budget.paid_allowed(HELIUS)
    budget.connected(HELIUS)

    assert not budget.paid_allowed(HELIUS), "a connection is a credit, too"
    assert budget.drain() == [Usage(provider=HELIUS, day="2026-11-11", connections=1)], "the start values are not counted twice"


def test_a_fifth_of_the_month_is_held_back_for_repairs(clock: Clock, said: list[str]) -> None:
    budget = make(clock)
    spend_credits(budget, 799_999)
    assert budget.paid_allowed(HELIUS)
    spend_credits(budget, 1)

    assert not budget.paid_allowed(HELIUS)
    assert budget.watchable(clock.now) == 0
    assert len(said) == 1, "said once, whoever asks"
    assert "800,000 of 1,000,000" in said[0]

    clock.now = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert budget.paid_allowed(HELIUS)


@pytest.mark.parametrize("changes", [{"helius_credits_per_month": 0}, {"metered": False}])
def test_what_is_not_metered_is_not_limited(clock: Clock, changes: dict[str, Any]) -> None:
    budget = make(clock, **changes)
    spend_credits(budget, 50_000_000)

    assert budget.watchable(clock.now) is None
    assert budget.paid_allowed(HELIUS)
    assert "nothing is counted" in budget.projection(clock.now, paid_trades=False)[1]


def test_until_measured_the_published_cost_of_new_tokens_decides(clock: Clock) -> None:
    assert pytest.approx(2_000_000, rel=0.001) == 17 * 730 * GUESSED_BYTES_PER_TOKEN_HOUR / BYTES_PER_CREDIT
    assert make(clock).watchable(clock.now) == 6
    assert make(clock, helius_credits_per_month=10_000_000).watchable(clock.now) == 68
    assert make(clock, helius_credits_per_month=10_000).watchable(clock.now) == 0


def test_quiet_tokens_make_room_for_more_and_busy_ones_for_fewer(clock: Clock) -> None:
    quiet, busy = make(clock), make(clock)
    for budget, per_second in ((quiet, 500), (busy, 50_000)):
        budget.watching(6)
        for _ in range(240):
            clock.now += 60
            budget.received(HELIUS, per_second * 60)
            budget.watchable(clock.now)
        clock.now -= 240 * 60

    clock.now += 240 * 60
    assert (quiet.watchable(clock.now) or 0) > 20
    assert (busy.watchable(clock.now) or 0) < 3


def test_a_month_run_ahead_of_its_pace_slows_down_and_never_catches_up_faster(clock: Clock) -> None:
    clock.now += 15 * 86_400
    ahead = Usage(provider=HELIUS, day="2026-11-02", received_bytes=600_000 * BYTES_PER_CREDIT)

    assert make(clock, start=[ahead]).watchable(clock.now) == 3
    assert make(clock).watchable(clock.now) == 6, "half a month unspent does not double the pace"


def test_the_pace_followed_for_a_month_stays_within_the_share(clock: Clock) -> None:
    budget = make(clock)
    for _hour in range(30 * 24 - 1):
        tokens = budget.watchable(clock.now) or 0
        budget.watching(tokens)
        clock.now += 3600
        budget.received(HELIUS, tokens * 11_000_000 + 1_000_000)

    assert budget.paid_allowed(HELIUS)
    total = sum(usage.received_bytes for usage in budget.drain()) / BYTES_PER_CREDIT
    assert 600_000 < total <= 800_000


def test_calls_are_counted_with_what_they_cost_and_handed_out(clock: Clock) -> None:
    budget = make(clock)
    budget.called(HELIUS, "getTransaction", 3)
    budget.called(HELIUS, "getSignaturesForAddress", 1)
    budget.called(HELIUS, "getTransactionsForAddress")
    budget.called(HELIUS, "getMultipleAccounts", 2)
    budget.called("public", "getTransaction", 5)

    handed_out = {usage.provider: usage for usage in budget.drain()}
    assert handed_out == {
        HELIUS: Usage(provider=HELIUS, day="2026-11-01", calls=7, call_credits=30 + 10 + 100 + 2),
        "public": Usage(provider="public", day="2026-11-01", calls=5),
    }
    budget.give_back(handed_out.values())
    assert {usage.provider: usage for usage in budget.drain()} == handed_out


@pytest.mark.parametrize("changes", [{"helius_credits_per_month": 0}, {"metered": False}])
def test_calls_that_nobody_charges_for_cost_nothing_and_have_no_end(clock: Clock, changes: dict[str, Any]) -> None:
    budget = make(clock, **changes)
    budget.called(HELIUS, "getTransaction", 1_000_000)

    assert budget.repairs_allowed(HELIUS)
    assert budget.repair_credits_per_hour(clock.now) is None
    assert [usage.call_credits for usage in budget.drain()] == [0]


def test_repairs_go_on_after_watching_until_the_whole_month_is_spent(clock: Clock, said: list[str]) -> None:
    start = [Usage(provider=HELIUS, day="2026-11-01", received_bytes=800_000 * BYTES_PER_CREDIT, call_credits=199_990, calls=9)]
    budget = make(clock, start=start)
    assert not budget.paid_allowed(HELIUS)
    assert budget.repairs_allowed(HELIUS)
    budget.called(HELIUS, "getTransaction")

    assert not budget.repairs_allowed(HELIUS)
    assert not budget.repairs_allowed(HELIUS)
    assert budget.repairs_allowed("public"), "which charges nothing"
    assert len([line for line in said if "gaps stay open" in line]) == 1

    clock.now = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert budget.repairs_allowed(HELIUS)


def test_calls_take_from_the_share_for_watching_only_beyond_their_own(clock: Clock) -> None:
    budget = make(clock)
    spend_credits(budget, 799_999)
    budget.called(HELIUS, "getMultipleAccounts", 200_000)
    assert budget.paid_allowed(HELIUS)
    budget.called(HELIUS, "getMultipleAccounts", 1)

    assert not budget.paid_allowed(HELIUS)


def test_the_credits_for_repairs_are_spread_over_the_rest_of_the_month(clock: Clock) -> None:
    budget = make(clock)
    assert budget.repair_credits_per_hour(clock.now) == pytest.approx(200_000 / 720)
    budget.called(HELIUS, "getTransaction", 10_000)
    clock.now += 15 * 86_400
    assert budget.repair_credits_per_hour(clock.now) == pytest.approx(100_000 / 360)
    budget.called(HELIUS, "getTransaction", 20_000)
    assert budget.repair_credits_per_hour(clock.now) == 0


def test_the_projected_cost_is_said_in_one_sentence_each(clock: Clock) -> None:
    used = [Usage(provider=PUMPPORTAL, day="2026-11-01", paid_messages=5000)]
    budget = make(clock, start=used)

    free, helius = budget.projection(clock.now, paid_trades=False)
    assert free == "PumpPortal: free (new tokens and migrations only)"
    assert helius == (
        "Helius: 6 tokens at 8.1 MB an hour each (a first guess) are about 720,482 credits a month; "
        "at most 800,000 of 1,000,000 go to watching, the rest to repairs (10 for a transaction), 0 spent this month"
    )
    paid, _ = budget.projection(clock.now, tokens=3, paid_trades=True)
    assert paid.endswith("at most 0.02 SOL a UTC day, 0.005 SOL spent today")


# What it has cost, and will


def at_half_past_ten(**changes: Any) -> tuple[Clock, Budget]:
    clock = Clock("2026-11-21T10:30:00")
    return clock, make(clock, **changes)


def test_costs_are_of_the_day_in_sol_and_of_the_month_in_credits_with_their_parts() -> None:
    start = [
        Usage(provider=PUMPPORTAL, day="2026-11-20", messages=9000, paid_messages=9000),
        Usage(provider=PUMPPORTAL, day="2026-11-21", messages=3000, paid_messages=2000),
        Usage(provider=HELIUS, day="2026-11-02", received_bytes=10_000 * BYTES_PER_CREDIT, connections=7, call_credits=500),
    ]
    clock, budget = at_half_past_ten(start=start)
    budget.received(PUMPPORTAL, 400, paid=True)
    budget.received(PUMPPORTAL, 400)
    budget.called(HELIUS, "getTransaction")

    portal, helius = budget.costs(clock.now)

    assert (portal.provider, portal.unit, portal.period) == ("pumpportal", "SOL", "day")
    assert (portal.spent, portal.limit, portal.projected) == (0.002001, 0.02, None)
    assert (portal.messages_total, portal.billed_messages_total) == (2, 1), "of this process"
    assert (helius.provider, helius.unit, helius.period) == ("helius", "credits", "month")
    assert (helius.spent, helius.limit) == (10_517, 1_000_000)
    assert helius.parts == {"streaming": 10_000, "connections": 7, "calls": 510}
    assert sum(helius.parts.values()) == helius.spent


def test_the_projection_follows_the_pace_of_the_last_hour_to_the_end_of_the_period() -> None:
    clock, budget = at_half_past_ten()
    budget.costs(clock.now)
    for _minute in range(180):
        clock.now += 60
        is_busy = clock.now % 86_400 > 12.5 * 3600
        budget.received(HELIUS, (2 if is_busy else 30) * BYTES_PER_CREDIT)
        budget.received(PUMPPORTAL, 1, paid=is_busy)
        found = budget.costs(clock.now)

    portal, helius = found
    assert portal.projected == pytest.approx((60 + 10.5 * 60) / 1_000_000, rel=0.05), (
        "half past one: ten and a half hours are left"
    )
    assert helius.projected == pytest.approx(helius.spent + 2 * 60 * (10.5 + 9 * 24), rel=0.05), "and nine days of November"


def test_nothing_is_projected_from_less_than_a_minute_or_from_a_clock_that_was_set_back() -> None:
    clock, budget = at_half_past_ten()
    budget.costs(clock.now)
    budget.received(HELIUS, 1000 * BYTES_PER_CREDIT)
    clock.now += 59
    assert budget.costs(clock.now)[1].projected is None
    clock.now += 2
    assert (budget.costs(clock.now)[1].projected or 0) > 1000
    clock.now -= 3600
    assert budget.costs(clock.now)[1].projected is None


def test_what_is_not_charged_has_no_cost_and_no_limit() -> None:
    clock, budget = at_half_past_ten(metered=False, pumpportal_sol_per_day=0)
    spend_credits(budget, 1000)

    portal, helius = budget.costs(clock.now)
    assert (portal.spent, portal.limit) == (0, None)
    assert (helius.spent, helius.limit, helius.messages_total, helius.parts) == (0, None, 1, {})


def test_a_limit_is_said_to_be_nearly_spent_and_spent_once_in_its_period() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING", format="{level} {message}")
    try:
        clock, budget = at_half_past_ten(pumpportal_sol_per_day=0.0001)
        for _ in range(2):
            for messages in (79, 1, 19, 1, 5):
                for _ in range(messages):
                    budget.received(PUMPPORTAL, 1, paid=True)
                budget.costs(clock.now)
                budget.costs(clock.now)
            clock.now += 86_400
        spend_credits(budget, 800_000)
        budget.costs(clock.now)
        budget.called(HELIUS, "getTransaction", 20_000)
        budget.costs(clock.now)
        budget.costs(clock.now)
    finally:
        logger.remove(sink)

    said = [line.split(" are spent")[0].strip() for line in lines]
    assert said[:2] == [
        "WARNING budget: pumpportal: 0.00008 of 0.0001 SOL of this day (UTC)",
        "ERROR budget: PumpPortal's 0.0001 SOL of this UTC day",
    ]
    assert said[2:4] == said[:2], "again on the next day"
    assert said[4] == "WARNING budget: helius: 800,000 of 1,000,000 credits of this month (UTC)"
    assert len(said) == 7, "Helius' share for watching, and all of the month, beside"


def test_the_share_that_is_spent_is_known(clock: Clock) -> None:
    budget = make(clock)
    for _ in range(5000):
        budget.received(PUMPPORTAL, 1, paid=True)
    spend_credits(budget, 100_000)

    assert budget.spent_share(PUMPPORTAL) == 0.25
    assert budget.spent_share(HELIUS) == 0.1
    assert make(clock, pumpportal_sol_per_day=0).spent_share(PUMPPORTAL) == 1, "nothing may be spent"
    assert make(clock, metered=False).spent_share(HELIUS) == 0
