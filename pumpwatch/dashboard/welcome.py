"""What a newcomer still needs until there is something to see: said in the order in which it is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pumpwatch.config import Settings
from pumpwatch.dashboard.answers import Step, Welcome
from pumpwatch.dashboard.context import MOST_SECONDS
from pumpwatch.errors import DatabaseError
from pumpwatch.status import STALE_SECONDS, StatusUnreadable, path_of, read
from pumpwatch.storage.queries import open_reader

_TRADES = "SELECT EXISTS (SELECT 1 FROM trades)"
_WATCHED = "SELECT count(*) FROM spells WHERE ended_at_us IS NULL"


def welcome(settings: Settings, now: float) -> Welcome:
    """What is there and what is missing, at *now* (unix seconds). Of keys it says only whether they are set."""
    steps = list(_steps(settings, now))
    return Welcome(all(step.done for step in steps if step.needed), steps)


def _steps(settings: Settings, now: float) -> Iterator[Step]:
    path = settings.pumpwatch.database
    problem: str | None = None
    watched, has_trades = 0, False
    try:
        with open_reader(path, most_seconds=MOST_SECONDS) as reader:
            watched = reader.rows(_WATCHED)[0][0]
            has_trades = bool(reader.rows(_TRADES)[0][0])
    except DatabaseError as error:
        problem = str(error)
    is_running, program = _runs(settings, now), _program()
    yield _step(
        "worker",
        is_running,
        "The worker runs and records.",
        "No worker runs: nothing is recorded now.",
        f"Start it: {program}",
    )
    yield _step(
        "database",
        problem is None,
        f"The record is {path.name}.",
        "There is no record yet." if not path.is_file() else problem or "",
        f"The worker makes it. To see a market without waiting: {program} demo --dashboard",
    )
    yield _step(
        "watching",
        watched > 0,
        f"{watched} tokens and wallets are watched.",
        "Nothing is watched yet.",
        f"New tokens are watched by themselves as they come; pin one: {program} watch add MINT",
    )
    yield _step(
        "trades",
        has_trades,
        "Trades are in the record.",
        "No trade is in the record yet.",
        "Wait a moment: the first come with the first tokens.",
    )
    yield _step(
        "helius_key",
        settings.helius.has_key,
        "HELIUS_API_KEY is set.",
        "No HELIUS_API_KEY: Solana's public endpoint is used, which may slow you down or leave things out.",
        "Optional: put HELIUS_API_KEY=... into .env beside pumpwatch.ini, and start the worker anew.",
        is_needed=False,
    )
    yield _step(
        "pumpportal_key",
        settings.pumpportal.has_key,
        "PUMPPORTAL_API_KEY is set.",
        "No PUMPPORTAL_API_KEY: PumpPortal tells of new tokens and migrations, and of no other trades.",
        "Optional: put PUMPPORTAL_API_KEY=... into .env; it is charged by the message (see README).",
        is_needed=False,
    )


def _step(name: str, is_done: bool, done: str, missing: str, what_to_do: str, *, is_needed: bool = True) -> Step:  # noqa: FBT001
    return Step(name, is_done, is_needed, done if is_done else missing, "" if is_done else what_to_do)


def _program() -> str:
    """How this installation is started: in a folder of the project by its script, which needs no environment."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "start.py"
    return "python scripts/start.py" if script.is_file() else "python -m pumpwatch"


def _runs(settings: Settings, now: float) -> bool:
    try:
        status = read(path_of(settings.pumpwatch.database))
    except StatusUnreadable:
        return False
    return status is not None and status.state != "stopped" and abs(now - status.written_at) < STALE_SECONDS
