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
ORDERS: Final[tuple[str, ...]] = tuple(order for order in get_args(TokenOrder) if order != "oldest")
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
    order = cast("TokenOrder", arguments.choice("order", ORDERS, "newest"))
    limit = arguments.limit(most=MOST_TOKENS, default=DEFAULT_TOKENS)
    run, now = context(), time.time()
    cursor = run.live.cursor()
    with run.reader() as reader:
        if order == "change":
            mints = mints_in_window(reader, wanted, limit=limit, order=order, seconds=_HOUR_SECONDS, now=now)
        else:
            mints = wanted_mints(reader, wanted, limit=limit, order=order)
        return answer(Tokens(reader.origin(), now, cursor, token_rows(reader, mints, now)))
