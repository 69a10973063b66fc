"""Lack of disk: what goes first, how fast, and that nothing flaps."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from pumpwatch.session_writer import Recording, SessionWriter
from pumpwatch.shedding import STEPS, Shedding, level

GB = 1_000_000_000


class Disk:
    """Four switches, and what was done with them."""

    def __init__(self, *steps: str, limit: int = GB) -> None:
        self.done: list[tuple[str, bool]] = []
        self.now = 0.0
        self.shedding = Shedding(limit, [(step, self._switch(step)) for step in steps or STEPS])

    def _switch(self, step: str) -> Callable[[bool], object]:
        return lambda is_off: self.done.append((step, is_off))

    def free(self, gigabytes: float | None, *, after: float = 1.0) -> tuple[str, ...]:
        self.now += after
        self.shedding.turn(self.now, None if gigabytes is None else int(gigabytes * GB))
        return self.shedding.shed


def test_one_step_after_the_other_while_the_disk_stays_short() -> None:
    disk = Disk()

    assert disk.free(1.0) == ()
    assert disk.free(0.99) == ("raw",)
    assert disk.free(0.98, after=59) == ("raw",), "it has a minute to help"
    assert disk.free(0.97) == ("raw", "metadata")
    assert disk.free(0.96, after=60) == ("raw", "metadata", "admissions")
    assert disk.free(0.95, after=60) == STEPS
    assert disk.free(0.94, after=600) == STEPS
    assert disk.done == [(step, True) for step in STEPS]


@pytest.mark.parametrize(("gigabytes", "taken"), [(0.8, 1), (0.74, 2), (0.49, 3), (0.24, 4), (0.0, 4)])
def test_a_disk_that_is_nearly_full_does_not_wait(gigabytes: float, taken: int) -> None:
    disk = Disk()
    assert disk.free(gigabytes) == STEPS[:taken]


def test_steps_are_taken_back_one_by_one_when_there_is_more_than_enough() -> None:
    disk = Disk()
    disk.free(0.4)

    assert disk.free(1.1, after=1000) == STEPS[:3], "not enough yet"
    assert disk.free(1.2, after=1000) == STEPS[:2]
    assert disk.free(50, after=59) == STEPS[:2]
    assert disk.free(50) == STEPS[:1]
    assert disk.free(50, after=60) == ()
    assert disk.done[3:] == [("admissions", False), ("metadata", False), ("raw", False)]


def test_a_disk_that_others_fill_and_empty_makes_nothing_flap() -> None:
    disk = Disk()
    for number in range(100):
        disk.free(0.99 if number % 2 else 1.1, after=0.5)
    assert disk.done == [("raw", True)]


def test_what_is_not_there_is_passed_over_and_an_unknown_disk_changes_nothing() -> None:
    disk = Disk("admissions", "unpinned")
    assert disk.free(0.9) == ("admissions",)
    assert disk.free(None) == ("admissions",)
    assert disk.free(0.49) == ("admissions", "unpinned")
    assert Disk(limit=0).free(0.0) == ()


def test_each_change_is_one_line_that_says_what_and_why() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="INFO", format="{level} {message}")
    try:
        disk = Disk()
        disk.free(0.6)
        disk.free(0.6)
        disk.free(2, after=60)
    finally:
        logger.remove(sink)

    free = "GB free where the database lies, [retention] min_free_gb is 1"
    assert lines == [
        f"ERROR disk: 0.60 {free}: raw messages are recorded no longer; make room\n",
        f"ERROR disk: 0.60 {free}: no files behind tokens' uris are fetched; make room\n",
        f"INFO disk: 2.00 {free}: files behind tokens' uris are fetched again\n",
    ]


@given(st.integers(0, 2 * GB), st.integers(0, 4), st.booleans())
def test_less_disk_never_gives_up_less(free: int, before: int, patient: bool) -> None:
    def taken(free_bytes: int) -> int:
        return level(free_bytes, limit_bytes=GB, steps=4, before=before, patient=patient)

    assert 0 <= taken(free) <= taken(free // 2) <= 4
    if free < GB:
        assert taken(free) >= before


def test_raw_messages_that_were_left_out_are_counted_in_the_file(tmp_path: Path) -> None:
    writer = SessionWriter(Recording(tmp_path, 10))
    writer.keep("helius", b"one", False, 1)
    writer.turn()
    writer.pause(True)
    for _ in range(3):
        writer.keep("helius", b"lost", False, 2)
    writer.turn()
    writer.pause(False)
    writer.keep("helius", b"two", False, 3)
    writer.stopping.set()
    writer.work()

    (path,) = tmp_path.glob("session_*.jsonl.gz")
    text = gzip.decompress(path.read_bytes()).decode()
    assert '"one"' in text
    assert "lost" not in text
    assert '"two"' in text
    assert (writer.written, writer.left_out) == (2, 3)
    assert "3" in text.splitlines()[1], "how many are missing here"
