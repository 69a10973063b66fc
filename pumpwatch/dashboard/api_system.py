"""``/api/system``: how the recorder is; ``/api/welcome``: what a newcomer still needs."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Final

import flask

from pumpwatch.dashboard.answers import GapOf, Run, System
from pumpwatch.dashboard.arguments import Arguments
from pumpwatch.dashboard.context import Context, context
from pumpwatch.dashboard.problems import answer
from pumpwatch.dashboard.welcome import welcome
from pumpwatch.overview import state_of
from pumpwatch.storage.alerts import alerts_of
from pumpwatch.storage.queries import Reader

#: For all who ask together, as it looks at much: nothing older is told, unless a look takes more than a tenth of that.
_OLDEST_SECONDS: Final = 2.0
_PAUSE: Final = 10

#: One look may take so long, on a slow disk.
_MOST_SECONDS: Final = 20.0

_MOST_ALERTS: Final = 50
_GAPS: Final = """
    SELECT gaps.id, gaps.cause, gaps.state, gaps.feed, gaps.mint, tokens.symbol, gaps.from_us, gaps.to_us, gaps.detail,
        gaps.found, gaps.closed_by, gaps.closed_at_us, gaps.reason
    FROM ({source}) AS gaps LEFT JOIN tokens ON tokens.mint = gaps.mint
"""
_OPEN: Final = _GAPS.format(source="SELECT * FROM gaps WHERE state IN ('open', 'filling') ORDER BY id DESC LIMIT 100")
_CLOSED: Final = _GAPS.format(
    source="SELECT * FROM (SELECT * FROM gaps ORDER BY id DESC LIMIT 2000) WHERE state = 'closed' "
    "ORDER BY closed_at_us DESC, id DESC LIMIT 50"
)
_DROPS: Final = _GAPS.format(
    source="SELECT * FROM (SELECT * FROM gaps ORDER BY id DESC LIMIT 20000) WHERE feed IS NOT NULL AND mint IS NULL "
    "AND signature IS NULL ORDER BY from_us DESC LIMIT 100"
)
_RUNS: Final = "SELECT started_at_us, pid, version, ended_at_us, exit_status, reason FROM runs ORDER BY id DESC LIMIT 20"


def register(api: flask.Blueprint, run: Context) -> None:
    """Add the routes."""
    newest = Newest(functools.partial(_look, run))

    @api.get("/system")
    def system() -> flask.Response:
        Arguments()
        return answer(newest.get())

    @api.get("/welcome")
    def what_is_missing() -> flask.Response:
        Arguments()
        return answer(welcome(context().settings, time.time()))


class Newest:
    """
    The newest look at everything, for all who ask. One request at a time looks anew; meanwhile others get what there is.

    Args:
        look: Makes a new one; how long it takes says how often it is asked to.
        clock: Seconds that never go back.

    """

    def __init__(self, look: Callable[[], System], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._looking = threading.Lock()
        self._found: System | None = None
        self._next_at = 0.0

    def get(self) -> System:
        """
        The newest, made now if it is old.

        Raises:
            DatabaseError: There is no record that can be read.

        """
        found = self._found
        if found is not None and self._clock() < self._next_at:
            return found
        if not self._looking.acquire(blocking=found is None):
            assert found is not None
            return found
        try:
            if self._found is None or self._clock() >= self._next_at:  # nobody else did meanwhile
                began = self._clock()
                self._found = self._look()
                self._next_at = began + max(_OLDEST_SECONDS, (self._clock() - began) * _PAUSE)
        except BaseException:
            self._found = None  # whoever asks next is told too
            raise
        else:
            return self._found
        finally:
            self._looking.release()


def _look(run: Context) -> System:
    now = time.time()
    cursor = run.live.cursor()
    with run.reader(most_seconds=_MOST_SECONDS) as reader:
        return System(
            now=now,
            cursor=cursor,
            **state_of(reader, run.settings, now),
            alerts=alerts_of(reader, limit=_MOST_ALERTS),
            runs=[Run(*row) for row in reader.rows(_RUNS)],
            drops=_gaps(reader, _DROPS),
            gaps_open=_gaps(reader, _OPEN),
            gaps_closed=_gaps(reader, _CLOSED),
        )


def _gaps(reader: Reader, question: str) -> list[GapOf]:
    return [GapOf(*row) for row in reader.rows(question)]
