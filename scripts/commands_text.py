"""
Run the examples of docs/commands.md anew and write their output into it. A test compares.

    python scripts/commands_text.py

Each line ``$ python -m pumpwatch ...`` of a ``console`` block is run here, in one process and one after the other, in a folder
with a record made of real trades: what ``replay`` makes of captured sessions (../shared/corpus). Their clock stands still.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
DOCUMENT = ROOT / "docs" / "commands.md"

#: 2026-07-04 11:45 UTC: some minutes after the younger of the sessions.
NOW = 1_783_165_500

_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.S | re.M)
_PROMPT = "$ python -m pumpwatch "


@contextlib.contextmanager
def sample(folder: Path) -> Iterator[None]:
    """Be in *folder*, with the files that the examples name, at a time that does not pass."""
    sessions = [
        CORPUS / "pumpportal" / "session_2026-07-03.jsonl",
        CORPUS / "helius" / "logs_subscribe_2026-07-04.jsonl",
        *sorted((CORPUS / "trades").glob("*.csv")),
    ]
    with contextlib.chdir(folder):
        print(run(["replay", *map(str, sessions), "--database", "pumpwatch.db"]), file=sys.stderr)
        with mock.patch("time.time", return_value=float(NOW)), mock.patch.dict(os.environ, {"COLUMNS": "80"}):
            yield


def run(arguments: list[str]) -> str:
    """What the command prints."""
    from pumpwatch.cli.main import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        main(arguments)
    return out.getvalue()


def text() -> str:
    """The document with the output of its examples as it is now."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sample(Path(folder)):
        return _BLOCK.sub(lambda block: _filled(block[0]), DOCUMENT.read_text(encoding="utf-8"))


def _filled(block: str) -> str:
    lines = []
    for line in block.splitlines():
        if line.startswith("$ "):
            assert line.startswith(_PROMPT), f"not a command of ours: {line}"
            lines += [line, run(shlex.split(line[len(_PROMPT) :])).rstrip("\n")]
    return "\n".join(line for line in lines if line) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8", newline="\n")
