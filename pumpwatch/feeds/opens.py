"""
What a feed remembers about a server beyond its own life: recent opens, refusals, what the plan allows.

One small file per host in the user's state folder, so that a restart, a crash loop or a cron job stays as quiet and as slow as a
process that never ended; and one lock per host, as PumpPortal bans by key and address, whatever the database.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar

import filelock
import msgspec
import platformdirs
from loguru import logger

from pumpwatch.config import Endpoint
from pumpwatch.feeds.waits import Waits
from pumpwatch.files import read_file, replace_file

_P = ParamSpec("_P")
_R = TypeVar("_R")

_HOUR_SECONDS: Final = 3600.0

#: What a plan lacks may be bought: ask again after this.
_ANSWER_HOLDS_SECONDS: Final = 7 * 86_400.0


class _Memory(msgspec.Struct, kw_only=True):
    """The content of the file. Times are unix seconds; *wait_until* 0 = no wait."""

    salt: str = ""
    opens: list[float] = []
    unanswered: int = 0
    judged: int = 0
    ban_level: int = 0
    wait_until: float = 0.0
    wait_state: str = ""
    wait_reason: str = ""
    wait_key: str = ""
    plan_key: str = ""
    plan_allows: bool | None = None
    plan_asked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredWait:
    """Until when (unix seconds) a server must not be asked, in which feed state, and why."""

    until: float
    state: Literal["waiting", "refused", "banned?", "exhausted"]
    reason: str


def _guarded(method: Callable[Concatenate[Opens, _P], _R]) -> Callable[Concatenate[Opens, _P], _R]:
    """One thread at a time: the feed's thread and its sender both note."""

    @functools.wraps(method)
    def guarded(self: Opens, /, *args: _P.args, **named: _P.kwargs) -> _R:
        with self._mutex:
            return method(self, *args, **named)

    return guarded


def state_folder() -> Path:
    """Where this user's memory of servers is kept."""
    return platformdirs.user_state_path("pumpwatch", appauthor=False)


def stored_wait(folder: Path, endpoint: Endpoint, *, now: float | None = None) -> StoredWait | None:
    """What a start right now would have to wait for at *endpoint*, for ``run --if-not-running``; None = nothing."""
    if endpoint.is_loopback:
        return None
    opens = Opens(endpoint, folder=folder, waits=Waits(), clock=time.time if now is None else lambda: now)
    return opens.wait_before_next()


