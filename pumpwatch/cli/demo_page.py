"""The web page beside a demo: a process of its own, as in earnest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pumpwatch.cli.dashboard import need_packages
from pumpwatch.cli.demo_worker import say
from pumpwatch.config import DashboardSettings
from pumpwatch.errors import UsageError

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0


class Page:
    """
    Shows the record of a demo while it is made.

    Args:
        opens: Open it in a browser; None: where a person sits at a terminal, with a screen.

    Raises:
        UsageError: What it needs is not installed.

    """

    def __init__(self, *, opens: bool | None = None) -> None:
        need_packages()
        self._opens = _has_screen() if opens is None else opens
        self._process: subprocess.Popen[str] | None = None

    def start(self, environment: Mapping[str, str], folder: Path) -> None:
        """
        Start it, and say where it is.

        Args:
            environment: The worker's: of the same record, and no key of the user's.
            folder: Where its log goes.

        Raises:
            UsageError: It did not come up.

        """
        log = folder / "dashboard.log"
        group = 0
        if sys.platform == "win32":
            group = subprocess.CREATE_NEW_PROCESS_GROUP
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "pumpwatch", "dashboard", "--port", str(_free_port(DashboardSettings().port))],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                encoding="utf-8",
                creationflags=group,
                start_new_session=sys.platform != "win32",
            )
        url = self._url()
        if url is None:
            self.stop()
            words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise UsageError(f"the web page did not come up: {words[0] if words else 'it said nothing'}")
        say(f"the web page: {url} (Ctrl-C ends it and the demo)")
        if self._opens:
            # A browser may take its time, or have a word to say on this terminal.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    def stop(self) -> None:
        """End it. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            if sys.platform == "win32":
                process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _url(self) -> str | None:
        """The first line that it says; None: it did not in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(
            target=lambda stream: lines.append(stream.readline()), args=(self._process.stdout,), daemon=True
        )
        reader.start()
        reader.join(_START_SECONDS)
        return lines[0].strip() or None if lines else None


def _has_screen() -> bool:
    if not (sys.stderr is not None and sys.stderr.isatty()):
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _free_port(wanted: int) -> int:
    """*wanted*, or 0 (any) if another program has it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
