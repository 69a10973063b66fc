"""
Write the ready files for cron, systemd, launchd and Windows' Task Scheduler anew, from ``pumpwatch/service_text.py``.

    python scripts/service_files.py

``pumpwatch service install`` writes the same with the paths of your machine, and is the easier way. A test compares.
"""

from __future__ import annotations

from pathlib import Path

from pumpwatch import service_text as texts
from pumpwatch.service_text import Service

FOLDER = Path(__file__).resolve().parent

_POSIX = Service(
    name="pumpwatch",
    directory="/path/to/pumpwatch",
    python="/path/to/pumpwatch/.venv/bin/python",
    config="/path/to/pumpwatch/pumpwatch.ini",
)
_WINDOWS = Service(
    name="pumpwatch",
    directory="C:\\path\\to\\pumpwatch",
    python="C:\\path\\to\\pumpwatch\\.venv\\Scripts\\pythonw.exe",
    config="C:\\path\\to\\pumpwatch\\pumpwatch.ini",
)


def contents() -> dict[str, bytes]:
    """Name and content of each."""
    return {
        "pumpwatch.cron": texts.cron_block(_POSIX).encode(),
        "pumpwatch.service": texts.systemd_unit(_POSIX).encode(),
        "pumpwatch.plist": texts.launchd_agent(_POSIX),
        "pumpwatch-task.xml": texts.task_file(_WINDOWS, user="MACHINE\\user"),
    }


if __name__ == "__main__":
    for name, content in contents().items():
        (FOLDER / name).write_bytes(content)
