"""Windows lets nobody replace a file that someone reads, nor read one that is being replaced: what of ours bears that."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumpwatch import files
from pumpwatch.commands import Answer, CommandBox, ask
from pumpwatch.config import Endpoint
from pumpwatch.export_file import whole_file
from pumpwatch.feeds.opens import Opens, stored_wait
from pumpwatch.feeds.waits import Waits
from pumpwatch.log_files import LogFile
from pumpwatch.service_steps import Write, this_machine
from pumpwatch.session_writer import Recording, SessionWriter
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.spill import Spill


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a method of paths find the file in use: twice, for each name."""

    def hold(method: str) -> None:
        act = getattr(Path, method)
        refused: dict[Path, int] = {}

        def twice(self: Path, *arguments: Any, **named: Any) -> Any:
            refused[self] = refused.get(self, 0) + 1
            if refused[self] <= 2:
                raise PermissionError(13, "in use")
            return act(self, *arguments, **named)

        monkeypatch.setattr(Path, method, twice)

    return hold


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.suffix in (".part", ".new")]


def test_a_place_is_taken_when_the_reader_has_gone(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")
    (tmp_path / "there").write_bytes(b"old")
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())

    files.replace_file(tmp_path / "one", tmp_path / "there")
    files.put_in_place(tmp_path / "two", tmp_path / "there", replace=True)

    assert (tmp_path / "there").read_bytes() == b"two"


def test_a_reader_that_does_not_go_is_an_error_after_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Path, target: Path) -> Path:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "replace", never)
    slept: list[float] = []

    with pytest.raises(PermissionError):
        files.replace_file(tmp_path / "a", tmp_path / "b", sleep=slept.append)

    assert 0.05 < sum(slept) < 1


def test_a_command_is_asked_and_answered_over_held_files(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")
    folder = tmp_path / "pumpwatch.db.commands"
    box = CommandBox(folder, handlers={"watch add": lambda _request: Answer(ok=True, text="watched")})

    def worker_turns(_seconds: float) -> None:
        box.serve()

    answer = ask(folder, "watch add", {}, sleep=worker_turns)

    assert answer.text == "watched"
    assert left_over(tmp_path) == []


def test_what_is_no_request_is_set_aside_and_not_thrown_away(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")
    (tmp_path / f"{'a' * 16}.json").write_bytes(b"nonsense")

    CommandBox(tmp_path, handlers={}).serve()

    [aside] = tmp_path.glob("*.bad")
    assert aside.read_bytes() == b"nonsense"


def test_what_is_remembered_of_a_server_is_written_and_read_over_held_files(tmp_path: Path, held: Callable[[str], None]) -> None:
    endpoint = Endpoint.of("wss://pumpportal.fun/api/data", key="a-secret-key")
    held("replace")
    Opens(endpoint, folder=tmp_path, waits=Waits()).note_refusal("refused", 600, "wrong key")
    held("read_bytes")

    wait = stored_wait(tmp_path, endpoint)

    assert wait is not None
    assert wait.state == "refused"
    assert left_over(tmp_path) == []


def test_an_export_takes_its_name_when_the_reader_has_gone(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")
    (tmp_path / "trades.csv").write_bytes(b"old")

    with whole_file(tmp_path / "trades.csv", overwrite=True) as file:
        file.write(b"new")

    assert (tmp_path / "trades.csv").read_bytes() == b"new"
    assert left_over(tmp_path) == []


def test_a_service_is_written_over_one_that_is_being_read(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")

    Write(tmp_path / "unit", b"new", "new").take(this_machine({}))

    assert (tmp_path / "unit").read_bytes() == b"new"


def test_a_log_that_cannot_be_renamed_grows_on_and_loses_no_line(tmp_path: Path, held: Callable[[str], None]) -> None:
    held("replace")
    log = LogFile(tmp_path / "pumpwatch.log", most_bytes=100, kept=100)

    for number in range(60):
        log.write(f"line {number:04}\n")
    log.close()

    everything = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir(), reverse=True))
    assert all(f"line {number:04}".encode() in everything for number in range(60))
    assert len(list(tmp_path.iterdir())) > 1


# What is written in place, or under a name that was never there: no reader is in its way.


def test_the_lock_s_pid_and_the_spill_replace_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("replaced"))
    database = tmp_path / "pumpwatch.db"
    with WriterLock(database) as lock, beside(database, "pid").open("rb"):
        assert lock.holder() is not None
    spill = Spill(beside(database, "spill"), most_bytes=10_000, reserve_bytes=0)
    with beside(database, "spill").open("rb"):
        assert spill.append(b"line")
        assert spill.read(1) == [b"line"]
        spill.forget_read()
    spill.close()


def test_a_session_that_is_read_is_no_hindrance_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", in_use)
    writer = SessionWriter(Recording(tmp_path, 1), file_bytes=200)
    for number in range(40):
        writer.keep("helius", bytes(range(256)) * 4 + bytes([number]), False, time.time_ns() // 1000)
        writer.turn()
    writer.stopping.set()
    writer.turn()
    writer._end()

    assert (writer.written, writer.left_out) == (40, 0)