class Opens:
    """
    The memory of one endpoint's server. Never fatal: what cannot be read is forgotten, what cannot be written is kept in memory.

    Any method from any thread, but the place is taken and left by the same one.

    Args:
        folder: Where it is kept; None = in memory only (loopback).
        clock: Unix seconds.

    """

    def __init__(self, endpoint: Endpoint, *, folder: Path | None, waits: Waits, clock: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._waits = waits
        self._clock = clock
        name = re.sub(r"[^a-z0-9.-]", "_", endpoint.host)
        self._file = folder / f"{name}.json" if folder is not None else None
        self._lock = filelock.FileLock(folder / f"{name}.lock", blocking=False) if folder is not None else None
        self._mutex = threading.RLock()
        self._memory = _Memory()
        self._is_writable = True

    # The one place

    def take_place(self) -> bool:
        """Become this user's one connection to the host; False when another process is. Without a folder always True."""
        if self._lock is None:
            return True
        try:
            Path(self._lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            logger.warning("cannot lock {}: {}; going on without", self._lock.lock_file, error)
        return True

    def leave_place(self) -> None:
        """Give the place back. Idempotent."""
        if self._lock is not None:
            with suppress(OSError):
                self._lock.release()

    # Opens

    @_guarded
    def wait_before_next(self) -> StoredWait | None:
        """What must be waited for before the server may be asked again; None = it may be asked now."""
        now = self._clock()
        memory = self._load()
        if memory.unanswered >= self._waits.unanswered_opens and memory.judged < memory.unanswered:
            memory.judged = memory.unanswered
            self._ban(memory, memory.opens[-1] if memory.opens else now, f"{memory.unanswered} connections without a message")
        # A clock that was set back must not make a wait of years.
        longest = max(*self._waits.banned_seconds, self._waits.refused_seconds, self._waits.exhausted_seconds, 0.0)
        if now < memory.wait_until <= now + longest and memory.wait_key in ("", self._fingerprint(memory)):
            return StoredWait(memory.wait_until, memory.wait_state, memory.wait_reason)  # type: ignore[arg-type]
        recent = [at for at in memory.opens if now - _HOUR_SECONDS < at <= now]
        if len(recent) >= self._waits.opens_per_hour:
            reason = f"{len(recent)} connections within the hour are enough"
            return StoredWait(recent[-self._waits.opens_per_hour] + _HOUR_SECONDS, "waiting", reason)
        return None

    @_guarded
    def note_open(self) -> None:
        """A connection is about to be opened. Written before it is, so that a crash loop counts."""
        now = self._clock()
        memory = self._load()
        memory.opens = [*(at for at in memory.opens if now - _HOUR_SECONDS < at <= now), now][-self._waits.opens_per_hour :]
        memory.unanswered += 1
        self._save(memory)

    @_guarded
    def take_back_open(self) -> None:
        """The server was not reached at all (no network, no such name): that open does not count."""
        memory = self._load()
        memory.opens = memory.opens[:-1]
        memory.unanswered = max(0, memory.unanswered - 1)
        memory.judged = min(memory.judged, memory.unanswered)
        self._save(memory)

    @_guarded
    def note_message(self) -> None:
        """The server speaks to us: whatever it had against us is over."""
        memory = self._load()
        if not (memory.unanswered or memory.wait_until or memory.ban_level):
            return
        memory.unanswered = memory.judged = memory.ban_level = 0
        memory.wait_until = 0.0
        self._save(memory)

    # Refusals

    @_guarded
    def note_unwelcome(self, reason: str) -> None:
        """The server answered the handshake with neither a WebSocket nor a reason we know: perhaps a ban."""
        memory = self._load()
        memory.judged = memory.unanswered
        self._ban(memory, self._clock(), reason)

    @_guarded
    def note_refusal(self, state: Literal["refused", "exhausted"], seconds: float, reason: str) -> None:
        """The server refused this key (or address): not again for *seconds*, unless the key changes."""
        memory = self._load()
        memory.unanswered = memory.judged = 0
        memory.wait_until = self._clock() + seconds
        memory.wait_state = state
        memory.wait_reason = reason
        memory.wait_key = self._fingerprint(memory)
        self._save(memory)

    def _ban(self, memory: _Memory, since: float, reason: str) -> None:
        steps = self._waits.banned_seconds
        memory.wait_until = since + steps[min(memory.ban_level, len(steps) - 1)]
        memory.wait_state = "banned?"
        memory.wait_reason = f"{reason}: perhaps {self._endpoint.host} has banned us"
        memory.wait_key = ""
        memory.ban_level += 1
        self._save(memory)

    # The plan

    @_guarded
    def plan_allows_transactions(self) -> bool | None:
        """Whether this key's plan has ``transactionSubscribe``, if that is known."""
        memory = self._load()
        is_fresh = memory.plan_allows or self._clock() - memory.plan_asked_at < _ANSWER_HOLDS_SECONDS
        return memory.plan_allows if is_fresh and memory.plan_key == self._fingerprint(memory) else None

    @_guarded
    def note_plan(self, *, allows_transactions: bool) -> None:
        """Remember what the server answered."""
        memory = self._load()
        memory.plan_key = self._fingerprint(memory)
        memory.plan_allows = allows_transactions
        memory.plan_asked_at = self._clock()
        self._save(memory)

    # The file

    def _fingerprint(self, memory: _Memory) -> str:
        """Tells two keys apart without holding either: a salted, slow hash."""
        if not memory.salt:
            memory.salt = secrets.token_hex(16)
        digest = hashlib.scrypt(self._endpoint.url.encode(), salt=memory.salt.encode(), n=2**10, r=8, p=1, dklen=16)
        return digest.hex()

    def _load(self) -> _Memory:
        if self._file is None or not self._is_writable:
            return self._memory
        try:
            self._memory = msgspec.json.decode(read_file(self._file), type=_Memory)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError) as error:
            logger.warning("{} cannot be read and is begun anew: {}", self._file, type(error).__name__)
        return self._memory

    def _save(self, memory: _Memory) -> None:
        self._memory = memory
        if self._file is None:
            return
        beside = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(memory))
            replace_file(beside, self._file)
            self._is_writable = True
        except OSError as error:
            if self._is_writable:
                logger.warning("{} cannot be written: {}; a restart will not know of it", self._file, error)
            self._is_writable = False
