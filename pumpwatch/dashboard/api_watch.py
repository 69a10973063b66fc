"""``POST /api/watch``: pin a token or unpin it, through the running worker. The one thing that the page can change."""

from __future__ import annotations

import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

import flask
import msgspec

from pumpwatch.commands import ask, directory_of
from pumpwatch.dashboard.answers import Done, Watch
from pumpwatch.dashboard.arguments import checked_address
from pumpwatch.dashboard.context import context
from pumpwatch.dashboard.problems import Problem, answer
from pumpwatch.errors import TransientError
from pumpwatch.status import STALE_SECONDS, StatusUnreadable, path_of, read
from pumpwatch.telemetry import visible

ACTIONS: Final = {"pin": "add", "unpin": "remove"}

_DECODER: Final = msgspec.json.Decoder(Watch)


def register(api: flask.Blueprint) -> None:
    """Add the route."""
    api.post("/watch")(_watch)


def _watch() -> flask.Response:
    try:
        wanted = _DECODER.decode(flask.request.get_data())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, 'Send {"mint": "...", "action": "pin"} or "unpin".', code="bad_argument") from error
    if wanted.action not in ACTIONS:
        raise Problem(HTTPStatus.BAD_REQUEST, "action is one of pin, unpin.", code="bad_argument")
    mint = checked_address(wanted.mint, "mint")
    database = context().database
    if not _runs(database):
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"No worker runs: start it, or pin with `pumpwatch watch {ACTIONS[wanted.action]} {mint}`.",
            code="no_worker",
        )
    try:
        told = ask(directory_of(database), f"watch {ACTIONS[wanted.action]}", {"kind": "token", "address": mint})
    except TransientError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, visible(error, limit=300), code="no_worker") from error
    if not told.ok:
        raise Problem(HTTPStatus.CONFLICT, visible(told.text, limit=300))
    return answer(Done(ok=True, text=visible(told.text, limit=300)))


def _runs(database: Path) -> bool:
    """Whether a worker says so: to ask nobody would take five seconds."""
    try:
        status = read(path_of(database))
    except StatusUnreadable:
        return False
    return status is not None and status.state != "stopped" and abs(time.time() - status.written_at) < STALE_SECONDS
