"""``replay`` as a person runs it: the corpus' sessions become the tables that they must become."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.cli.main import main
from pumpwatch.storage.lock import WriterLock


def ask(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_pumpportal_sessions(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "replay.db"
    first, second = (corpus / "pumpportal" / name for name in ("session_2026-07-03.jsonl", "session_2026-09-28.jsonl"))

    assert main(["replay", str(first), "--database", str(database), "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert said["messages"] == {"pumpportal": 205}
    assert (said["trades"], said["rejected"], said["unreadable"], said["problems"]) == (167, 10, 0, [])
    assert ask(database, "SELECT count(*) FROM tokens WHERE created_signature IS NOT NULL") == [(187,)]
    assert ask(database, "SELECT count(*) FROM tokens WHERE migrated_signature IS NOT NULL") == [(7,)]
    assert dict(ask(database, "SELECT kind, count FROM counts")) == {"other launchpad: bonk": 1, "quote mint as mint": 10}
    assert ask(database, "SELECT DISTINCT sources, confirmed, slot FROM trade_log") == [("pumpportal", 0, None)]

    assert main(["replay", str(second), "--database", str(database)]) == 0
    assert "5 new, 172 in" in capsys.readouterr().out
    assert ask(database, "SELECT count(*) FROM tokens WHERE created_signature IS NOT NULL") == [(193,)]


def test_the_helius_session(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "replay.db"

    assert main(["replay", str(corpus / "helius/logs_subscribe_2026-07-04.jsonl"), "--database", str(database)]) == 0

    assert "146 (helius 146)" in capsys.readouterr().out
    assert ask(database, "SELECT venue, sources, confirmed, count(*) FROM trade_log GROUP BY 1, 2, 3") == [
        ("curve", "helius", 1, 93)
    ]
    assert ask(database, "SELECT count(*) FROM tokens WHERE created_slot IS NOT NULL") == [(19,)]
    assert ask(database, "SELECT (SELECT count(*) FROM rejected) + (SELECT count(*) FROM unread)") == [(0,)]
    assert ask(database, "SELECT count(*) FROM gaps") == [(0,)]


def test_unreadable_lines_are_told_and_counted(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "session\x1b[31m.jsonl"
    path.write_bytes((corpus / "pumpportal/session_2026-09-28.jsonl").read_bytes() + b"\x1b[2J\n" * 30)

    assert main(["replay", str(path), "--database", str(tmp_path / "replay.db")]) == 0

    said = capsys.readouterr()
    assert "unreadable  30 lines of the files" in said.out
    assert said.err.count(" line ") == 20
    assert "and 10 more lines that cannot be read" in said.err
    assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / name), "--database", str(tmp_path / "replay.db")]) == 2

    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "replay.db").exists()


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_is_a_positive_number(tmp_path: Path, speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "x", "--database", str(tmp_path / "replay.db"), f"--speed={speed}"]) == 2
    assert "--speed" in capsys.readouterr().err


def test_a_database_that_another_process_writes_is_left_alone(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "replay.db"
    with WriterLock(database):
        status = main(["replay", str(corpus / "pumpportal/session_2026-09-28.jsonl"), "--database", str(database)])

    assert status == 3
    assert "is writing to" in capsys.readouterr().err
