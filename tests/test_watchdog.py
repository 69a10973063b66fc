"""What ends a process in which something hangs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from loguru import logger

from pumpwatch.threads import Pulse, WorkerThread, alive
from pumpwatch.watchdog import EXIT_STATUS, Watchdog, stacks


def watchdog(*pulses: Pulse, stuck: list[str], ended: list[int] | None = None, well: list[int] | None = None) -> Watchdog:
    return Watchdog(
        lambda: pulses,
        stuck_after_seconds=10,
        on_stuck=stuck.append,
        alive=lambda: (well if well is not None else []).append(1),
        end=(ended if ended is not None else []).append,
    )


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_a_loop_that_turns_is_never_stuck_and_one_that_does_not_is_after_its_time() -> None:
    turning, hanging = Pulse("writer"), Pulse("watchlist")
    well: list[int] = []
    dog = watchdog(turning, hanging, stuck=[], well=well)
    began = time.monotonic()
    for second in range(1, 10):
        turning.alive_until = began + second
        assert dog.look(began + second) is None
    assert len(well) == 9

    turning.alive_until = began + 11
    found = dog.look(began + 11)

    assert found is not None
    assert found.startswith("watchlist: its loop has not turned for 11 s")
    assert "writer" not in found
    assert len(well) == 9, "who watches from outside is not told that all is well"


def test_a_wait_that_was_announced_is_not_held_against_a_loop() -> None:
    waiting = Pulse("helius feed")
    dog = watchdog(waiting, stuck=[])
    waiting.beat(3600)
    began = time.monotonic()

    assert all(dog.look(began + second) is None for second in range(0, 3609, 4))
    assert any(dog.look(began + second) is not None for second in range(3609, 3615, 4))


def test_the_time_in_which_the_machine_slept_is_nobodys(said: list[str]) -> None:
    pulse = Pulse("writer")
    dog = watchdog(pulse, stuck=[])
    began = time.monotonic()
    assert dog.look(began + 1) is None

    assert dog.look(began + 5000) is None, "the first look after the sleep"
    assert all(dog.look(began + 5000 + second) is None for second in range(1, 10))
    assert dog.look(began + 5011) is not None, "it has had its time since"
    assert any("stood still for 4999 s" in line for line in said)


def test_the_end_says_what_hangs_with_all_stacks_and_tells_who_must_know(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.watchdog._LAST_WORDS_SECONDS", 1.0)
    hanging = Pulse("writer")
    stuck: list[str] = []
    ended: list[int] = []
    hanging.alive_until -= 100
    dog = watchdog(hanging, stuck=stuck, ended=ended)
    dog._fair_since -= 100
    dog._looked_at = time.monotonic()
    dog.start()
    dog.join(10)

    assert set(ended) == {EXIT_STATUS}
    assert len(stuck) == 1
    assert stuck[0].startswith("writer: its loop has not turned for 10")
    assert any("stuck: writer" in line for line in said)
    assert any("thread MainThread" in line for line in said)
    assert any("test_watchdog.py" in line for line in said), "this very function, in its stack"


def test_last_words_that_hang_do_not_keep_the_process() -> None:
    script = f"""
import sys, threading, time
sys.path.insert(0, {str(__import__("pathlib").Path(__file__).resolve().parents[1])!r})
import pumpwatch.watchdog as watchdog
from pumpwatch.threads import Pulse
watchdog._LAST_WORDS_SECONDS = 0.5
pulse = Pulse("writer")
dog = watchdog.Watchdog(lambda: [pulse], stuck_after_seconds=0.1, on_stuck=lambda _: time.sleep(1000))
dog.start()
time.sleep(1000)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=50)

    assert done.returncode == EXIT_STATUS
    assert time.monotonic() - began < 40


def test_a_pulse_is_that_of_the_thread_that_calls() -> None:
    class Deep(WorkerThread):
        def work(self) -> None:
            alive(100)
            self.stopping.wait(10)

    thread = Deep("deep")
    alive(5)  # this thread has no pulse: nothing happens
    thread.start()
    deadline = time.monotonic() + 10
    while thread.pulse.alive_until < time.monotonic() + 50 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert thread.pulse.alive_until > time.monotonic() + 50
    thread.stop()
    thread.join(10)


def test_stacks_name_each_thread_and_hold_no_value_of_a_variable() -> None:
    secret = "-".join(["very", "secret"])
    found = dict(stacks())

    assert f"thread {threading.current_thread().name}" in found
    assert secret not in str(found)
