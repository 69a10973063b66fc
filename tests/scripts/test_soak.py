"""The soak, as short as it can be: all faults, a kill, a hang, pruning, a budget, and exactly the scripted alerts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from real_worker import REPOSITORY, clean_environment


@pytest.mark.timeout(600)
def test_everything_that_can_go_wrong_ends_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "soak.py"), "--seconds", "200", "--rate", "20"],
        cwd=tmp_path,
        env=clean_environment(tmp_path),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=550,
    )

    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert "WRONG" not in done.stdout
