"""The rates in ``status``."""

from __future__ import annotations

import time

from cli_samples import USDC, Record, Run

from pumpwatch.events import WRAPPED_SOL, Delivery, QuotePriced
from pumpwatch.storage.store import Store


def price(record: Record, quote_mint: str, usd: float, source: str, *, ago_seconds: float, minute: int | None = None) -> None:
    at = int(time.time() - ago_seconds)
    event = QuotePriced(
        quote_mint=quote_mint, minute=at // 60 if minute is None else minute, usd=usd, source=source, at_us=at * 1_000_000
    )
    store = Store.open(record.database, origin="simulator")
    store.apply([Delivery(source="pumpwatch", received_at_us=at * 1_000_000, events=(event,))])
    store.close()


def test_status_tells_each_rate_with_source_and_age_and_says_when_it_is_stale(run: Run, record: Record) -> None:
    price(record, WRAPPED_SOL, 149.68, "coinbase", ago_seconds=5)
    price(record, USDC, 0.9998, "jupiter", ago_seconds=7_300)

    lines = run("status").lines()

    assert any(line.startswith("SOL 149.68 USD (coinbase, ") and line.endswith(" s ago)") for line in lines)
    assert "USDC 0.9998 USD (jupiter, stale: 2 h ago, USD of newer trades is unknown)" in lines
    sol, usdc = run("status", "--json").json()["rates"]
    assert (sol["quote_mint"], sol["usd"], sol["source"], sol["stale"]) == (WRAPPED_SOL, 149.68, "coinbase", False)
    assert usdc["stale"]
    assert 7_299 < usdc["age_seconds"] < 7_400


def test_a_close_of_the_past_is_as_old_as_its_minute(run: Run, record: Record) -> None:
    price(record, WRAPPED_SOL, 140.0, "coinbase", ago_seconds=5, minute=int(time.time()) // 60 - 120)

    (rate,) = run("status", "--json").json()["rates"]

    assert rate["stale"]


def test_without_a_rate_nothing_is_said(run: Run) -> None:
    assert " USD (" not in run("status").out
    assert run("status", "--json").json()["rates"] == []
