"""``/api/live``, which tells what happens as it does, and ``/api/changes`` for those who ask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import flask

from pumpwatch.dashboard.answers import Changes, LiveEvent
from pumpwatch.dashboard.arguments import Arguments
from pumpwatch.dashboard.context import Context
from pumpwatch.dashboard.live import Interest, Live, Position, encoded
from pumpwatch.dashboard.problems import Problem, answer

#: A dead client is noticed when something is written to it, a dead server when nothing comes.
BEAT_SECONDS: Final = 10.0

#: What the page does when its stream ends: wait so long, and come back.
_RETRY: Final = b"retry: 1000\n\n"

_BEAT: Final = LiveEvent("beat", {})


def blueprint(run: Context) -> flask.Blueprint:
    """The two routes."""
    stream = flask.Blueprint("stream", __name__, url_prefix="/api")

    @stream.get("/live")
    def live() -> flask.Response:
        interest, after = _asked()
        after = flask.request.headers.get("Last-Event-ID") or after
        if not run.live.enter():
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages stream: ask /api/changes instead.", code="too_many_streams"
            )
        told = _Stream(run.live, interest, after, run.origin())
        try:
            told.begin()
        except BaseException:
            told.close()
            raise
        found = flask.Response(told, content_type="text/event-stream")
        found.headers["Cache-Control"] = "no-store"
        found.headers["X-Accel-Buffering"] = "no"  # a proxy in front would hold events back
        return found

    @stream.get("/changes")
    def changes() -> flask.Response:
        interest, after = _asked()
        events, position = run.live.begin(after, interest)
        return answer(Changes(position.text(), time.time(), events))

    return stream


def _asked() -> tuple[Interest, str | None]:
    arguments = Arguments("board", "mint", "wallet", "system", "after")
    interest = Interest(
        board=arguments.flag("board"),
        mint=arguments.address("mint"),
        wallet=arguments.address("wallet"),
        system=arguments.flag("system"),
    )
    return interest, arguments.cursor("after")


class _Stream:
    """The body of one answer, without an end; closed by the server when its client is gone."""

    def __init__(self, live: Live, interest: Interest, after: str | None, origin: str) -> None:
        self._live = live
        self._interest = interest
        self._after = after
        self._origin = origin
        self._begun: tuple[list[LiveEvent], Position] | None = None
        self._is_closed = False

    def begin(self) -> None:
        """Find where it begins: here, where what is wrong can still be said with a status."""
        self._begun = self._live.begin(self._after, self._interest)

    def __iter__(self) -> Iterator[bytes]:
        assert self._begun is not None
        events, position = self._begun
        cursor = position.text()
        yield _RETRY + encoded(LiveEvent("hello", {"cursor": cursor, "origin": self._origin, "now": time.time()}), None)
        while not self._live.is_stopping:
            cursor = position.text()
            # The cursor is true only with the last of them.
            told = events or [_BEAT]
            yield b"".join(encoded(event, cursor if event is told[-1] else None) for event in told)
            events, position = self._live.wait(position, self._interest, BEAT_SECONDS)

    def close(self) -> None:
        """Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._live.leave()
