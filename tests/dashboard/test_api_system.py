"""What the API says of the recorder itself, and of what a newcomer still needs."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from api_record import US, Api, Shown, shown_record
from cli_samples import NOW

from pumpwatch.dashboard import api_system
from pumpwatch.dashboard.answers import System
from pumpwatch.dashboard.api_system import Newest
from pumpwatch.errors import DatabaseError
from pumpwatch.overview import state_of
from pumpwatch.status import FeedStatus, Status, StatusFile, path_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store

SECRETS = ("helius-key-of-this-very-test", "pumpportal-key-of-this-very-test")


@pytest.fixture
def own(tmp_path: Path) -> Shown:
    """A record that a test may change."""
    return shown_record(tmp_path / "market.db")


def running(database: Path, **changes: Any) -> None:
    """What a worker says of itself that runs well."""
    now = time.time()
    values: dict[str, Any] = {
        "pid": 7,
        "started_at": now - 60,
        "written_at": now,
        "version": "0.1",
        "state": "running",
        "feeds": {"helius": FeedStatus(state="connected", since=now - 50, last_data_at=now)},
    }
    StatusFile(path_of(database)).write(Status(**{**values, **changes}))


def test_it_has_all_that_the_status_command_has(api: Api, shown: Shown) -> None:
    answer = api.get("/api/system")

    with open_reader(shown.database) as reader:
        status = json.loads(msgspec.json.encode(state_of(reader, api.run.settings, time.time())))
    assert set(status) <= set(answer)
    same = set(status) - {"rates", "disk"}  # their ages and the free bytes of the disk go on
    assert {name: answer[name] for name in same} == {name: status[name] for name in same}
    assert (answer["origin"], answer["healthy"], answer["worker"]) == ("simulator", False, None)


def test_beside_it_alerts_runs_drops_and_gaps(api: Api, shown: Shown) -> None:
    answer = api.get("/api/system")

    [alert] = answer["alerts"]
    assert (alert["rule"], alert["subject"], alert["resolved_at_us"]) == ("feed down", "helius", (NOW + 1) * US)
    [run] = answer["runs"]
    assert (run["pid"], run["exit_status"], run["reason"]) == (7, 0, "stopped as asked")
    [drop] = answer["drops"]
    assert (drop["cause"], drop["feed"], drop["from_us"], drop["detail"]) == ("disconnected", "helius", (NOW + 5) * US, "reset")
    assert [(gap["cause"], gap["mint"], gap["symbol"]) for gap in answer["gaps_open"]] == [
        ("watched", shown.cat, "CAT"),
        ("disconnected", None, None),
    ]
    assert answer["gaps_closed"] == []


def test_the_worker_is_shown_as_it_says_it_is(own: Shown) -> None:
    running(own.database)
    answer = Api(own.database).get("/api/system")

    assert (answer["healthy"], answer["problems"], answer["worker"]["pid"]) == (True, [], 7)
    running(own.database, written_at=time.time() - 60)
    assert Api(own.database).get("/api/system")["healthy"] is False


class Looks:
    """Counts the looks, and lets a test hold one."""

    def __init__(self, found: System) -> None:
        self.found = found
        self.count = 0
        self.fails = False
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()
        self.now = 100.0
        self.takes_seconds = 0.0

    def __call__(self) -> System:
        self.count += 1
        self.begun.set()
        assert self.go_on.wait(10)
        self.now += self.takes_seconds
        if self.fails:
            raise DatabaseError("it is gone")
        return msgspec.structs.replace(self.found, now=float(self.count))

    def clock(self) -> float:
        return self.now


@pytest.fixture
def looks(api: Api) -> Looks:
    return Looks(msgspec.json.decode(api.ask("/api/system").data, type=System))


@pytest.fixture
def newest(looks: Looks) -> Newest:
    return Newest(looks, clock=looks.clock)


def test_it_is_looked_at_once_in_two_seconds_for_everybody(looks: Looks, newest: Newest) -> None:
    assert [newest.get().now for _ in range(5)] == [1.0] * 5
    looks.now += 1.9
    assert newest.get().now == 1.0
    looks.now += 0.2
    assert newest.get().now == 2.0
    assert looks.count == 2


def test_what_takes_long_is_looked_at_more_seldom(looks: Looks, newest: Newest) -> None:
    looks.takes_seconds = 1.0
    newest.get()
    looks.now = 100.0 + 9.9
    assert newest.get().now == 1.0
    looks.now = 100.0 + 10.1
    assert newest.get().now == 2.0


def test_nobody_waits_for_a_look_of_another_but_for_the_first(looks: Looks, newest: Newest) -> None:
    newest.get()
    looks.now += 5
    looks.begun.clear()
    looks.go_on.clear()
    looking = threading.Thread(target=newest.get)
    looking.start()
    assert looks.begun.wait(10)

    assert newest.get().now == 1.0  # while the other looks
    looks.go_on.set()
    looking.join(10)
    assert newest.get().now == 2.0
    assert looks.count == 2


def test_a_failure_is_told_to_everybody_and_tried_again(looks: Looks, newest: Newest) -> None:
    newest.get()
    looks.now += 5
    looks.fails = True
    for _ in range(2):
        with pytest.raises(DatabaseError):
            newest.get()
    looks.fails = False
    assert newest.get().now == 4.0


@pytest.mark.parametrize("path", ["/api/tokens", "/api/system", "/api/changes", "/api/wallets/" + "1" * 32])
def test_without_a_record_it_says_so(tmp_path: Path, path: str) -> None:
    status, code, message = Api(tmp_path / "none.db").refused(path)

    assert (status, code) == (503, "no_database")
    assert "start `python -m pumpwatch` first" in message


@pytest.mark.parametrize("content", [b"not a database" * 1000, b""])
def test_what_is_no_record_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    database = tmp_path / "odd.db"
    database.write_bytes(content)

    for path in ("/api/tokens", "/api/system"):
        assert Api(database).refused(path)[:2] == (503, "database")
    assert not Api(database).get("/api/welcome")["is_ready"]


def test_reading_that_takes_too_long_ends_and_says_so(own: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    monkeypatch.setattr(api_system, "_RUNS", endless)
    monkeypatch.setattr(api_system, "_MOST_SECONDS", 0.3)
    began = time.monotonic()

    assert Api(own.database).refused("/api/system")[:2] == (503, "busy")
    assert time.monotonic() - began < 5


def test_every_request_reads_for_a_bounded_time(own: Shown) -> None:
    api = Api(own.database)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    with (
        pytest.raises(DatabaseError, match="cannot be read now: reading took longer than it may"),
        api.run.reader(most_seconds=0.2) as reader,
    ):
        reader.rows(endless)
    with (
        pytest.raises(DatabaseError, match="longer than it may"),
        api.run.reader(most_seconds=0.2) as reader,
        reader.moment() as moment,
    ):
        moment.rows(endless)


def steps(api: Api) -> dict[str, Any]:
    return {step["id"]: step for step in api.get("/api/welcome")["steps"]}


def test_a_newcomer_is_told_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    api = Api(tmp_path / "none.db")

    assert not api.get("/api/welcome")["is_ready"]
    found = steps(api)
    assert list(found) == ["worker", "database", "watching", "trades", "helius_key", "pumpportal_key"]
    assert not any(step["done"] for step in found.values())
    assert all(step["text"] and step["what_to_do"] for step in found.values())
    assert {name for name, step in found.items() if not step["needed"]} == {"helius_key", "pumpportal_key"}


def test_an_empty_record_without_a_worker_lacks_three_things(tmp_path: Path) -> None:
    Store.open(tmp_path / "a.db", origin="simulator").close()

    found = steps(Api(tmp_path / "a.db"))
    assert {name for name, step in found.items() if step["done"]} == {"database"}


def test_where_trades_come_all_is_ready(own: Shown) -> None:
    api = Api(own.database)
    assert not api.get("/api/welcome")["is_ready"]

    running(own.database)
    assert api.get("/api/welcome")["is_ready"]
    assert {name for name, step in steps(api).items() if not step["done"]} == {"helius_key", "pumpportal_key"}
    assert all(not step["what_to_do"] for step in steps(api).values() if step["done"])
    running(own.database, state="stopped")
    assert not api.get("/api/welcome")["is_ready"]


@pytest.fixture
def keyed(own: Shown) -> Api:
    """With both keys set."""
    from pumpwatch.config import load

    environ = {"PUMPWATCH_PUMPWATCH_DATABASE": str(own.database), "HELIUS_API_KEY": SECRETS[0], "PUMPPORTAL_API_KEY": SECRETS[1]}
    api = Api(own.database)
    settings = load(config=None, environ=environ, directory=own.database.parent)
    api.use(replace(api.run, settings=settings))
    return api


def test_of_keys_nobody_is_told_more_than_that_they_are_set(keyed: Api, own: Shown) -> None:
    found = steps(keyed)
    assert found["helius_key"]["done"]
    assert found["pumpportal_key"]["done"]

    for path in ("/", "/system", "/api/welcome", "/api/system", "/api/tokens", f"/api/tokens/{own.cat}", "/api/openapi.json"):
        text = keyed.ask(path).text
        assert not any(secret in text or secret[:12] in text for secret in SECRETS), path
