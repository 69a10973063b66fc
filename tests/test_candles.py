"""Promises of candles, on bars of our own making."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.candles import INTERVALS, Bar, Candle, fold, without_gaps

PRICES = st.floats(1e-12, 1e6)


def trade(at: int, price: float | None, volume: int = 10, *, is_buy: bool = True) -> Bar:
    return Bar(at, price, price, price, price, volume, volume if is_buy else 0, 1, int(is_buy))


def priced(*bars: Bar, usd: float | None = 1.0) -> list[tuple[Bar, float | None]]:
    return [(bar, usd) for bar in bars]


def test_a_candle_opens_with_its_first_trade_and_not_where_the_last_one_closed() -> None:
    first, second = fold(priced(trade(0, 1.0), trade(59, 3.0), trade(61, 5.0), trade(62, 4.0, is_buy=False)), 60)
    assert first == Candle(0, 1.0, 3.0, 1.0, 3.0, 20, 20, 2, 2, 2.0)
    assert second == Candle(60, 5.0, 5.0, 4.0, 4.0, 20, 10, 2, 1, 2.0)
    assert second.sells == 1


def test_a_price_that_is_unknown_makes_all_four_of_its_candle_unknown() -> None:
    for bars in ((trade(0, None), trade(1, 2.0)), (trade(0, 2.0), trade(1, None))):
        (candle,) = fold(priced(*bars), 60)
        assert (candle.open, candle.high, candle.low, candle.close) == (None, None, None, None)
        assert (candle.trades, candle.volume) == (2, 20)


def test_a_volume_that_is_unknown_in_dollars_makes_the_sum_unknown() -> None:
    (candle,) = fold([(trade(0, 1.0), 1.0), (trade(1, 1.0), None), (trade(2, 1.0), 1.0)], 60)
    assert candle.volume_usd is None


def test_the_order_inside_is_the_chains_also_where_its_clock_goes_back() -> None:
    first, second = fold(priced(trade(59, 1.0), trade(60, 2.0), trade(59, 3.0), trade(60, 4.0)), 60)
    assert (first.open, first.close) == (1.0, 3.0)
    assert (second.open, second.close) == (2.0, 4.0)


@given(st.lists(st.tuples(st.integers(0, 10_000), PRICES), min_size=1), st.sampled_from(sorted(INTERVALS.values())))
def test_longer_candles_are_made_of_shorter_ones(trades: list[tuple[int, float]], seconds: int) -> None:
    bars = [trade(at, price) for at, price in sorted(trades, key=lambda pair: pair[0])]
    whole = fold(priced(*bars), seconds)
    for shorter in (other for other in INTERVALS.values() if seconds % other == 0):
        parts = [Bar(*(getattr(c, name) for name in ("opens_at", *Bar._fields[1:]))) for c in fold(priced(*bars), shorter)]
        again = fold([(bar, float(bar.trades)) for bar in parts], seconds)
        assert again == whole


@given(st.lists(st.tuples(st.integers(0, 600), PRICES)), st.integers(0, 600), st.integers(0, 600), st.none() | PRICES)
def test_without_gaps_each_interval_is_there_once_from_the_first_price_on(
    trades: list[tuple[int, float]], since: int, length: int, close: float | None
) -> None:
    until = since + length
    inside = sorted((pair for pair in trades if since // 15 <= pair[0] // 15 <= until // 15), key=lambda pair: pair[0])
    sparse = fold(priced(*(trade(at, price) for at, price in inside)), 15)
    found = list(without_gaps(sparse, 15, since=since, until=until, close=close))
    begin = since // 15 * 15 if close is not None else sparse[0].opens_at if sparse else None
    assert [candle.opens_at for candle in found] == ([] if begin is None else list(range(begin, until // 15 * 15 + 1, 15)))
    assert [candle for candle in found if candle.trades] == sparse
    last = close
    for candle in found:
        if not candle.trades:
            assert candle == Candle(candle.opens_at, last, last, last, last, 0, 0, 0, 0, 0.0)
        last = candle.close


def test_behind_an_unknown_price_flat_ones_are_unknown_too() -> None:
    found = list(without_gaps(fold(priced(trade(0, None)), 60), 60, since=0, until=120, close=None))
    assert [candle.close for candle in found] == [None, None, None]
