"""``/api/wallets/ADDRESS``: what one wallet did."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import flask

from pumpwatch.dashboard.answers import Trades, Wallet
from pumpwatch.dashboard.api_token import LATEST, MOST_TRADES
from pumpwatch.dashboard.arguments import Arguments, checked_address
from pumpwatch.dashboard.context import context
from pumpwatch.dashboard.problems import Problem, answer
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.positions import positions_of, totals_of
from pumpwatch.storage.queries import Reader, SpellRow
from pumpwatch.storage.tape import trades

_MOST_POSITIONS: Final = 200
_MOST_SPELLS: Final = 20
_KNOWN: Final = "SELECT 1 FROM wallets WHERE address = :address"


def register(api: flask.Blueprint) -> None:
    """Add the routes."""
    api.get("/wallets/<address>")(_wallet)
    api.get("/wallets/<address>/trades")(_trades)


def _wallet(address: str) -> flask.Response:
    checked_address(address, "address")
    Arguments()
    run = context()
    cursor = run.live.cursor()
    with run.reader() as reader:
        spells = _spells(reader, address)
        _check_known(reader, address, spells)
        found = Wallet(
            origin=reader.origin(),
            now=time.time(),
            cursor=cursor,
            address=address,
            is_watched=any(spell.ended_at_us is None for spell in spells),
            spells=spells,
            totals=totals_of(reader, address),
            positions=positions_of(reader, address, limit=_MOST_POSITIONS),
            quotes=reader.quotes(),
        )
    return answer(found)


def _trades(address: str) -> flask.Response:
    checked_address(address, "address")
    arguments = Arguments("limit", "until")
    limit = arguments.limit(most=MOST_TRADES, default=100)
    wanted = Wanted(wallet=address, until=arguments.whole("until", least=0, most=LATEST))
    run = context()
    cursor = run.live.cursor()
    with run.reader() as reader:
        _check_known(reader, address, _spells(reader, address))
        listing = trades(reader, wanted, limit=limit)
        return answer(Trades(reader.origin(), cursor, None, listing.trades, listing.is_cut, listing.looked_to))


def _spells(reader: Reader, address: str) -> list[SpellRow]:
    return [spell for spell in reader.spells(address, limit=_MOST_SPELLS) if spell.kind == "wallet"]


def _check_known(reader: Reader, address: str, spells: Sequence[SpellRow]) -> None:
    if not spells and not reader.rows(_KNOWN, address=address):
        raise Problem(HTTPStatus.NOT_FOUND, f"No trade of the record is of the wallet {address}.")
