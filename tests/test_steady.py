"""Unix time that does not follow a clock that jumps, and believes one that was set."""

from __future__ import annotations

from pumpwatch.steady import SteadyClock


class Clocks:
    def __init__(self) -> None:
        self.wall_seconds = 1_790_000_000.0
        self.monotonic_seconds = 50.0
        self.steady = SteadyClock(lambda: self.wall_seconds, lambda: self.monotonic_seconds)

    def after(self, seconds: float, *, set_by: float = 0.0) -> float:
        self.wall_seconds += seconds + set_by
        self.monotonic_seconds += seconds
        return self.steady.time()


def test_it_is_the_time_of_the_system_also_when_that_is_corrected_gently() -> None:
    clocks = Clocks()
    for _ in range(1000):
        assert clocks.after(10.0, set_by=0.5) == clocks.wall_seconds
    assert clocks.steady.stepped_seconds == 0.0


def test_a_jump_of_moments_is_no_time_that_has_passed() -> None:
    for jump in (3600.0, -43_200.0):
        clocks = Clocks()
        before = clocks.after(1.0)
        assert clocks.after(1.0, set_by=jump) == before + 1
        assert clocks.after(1.5) == before + 2.5
        assert clocks.after(1.0, set_by=-jump) == before + 3.5 == clocks.wall_seconds
        assert clocks.steady.stepped_seconds == 0.0


def test_a_clock_that_stays_off_was_set_and_that_is_said_once() -> None:
    clocks = Clocks()
    before = clocks.after(1.0)
    assert clocks.after(0.25, set_by=3600.0) == before + 0.25
    assert clocks.after(59.0) == before + 59.25
    assert clocks.after(1.0) == clocks.wall_seconds == before + 3660.25
    assert clocks.steady.stepped_seconds == 3600.0
    assert clocks.after(1.0) == clocks.wall_seconds
    assert clocks.steady.stepped_seconds == 0.0
