"""In order, bounded, nothing lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pumpwatch.events import Counted, Delivery, GapOpened, Rejected
from pumpwatch.storage.intake import Intake

NOW_US = 1_790_000_000_000_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.intake._PATIENCE_SECONDS", 0)


@pytest.fixture
def spill_path(tmp_path: Path) -> Path:
    return tmp_path / "trades.db.spill"


def opened(path: Path, *, queue_size: int = 3, spill_bytes: int = 1_000_000) -> Intake:
    return Intake(path, queue_size=queue_size, spill_bytes=spill_bytes, now_us=NOW_US)


def numbered(number: int, raw: bytes = b"") -> Delivery:
    return Delivery(source="helius", received_at_us=number, events=(Counted(kind=f"{number}"),), raw=raw)


def numbers(batch: list[Delivery]) -> list[int]:
    return [delivery.received_at_us for delivery in batch]


def test_order_is_kept_through_queue_and_spill(spill_path: Path) -> None:
    intake = opened(spill_path)
    for number in range(5):
        assert intake.put(numbered(number))
    assert (intake.depth, intake.spilled) == (3, 2)
    taken = numbers(intake.take(2, timeout_seconds=0))
    intake.stored()
    intake.put(numbered(5))  # there is room in the queue, but older ones wait in the file
    while not intake.is_empty:
        taken += numbers(intake.take(2, timeout_seconds=0))
        intake.stored()
    intake.put(numbered(6))

    assert list(range(6)) == taken
    assert (intake.depth, intake.spilled) == (1, 0)
    intake.close()


def test_a_spilled_delivery_comes_back_whole(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=0)
    delivery = numbered(1, raw=b'{"a": "\xff\x00"}')
    intake.put(delivery)

    assert [delivery] == intake.take(10, timeout_seconds=0)
    intake.close()


def test_what_was_taken_and_not_stored_is_read_again_after_a_kill(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=0)
    intake.put(numbered(1))
    intake.take(10, timeout_seconds=0)
    intake.close()  # a kill would do no more

    again = opened(spill_path)
    assert numbers(again.take(10, timeout_seconds=0)) == [1]
    again.close()


def test_the_rest_of_the_queue_and_the_batch_in_hand_are_kept_for_the_next_start(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=10)
    for number in range(6):
        intake.put(numbered(number))
    intake.take(2, timeout_seconds=0)
    assert intake.keep() == 0
    intake.close()

    again = opened(spill_path, queue_size=10)
    assert sorted(numbers(again.take(10, timeout_seconds=0))) == [0, 1, 2, 3, 4, 5]
    again.close()


def test_a_full_spill_refuses_until_it_was_drained(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=1, spill_bytes=400)
    accepted = [intake.put(numbered(number)) for number in range(10)]
    assert accepted.index(False) > 1
    assert not any(accepted[accepted.index(False) :])
    assert not intake.room()
    while not intake.is_empty:
        intake.take(100, timeout_seconds=0)
        intake.stored()

    assert intake.room()
    assert intake.put(numbered(11))
    intake.close()


def test_a_refused_put_with_an_empty_spill_recovers(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=0, spill_bytes=10)
    assert not intake.put(numbered(1))
    assert intake.take(10, timeout_seconds=0) == []
    assert intake.room()
    intake.close()


def test_the_queue_is_bounded_by_bytes_too(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=1_000_000, spill_bytes=100_000_000)
    for number in range(6):
        intake.put(numbered(number, raw=bytes(2 * 1024 * 1024)))
    assert (intake.depth, intake.spilled) == (4, 2)
    intake.close()


def test_keeping_says_what_found_no_room(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=100, spill_bytes=200)
    for number in range(50):
        intake.put(numbered(number))
    lost = intake.keep()
    assert lost + intake.spilled == 50
    assert lost > 0
    intake.close()


def test_a_torn_end_becomes_a_gap_with_the_torn_piece(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=0)
    intake.put(numbered(1))
    intake.close()
    content = spill_path.read_bytes().rstrip(b"\0")
    spill_path.write_bytes(content + content[:20])

    again = opened(spill_path)
    torn, first = again.take(1, timeout_seconds=0), again.take(10, timeout_seconds=0)
    gap, rejected = torn[0].events
    assert isinstance(gap, GapOpened)
    assert (gap.cause, gap.to_us) == ("spill torn", NOW_US)
    assert isinstance(rejected, Rejected)
    assert content[:20] == rejected.raw
    assert numbers(first) == [1]
    again.close()


def test_an_unreadable_line_is_set_aside_with_its_text(spill_path: Path) -> None:
    spill_path.write_bytes(b'{"from": "the future"}\n')
    intake = opened(spill_path)
    (delivery,) = intake.take(10, timeout_seconds=0)
    assert {"GapOpened", "Rejected"} == {type(event).__name__ for event in delivery.events}
    intake.close()


def test_unreadable_lines_are_gaps_between_their_readable_neighbours(spill_path: Path) -> None:
    intake = opened(spill_path, queue_size=0)
    for number in (1000, 2000, 3000):
        intake.put(numbered(number))
    intake.close()
    first, second, third = spill_path.read_bytes().rstrip(b"\0").splitlines()
    spill_path.write_bytes(b"\n".join([b"a", first, b"b", b"c", second, third, b"d", b""]))

    again = opened(spill_path)
    began_us = time.time_ns() // 1000
    batch = again.take(5, timeout_seconds=0) + again.take(5, timeout_seconds=0)
    gaps = [event for delivery in batch for event in delivery.events if isinstance(event, GapOpened)]
    again.close()

    assert [event.raw for delivery in batch for event in delivery.events if isinstance(event, Rejected)] == [
        b"a",
        b"b",
        b"c",
        b"d",
    ]
    assert [(gap.from_us, gap.to_us) for gap in gaps[:3]] == [(0, 1000), (1000, 2000), (1000, 2000)]
    assert gaps[3].from_us == 3000
    assert gaps[3].to_us is not None
    assert gaps[3].to_us >= began_us
    assert [delivery.received_at_us for delivery in batch][:6] == [1000, 1000, 2000, 2000, 2000, 3000]


def test_a_full_queue_is_waited_for_while_the_writer_makes_room(spill_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.intake._PATIENCE_SECONDS", 30)
    intake = opened(spill_path, queue_size=1)
    intake.put(numbered(0))
    putter = threading.Thread(target=lambda: intake.put(numbered(1)))
    putter.start()
    taken = numbers(intake.take(10, timeout_seconds=30))
    putter.join(10)
    taken += numbers(intake.take(10, timeout_seconds=30))

    assert (taken, intake.spilled) == ([0, 1], 0)
    intake.close()


def test_nothing_is_taken_in_after_the_end(spill_path: Path) -> None:
    intake = opened(spill_path)
    assert intake.room()
    intake.close()
    assert not intake.put(numbered(1))
    assert not intake.room(), "or a feed would connect again and again for nobody"


def test_taking_waits_for_the_first_and_no_longer(spill_path: Path) -> None:
    intake = opened(spill_path)
    taken: list[Delivery] = []
    taker = threading.Thread(target=lambda: taken.extend(intake.take(10, timeout_seconds=30)))
    taker.start()
    intake.put(numbered(1))
    taker.join(10)

    assert numbers(taken) == [1]
    intake.close()
