"""
Start pumpwatch: ``python scripts/start.py ARGUMENTS`` is ``python -m pumpwatch ARGUMENTS`` in an environment made for it.

Needs a Python of at least 3.11 and nothing else. The first call installs; the next ones start at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

from environment import RUN_LOCK, WEB_LOCK, EnvironmentProblem, prepare

#: Who says one of these wants the web page, which needs more.
_WEB = {"dashboard", "--dashboard"}


def main() -> NoReturn:
    try:
        python = prepare(WEB_LOCK if _WEB.intersection(sys.argv) else RUN_LOCK)
    except EnvironmentProblem as problem:
        sys.exit(f"pumpwatch: {problem}")
    except KeyboardInterrupt:
        sys.exit("pumpwatch: stopped; run this again to go on")
    command = [str(python), "-m", "pumpwatch", *sys.argv[1:]]
    if os.name != "nt":
        # Signals and the exit status are then the program's own.
        os.execv(command[0], command)  # noqa: S606 - nothing for a shell to do here
    # Windows has no exec that keeps the console. Ctrl-C goes to both processes: the program ends, and this one waits for it.
    for name in ("SIGINT", "SIGBREAK"):
        signal.signal(getattr(signal, name), lambda *_: None)
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
