"""The API described for programs: OpenAPI 3.1, made of the very structs that are sent and of one table of what is asked."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from pumpwatch import __version__
from pumpwatch.candles import INTERVALS
from pumpwatch.dashboard import answers
from pumpwatch.dashboard.api_token import (
    DEFAULT_CANDLES,
    LATEST,
    MOST_CANDLES,
    MOST_TRADERS,
    MOST_TRADES,
    TRADER_ORDERS,
)
from pumpwatch.dashboard.api_tokens import COMPLETENESSES, DEFAULT_TOKENS, MOST_TOKENS, ORDERS, STATUSES
from pumpwatch.dashboard.api_watch import ACTIONS
from pumpwatch.dashboard.guard import ACTION_HEADER, COOKIE

#: The schema of an argument, and what it means.
_Argument: TypeAlias = tuple[Mapping[str, Any], str]

_REFERENCE: Final = "#/components/schemas/{name}"

_ADDRESS: Final = {"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{32,44}$"}
_FLAG: Final = {"type": "string", "enum": ["0", "1"]}
_TEXT: Final = {"type": "string", "maxLength": 64}
_CURSOR: Final = {"type": "string", "maxLength": 200}


def _choice(words: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _whole(least: int, most: int, default: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    return found if default is None else {**found, "default": default}


class Route(NamedTuple):
    """A GET: its path, what it answers with, what it is for, and its arguments by name: their schema and meaning."""

    path: str
    of: type
    summary: str
    query: Mapping[str, _Argument] = {}


_UNTIL: Final[_Argument] = (_whole(0, LATEST), "Unix seconds: nothing later.")
_INTEREST: Final[Mapping[str, _Argument]] = {
    "board": (_FLAG, "1: rows of tokens that changed."),
    "mint": (_ADDRESS, "Trades of this token, its completeness and its row."),
    "wallet": (_ADDRESS, "Trades of this wallet."),
    "system": (_FLAG, "1: what the worker says of itself."),
    "after": (_CURSOR, "The cursor of an earlier answer: goes on from there."),
}

#: In the order in which people read them.
ROUTES: Final = (
    Route(
        "/api/tokens",
        answers.Tokens,
        "Tokens of the record, chosen and in an order.",
        {
            "status": (_choice(STATUSES), "Only those in this state."),
            "completeness": (_choice(COMPLETENESSES), "Only those with such a record."),
            "symbol": (_TEXT, "Part of the symbol or name, or the beginning of the mint."),
            "watched": (_FLAG, "1: only those that are watched now."),
            "order": (_choice(ORDERS), "Which come first; change is of the last hour."),
            "limit": (_whole(1, MOST_TOKENS, DEFAULT_TOKENS), "At most so many."),
        },
    ),
    Route("/api/tokens/{mint}", answers.Token, "All about one token."),
    Route(
        "/api/tokens/{mint}/candles",
        answers.Candles,
        "What its market did, interval by interval, the oldest first.",
        {
            "interval": (_choice(tuple(INTERVALS)), "How long a candle is."),
            "limit": (_whole(1, MOST_CANDLES, DEFAULT_CANDLES), "At most so many."),
            "usd": (_FLAG, "1: prices in US dollars."),
            "until": _UNTIL,
        },
    ),
    Route(
        "/api/tokens/{mint}/trades",
        answers.Trades,
        "Its trades, the newest first.",
        {
            "limit": (_whole(1, MOST_TRADES, 100), "At most so many."),
            "until": _UNTIL,
            "side": (_choice(("buy", "sell")), "Only these."),
            "wallet": (_ADDRESS, "Only those of this wallet."),
            "minimum_quote": ({"type": "number", "minimum": 0}, "Only those of so many whole quotes."),
        },
    ),
    Route(
        "/api/tokens/{mint}/traders",
        answers.Traders,
        "Who traded it.",
        {
            "order": (_choice(TRADER_ORDERS), "Which come first."),
            "limit": (_whole(1, MOST_TRADERS, 20), "At most so many."),
        },
    ),
    Route(
        "/api/tokens/{mint}/proof",
        answers.ProofOf,
        "The proof of its record: the chain of its trades, with its holes where they are.",
        {"limit": (_whole(1, MOST_TRADES, 200), "So many of its last trades.")},
    ),
    Route("/api/wallets/{address}", answers.Wallet, "What one wallet did."),
    Route(
        "/api/wallets/{address}/trades",
        answers.Trades,
        "Its trades, the newest first.",
        {"limit": (_whole(1, MOST_TRADES, 100), "At most so many."), "until": _UNTIL},
    ),
    Route("/api/system", answers.System, "How the recorder is: feeds, gaps, costs, alerts, database."),
    Route("/api/welcome", answers.Welcome, "What a newcomer still needs."),
    Route("/api/changes", answers.Changes, "What happened since a cursor, for those who ask each second.", _INTEREST),
)


@functools.cache
def description() -> dict[str, Any]:
    """The whole document."""
    structs = (*(route.of for route in ROUTES), answers.Error, answers.Watch, answers.Done)
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    of = dict(zip(structs, schemas, strict=True))
    paths: dict[str, Any] = {route.path: {"get": _get(route, of)} for route in ROUTES}
    paths["/api/live"] = {"get": _live(of)}
    paths["/api/watch"] = {"post": _watch(of)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pumpwatch",
            "version": __version__,
            "summary": "What the recorder knows. Amounts are integers in base units, times unix seconds (_us: microseconds).",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}, {"cookie": []}, {"bearer": []}],
    }


def _get(route: Route, of: Mapping[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _ADDRESS}
        for name in ("mint", "address")
        if f"{{{name}}}" in route.path
    ]
    return {
        "operationId": route.of.__name__[0].lower() + route.of.__name__[1:] + ("OfWallet" if "wallets" in route.path else ""),
        "summary": route.summary,
        "parameters": parameters + _query(route.query),
        "responses": {
            "200": {"description": "It.", "content": {"application/json": {"schema": of[route.of]}}},
            **_errors(of),
        },
    }


def _query(query: Mapping[str, _Argument]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema, "description": text} for name, (schema, text) in query.items()]


def _errors(of: Mapping[Any, Any], *more: str) -> dict[str, Any]:
    meanings = {
        "400": "An argument is wrong.",
        "401": "The token is missing.",
        "403": "Not for this caller.",
        "404": "There is no such thing in the record.",
        "409": "The worker refuses it.",
        "413": "The request is too large.",
        "415": "It is not JSON.",
        "503": "There is no record, or it cannot be read now.",
    }
    content = {"application/json": {"schema": of[answers.Error]}}
    wanted = {"400", "401", "403", "404", "503", *more}
    return {status: {"description": text, "content": content} for status, text in meanings.items() if status in wanted}


def _live(of: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": "live",
        "summary": "The same as /api/changes, as it happens: server-sent events hello, tokens, trades, completeness, system, "
        "resync (load everything anew) and beat. Something may be told twice.",
        "parameters": _query(_INTEREST),
        "responses": {
            "200": {"description": "Events without an end.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **_errors(of),
        },
    }


def _watch(of: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": "watch",
        "summary": f"Pin a token or unpin it ({', '.join(ACTIONS)}): for our own page alone.",
        "parameters": [{"name": ACTION_HEADER, "in": "header", "required": True, "schema": {"type": "string"}}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": of[answers.Watch]}}},
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": of[answers.Done]}}},
            **_errors(of, "409", "413", "415"),
        },
    }
