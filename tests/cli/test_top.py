"""Promises of ``top``: what trades now, on any screen, with each record's completeness, and the terminal left as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_samples import NOW, Record, Run

from pumpwatch.cli import top
from pumpwatch.cli.top import Seen, look
from pumpwatch.cli.top_screen import drawn
from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.status import FeedStatus, Status, StatusFile, path_of

SOL, USDCAT, HOSTILE, QUOTELESS, EMPTY = range(5)
LAST = NOW + 5000
ROOT = Path(__file__).resolve().parents[2]


def write_status(record: Record, now: float, **changes: Any) -> None:
    feeds = {"helius": FeedStatus(state="connected", since=now - 30, last_data_at=now - 2)}
    values: dict[str, Any] = {"pid": 1, "started_at": now - 60, "written_at": now, "version": "0", "state": "running"}
    StatusFile(path_of(record.database)).write(Status(**{**values, "feeds": feeds, "queue_depth": 3, "watched": 7, **changes}))


@pytest.fixture
def seen(record: Record) -> Seen:
    write_status(record, LAST + 10)
    return look(record.database, window="24h", order="trades", most=60, now=LAST + 10)


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60), (80, 5), (20, 3)])
def test_it_fits_the_terminal_and_no_text_of_the_chain_acts(seen: Seen, width: int, height: int) -> None:
    lines = drawn(seen, width=width, height=height).plain.split("\n")

    assert len(lines) <= height
    assert max(map(cells, lines)) <= width
    assert not [letter for line in lines for letter in line if unicodedata.category(letter) in ("Cc", "Cf")]


def test_it_shows_tokens_with_their_record_trades_and_health(seen: Seen) -> None:
    lines = drawn(seen, width=80, height=24).plain.split("\n")

    assert lines[0] == "top, q quits | 15:36:50 UTC | last 24h by trades | pumpwatch.db (simulator)"
    assert lines[1] == "healthy: helius 2 s ago; queue 3, watched 7, open gaps 0"
    assert lines[2].startswith("SYMBOL   MINT       PRICE   CHANGE")
    assert lines[3].startswith("CAT ")
    assert lines[3].split()[-1] == "unproven"
    assert " 3001 " in lines[3]
    assert [line for line in lines if line.startswith("TIME     SIDE")]
    assert [line for line in lines if line.startswith("15:36:40 buy   999999999.123456  84.999999999 SOL   CAT")]


def test_when_nothing_traded_it_says_so(record: Record) -> None:
    seen = look(record.database, window="1m", order="volume", most=24, now=LAST + 10**6)

    lines = drawn(seen, width=80, height=24).plain.split("\n")
    assert lines[3] == "no trade in the last 1m"
    assert lines[1].startswith("NOT healthy: no worker has run here yet")


def test_an_unhealthy_worker_and_an_unreadable_file_are_told_and_the_rest_stays(record: Record, seen: Seen) -> None:
    write_status(record, LAST, state="stopping")
    again = top._look_again(record.database, msgspec.structs.replace(seen, at=LAST))
    assert drawn(again, width=80, height=24).plain.split("\n")[1].startswith("NOT healthy: ")

    record.database.unlink()
    later = top._look_again(record.database, seen)
    lines = drawn(later, width=80, height=24).plain.split("\n")
    assert lines[1].startswith("as it was: there is no database")
    assert lines[3].startswith("CAT ")


def test_as_json_it_is_one_document_and_needs_no_terminal(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: float(LAST))
    document = run("top", "--json", "--window", "24h").json()

    assert [record.mints.index(token["mint"]) for token in document["tokens"]][:1] == [SOL]
    assert document["tokens"][0]["window"]["trades"] == 3001
    assert document["tokens"][0]["completeness"] == "unproven"
    assert not document["healthy"]


def test_without_a_terminal_it_says_what_else_there_is(run: Run) -> None:
    with pytest.raises(UsageError, match="top draws on a terminal"):
        run("top")


def test_without_its_package_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delitem(sys.modules, "pumpwatch.cli.top_screen")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setitem(sys.modules, "rich", None)

    with pytest.raises(UsageError, match=r'pip install "pumpwatch\[top\]"'):
        run("top")


def test_without_a_database_it_ends_as_the_others_do(run: Run, record: Record) -> None:
    record.database.unlink()
    with pytest.raises(DatabaseError):
        run("top", "--json")


# On a real terminal


class Terminal:
    """A process on a terminal of 80 times 24."""

    def __init__(self, record: Record) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.ours)
        environ = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), "PUMPWATCH_PUMPWATCH_DATABASE": str(record.database)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pumpwatch", "top"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=record.database.parent,
            env={name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.theirs = theirs
        self.shown = b""

    def until(self, text: bytes) -> None:
        ends = time.monotonic() + 20
        while text not in self.shown:
            assert time.monotonic() < ends, self.shown
            self.read(0.1)

    def read(self, seconds: float) -> None:
        """What it draws meanwhile."""
        import select

        if select.select([self.ours], [], [], seconds)[0]:
            self.shown += os.read(self.ours, 65536)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        os.close(self.ours)


@pytest.fixture
def terminal(record: Record) -> Iterator[Terminal]:
    if sys.platform == "win32":
        pytest.skip("no pseudo terminals there")
    opened = Terminal(record)
    yield opened
    opened.close()


@pytest.mark.parametrize("key", [b"q", b"\x03", b""], ids=["q", "Ctrl-C", "SIGTERM"])
def test_however_it_is_ended_it_leaves_the_terminal_as_it_was(terminal: Terminal, key: bytes) -> None:
    import termios

    terminal.until(b"q quits")
    assert b"\x1b[?1049h" in terminal.shown  # the other screen
    if key:
        os.write(terminal.ours, key)
    else:
        terminal.process.terminate()

    terminal.until(b"\x1b[?1049l")
    assert terminal.process.wait(20) == 0
    assert termios.tcgetattr(terminal.ours)[:4] == terminal.before[:4]
    assert b"Traceback" not in terminal.shown


def test_it_looks_again_every_second_or_two_at_little_cost(terminal: Terminal) -> None:
    import psutil

    terminal.until(b"TIME     SIDE")
    first = re.findall(rb"[0-9:]+ UTC", terminal.shown)[0]
    before = psutil.Process(terminal.process.pid).cpu_times()
    began = time.monotonic()
    while {first} == set(re.findall(rb"[0-9:]+ UTC", terminal.shown)) or time.monotonic() < began + 4:
        terminal.read(0.1)
    after = psutil.Process(terminal.process.pid).cpu_times()
    assert (after.user + after.system) - (before.user + before.system) < 2
