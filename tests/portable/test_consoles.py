"""A console of any code page shows any name that a stranger gave a token: as escapes where it has to, and goes on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_samples import HOSTILE, NOW, Maker
from real_worker import clean_environment

from pumpwatch.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]

#: Beside the worst one: each letter is missing in one of the code pages, or none of them has it.
NAMES = [HOSTILE, "日本語", "Ёжик", "naïve café", "€ 100 %", "🚀🌕", "עברית", "\ud7ff\ue000\uffff", "a\u0300\u0301", "░▒▓█"]

ENCODINGS = ["cp1252", "cp437", "ascii"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a record of tokens of these names, traded just now."""
    make = Maker()
    wallet = make.address()
    for number, name in enumerate(NAMES):
        mint = make.address()
        make.create(mint, wallet, symbol=name[:30], name=name, uri=name)
        make.trade(mint, wallet, number, block_time=NOW)
    folder = tmp_path_factory.mktemp("consoles")
    store = Store.open(folder / "pumpwatch.db", origin="simulator")
    store.apply(make.deliveries)
    store.close()
    return folder


def shown(folder: Path, encoding: str, *line: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-X", "utf8=0", "-m", "pumpwatch", *line],
        cwd=folder,
        env={**clean_environment(folder), "PYTHONIOENCODING": encoding, "PUMPWATCH_PUMPWATCH_LOG_LEVEL": "DEBUG"},
        capture_output=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("line", "statuses"),
    [
        (["tokens"], (0,)),
        (["trades"], (0,)),
        (["tokens", "--json"], (0,)),
        (["top", "--json"], (0,)),
        (["status"], (1,)),
        (["export", "trades", "--output", "-"], (0,)),
        (["tokens", "--symbol", "日本🚀"], (0, 1)),
        (["token", "日本🚀"], (1, 2)),
        (["service", "show"], (0, 1)),
    ],
    ids=lambda value: " ".join(map(str, value)).encode("ascii", "replace").decode(),
)
def test_no_console_crashes_on_a_name(folder: Path, encoding: str, line: list[str], statuses: tuple[int, ...]) -> None:
    ended = shown(folder, encoding, *line)

    said = ended.stderr.decode(encoding, "replace")
    assert ended.returncode in statuses, said
    assert "Traceback" not in said
    assert "defect" not in said
    # An export is a file of its own encoding, wherever it goes.
    out = ended.stdout.decode("utf-8" if line[0] == "export" else encoding)
    if line[0] in ("tokens", "trades"):
        assert "\x1b" not in out
        assert "\u202e" not in out
    if line == ["tokens"]:
        assert "\\u" in out
        assert ("naïve" in out) == (encoding != "ascii"), "what it has is shown as it is"


@pytest.mark.parametrize("encoding", [*ENCODINGS, "cp932", "utf-8"])
def test_the_screen_of_top_is_drawn_on_any_console(folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from pumpwatch.cli.top import look
    from pumpwatch.cli.top_screen import Screen

    raw = io.BytesIO()
    console = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")  # as `main` has every stream
    seen = look(folder / "pumpwatch.db", window="24h", order="trades", most=30, now=NOW)
    monkeypatch.setitem(os.environ, "TERM", "xterm")

    with Screen(Console(file=console, force_terminal=True, width=100, height=40)) as screen:
        screen.show(seen)
    console.flush()

    assert seen.tokens
    assert len(raw.getvalue()) > 500
    console.close()
