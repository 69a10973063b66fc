"""What new trades say: each market rule, told with the completeness of the record behind it, and never of history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_samples import Token

from pumpwatch.alerts.market import Market, record
from pumpwatch.config import AlertsSettings
from pumpwatch.events import AlertRaised, Delivery, Event, TokenCreated
from pumpwatch.storage.newest import Fresh, Newest, NewToken
from pumpwatch.storage.store import Store

NOW = 1_790_000_000
SOL = 10**9


def fresh(**changes: Any) -> Fresh:
    known: dict[str, Any] = {
        "mint": "M" * 44,
        "symbol": "CAT",
        "wallet": "W" * 44,
        "is_buy": True,
        "in_pool": False,
        "token_amount": 10**12,
        "quote_amount": SOL,
        "is_sol": True,
        "is_confirmed": True,
        "at": NOW,
        "price": 1.0,
        "progress": 10.0,
        "curve_tokens": 10**14,
        "is_by_creator": False,
        "has_graduated": False,
        "graduated_at": None,
        "completeness": "complete",
        "holes": 0,
        "reason": None,
    }
    return Fresh(**{**known, **changes})


def judged(
    *trades: Fresh, tokens: tuple[NewToken, ...] = (), wallets: tuple[str, ...] = (), **settings: Any
) -> list[AlertRaised]:
    market = Market(AlertsSettings(**settings), wallets=lambda: wallets)
    assert market.is_on
    return list(market.judge(trades, tokens, now=float(NOW), now_us=NOW * 10**6))


def test_wallets_that_are_watched_later_count_too() -> None:
    wallets: list[str] = []
    market = Market(AlertsSettings(wallet_trades=True), wallets=lambda: wallets)
    was_on = market.is_on
    wallets.append("W" * 44)
    assert (was_on, market.is_on) == (False, True)
    assert [one.rule for one in market.judge([fresh()], [], now=float(NOW), now_us=1)] == ["wallet trades"]


def test_all_rules_are_off_at_first() -> None:
    market = Market(AlertsSettings(), wallets=lambda: ["W" * 44])
    assert not market.is_on
    assert list(market.judge([fresh(quote_amount=10**15)], [], now=float(NOW), now_us=1)) == []


def test_a_large_trade_is_told_with_its_amount_its_wallet_and_how_good_the_record_is() -> None:
    small, large = fresh(quote_amount=9 * SOL), fresh(quote_amount=10 * SOL, is_buy=False, completeness="holes", holes=2)

    [alert] = judged(small, large, large_trade_sol=10.0)

    assert (alert.rule, alert.subject, alert.is_market, alert.lasts) == ("large trade", "M" * 44, True, False)
    assert "sell of 10 SOL in CAT by WWWW" in alert.text
    assert alert.completeness == "record with 2 holes"
    assert "record with 2 holes" in alert.text


def test_a_large_part_of_the_curve_and_what_is_not_confirmed() -> None:
    [alert] = judged(
        fresh(token_amount=5 * 10**12, is_confirmed=False, is_sol=False),
        fresh(in_pool=True, token_amount=10**14),
        large_trade_curve_percent=5.0,
    )
    assert "not confirmed yet" in alert.text
    assert "5.0 % of what the curve had to sell" in alert.text


def test_history_and_amounts_in_other_quotes_are_no_alerts() -> None:
    assert judged(fresh(quote_amount=10**15, at=NOW - 301), large_trade_sol=1.0) == []
    assert judged(fresh(quote_amount=10**15, is_sol=False), large_trade_sol=1.0) == []
    old = NewToken("M" * 44, "CAT", "cat", (NOW - 301) * 10**6)
    assert judged(tokens=(old,), new_tokens="*cat*") == []


def test_bursts_and_moves_are_told_once_for_their_time() -> None:
    trades = [fresh(at=NOW - 20 + n, quote_amount=SOL, price=1.0 + n / 10) for n in range(20)]
    assert [one.rule for one in judged(*trades, burst_volume_sol=5.0)] == ["burst of volume"]
    assert [one.rule for one in judged(*trades, burst_buys=20)] == ["burst of buys"]
    [move] = judged(*trades, price_move_percent=50.0)
    assert "moved by +50.0 % within 60 s" in move.text
    slow = [fresh(at=NOW - 299 + 61 * n, quote_amount=3 * SOL) for n in range(4)]
    assert judged(*slow, burst_volume_sol=5.0) == [], "what lies farther apart than the window is no burst"


def test_creators_wallets_and_graduation() -> None:
    assert [
        one.rule for one in judged(fresh(is_by_creator=True), fresh(is_by_creator=True, is_buy=False), creator_sells=True)
    ] == ["creator sells"]
    assert [one.rule for one in judged(fresh(), wallet_trades=True, wallets=("W" * 44,))] == ["wallet trades"]
    assert [one.rule for one in judged(fresh(progress=79.0), *[fresh(progress=80.0)] * 3, graduation_percent=80.0)] == [
        "graduation near"
    ]
    gone = fresh(has_graduated=True, graduated_at=NOW - 5, in_pool=True, progress=None)
    assert [one.rule for one in judged(gone, gone, graduated=True)] == ["graduated"]
    long_gone = fresh(has_graduated=True, graduated_at=NOW - 5000)
    assert judged(long_gone, graduated=True) == []


def test_a_new_token_by_the_pattern_of_its_name_which_is_never_more_than_text() -> None:
    tokens = (
        NewToken("A" * 44, "(a+)+$", "x" * 5000, NOW * 10**6),
        NewToken("B" * 44, None, "Best \u202edog\x1b[2J ever", NOW * 10**6),
        NewToken("C" * 44, None, None, NOW * 10**6),
    )
    [alert] = judged(tokens=tokens, new_tokens="*DOG*")
    assert alert.subject == "B" * 44
    assert "\x1b" not in alert.text
    assert "\u202e" not in alert.text


@pytest.mark.parametrize(
    ("completeness", "holes", "reason", "said"),
    [
        ("complete", 0, None, "record complete"),
        ("since", 0, None, "record complete: since"),
        ("holes", 3, None, "record with 3 holes"),
        ("unproven", 0, "budget", "record unproven: budget"),
        ("unproven", 0, None, "record unproven: not judged yet"),
    ],
)
def test_how_good_the_record_is(completeness: str, holes: int, reason: str | None, said: str) -> None:
    assert record(fresh(completeness=completeness, holes=holes, reason=reason)) == said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, origin="simulator")
    yield store
    store.close()


def apply(store: Store, *events: Event) -> None:
    store.apply([Delivery(source="helius", received_at_us=time.time_ns() // 1000, events=(event,)) for event in events])


def test_what_is_new_is_read_once_in_the_order_of_its_arrival(store: Store, path: Path) -> None:
    token = Token(1, trades=12)
    apply(store, token.created, *token.trades[:5])
    newest = Newest(path)
    try:
        assert newest.take().trades == [], "what was there before is not new"
        apply(store, *token.trades[5:])
        news = newest.take()
        assert [trade.token_amount for trade in news.trades] == [trade.token_amount for trade in token.trades[5:]]
        first = news.trades[0]
        assert (first.mint, first.symbol, first.is_sol, first.is_confirmed) == (token.mint, "CAT", True, True)
        assert first.is_by_creator, "its developer is the only wallet here"
        assert first.progress is not None
        assert 0 <= first.progress <= 100
        assert newest.take().trades == []
        created = TokenCreated(
            signature="s" * 88, mint=Token(2).mint, bonding_curve=token.wallet, developer=token.wallet, name="new"
        )
        apply(store, created)
        assert [one.name for one in newest.take().tokens] == ["new"]
    finally:
        newest.close()


def test_who_is_far_behind_goes_on_with_the_newest(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.newest._FARTHEST", 10)
    monkeypatch.setattr("pumpwatch.storage.newest._MOST", 6)
    newest = Newest(path)
    try:
        token = Token(3, trades=30)
        apply(store, *token.trades)
        looks = [newest.take() for _ in range(3)]
        assert [(look.left_out, len(look.trades)) for look in looks] == [(20, 6), (0, 4), (0, 0)]
        assert looks[1].trades[-1].token_amount == token.trades[-1].token_amount
    finally:
        newest.close()
