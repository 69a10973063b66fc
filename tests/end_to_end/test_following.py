"""Promises of the stream with real processes: what a follower was told is the table, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_worker import EVERYTHING, RealWorker, clean_environment, subscribed, until

from pumpwatch.simulator.simulator import Simulator


class Follower:
    """A program that follows with ``--json``, and what it was told, over several lives of the command."""

    def __init__(self, worker: RealWorker) -> None:
        self._worker = worker
        self._file = worker.folder / "followed.jsonl"
        self._errors = worker.folder / "followed.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with self._file.open("ab") as out, self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pumpwatch", "trades", "--follow", "--json", *options],
                cwd=self._worker.folder,
                env=clean_environment(self._worker.folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    def kill(self) -> None:
        """In the middle of whatever it does: the last line may be half of one."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """As Ctrl-C does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(30)

    def resume(self) -> None:
        """Behind the last whole line; what is left of a half one is thrown away."""
        raw = self._file.read_bytes()
        self._file.write_bytes(raw[: raw.rfind(b"\n") + 1])
        told = self.told()
        self.start("--after", told[-1]["cursor"] if told else "begin")

    def told(self) -> list[dict[str, Any]]:
        raw = self._file.read_bytes() if self._file.exists() else b""
        return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def table(self) -> dict[int, dict[str, Any]]:
        """Row -> trade, by the rule of the documentation."""
        table: dict[int, dict[str, Any]] = {}
        for line in self.told():
            if line["type"] in ("trade", "trade_changed"):
                if line["state"] in ("dropped", "superseded"):
                    table.pop(line["id"], None)
                else:
                    table[line["id"]] = line
        return table

    def completeness(self) -> dict[str, str]:
        return {line["mint"]: line["completeness"] for line in self.told() if line["type"] == "completeness"}

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def follower(worker: RealWorker) -> Iterator[Follower]:
    following = Follower(worker)
    yield following
    following.end()


#: What does not change silently once a trade is confirmed.
KEPT = ("signature", "event_index", "slot", "block_time", "mint", "wallet", "side", "token_amount", "quote_amount", "confirmed")


def recording(worker: RealWorker, simulator: Simulator) -> None:
    worker.settings.update(EVERYTHING)
    worker.start()
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 100, what="the first trades")


def recorded(worker: RealWorker) -> list[tuple[object, ...]]:
    return sorted(worker.ask(f"SELECT {', '.join(KEPT)} FROM trade_log"), key=str)


def followed(follower: Follower) -> list[tuple[object, ...]]:
    return sorted((tuple(trade[name] for name in KEPT) for trade in follower.table().values()), key=str)


def test_what_a_follower_was_told_is_the_table_whoever_is_killed(
    worker: RealWorker, simulator: Simulator, follower: Follower
) -> None:
    recording(worker, simulator)
    follower.start("--after", "begin")
    until(lambda: len(follower.told()) > 100, what="news")
    follower.kill()
    until(lambda: worker.count() > 500, what="more trades")
    follower.resume()
    told = len(follower.told())
    until(lambda: len(follower.told()) > told + 200, what="more news")
    worker.kill()
    worker.start()
    count = worker.count()
    until(lambda: worker.count() > count + 200, what="trades after the kill of the worker")
    follower.kill()
    follower.resume()
    until(lambda: len(follower.told()) > count + 300, what="news of the second worker")
    assert worker.stop() == 0, worker.log

    until(lambda: followed(follower) == recorded(worker), what="the stream to become the table")
    if os.name == "posix":  # elsewhere a signal is for the whole console
        assert follower.stop() == 0
    assert not [line for line in follower.told() if line["type"] == "lost"]
    states = {line["state"] for line in follower.told() if line["type"] == "trade_changed"}
    assert "confirmed" in states
    for mint, completeness in follower.completeness().items():
        assert worker.ask("SELECT completeness FROM token_board WHERE mint = ?", mint) == [(completeness,)]
    assert follower.completeness()
    assert follower.errors == ""


def test_following_keeps_no_log_from_shrinking(worker: RealWorker, simulator: Simulator, follower: Follower) -> None:
    recording(worker, simulator)
    follower.start("--after", "begin")
    until(lambda: len(follower.told()) > 100, what="news")
    assert worker.stop() == 0, worker.log

    log = Path(f"{worker.database}-wal")
    assert not log.exists() or log.stat().st_size == 0  # the worker's last checkpoint emptied it


@pytest.mark.skipif(os.name == "nt", reason="tail and head are not there")
def test_a_pipe_that_closes_ends_it_with_success(worker: RealWorker, simulator: Simulator) -> None:
    recording(worker, simulator)
    process = subprocess.Popen(
        [sys.executable, "-m", "pumpwatch", "trades", "--follow", "--limit", "3"],
        cwd=worker.folder,
        env=clean_environment(worker.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"p: provisional")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0
    assert errors == b""
