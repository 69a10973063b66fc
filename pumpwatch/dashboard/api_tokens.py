"""``/api/tokens``: the list."""

from __future__ import annotations

import time
from typing import Final, cast, get_args

import flask

from pumpwatch.dashboard.answers import Tokens
from pumpwatch.dashboard.arguments import Arguments
from pumpwatch.dashboard.context import context
from pumpwatch.dashboard.problems import answer
from pumpwatch.dashboard.rows import token_rows
from pumpwatch.storage.board import TokenOrder, WantedTokens, mints_in_window, wanted_mints

STATUSES: Final = ("curve", "completed", "graduated")
COMPLETENESSES: Final = ("complete", "since", "spell", "holes", "unproven")
#: Orders by what happened in the last hour: those alone that traded in it.
_OF_HOUR: Final[dict[str, TokenOrder]] = {"change": "change", "volume-1h": "volume"}
ORDERS: Final = (*(order for order in get_args(TokenOrder) if order not in ("oldest", "change")), *_OF_HOUR)
MOST_TOKENS: Final = 500
DEFAULT_TOKENS: Final = 100

_HOUR_SECONDS: Final = 3600


def register(api: flask.Blueprint) -> None:
    """Add the route."""
    api.get("/tokens")(_tokens)


def _tokens() -> flask.Response:
    arguments = Arguments("status", "completeness", "symbol", "watched", "order", "limit")
    wanted = WantedTokens(
        status=arguments.choice("status", STATUSES),
        completeness=arguments.choice("completeness", COMPLETENESSES),
        text=arguments.text("symbol"),
        watched_only=arguments.flag("watched"),
    )
    order = arguments.choice("order", ORDERS, "newest")
    assert order is not None
    limit = arguments.limit(most=MOST_TOKENS, default=DEFAULT_TOKENS)
    run, now = context(), time.time()
    cursor = run.live.cursor()
    with run.reader() as reader:
        if order in _OF_HOUR:
            mints = mints_in_window(reader, wanted, limit=limit, order=_OF_HOUR[order], seconds=_HOUR_SECONDS, now=now)
        else:
            mints = wanted_mints(reader, wanted, limit=limit, order=cast("TokenOrder", order))
        return answer(Tokens(reader.origin(), now, cursor, token_rows(reader, mints, now)))
