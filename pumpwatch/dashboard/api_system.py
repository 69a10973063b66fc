"""``/api/system``: how the recorder is; ``/api/welcome``: what a newcomer still needs."""

from __future__ import annotations

import threading
import time
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

#: For all who ask together: it looks at much.
_OLDEST_SECONDS: Final = 2.0

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
    state = _State(run)

    @api.get("/system")
    def system() -> flask.Response:
        Arguments()
        return answer(state.now())

    @api.get("/welcome")
    def what_is_missing() -> flask.Response:
        Arguments()
        return answer(welcome(context().settings, time.time()))


class _State:
    """The newest look at everything; made again by whoever asks when it is old, while the others wait for that one."""

    def __init__(self, run: Context) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._found: System | None = None
        self._looked_at = 0.0

    def now(self) -> System:
        """
        Look, if nobody did in the last two seconds.

        Raises:
            DatabaseError: There is no record that can be read.

        """
        with self._lock:
            if self._found is None or time.monotonic() - self._looked_at > _OLDEST_SECONDS:
                self._found = None  # a failure is told to everybody
                self._found = self._look()
                self._looked_at = time.monotonic()
            return self._found

    def _look(self) -> System:
        now = time.time()
        cursor = self._run.live.cursor()
        status = state_of(self._run.settings, now)
        with self._run.reader() as reader:
            return System(
                now=now,
                cursor=cursor,
                **status,
                alerts=alerts_of(reader, limit=_MOST_ALERTS),
                runs=[Run(*row) for row in reader.rows(_RUNS)],
                drops=_gaps(reader, _DROPS),
                gaps_open=_gaps(reader, _OPEN),
                gaps_closed=_gaps(reader, _CLOSED),
            )


def _gaps(reader: Reader, question: str) -> list[GapOf]:
    return [GapOf(*row) for row in reader.rows(question)]
