"""Pin and unpin: what the page can change, through a worker that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_record import Api, told
from cli_samples import Maker
from serving_worker import ServingWorker

from pumpwatch.commands import Answer, Request, directory_of
from pumpwatch.status import Status, StatusFile, path_of

MINT = Maker().address()
PIN = json.dumps({"mint": MINT, "action": "pin"}).encode()
UNPIN = json.dumps({"mint": MINT, "action": "unpin"}).encode()


class Worker:
    """One that writes its status and does what is asked, but for what it refuses."""

    def __init__(self, database: Path) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refuses = ""
        self.serving = ServingWorker(database, lambda *_: {"watch add": self._do, "watch remove": self._do})
        self.database = database
        self.tell("running")

    def _do(self, request: Request) -> Answer:
        self.asked.append((request.command, dict(request.arguments)))
        return Answer(ok=not self.refuses, text=self.refuses or f"{request.command}: done")

    def tell(self, state: str, *, age_seconds: float = 0.0) -> None:
        now = time.time()
        StatusFile(path_of(self.database)).write(
            Status(pid=7, started_at=now, written_at=now - age_seconds, version="0.1", state=state, feeds={})
        )


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path / "market.db")
    yield worker
    worker.serving.end()


@pytest.fixture
def page(worker: Worker) -> Api:
    return Api(worker.database)


def test_a_token_is_pinned_and_unpinned_by_the_worker_that_runs(worker: Worker, page: Api) -> None:
    for body, command in ((PIN, "watch add"), (UNPIN, "watch remove")):
        answer = page.post("/api/watch", body)

        assert (answer.status_code, answer.json) == (200, {"ok": True, "text": f"{command}: done"})
        assert worker.asked[-1] == (command, {"kind": "token", "address": MINT})


def test_what_the_worker_refuses_is_told_as_it_says_it_on_one_line(worker: Worker, page: Api) -> None:
    worker.refuses = "50 tokens are watched:\nremove one first \x1b[31m"

    status, code, message = told(page.post("/api/watch", PIN))
    assert (status, code) == (409, "refused")
    assert message.startswith("50 tokens are watched:")
    assert "\x1b" not in message


@pytest.mark.parametrize(("state", "age_seconds"), [("stopped", 0.0), ("running", 60.0), ("running", -60.0)])
def test_without_a_worker_nothing_is_asked_and_nobody_waits(worker: Worker, page: Api, state: str, age_seconds: float) -> None:
    worker.tell(state, age_seconds=age_seconds)
    began = time.monotonic()

    status, code, message = told(page.post("/api/watch", PIN))
    assert (status, code) == (503, "no_worker")
    assert f"pumpwatch watch add {MINT}" in message
    assert worker.asked == []
    assert time.monotonic() - began < 2


def test_a_worker_that_does_not_answer_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.commands._polls", lambda _timeout, _sleep: iter(()))
    now = time.time()
    database = tmp_path / "a.db"
    StatusFile(path_of(database)).write(Status(pid=7, started_at=now, written_at=now, version="0", state="running", feeds={}))

    assert told(Api(database).post("/api/watch", PIN))[:2] == (503, "no_worker")
    assert list(directory_of(database).iterdir()) == []  # withdrawn


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"mint": "' + MINT.encode() + b'"}',
        b'{"mint": "' + MINT.encode() + b'", "action": "sell"}',
        b'{"mint": "' + MINT.encode() + b'", "action": ["pin"]}',
        b'{"mint": "' + MINT.encode() + b'", "action": "pin", "kind": "wallet"}',
        b'{"mint": "../../etc/passwd", "action": "pin"}',
        b'{"mint": 5, "action": "pin"}',
        b"[" * 10_000,
    ],
)
def test_what_is_no_request_is_refused_and_reaches_nobody(worker: Worker, page: Api, body: bytes) -> None:
    status, code, _ = told(page.post("/api/watch", body))

    assert (status, code) == (400, "bad_argument")
    assert worker.asked == []
