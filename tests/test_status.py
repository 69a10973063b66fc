"""Promises of the status file: whole or not there, never fatal, and an honest verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pumpwatch.status import FeedStatus, Status, StatusFile, StatusUnreadable, path_of, problems, read

NOW = 1_790_000_000.0


def healthy(**changes: Any) -> Status:
    values: dict[str, Any] = {
        "pid": 77,
        "started_at": NOW - 3600,
        "written_at": NOW - 1,
        "version": "0.1.0",
        "state": "running",
        "feeds": {"pumpportal": FeedStatus(state="connected", since=NOW - 60, last_data_at=NOW - 2, messages=5, trades=3)},
        "trades": 3,
    }
    return Status(**{**values, **changes})


def test_the_file_has_the_documented_names() -> None:
    raw = json.loads(msgspec.json.encode(healthy()))

    assert set(raw) == {
        *("schema", "pid", "started_at", "written_at", "version", "state", "feeds", "queue_depth", "spilled"),
        *("last_commit_at", "trades", "watched", "gaps_open", "backfill", "alarm", "reason", "costs", "shed", "database_trouble"),
    }
    assert raw["schema"] == 1
    assert set(raw["feeds"]["pumpportal"]) == {"state", "since", "last_data_at", "messages", "trades", "reason"}


def test_what_was_written_is_read_and_no_other_file_is_left(tmp_path: Path) -> None:
    path = path_of(tmp_path / "pumpwatch.db")
    file = StatusFile(path)

    assert read(path) is None
    assert file.write(healthy(pid=1))
    assert file.write(healthy(pid=2))

    assert read(path) == healthy(pid=2)
    assert [found.name for found in tmp_path.iterdir()] == ["pumpwatch.db.status.json"]


def test_a_reader_that_holds_the_file_delays_the_replacement_and_does_not_prevent_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, refusals = Path.replace, [PermissionError(13, "in use")] * 3
    slept: list[float] = []

    def refuse_at_first(self: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_at_first)
    path = tmp_path / "s.json"

    assert StatusFile(path, sleep=slept.append).write(healthy())
    assert len(slept) == 3
    assert read(path) == healthy()


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "missing" / "s.json", sleep=lambda _: None)

    assert not file.write(healthy())
    assert not file.write(healthy())
    (tmp_path / "missing").mkdir()
    assert file.write(healthy())


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"{", b'{"pid": "x"}', b"0" * 100])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(raw)

    with pytest.raises(StatusUnreadable, match="not a status file"):
        read(path)


def test_a_file_of_a_later_version_is_refused_and_added_fields_are_not(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    raw = json.loads(msgspec.json.encode(healthy()))
    path.write_text(json.dumps({**raw, "schema": 2}), encoding="utf-8")
    with pytest.raises(StatusUnreadable, match="schema 2"):
        read(path)

    path.write_text(json.dumps({**raw, "mood": "good"}), encoding="utf-8")
    assert read(path) == healthy()


def test_a_directory_in_its_place_is_unreadable_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / "s.json").mkdir()

    with pytest.raises(StatusUnreadable):
        read(tmp_path / "s.json", sleep=lambda _: None)


def test_a_running_worker_with_connected_feeds_is_healthy() -> None:
    assert problems(healthy(), NOW) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"written_at": NOW - 10}, "10 s old"),
        ({"written_at": NOW + 60}, "in the future"),
        ({"state": "stopped"}, "the worker is stopped"),
        ({"state": "stopped", "reason": "every feed was refused"}, "the worker is stopped: every feed was refused"),
        ({"database_trouble": "it is locked"}, "the database cannot be written: it is locked"),
        ({"state": "starting"}, "the worker is starting"),
        ({"feeds": {}}, "no feed is enabled"),
        (
            {"feeds": {"helius": FeedStatus(state="refused", since=NOW, reason="HELIUS_API_KEY is wrong")}},
            "HELIUS_API_KEY is wrong",
        ),
        ({"feeds": {"helius": FeedStatus(state="waiting", since=NOW)}}, "helius is waiting"),
        (
            {"feeds": {"helius": FeedStatus(state="connected", since=NOW, reason="delivers nothing of 3 tokens: refused")}},
            "helius delivers nothing of 3 tokens: refused",
        ),
        ({"spilled": 3}, "3 messages wait in the spill file"),
    ],
)
def test_anything_else_is_not_healthy_and_says_why(changes: dict[str, Any], said: str) -> None:
    found = problems(healthy(**changes), NOW)

    assert len(found) == 1
    assert said in found[0]


def test_without_a_file_no_worker_has_run() -> None:
    assert problems(None, NOW) == ["no worker has run here yet"]


def test_just_under_ten_seconds_is_fresh() -> None:
    assert problems(healthy(written_at=NOW - 9.9), NOW) == []
