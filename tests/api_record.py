"""A record that has something of everything, and the JSON API over it, asked in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli_samples import HOSTILE, NOW, USDC, Maker
from werkzeug.test import Client, TestResponse

from pumpwatch.config import DashboardSettings, PumpwatchSettings, Settings
from pumpwatch.dashboard.app import create_app
from pumpwatch.dashboard.context import Context
from pumpwatch.dashboard.live import Live
from pumpwatch.events import (
    WRAPPED_SOL,
    AlertRaised,
    AlertResolved,
    CurveCompleted,
    GapOpened,
    MetadataFetched,
    QuotePriced,
    RunEnded,
    RunStarted,
    SpellEnded,
    SpellStarted,
    TokenMigrated,
    Usage,
)
from pumpwatch.storage.store import Store

ACTION_TOKEN = "the-action-token-of-this-very-run"
US = 1_000_000


@dataclass
class Shown:
    """
    The database and what is in it.

    Attributes:
        cat: SOL, 300 trades of long ago; *usdcat*: USDC, graduated; *hostile*: hostile text; *unknown*: provisional trades only;
            *empty*: nothing but its creation; *fresh*: traded in the last minutes.
        wallet: Traded all of them but *fresh*, and was watched; *trader*: bought and sold *fresh*.
    """

    database: Path
    cat: str
    usdcat: str
    hostile: str
    unknown: str
    empty: str
    fresh: str
    wallet: str
    trader: str

    @property
    def mints(self) -> list[str]:
        """All of them."""
        return [self.cat, self.usdcat, self.hostile, self.unknown, self.empty, self.fresh]


def shown_record(database: Path) -> Shown:
    """Make one."""
    make = Maker()
    made = Shown(database, *(make.address() for _ in range(8)))
    for mint, more in (
        (made.cat, {"symbol": "CAT", "name": "A cat", "real_token_reserves": 793_100_000_000_000}),
        (made.usdcat, {"symbol": "USDCAT", "quote_mint": USDC}),
        (made.hostile, {"symbol": HOSTILE, "name": HOSTILE}),
        (made.empty, {"symbol": "EMPTY", "name": "Nothing"}),
        (made.fresh, {"symbol": "FRESH", "name": "of today", "block_time": int(time.time()) - 900, "slot": 900_000}),
    ):
        make.create(mint, made.wallet, **more)
    for number in range(300):
        make.trade(made.cat, made.wallet if number % 2 else make.address(), number, real_token_reserves=7 * 10**14 - number)
    make.trade(made.usdcat, made.wallet, 1, quote_mint=USDC, quote_amount=2_500_000)
    make.trade(made.hostile, made.wallet, 1)
    for number in range(3):
        make.provisional(made.unknown, made.wallet, number)
    make.put("helius", CurveCompleted(signature=make.signature(), mint=made.usdcat, event_index=1, slot=90, block_time=NOW + 8))
    make.put("helius", TokenMigrated(signature=make.signature(), mint=made.usdcat, event_index=3, slot=99, block_time=NOW + 9))
    _put_fresh(make, made)
    _put_upkeep(make, made)
    store = Store.open(database, origin="simulator")
    for place in range(5):  # one by one: within a batch the order of first appearance is not kept
        store.apply(make.deliveries[place : place + 1])
    store.apply(make.deliveries[5:])
    store.checkpoint()
    store.close()
    return made


def _put_fresh(make: Maker, made: Shown) -> None:
    """Ten trades, a minute apart, the last a minute ago: the price rises with each."""
    now = int(time.time())
    for number in range(10):
        make.trade(
            *(made.fresh, made.trader, number),
            is_buy=number < 8,
            slot=900_100 + number,
            block_time=now - 600 + 60 * number,
            quote_amount=10**9,
            trader_quote_amount=1_010_000_000 if number < 8 else 990_000_000,
            virtual_token_reserves=10**15,
            virtual_quote_reserves=(30 + number) * 10**9,
        )
    for minute in range(now // 60 - 12, now // 60 + 1):
        priced = QuotePriced(quote_mint=WRAPPED_SOL, minute=minute, usd=200.0, source="test", at_us=minute * 60 * US)
        make.put("pumpwatch", priced)


def _put_upkeep(make: Maker, made: Shown) -> None:
    """What a recorder notes beside trades."""
    at = NOW * US
    make.put("pumpwatch", RunStarted(started_at_us=at, pid=7, version="0.1"))
    for mint in (made.cat, made.hostile, made.fresh):
        make.put("pumpwatch", SpellStarted(kind="token", address=mint, reason="admitted", at_us=at))
    make.put("pumpwatch", SpellStarted(kind="token", address=made.usdcat, reason="asked", at_us=at))
    make.put("pumpwatch", SpellEnded(kind="token", address=made.usdcat, at_us=at + 60 * US, reason="idle"))
    make.put("pumpwatch", SpellStarted(kind="wallet", address=made.wallet, reason="asked", at_us=at))
    make.put("pumpwatch", GapOpened(cause="disconnected", feed="helius", from_us=at + 5 * US, to_us=at + 9 * US, detail="reset"))
    make.put("pumpwatch", GapOpened(cause="watched", feed="helius", mint=made.cat, from_us=at, to_us=at + US))
    said = {"description": HOSTILE, "website": "javascript:alert(1)"}
    make.put("pumpwatch", MetadataFetched(mint=made.cat, at_us=at, source="ipfs.example", **said))
    raised = AlertRaised(rule="feed down", subject="helius", severity="warning", raised_at_us=at, text="helius is down")
    make.put("pumpwatch", raised)
    make.put("pumpwatch", AlertResolved(rule="feed down", subject="helius", raised_at_us=at, resolved_at_us=at + US, text="up"))
    make.put("pumpwatch", Usage(provider="pumpportal", day="2026-09-21", messages=5, paid_messages=4, received_bytes=99))
    make.put("pumpwatch", RunEnded(started_at_us=at, ended_at_us=at + 999 * US, exit_status=0, reason="stopped as asked"))


class Api:
    """Requests to the API over a database, without a socket."""

    def __init__(self, database: Path, **dashboard: Any) -> None:
        settings = Settings(pumpwatch=PumpwatchSettings(database=database), dashboard=DashboardSettings(**dashboard))
        self.use(Context(settings=settings, live=Live(database), action_token=ACTION_TOKEN))

    def use(self, run: Context) -> None:
        """From now on ask this."""
        self.run = run
        self.app = create_app(run)
        self._client = Client(self.app)

    def ask(self, path: str, /, **query: Any) -> TestResponse:
        """Whatever comes back."""
        return self._client.get(path, query_string=query)

    def get(self, path: str, /, **query: Any) -> Any:
        """The document."""
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.content_type == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.json

    def refused(self, path: str, /, **query: Any) -> tuple[int, str, str]:
        """Status, word and sentence."""
        return told(self.ask(path, **query))

    def post(self, path: str, body: bytes) -> TestResponse:
        """As our own page does it."""
        own = {"Origin": "http://localhost", "X-Pumpwatch-Action": ACTION_TOKEN, "Content-Type": "application/json"}
        return self._client.post(path, data=body, headers=own)


def told(answer: TestResponse) -> tuple[int, str, str]:
    """Of an error: status, word and sentence."""
    document = answer.json
    assert document is not None
    assert set(document) == {"error"}
    error = document["error"]
    assert set(error) == {"code", "message"}
    assert "\n" not in error["message"]
    return answer.status_code, str(error["code"]), str(error["message"])
