"""A record of a few thousand trades, made by the real store, and the commands run as a person runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_samples import HOSTILE, NOW, USDC, Maker, Outcome, Record, Run

from pumpwatch.cli.main import build_parser
from pumpwatch.config import Settings, load
from pumpwatch.events import SpellStarted, TokenMigrated, Usage
from pumpwatch.storage.store import Store


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Record:
    make = Maker()
    sol, usdc, hostile, unknown, empty = (make.address() for _ in range(5))
    wallet = make.address()
    make.create(sol, wallet, symbol="CAT", name="A cat")
    make.create(usdc, wallet, symbol="USDCAT", quote_mint=USDC)
    make.create(hostile, wallet, symbol=HOSTILE, name=HOSTILE)
    make.create(empty, wallet, symbol="EMPTY")
    for number in range(3000):
        make.trade(sol, wallet, number)
    make.trade(sol, wallet, 5000, token_amount=999_999_999_123_456, quote_amount=84_999_999_999)
    make.trade(usdc, wallet, 1, quote_mint=USDC, quote_amount=2_500_000)
    make.trade(hostile, wallet, 1)
    for number in range(3):
        make.provisional(unknown, wallet, number)
    make.provisional(sol, wallet, 6000)
    make.put("helius", TokenMigrated(signature=make.signature(), mint=usdc, event_index=3, slot=99, block_time=NOW + 9))
    for number, mint in enumerate((sol, hostile)):
        make.put("pumpwatch", SpellStarted(kind="token", address=mint, reason="admitted", at_us=(NOW + number) * 1_000_000))
    make.put("pumpwatch", SpellStarted(kind="wallet", address=wallet, reason="asked", at_us=(NOW + 60) * 1_000_000))
    make.put("pumpwatch", Usage(provider="pumpportal", day="2026-09-21", messages=5, paid_messages=4, received_bytes=99))
    database = tmp_path_factory.mktemp("record") / "pumpwatch.db"
    store = Store.open(database, origin="simulator")
    created, rest = make.deliveries[:4], make.deliveries[4:]
    for delivery in created:  # one by one: within a batch the order of first appearance is not kept
        store.apply([delivery])
    for start in range(0, len(rest), 1000):
        store.apply(rest[start : start + 1000])
    store.checkpoint()
    store.close()
    return Record(database, [sol, usdc, hostile, unknown, empty], wallet, {sol: 3002, usdc: 1, hostile: 1, unknown: 3, empty: 0})


@pytest.fixture
def record(recorded: Record, tmp_path: Path) -> Record:
    """A copy that a test may change."""
    database = tmp_path / "pumpwatch.db"
    database.write_bytes(recorded.database.read_bytes())
    return Record(database, recorded.mints, recorded.wallet, recorded.trades)


@pytest.fixture
def run(record: Record, capsys: pytest.CaptureFixture[str]) -> Run:
    """Parse the line and run the command, as the program does, with the settings of this record."""

    def run_line(*line: str, **environ: str) -> Outcome:
        settings: Settings = load(
            config=None,
            environ={"PUMPWATCH_PUMPWATCH_DATABASE": str(record.database), **environ},
            directory=record.database.parent,
        )
        arguments = build_parser().parse_args(line)
        status = arguments.function(settings, arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run_line
