"""``db backup`` as a person calls it: what it says, its exit statuses, and a copy that the other commands open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_samples import Record, Run

from pumpwatch.cli.main import main


def test_what_it_says_and_what_it_made(run: Run, record: Record, tmp_path: Path) -> None:
    outcome = run("db", "backup", str(tmp_path / "b.db"))
    assert outcome.status == 0
    assert outcome.out.startswith("3,007 trades of 5 tokens in")
    assert " ".join(outcome.out.split()).endswith("simulator data; opened and checked")
    shown = run("tokens", "--json").json()
    assert run("tokens", "--json", PUMPWATCH_PUMPWATCH_DATABASE=str(tmp_path / "b.db")).json() == shown
    assert not list(tmp_path.glob("b.db-*"))


def test_as_json(run: Run, tmp_path: Path) -> None:
    document = run("db", "backup", str(tmp_path / "b.db"), "--json").json()
    assert document["rows"]["trades"] == 3007
    assert document["size_bytes"] == (tmp_path / "b.db").stat().st_size
    assert (document["file"], document["origin"]) == (str(tmp_path / "b.db"), "simulator")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("b.db",), 2), (("b.db", "--replace"), 0), (("nowhere/b.db",), 1), (("pumpwatch.db", "--replace"), 2)],
)
def test_exit_statuses(
    record: Record, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int
) -> None:
    for name in [name for name in os.environ if name.startswith("PUMPWATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(record.database.parent)
    Path("b.db").write_bytes(b"dear")
    assert main(["db", "backup", *arguments]) == status
    said = capsys.readouterr().err
    assert said.count("\n") == (status != 0)
    assert (Path("b.db").read_bytes() == b"dear") == (status != 0)


def test_without_a_database_there_is_nothing_to_back_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["db", "backup", "b.db"]) == 4
