"""What is remembered about a server across restarts."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pumpwatch.config import Endpoint
from pumpwatch.feeds.opens import Opens, StoredWait, state_folder, stored_wait
from pumpwatch.feeds.waits import Waits

NOW = 1_790_000_000.0
MINUTE = 60.0


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def endpoint(key: str | None = "a-secret-key") -> Endpoint:
    return Endpoint.of("wss://pumpportal.fun/api/data", key=key)


def opens(folder: Path | None, clock: Clock, key: str | None = "a-secret-key") -> Opens:
    """As after a restart: everything it knows is in the folder."""
    return Opens(endpoint(key), folder=folder, waits=Waits(), clock=clock)


def wait_of(found: StoredWait | None) -> tuple[str, float] | None:
    return None if found is None else (found.state, found.until)


def test_at_most_sixty_opens_an_hour_restarts_included(tmp_path: Path, clock: Clock) -> None:
    for _ in range(60):
        memory = opens(tmp_path, clock)
        assert memory.wait_before_next() is None
        memory.note_open()
        memory.note_message()
        clock.now += 30

    found = opens(tmp_path, clock).wait_before_next()
    assert wait_of(found) == ("waiting", NOW + 3600)
    clock.now = NOW + 3600
    assert opens(tmp_path, clock).wait_before_next() is None


def test_three_opens_without_a_message_are_perhaps_a_ban_and_wait_ten_thirty_sixty_minutes(tmp_path: Path, clock: Clock) -> None:
    waits = []
    for _ in range(7):
        memory = opens(tmp_path, clock)
        if (found := memory.wait_before_next()) is not None:
            assert found.state == "banned?"
            assert "pumpportal.fun" in found.reason
            waits.append((found.until - clock.now) / MINUTE)
            clock.now = found.until
            assert opens(tmp_path, clock).wait_before_next() is None
        opens(tmp_path, clock).note_open()

    assert waits == [10, 30, 60, 60]


def test_a_message_ends_the_suspicion(tmp_path: Path, clock: Clock) -> None:
    for _ in range(3):
        opens(tmp_path, clock).note_open()
    assert opens(tmp_path, clock).wait_before_next() is not None
    opens(tmp_path, clock).note_message()

    assert opens(tmp_path, clock).wait_before_next() is None
    for _ in range(2):
        opens(tmp_path, clock).note_open()
    assert opens(tmp_path, clock).wait_before_next() is None


def test_a_handshake_answered_oddly_is_perhaps_a_ban_at_once(tmp_path: Path, clock: Clock) -> None:
    memory = opens(tmp_path, clock)
    memory.note_open()
    memory.note_unwelcome("the server answered the handshake with HTTP 404")

    found = opens(tmp_path, clock).wait_before_next()
    assert wait_of(found) == ("banned?", NOW + 10 * MINUTE)


def test_an_open_that_reached_nobody_does_not_count(tmp_path: Path, clock: Clock) -> None:
    for _ in range(100):
        memory = opens(tmp_path, clock)
        memory.note_open()
        memory.take_back_open()

    assert opens(tmp_path, clock).wait_before_next() is None


def test_a_refusal_holds_across_a_restart_but_not_for_another_key(tmp_path: Path, clock: Clock) -> None:
    opens(tmp_path, clock).note_refusal("refused", 300, "the key is wrong")

    found = opens(tmp_path, clock).wait_before_next()
    assert wait_of(found) == ("refused", NOW + 300)
    assert found is not None
    assert found.reason == "the key is wrong"
    assert opens(tmp_path, clock, key="another-key").wait_before_next() is None
    clock.now += 300
    assert opens(tmp_path, clock).wait_before_next() is None


def test_run_if_not_running_learns_of_a_stored_refusal(tmp_path: Path, clock: Clock) -> None:
    assert stored_wait(tmp_path, endpoint(), now=NOW) is None
    opens(tmp_path, clock).note_refusal("exhausted", 3600, "no credits")

    assert wait_of(stored_wait(tmp_path, endpoint(), now=NOW + 1)) == ("exhausted", NOW + 3600)
    assert stored_wait(tmp_path, Endpoint.of("ws://127.0.0.1:9")) is None


def test_a_clock_that_was_set_back_makes_no_wait_of_years(tmp_path: Path, clock: Clock) -> None:
    clock.now = NOW + 10 * 365 * 86_400
    memory = opens(tmp_path, clock)
    memory.note_open()
    memory.note_refusal("refused", 300, "the key is wrong")
    clock.now = NOW

    assert opens(tmp_path, clock).wait_before_next() is None


def test_the_plan_is_remembered_for_its_key_and_a_no_for_a_week(tmp_path: Path, clock: Clock) -> None:
    assert opens(tmp_path, clock).plan_allows_transactions() is None
    opens(tmp_path, clock).note_plan(allows_transactions=False)

    assert opens(tmp_path, clock).plan_allows_transactions() is False
    assert opens(tmp_path, clock, key="another-key").plan_allows_transactions() is None
    clock.now += 7 * 86_400
    assert opens(tmp_path, clock).plan_allows_transactions() is None
    opens(tmp_path, clock).note_plan(allows_transactions=True)
    clock.now += 365 * 86_400
    assert opens(tmp_path, clock).plan_allows_transactions() is True


def test_no_key_is_in_any_file(tmp_path: Path, clock: Clock) -> None:
    memory = opens(tmp_path, clock)
    memory.take_place()
    memory.note_open()
    memory.note_refusal("refused", 300, "the key is wrong")
    memory.note_plan(allows_transactions=True)
    memory.leave_place()

    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if b"a-secret-key" in file.read_bytes() or b"a-secret-key" in bytes(file)]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"opens": "many"}', b'{"unanswered": null}'])
def test_a_corrupt_file_is_begun_anew(tmp_path: Path, clock: Clock, content: bytes) -> None:
    (tmp_path / "pumpportal.fun.json").write_bytes(content)
    memory = opens(tmp_path, clock)

    assert memory.wait_before_next() is None
    memory.note_open()
    assert len(json.loads((tmp_path / "pumpportal.fun.json").read_bytes())["opens"]) == 1


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, clock: Clock) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("", "utf-8")
    memory = opens(in_the_way / "folder", clock)

    assert memory.take_place()
    for _ in range(3):
        memory.note_open()
    assert wait_of(memory.wait_before_next()) == ("banned?", NOW + 10 * MINUTE), "it is kept in memory"
    memory.leave_place()


def test_without_a_folder_nothing_is_written(clock: Clock) -> None:
    memory = opens(None, clock)
    assert memory.take_place()
    memory.note_open()
    memory.note_message()
    memory.leave_place()


HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire(blocking=False)
print("held", flush=True)
sys.stdin.read()
"""


def test_one_place_for_each_host_whatever_the_process_and_it_dies_with_its_holder(tmp_path: Path, clock: Clock) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "pumpportal.fun.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith(b"held")
        memory = opens(tmp_path, clock)
        assert not memory.take_place()
        holder.kill()
        holder.wait()
        assert memory.take_place()
        assert memory.take_place(), "taking it twice is no harm"
        memory.leave_place()
        memory.leave_place()


def test_two_feeds_in_one_process_are_two(tmp_path: Path, clock: Clock) -> None:
    first = opens(tmp_path, clock)
    assert first.take_place()
    second: list[bool] = []
    thread = threading.Thread(target=lambda: second.append(opens(tmp_path, clock).take_place()))
    thread.start()
    thread.join()
    first.leave_place()

    assert second == [False]


def test_the_state_folder_is_this_users() -> None:
    assert "pumpwatch" in str(state_folder())
