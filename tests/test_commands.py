"""Promises of the commands directory: applied once, answered, cleaned up; a hostile file is never obeyed and never fatal."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.commands import STALE_SECONDS, Answer, CommandBox, Request, ask, directory_of
from pumpwatch.errors import TransientError

#: The true time at the start of a test: files carry it too.
NOW = 0.0
ID = "0123456789abcdef"


class Worker:
    """A command box and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.now = NOW
        self.asked: list[Request] = []
        self.directory = directory
        self.box = CommandBox(directory, handlers={"watch add": self.handle}, clock=lambda: self.now)

    def handle(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer(ok=True, text=f"watching {request.arguments['address']}")

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "NOW", time.time())


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    directory = directory_of(tmp_path / "pumpwatch.db")
    directory.mkdir()
    return Worker(directory)


def put(worker: Worker, name: str = f"{ID}.json", **changes: Any) -> Path:
    request = {"id": ID, "command": "watch add", "asked_at": NOW, "arguments": {"address": "X"}, **changes}
    path = worker.directory / name
    path.write_text(json.dumps(request), encoding="utf-8")
    return path


def test_a_request_is_applied_once_and_answered_beside_it(worker: Worker) -> None:
    put(worker)

    assert worker.box.serve() == 1
    assert worker.box.serve() == 0

    assert [request.arguments for request in worker.asked] == [{"address": "X"}]
    assert worker.files() == [f"{ID}.answer.json"]
    assert json.loads((worker.directory / f"{ID}.answer.json").read_bytes()) == {"ok": True, "text": "watching X"}


def test_asking_waits_for_the_answer_and_leaves_nothing_behind(worker: Worker) -> None:
    worker.now = time.time()
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.005):
            worker.box.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        answer = ask(worker.directory, "watch add", {"address": "Y"})
    finally:
        stop.set()
        thread.join()

    assert answer == Answer(ok=True, text="watching Y")
    assert worker.files() == []


def test_without_a_worker_the_request_is_withdrawn_and_never_applied_later(worker: Worker) -> None:
    with pytest.raises(TransientError, match="did not answer within 5 s"):
        ask(worker.directory, "watch add", {"address": "X"}, clock=lambda: NOW, sleep=lambda _: None)

    assert worker.files() == []
    assert worker.box.serve() == 0


def test_the_directory_is_made_by_the_first_who_asks_and_its_absence_is_no_error(tmp_path: Path) -> None:
    directory = tmp_path / "new.commands"
    assert CommandBox(directory, handlers={}).serve() == 0

    with pytest.raises(TransientError, match="withdrawn"):
        ask(directory, "x", {}, timeout_seconds=0.1, sleep=lambda _: None)
    assert directory.is_dir()


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(TransientError, match="cannot be written"):
        ask(tmp_path / "file" / "commands", "x", {}, sleep=lambda _: None)


def test_an_unknown_command_is_answered_with_no(worker: Worker) -> None:
    put(worker, command="rm -rf\n\x1b[31m")

    worker.box.serve()

    answer = json.loads((worker.directory / f"{ID}.answer.json").read_bytes())
    assert answer["ok"] is False
    assert "knows no command" in answer["text"]
    assert "\n" not in answer["text"]
    assert "\x1b" not in answer["text"]


def test_a_request_that_nobody_waits_for_any_more_is_not_applied(worker: Worker) -> None:
    put(worker, asked_at=NOW - STALE_SECONDS - 1)

    assert worker.box.serve() == 0
    assert worker.asked == []
    assert worker.files() == []


@pytest.mark.parametrize("name", [f"{ID}.answer.json", f"{ID}.part"])
def test_a_stale_answer_is_cleaned_up_and_a_fresh_one_stays(worker: Worker, name: str) -> None:
    path = worker.directory / name
    path.write_text("{}", encoding="utf-8")
    os.utime(path, (NOW - 5, NOW - 5))
    worker.box.serve()
    assert path.exists()

    os.utime(path, (NOW - STALE_SECONDS - 1, NOW - STALE_SECONDS - 1))
    worker.box.serve()
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (f"{ID}.json", b""),
        (f"{ID}.json", b"\xff\xfe"),
        (f"{ID}.json", b"[1, 2]"),
        (f"{ID}.json", b"[" * 50_000),
        (f"{ID}.json", b" " * 100_000),
        (f"{ID}.json", b'{"id": "0123456789abcdef", "command": 3, "asked_at": 1}'),
        (f"{ID}.json", b'{"id": "../../../../etc/x", "command": "watch add", "asked_at": 1}'),
        ("..json", b"{}"),
        ("a request.json", b"{}"),
        ("0123456789ABCDEF.json", b"{}"),
        ("README", b"hello"),
    ],
)
def test_what_is_no_request_is_set_aside_and_the_next_one_is_served(worker: Worker, name: str, raw: bytes) -> None:
    (worker.directory / name).write_bytes(raw)
    put(worker, name="fedcba9876543210.json", id="fedcba9876543210")

    assert worker.box.serve() == 1
    assert sorted(Path(name).suffix for name in worker.files()) == [".bad", ".json"]
    assert worker.box.serve() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in the file system there")
def test_a_pipe_with_the_name_of_a_request_blocks_nobody(worker: Worker) -> None:
    os.mkfifo(worker.directory / f"{ID}.json")

    assert worker.box.serve() == 0
    assert worker.files()[0].endswith(".bad")


def test_files_set_aside_are_bounded(worker: Worker) -> None:
    for batch in range(3):
        for number in range(10):
            (worker.directory / f"{batch:08d}{number:08d}.json").write_bytes(b"?")
        worker.box.serve()
    worker.box.serve()

    assert len(worker.files()) == 20


def test_a_flood_of_requests_is_served_in_portions(worker: Worker) -> None:
    for number in range(45):
        put(worker, name=f"{number:016x}.json", id=f"{number:016x}")

    assert [worker.box.serve() for _ in range(4)] == [20, 20, 5, 0]
    assert len(worker.asked) == 45


def test_an_answer_that_cannot_be_written_is_no_reason_to_apply_twice(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    put(worker)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert worker.box.serve() == 1
    assert worker.box.serve() == 0

    assert len(worker.asked) == 1
    assert worker.files() == []


def test_a_request_that_cannot_be_read_now_is_served_later(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    put(worker)

    def held(self: Path) -> bytes:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "read_bytes", held)
    assert worker.box.serve() == 0
    monkeypatch.undo()

    assert worker.box.serve() == 1


def test_a_request_withdrawn_while_it_is_looked_at_is_none(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    put(worker)

    def gone(self: Path) -> bytes:
        raise FileNotFoundError(2, "gone")

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert worker.box.serve() == 0
    assert len(worker.files()) == 1, "nothing is set aside"


def test_what_is_remembered_of_applied_requests_is_bounded(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.commands._REMEMBERED", 10)
    for number in range(30):
        put(worker, name=f"{number:016x}.json", id=f"{number:016x}")
        worker.box.serve()

    assert len(worker.box._applied) == 10


def test_a_request_whose_file_cannot_be_removed_is_not_applied_twice(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    put(worker)
    monkeypatch.setattr(Path, "unlink", lambda self: (_ for _ in ()).throw(PermissionError(13, "in use")))
    assert worker.box.serve() == 1
    assert worker.box.serve() == 0
    monkeypatch.undo()
    worker.box.serve()

    assert len(worker.asked) == 1
    assert worker.files() == [f"{ID}.answer.json"]
