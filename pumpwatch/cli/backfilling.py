"""The work of ``backfill``: through the running worker, or without one by ourselves; with its progress on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

import msgspec

from pumpwatch.backfill.asked import BACKFILL, PROGRESS, Progress
from pumpwatch.building import Parts
from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.commands import ask, directory_of
from pumpwatch.config import Settings
from pumpwatch.decode.addresses import is_address
from pumpwatch.errors import AlreadyRunning, TransientError, UsageError
from pumpwatch.feeds.opens import state_folder
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store
from pumpwatch.telemetry import visible
from pumpwatch.threads import Deadline

_POLL_SECONDS: Final = 0.2
_ASKED_SECONDS: Final = 1.0
#: The worker's commands are served one after the other; a page of ``db redecode`` takes some seconds.
_ANSWER_SECONDS: Final = 15.0
#: So often a line, where there is no terminal.
_LINE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 5.0
_BAR_CELLS: Final = 30
_MINUTE: Final = 60


def backfill(settings: Settings, *, mint: str | None, as_json: bool, provider: str | None = None) -> int:
    """
    Fetch the history of *mint*, or without one fill all open gaps.

    Returns:
        The exit status: 1 if something is still missing.

    Raises:
        UsageError: *mint* is no address.
        AnswerIsNo: It could not be asked for.

    """
    if mint is not None and not is_address(mint):
        raise UsageError(f"{visible(mint, limit=60)} is not the address of a token")
    path = settings.pumpwatch.database
    with open_reader(path) as reader:
        origin = reader.origin()
    shown = _Shown(sys.stderr, "transactions" if mint is not None else "gaps")
    lock = WriterLock(path)
    try:
        lock.acquire()
    except AlreadyRunning:
        progress = _through_worker(settings, mint, shown)
    else:
        try:
            progress = _alone(settings, mint, shown, origin=origin, provider=provider)
        finally:
            lock.release()
    shown.end()
    with open_reader(path) as reader:
        pruned = None if mint is None else pruned_until(reader, mint)
    _tell(progress, mint, pruned, as_json=as_json)
    return 1 if progress.remaining else 0


def _through_worker(settings: Settings, mint: str | None, shown: _Shown) -> Progress:
    number = _asked(settings, BACKFILL, {} if mint is None else {"mint": mint})
    while True:
        progress = msgspec.json.decode(_asked(settings, PROGRESS, {"order": number}), type=Progress)
        if progress.state == "done":
            return progress
        shown.show(progress)
        time.sleep(_ASKED_SECONDS)


def _asked(settings: Settings, command: str, arguments: dict[str, str]) -> str:
    try:
        answer = ask(directory_of(settings.pumpwatch.database), command, arguments, timeout_seconds=_ANSWER_SECONDS)
    except TransientError as error:
        raise AnswerIsNo(str(error)) from error
    if not answer.ok:
        raise AnswerIsNo(f"not done: {answer.text}; is [backfill] enabled in the running worker?")
    return answer.text


def _alone(settings: Settings, mint: str | None, shown: _Shown, *, origin: str, provider: str | None) -> Progress:
    """Without a worker: the writer and backfill, and nothing else."""
    writer = settings.writer
    try:
        store = Store.open(
            settings.pumpwatch.database,
            origin=origin,
            busy_timeout_seconds=writer.busy_timeout_seconds,
            synchronous=writer.synchronous,
            break_grace_seconds=settings.backfill.break_grace_seconds,
        )
    except TransientError as error:
        raise AnswerIsNo(f"not done: {error}") from error
    try:
        parts = Parts(settings, store, folder=state_folder(), origin=origin, plays=provider, alone=True)
    except BaseException:
        store.close()
        raise
    assert parts.backfill is not None
    # Its gaps are known once what waits to be stored, the time since the last run among it, is.
    parts.writer.start()
    try:
        while not parts.intake.is_empty and parts.writer.is_alive():
            time.sleep(_POLL_SECONDS / 4)
        number = parts.backfill.asked.ask(mint)
        assert number is not None
        parts.backfill.start()
        while True:
            progress = parts.backfill.asked.progress(number)
            assert progress is not None
            for thread in (parts.backfill, parts.writer):
                if not thread.is_alive():
                    raise thread.error or RuntimeError(f"the {thread.name} thread has ended by itself")
            if progress.state == "done":
                return progress
            shown.show(progress)
            time.sleep(_POLL_SECONDS)
    finally:
        _stop(parts)


def _stop(parts: Parts) -> None:
    deadline = Deadline(_STOP_SECONDS)
    if parts.backfill is not None and parts.backfill.is_alive():
        parts.backfill.stop()
        parts.backfill.join(deadline.left())
    parts.tell_usage()
    parts.writer.finish(deadline)
    parts.writer.join(deadline.left() + 1)


def _tell(progress: Progress, mint: str | None, pruned: int | None, *, as_json: bool) -> None:
    if as_json:
        document = {"mint": mint, "done": progress.done, "remaining": progress.remaining, "reason": progress.reason}
        output.print_json({**document, "pruned_until": pruned})
        return
    if pruned is not None:
        output.print_text(f"{output.pruned_text(pruned, is_one=True)} and are not fetched again")
    what = "transactions fetched" if mint is not None else "gaps filled"
    print(f"{progress.done} {what}" + ("" if progress.remaining else ", nothing is left"))
    if progress.remaining:
        print(f"still missing: {visible(progress.reason or 'unknown', limit=300)}")


class _Shown:
    """How far it is: a bar on a terminal, else a line now and then."""

    def __init__(self, stream: TextIO | None, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._unit = unit
        self._clock = clock
        self._is_terminal = stream is not None and stream.isatty()
        self._began: float | None = None
        self._next_line = clock()
        self._has_bar = False

    def show(self, progress: Progress) -> None:
        """The present state."""
        now = self._clock()
        if self._stream is None or (not self._is_terminal and now < self._next_line):
            return
        self._next_line = now + _LINE_SECONDS
        if self._began is None and progress.done:
            self._began = now
        text = self._text(progress, now)
        if self._is_terminal:
            self._has_bar = True
            self._stream.write(f"\r\x1b[2K{text}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """No more: the line of the bar is free again."""
        if self._stream is not None and self._has_bar:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def _text(self, progress: Progress, now: float) -> str:
        total = progress.done + progress.left
        parts = [f"{progress.done} of {total} {self._unit}" if total else f"looking for {self._unit}"]
        seconds = 0.0 if self._began is None else now - self._began
        if seconds > 1 and progress.done:
            rate = progress.done / seconds
            parts.append(f"{rate:.1f} a second")
            if progress.left:
                parts.append(f"about {_duration(progress.left / rate)} left")
        if progress.reason is not None:
            parts.append(visible(progress.reason, limit=80))
        filled = _BAR_CELLS * progress.done // total if total else 0
        bar = f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] " if self._is_terminal else ""
        return bar + ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"
