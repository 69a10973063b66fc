"""Promises of ``export``: the rows of the other commands, into a file or a pipe, said in one line, and nothing half done."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_samples import NOW, Record, Run

from pumpwatch.cli.main import build_parser
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.errors import UsageError
from pumpwatch.export_file import NotExported

SOL, USDCAT, HOSTILE, QUOTELESS, EMPTY = range(5)
ROOT = Path(__file__).resolve().parents[2]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_a_file_it_is_csv_on_standard_output_and_nothing_else(run: Run, record: Record) -> None:
    found = rows(run("export", "trades").out)

    assert len(found) == sum(record.trades.values())
    assert [row["mint"] for row in found if row["symbol"] == "USDCAT"] == [record.mints[USDCAT]]
    assert {row["completeness"] for row in found} == {"unproven"}


def test_trades_are_those_of_the_command_in_the_chains_order(run: Run, record: Record) -> None:
    mint = record.mints[SOL]
    for chosen in (
        [],
        ["--side", "sell"],
        ["--since", str(NOW + 100), "--until", str(NOW + 200)],
        ["--confirmed"],
        ["--min-quote", "1"],
    ):
        listed = run("trades", mint, "--json", "--oldest", "--limit", "10000", *chosen).json()["trades"]

        found = lines(run("export", "trades", mint[:12], "--format", "jsonl", *chosen).out)

        assert [{**row, "completeness": None} for row in found] == [{**row, "completeness": None} for row in listed]
        assert found


def test_trades_of_a_wallet_and_by_time(run: Run, record: Record) -> None:
    found = lines(run("export", "trades", "--wallet", record.wallet, "--order", "time", "--format", "jsonl").out)

    assert len(found) == sum(record.trades.values())
    times = [row["block_time"] for row in found]
    known = [at for at in times if at is not None]
    assert times == sorted(known) + [None] * (len(times) - len(known))


def test_tokens_are_those_of_the_command(run: Run, record: Record) -> None:
    for chosen in ([], ["--status", "graduated"], ["--symbol", "cat"], ["--completeness", "complete"], ["--watched"]):
        listed = run("tokens", "--json", "--order", "oldest", *chosen).json()["tokens"]

        assert lines(run("export", "tokens", "--format", "jsonl", *chosen).out) == listed


def test_candles_are_those_of_the_command(run: Run, record: Record) -> None:
    first, second = record.mints[SOL], record.mints[USDCAT]
    chosen = ["--interval", "5m", "--gapless"]
    series = run("candles", first, "--json", "--limit", "10000", *chosen).json()

    found = lines(run("export", "candles", second, first, first, "--format", "jsonl", *chosen).out)

    assert [row["mint"] for row in found][:2] == [second, first]
    assert [{name: row[name] for name in series["candles"][0]} for row in found[1:]] == series["candles"]
    assert {row["unit"] for row in found[1:]} == {series["unit"]}
    every = lines(run("export", "candles", "--format", "jsonl", "--interval", "1d").out)
    assert [row["trades"] for row in every] == [3001, 1, 1]


def test_a_file_is_told_of_with_the_completeness_of_what_is_in_it(run: Run, record: Record, tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"

    outcome = run("export", "trades", "--output", str(path))

    count = sum(record.trades.values())
    assert outcome.out.startswith(f"{count:,} trades in {path}: csv, ")
    assert "simulator data" in outcome.lines()[0]
    assert f"by the completeness of their tokens' records: {count:,} unproven" in outcome.out
    assert len(rows(path.read_text(encoding="utf-8"))) == count
    told = run("export", "tokens", "--output", str(tmp_path / "tokens.parquet"), "--json").json()
    size_bytes = (tmp_path / "tokens.parquet").stat().st_size
    assert told == {
        "file": str(tmp_path / "tokens.parquet"),
        "format": "parquet",
        "kind": "tokens",
        "origin": "simulator",
        "rows": 5,
        "size_bytes": size_bytes,
        "completeness": {"unproven": 5},
    }


def test_what_cannot_be_is_said_before_anything_is_read(run: Run, record: Record, tmp_path: Path) -> None:
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")

    with pytest.raises(NotExported, match=r"exists already: .*--force"):
        run("export", "trades", "--output", str(taken))
    with pytest.raises(AnswerIsNo):
        run("export", "trades", "zzz")
    with pytest.raises(AnswerIsNo):
        run("export", "candles", record.mints[SOL], "zzz")
    with pytest.raises(UsageError, match="--json tells of a file"):
        run("export", "trades", "--json")
    with pytest.raises(UsageError, match="give --format"):
        run("export", "trades", "--output", str(tmp_path / "trades.xlsx"))
    assert NotExported.exit_status == 1
    assert taken.read_text() == "mine"
    run("export", "tokens", "--output", str(taken), "--force")
    assert taken.read_text(encoding="utf-8").startswith("mint,")


def test_parquet_is_not_thrown_at_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

    with pytest.raises(UsageError, match="no text for a terminal"):
        run("export", "tokens", "--format", "parquet")


@pytest.mark.parametrize(
    "line", [["export"], ["export", "gaps"], ["export", "candles", "--interval", "2m"], ["export", "tokens", "--out", "x"]]
)
def test_a_senseless_line_is_wrong_usage(line: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(line)
    assert ended.value.code == 2


# As a process

#: The program, with an export that takes minutes.
SLOWLY = """
import time
from pumpwatch.cli import progress
from pumpwatch.cli.main import program
from pumpwatch.storage import streams

streams._PAGE_ROWS = 1
progress.Bar.show = lambda *_: time.sleep(0.05)
program()
"""


def command(record: Record, *line: str) -> list[str]:
    (record.database.parent / "pumpwatch.ini").write_text(f"[pumpwatch]\ndatabase = {record.database.name}\n", encoding="utf-8")
    return [sys.executable, "-m", "pumpwatch", "--config", str(record.database.parent / "pumpwatch.ini"), "export", *line]


def environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def test_a_pipe_gets_the_bytes_of_the_file(record: Record, tmp_path: Path) -> None:
    for name in ("trades.csv", "trades.parquet"):
        piped = subprocess.run(
            command(record, "trades", "--format", name.split(".")[1]),
            capture_output=True,
            check=True,
            env=environ(),
            cwd=tmp_path,
        )
        subprocess.run(command(record, "trades", "--output", name), capture_output=True, check=True, env=environ(), cwd=tmp_path)

        written = (tmp_path / name).read_bytes()
        assert len(piped.stdout) == len(written)
        if name != "trades.parquet":  # which says when it was written
            assert piped.stdout == written


def test_who_reads_a_pipe_may_have_enough(record: Record, tmp_path: Path) -> None:
    with subprocess.Popen(
        command(record, "trades"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ(), cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_full_disk_behind_standard_output_is_one_line(record: Record, tmp_path: Path, format_: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command(record, "trades", "--format", format_),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ(),
            cwd=tmp_path,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines() == [
        "pumpwatch: standard output cannot be written (No space left on device)",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of another process is POSIX")
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_ctrl_c_leaves_nothing_and_no_traceback(record: Record, tmp_path: Path, name: str) -> None:
    line = command(record, "trades", "--output", name)
    line[1:3] = ["-c", SLOWLY]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ(), cwd=tmp_path, text=True
    ) as process:
        until = time.monotonic() + 30
        while not list(tmp_path.glob(f".{name}.*.part")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert out == said == ""
    assert not [entry.name for entry in tmp_path.iterdir() if "t." in entry.name]
