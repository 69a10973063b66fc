"""Which process is meant by a pid: numbers are given again, and the wrong one must never be ended."""

from __future__ import annotations

from pathlib import Path

import psutil


def identity(pid: int) -> str | None:
    """
    What tells this process from any other that has or will have its *pid*; None: there is none, or it may not be looked at.

    When it started: on Linux in ticks since the boot, as the time that is computed from them moves with the clock.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.exists():
            # The name of the program, in brackets, may hold blanks and brackets; starttime is the 20th field behind it.
            ticks = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot} {ticks}"
        return f"{psutil.Process(pid).create_time():.2f}"
    except (OSError, IndexError, psutil.Error):
        return None
