"""``demo`` records a simulated market with the real worker, and its verdict is worth something."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from pumpwatch.cli import demo, demo_worker
from pumpwatch.cli.demo import run_demo
from pumpwatch.cli.demo_worker import Worker, worker_environment
from pumpwatch.cli.main import main
from pumpwatch.errors import UsageError

#: It ends when all is proven, and a list that is final takes the chain 13 s.
pytestmark = pytest.mark.timeout(180)


def run(tmp_path: Path, *, faults: tuple[str, ...] = (), seconds: float = 3.0) -> tuple[int, Path]:
    database = tmp_path / "demo.db"
    return run_demo(seconds=seconds, rate=60.0, faults=faults, provider=None, database=database), database


def test_everything_delivered_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, database = run(tmp_path)

    output = capsys.readouterr().out
    assert status == 0, output
    assert "Everything that a feed delivered is in the file" in output
    connection = sqlite3.connect(database)
    recorded, origin = (
        connection.execute(query).fetchone()[0]
        for query in ("SELECT count(*) FROM trade_log", "SELECT value FROM meta WHERE key = 'origin'")
    )
    connection.close()
    assert recorded > 60
    assert origin == "simulator"


def test_faults_happen_and_are_survived(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = run(tmp_path, faults=("drop", "duplicate"), seconds=5.0)

    output = capsys.readouterr().out
    assert status == 0, output
    assert "drop" in output.split("faults made")[1]


def test_a_record_that_lost_a_trade_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Worker.stop

    def stop_and_lose(worker: Worker) -> int | None:
        status = stop(worker)
        with sqlite3.connect(tmp_path / "demo.db") as connection:
            connection.execute("DELETE FROM trades WHERE id = (SELECT max(id) FROM trades)")
        connection.close()
        return status

    monkeypatch.setattr(Worker, "stop", stop_and_lose)

    status, _ = run(tmp_path)

    assert status == 1
    assert "The record is NOT right" in capsys.readouterr().out


def test_a_worker_that_cannot_start_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_worker, "_SETTINGS", {"PUMPWATCH_WRITER_BATCH_SIZE": "many"})

    status, database = run(tmp_path)

    assert status == 4
    assert "PUMPWATCH_WRITER_BATCH_SIZE" in capsys.readouterr().err
    assert not database.exists()


@pytest.mark.parametrize(("faults", "provider", "text"), [(("quake",), None, "drop, close, mute"), ((), "nobody", "helius-free")])
def test_wrong_names_are_answered_with_the_right_ones(
    tmp_path: Path, faults: tuple[str, ...], provider: str | None, text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        run_demo(seconds=1, rate=1, faults=faults, provider=provider, database=tmp_path / "new.db")


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    precious = tmp_path / "precious.db"
    precious.write_text("precious", encoding="utf-8")

    with pytest.raises(UsageError, match="exists already"):
        run_demo(seconds=1, rate=1, faults=(), provider=None, database=precious)

    assert precious.read_text(encoding="utf-8") == "precious"


def test_ctrl_c_ends_with_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_watch", interrupted)

    status, _ = run(tmp_path)

    assert status == 0
    assert "traded on chain" in capsys.readouterr().out


def test_the_worker_gets_no_setting_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pumpwatch.simulator.simulator import Simulator

    monkeypatch.setenv("PUMPWATCH_WATCH_WALLETS", "mine")
    monkeypatch.setenv("PUMPWATCH_CONFIG", "mine.ini")
    monkeypatch.setenv("HELIUS_API_KEY", "secret")
    with Simulator() as simulator:
        environment = worker_environment(simulator, tmp_path / "x.db", None)

    assert "secret" not in environment.values()
    assert not {"PUMPWATCH_WATCH_WALLETS", "PUMPWATCH_CONFIG"} & environment.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process is POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_demo_with_its_page_is_seen_living_until_it_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "pumpwatch", "demo", "--dashboard", "--no-open", "--database", str(tmp_path / "demo.db")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_")}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[3]
        assert url.startswith("http://127.0.0.1:")
        said = [process.stderr.readline()]
        while "until Ctrl-C" not in said[-1]:
            said.append(process.stderr.readline())
        ends = time.monotonic() + 20
        trades = 0
        while trades < 20 and time.monotonic() < ends:
            time.sleep(0.2)
            with contextlib.suppress(OSError), urlopen(f"{url}api/tokens?order=trades", timeout=10) as answer:
                trades = sum(token["trades"] for token in json.load(answer)["tokens"])
        process.send_signal(number)
        out, _ = process.communicate(timeout=50)

    assert trades >= 20
    assert process.returncode == 0
    assert re.search(r"^MISSING +0 ", out, re.MULTILINE), out
    left = [found for found in psutil.process_iter(["environ"]) if str(tmp_path) in str(found.info["environ"])]
    assert left == []
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=5)


def test_without_the_packages_of_the_page_the_demo_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flask" else object())

    assert main(["demo", "--dashboard", "--no-open"]) == 2
    assert 'pip install "pumpwatch[web]"' in capsys.readouterr().err
