"""``/api/live``, which tells what happens as it does, and ``/api/changes`` for those who ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Final

import flask
import msgspec

from pumpwatch.dashboard.answers import Changes, LiveEvent
from pumpwatch.dashboard.arguments import Arguments
from pumpwatch.dashboard.context import Context
from pumpwatch.dashboard.live import Live, TooManyStreams
from pumpwatch.dashboard.problems import Problem, answer
from pumpwatch.dashboard.subscription import Subscription
from pumpwatch.dashboard.ticks import Interest, Position

#: A dead server is noticed when nothing comes.
BEAT_SECONDS: Final = 10.0

#: So often it is looked whether the client is still there.
_LOOK_SECONDS: Final = 1.0

#: What a browser does when its stream ends: wait so long, and come back.
_RETRY: Final = b"retry: 1000\n\n"

_BEAT: Final = LiveEvent("beat", {})

#: Keeps the connection, and is no sign of life.
_WAITING: Final = b": the record cannot be read now\n\n"


def blueprint(run: Context) -> flask.Blueprint:
    """The two routes."""
    stream = flask.Blueprint("stream", __name__, url_prefix="/api")

    @stream.get("/live")
    def live() -> flask.Response:
        arguments = _arguments()
        cursor = flask.request.headers.get("Last-Event-ID") or arguments.cursor("after")
        told = _Stream(run.live, _interest(arguments), cursor, _is_gone(flask.request.environ))
        found = flask.Response(told, content_type="text/event-stream")
        found.headers["Cache-Control"] = "no-store"
        found.headers["X-Accel-Buffering"] = "no"  # a proxy in front would hold events back
        return found

    @stream.get("/changes")
    def changes() -> flask.Response:
        arguments = _arguments()
        cursor = arguments.cursor("after")
        events, position = run.live.changes(_interest(arguments), None if cursor is None else Position.of_text(cursor))
        return answer(Changes(position.text(), time.time(), events))

    return stream


def encoded(event: LiveEvent, cursor: str | None) -> bytes:
    """As a server-sent event."""
    begin = f"event: {event.event}\n" + (f"id: {cursor}\n" if cursor is not None else "")
    return begin.encode() + b"data: " + msgspec.json.encode(event.data) + b"\n\n"


def _arguments() -> Arguments:
    return Arguments("board", "mint", "wallet", "system", "after")


def _interest(arguments: Arguments) -> Interest:
    return Interest(
        board=arguments.flag("board"),
        mint=arguments.address("mint"),
        wallet=arguments.address("wallet"),
        system=arguments.flag("system"),
    )


def _is_gone(environ: dict[str, object]) -> Callable[[], object]:
    """Whether the client has closed its connection, where the server can tell; else it shows when something is written."""
    found = environ.get("waitress.client_disconnected")
    return found if callable(found) else lambda: False


class _Stream:
    """
    The body of one answer, without an end; closed by the server when its client is gone.

    Raises:
        Problem: There are too many streams.
        UsageError: *cursor* is none.

    """

    def __init__(self, live: Live, interest: Interest, cursor: str | None, is_gone: Callable[[], object]) -> None:
        self._live = live
        self._is_gone = is_gone
        after = None if cursor is None else Position.of_text(cursor)
        try:
            self._subscription = Subscription(live, interest, after)
        except TooManyStreams as error:
            message = "Too many pages stream: ask /api/changes instead."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, message, code="too_many_streams") from error

    def __iter__(self) -> Iterator[bytes]:
        yield _RETRY
        told_at = time.monotonic()
        while not (self._live.is_stopping or self._is_gone()):
            events = self._subscription.take(_LOOK_SECONDS)
            if events:
                yield self._encoded(events)
            elif time.monotonic() - told_at >= BEAT_SECONDS:
                has_begun = bool(self._subscription.cursor)
                yield self._encoded([_BEAT]) if has_begun and self._live.is_reading else _WAITING
            else:
                continue
            told_at = time.monotonic()

    def close(self) -> None:
        """Idempotent."""
        self._subscription.close()

    def _encoded(self, events: list[LiveEvent]) -> bytes:
        """The cursor is true only with the last of them."""
        cursor = self._subscription.cursor
        return b"".join(encoded(event, cursor if event is events[-1] else None) for event in events)
