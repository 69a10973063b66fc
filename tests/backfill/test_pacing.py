"""Promises of the pace: no window of the provider's, wherever it begins, holds more calls than allowed, and no rate is wasted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.backfill.pacing import Pace


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(("a", "b", "c")), st.integers(1, 10), st.sampled_from((0.0, 0.0, 0.1, 3.0))),
        min_size=1,
        max_size=60,
    )
)
def test_no_second_holds_more_calls_than_a_burst_and_the_rate(asked: list[tuple[str, int, float]]) -> None:
    pace = Pace(calls_per_second=10, calls_per_second_per_method=4)
    now, sent = 0.0, []
    for method, number, idle_seconds in asked:
        now += idle_seconds
        now += pace.reserve({method: number}, now)
        sent.append((now, method, number))

    for begin, method, burst in sent:
        within = [(one, number) for at, one, number in sent if begin < at <= begin + 1.0]
        assert sum(number for _, number in within[:-1]) <= 10 + burst
        of_method = [number for one, number in within if one == method]
        assert burst + sum(of_method[:-1]) <= max(4, burst)


def test_the_rate_is_used_evenly() -> None:
    pace = Pace(calls_per_second=10, calls_per_second_per_method=None)
    waits = [pace.reserve({"a": 1}, 5.0) for _ in range(20)]

    assert waits[0] == 0
    assert all(0.1 <= later - sooner < 0.11 for sooner, later in pairwise(waits))


def test_one_method_that_waits_keeps_no_other_from_its_turn() -> None:
    pace = Pace(calls_per_second=1000, calls_per_second_per_method=4)
    pace.reserve({"a": 4}, 0.0)

    assert pace.reserve({"a": 1}, 0.0) > 1.0
    assert pace.reserve({"b": 1}, 2.0) < 0.01


def test_an_idle_while_earns_no_burst() -> None:
    pace = Pace(calls_per_second=10, calls_per_second_per_method=None)
    pace.reserve({"a": 1}, 0.0)

    assert pace.reserve({"a": 10}, 100.0) == 0
    assert pace.reserve(Counter("ab"), 100.0) > 1.0


def test_without_limits_nothing_waits() -> None:
    pace = Pace(calls_per_second=None, calls_per_second_per_method=None)

    assert [pace.reserve({"a": 100}, 1.0) for _ in range(5)] == [0.0] * 5
