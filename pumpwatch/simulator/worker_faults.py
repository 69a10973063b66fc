"""Faults inside the worker, for ``run --simulator`` only, when the simulator says so by marker files beside the database."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Final
from weakref import WeakSet

import sqlalchemy as sa

from pumpwatch.simulator.markers import clock_marker, disk_full_marker, hang_marker

#: SQLite's own default: no limit that anybody reaches.
_NO_LIMIT: Final = 4_294_967_294

_LOOK_SECONDS: Final = 0.1


def install(database: Path) -> None:
    """
    From now on, these happen as long as their marker file exists.

    ``disk_full``: transactions on *database* find no room to grow. SQLite itself answers SQLITE_FULL: the file may keep its pages
    and get no more. ``hang``: whoever begins a transaction waits for ever; a new process begins without the marker. ``clock``:
    the time of this process is wrong by the seconds that the file says.
    """
    hang_marker(database).unlink(missing_ok=True)
    _install_clock(clock_marker(database))
    marker, hanging = disk_full_marker(database), hang_marker(database)
    limited: WeakSet[sa.Engine] = WeakSet()

    def begin(connection: sa.Connection) -> None:
        engine = connection.engine
        if engine.url.database != str(database):
            return
        while hanging.exists():
            time.sleep(_LOOK_SECONDS)
        if marker.exists():
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite makes it the present number of pages
            limited.add(engine)
        elif engine in limited:
            connection.exec_driver_sql(f"PRAGMA max_page_count={_NO_LIMIT}")
            limited.discard(engine)

    sa.event.listen(sa.Engine, "begin", begin)


class _Clock:
    """The real time, plus what the marker file says."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker
        self._real = time.time_ns
        self._offset_ns = 0
        self._look_at = 0.0

    def time_ns(self) -> int:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._offset_ns = 0
            with contextlib.suppress(OSError, ValueError):
                self._offset_ns = int(float(self._marker.read_text(encoding="ascii")) * 1e9)
        return self._real() + self._offset_ns

    def time(self) -> float:
        return self.time_ns() / 1e9


def _install_clock(marker: Path) -> None:
    """In place of the system's clock, also where it became the default of a parameter."""
    clock = _Clock(marker)
    instead: dict[Any, Callable[[], Any]] = {time.time: clock.time, time.time_ns: clock.time_ns}
    for function in _functions_of_ours():
        if function.__defaults__:
            function.__defaults__ = tuple(_replaced(value, instead) for value in function.__defaults__)
        if function.__kwdefaults__:
            function.__kwdefaults__ = {name: _replaced(value, instead) for name, value in function.__kwdefaults__.items()}
    time.time, time.time_ns = clock.time, clock.time_ns


def _replaced(value: Any, instead: dict[Any, Callable[[], Any]]) -> Any:
    return next((new for old, new in instead.items() if value is old), value)


def _functions_of_ours() -> Iterator[FunctionType]:
    for name, module in list(sys.modules.items()):
        if name.startswith("pumpwatch"):
            for value in list(vars(module).values()):
                members = vars(value).values() if isinstance(value, type) else (value,)
                yield from (member for member in members if isinstance(member, FunctionType))
