"""What Windows has not is hidden from the program: it loads as a whole, records, and stops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, clean_environment, endpoints, opening_coins, settled, subscribed, until

from pumpwatch.simulator.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
HIDING = str(ROOT / "scripts" / "portable.py")


def run(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n{program}"],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_every_module_loads(tmp_path: Path) -> None:
    package = ROOT / "pumpwatch"
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in package.rglob("*.py")]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]

    loaded = run(
        tmp_path, f"import importlib, portable\nportable.hide()\nfor name in {names!r}:\n    importlib.import_module(name)"
    )

    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "line", ["import fcntl", "from os import getuid", "import os; os.getuid()", "import signal; signal.SIGKILL", "import termios"]
)
def test_what_is_hidden_is_missed(tmp_path: Path, line: str) -> None:
    (tmp_path / "pumpwatch_bad.py").write_text(line, encoding="utf-8")

    missed = run(tmp_path, "import portable, sys\nsys.path.insert(0, '.')\nportable.hide()\nimport pumpwatch_bad")

    assert missed.returncode == 1
    assert "on Windows" in missed.stderr or "cannot import name" in missed.stderr


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(seed=7, rate=200, database=tmp_path / "pumpwatch.db") as running:
        yield running


def test_a_worker_records_everything_stops_by_ctrl_c_and_is_looked_at(tmp_path: Path, simulator: Simulator) -> None:
    worker = RealWorker(
        tmp_path, {**QUICK, **EVERYTHING, **endpoints(simulator), **opening_coins(simulator)}, (HIDING, "-m", "pumpwatch")
    )
    try:
        worker.start()
        until(lambda: subscribed(simulator), what="both subscriptions")
        simulator.trade(50)
        assert worker.command("run", "--if-not-running", "--simulator").status == 0
        until(lambda: worker.command("status").status == 0, what="a healthy worker")

        found = settled(worker, simulator)  # interrupts it, which must end with 0

        assert found.passed, found
        assert found.recorded >= 20
        for line in (["tokens"], ["trades"], ["db", "check"], ["export", "trades", "--output", "t.csv"], ["watch", "list"]):
            ended = worker.command(*line)
            assert (ended.status, ended.err) == (0, ""), line
    finally:
        worker.end_all()
