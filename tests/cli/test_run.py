"""``run`` as a process: signals are flags, and cron's ``--if-not-running`` is quiet whenever a start would be in vain."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from pumpwatch.cli import run
from pumpwatch.cli.run import _must_wait, run_worker
from pumpwatch.cli.signals import stop_signals
from pumpwatch.config import Settings, load
from pumpwatch.errors import AlreadyRunning, UsageError
from pumpwatch.feeds.opens import Opens
from pumpwatch.feeds.waits import Waits
from pumpwatch.session_writer import Recording
from pumpwatch.storage.lock import WriterLock

KEYS = {"PUMPPORTAL_API_KEY": "pumpportal-key-1", "HELIUS_API_KEY": "helius-key-1"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's memory of servers is kept in these tests."""
    monkeypatch.setattr(run, "state_folder", lambda: tmp_path / "state")
    return tmp_path / "state"


def settings_of(tmp_path: Path, **environ: str) -> Settings:
    return load(config=None, environ={**KEYS, **environ}, directory=tmp_path)


def refuse(
    folder: Path, settings: Settings, *feeds: str, state: Literal["refused", "exhausted"] = "refused", ago: float = 0
) -> None:
    """The servers of *feeds* have refused these settings' keys, so many seconds ago, for five minutes."""
    endpoints = {"pumpportal": settings.pumpportal.endpoint, "helius": settings.helius.ws}
    for feed in feeds:
        opens = Opens(endpoints[feed], folder=folder, waits=Waits(), clock=lambda: time.time() - ago)
        opens.note_refusal(state, 300, "the key is wrong")


def test_cron_waits_while_every_server_has_refused_a_short_while_ago(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)
    assert not _must_wait(settings)

    refuse(folder, settings, "pumpportal")
    assert not _must_wait(settings)
    refuse(folder, settings, "helius")
    assert _must_wait(settings)


def test_cron_starts_again_when_the_time_is_over(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)

    refuse(folder, settings, "pumpportal", "helius", ago=301)

    assert not _must_wait(settings)


def test_cron_starts_again_with_another_key(tmp_path: Path, folder: Path) -> None:
    refuse(folder, settings_of(tmp_path), "pumpportal", "helius")

    assert not _must_wait(settings_of(tmp_path, HELIUS_API_KEY="helius-key-2"))


def test_a_feed_that_is_not_used_is_not_waited_for(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path, PUMPWATCH_PUMPPORTAL_ENABLED="no")

    refuse(folder, settings, "helius")

    assert _must_wait(settings)


def test_a_plan_that_is_used_up_is_waited_for_by_the_worker_not_by_cron(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)

    refuse(folder, settings, "pumpportal", "helius", state="exhausted")

    assert not _must_wait(settings)


def test_a_start_that_must_wait_makes_and_says_nothing(tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(tmp_path)
    refuse(folder, settings, "pumpportal", "helius")

    assert run_worker(settings, for_seconds=None, if_not_running=True, simulator=False) == 0

    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.glob("pumpwatch.db*"))


def test_a_second_worker_is_an_error_unless_cron_asks(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)
    arguments: dict[str, Any] = {"for_seconds": None, "simulator": False}

    with WriterLock(settings.pumpwatch.database):
        with pytest.raises(AlreadyRunning, match=r"pid \d+"):
            run_worker(settings, if_not_running=False, **arguments)
        assert run_worker(settings, if_not_running=True, **arguments) == 0


def test_an_unknown_provider_is_wrong_usage(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)

    with pytest.raises(UsageError, match="no provider is called xyz; there are"):
        run_worker(settings, for_seconds=1, if_not_running=False, simulator=True, provider="xyz")

    assert not list(tmp_path.glob("pumpwatch.db*"))


def test_a_folder_for_raw_messages_that_cannot_be_written_is_wrong_usage(tmp_path: Path, folder: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "raw").write_text("a file", encoding="utf-8")

    with pytest.raises(UsageError, match=r"raw cannot be written .*: name another folder for --record"):
        run_worker(settings, for_seconds=1, if_not_running=False, simulator=True, record=Recording(tmp_path / "raw", 1))

    assert not list(tmp_path.glob("pumpwatch.db*"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGBREAK"])
def test_a_signal_sets_a_flag_and_nothing_else(name: str) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip(f"this system has no {name}")
    before = signal.getsignal(number)

    with stop_signals() as signals:
        assert not signals.requested()
        signal.raise_signal(number)
        assert signals.requested()
        signal.raise_signal(number)
        assert signals.received == number

    assert signal.getsignal(number) is before
