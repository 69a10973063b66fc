from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode import solana
from pumpwatch.events import Event, TokenCreated, Trade
from pumpwatch.market import (
    Reserves,
    after_trade,
    before_trade,
    bonding_progress,
    buyback_fee,
    chain_key,
    curve_buy_quote,
    curve_buy_tokens,
    curve_sell_quote,
    fee,
    impact_of_trade,
    market_cap,
    pool_buy_quote,
    pool_buy_tokens,
    pool_sell_quote,
    price_impact,
    spot_price,
)
from pumpwatch.simulator.player import read_session

START = Reserves(quote=30_000_000_000, token=1_073_000_000_000_000)
FILES = {
    "8gQkv453h8zzwBNDvJdtVo74DYX5kqAAog1tdHNypump.csv": (500, 261),
    "FCuk4XWLR6fAJFTcQoMrm3KeywSt2X6wK4Ufh4Xjpump.csv": (499, 262),
    "HkutG4exp1CxzGaDggWwMgPtQ2hXP2Sesde7WGVcpump.csv": (500, 249),
}

Row = dict[str, str]

quotes = st.integers(1, 10**15)
tokens = st.integers(1, 10**15)
reserves = st.builds(Reserves, quote=st.integers(1, 10**13), token=st.integers(2 * 10**15, 10**16))


def rows(corpus: Path, file: str) -> list[Row]:
    with (corpus / "trades" / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def after_of(row: Row) -> Reserves:
    return Reserves(int(row["virtual_sol_reserves"]), int(row["virtual_token_reserves"]))


def before_of(row: Row) -> Reserves:
    return before_trade(
        after_of(row),
        is_buy=row["is_buy"] == "true",
        token_amount=int(row["amount_in_token"]),
        quote_amount=int(row["amount_in_sol"]),
    )


@pytest.mark.parametrize("file", FILES)
def test_every_real_trade_is_priced_by_the_formula(corpus: Path, file: str) -> None:
    """1,499 of 1,499 over the three files: 772 buys, 727 sells."""
    table = rows(corpus, file)
    assert (len(table), sum(row["is_buy"] == "true" for row in table)) == FILES[file]
    for row in table:
        before, token_amount, quote_amount = before_of(row), int(row["amount_in_token"]), int(row["amount_in_sol"])
        is_buy = row["is_buy"] == "true"
        priced = curve_buy_quote(token_amount, before) if is_buy else curve_sell_quote(token_amount, before)
        assert quote_amount == priced or (
            is_buy and quote_amount == priced + 1 and token_amount == curve_buy_tokens(quote_amount, before)
        )
        assert after_trade(before, is_buy=is_buy, token_amount=token_amount, quote_amount=quote_amount) == after_of(row)


@pytest.mark.parametrize("file", FILES)
def test_every_real_fee_is_rounded_up(corpus: Path, file: str) -> None:
    """2,998 of 2,998 fees."""
    for row in rows(corpus, file):
        amount = int(row["amount_in_sol"])
        assert int(row["fee_amount"]) == fee(amount, int(row["fee_basis_points"]))
        assert int(row["creator_fee_amount"]) == fee(amount, int(row["creator_fee_basis_points"]))


@pytest.mark.parametrize("file", FILES)
def test_the_chain_key_sorts_real_trades_into_an_unbroken_chain(corpus: Path, file: str) -> None:
    """From the start of every curve, 1,496 of 1,496 links exact; the order of the file breaks in each."""
    table = sorted(rows(corpus, file), key=key_of)
    assert before_of(table[0]) == START
    assert all(before_of(later) == after_of(earlier) for earlier, later in pairwise(table))
    slots = [int(row["block_num"]) for row in table]
    assert slots == sorted(slots)
    assert len({key_of(row) for row in table}) == len(table)


def key_of(row: Row) -> bytes:
    after = after_of(row)
    key = chain_key("curve", int(row["block_num"]), after.token, after.quote)
    assert key is not None
    return key


def test_the_worked_example_of_the_curve() -> None:
    """Fact sheet section 5: three buys and a sell."""
    state = START
    for is_buy, quote, token, after in [
        (True, 987654320, 34199203154141, (30987654320, 1038800796845859)),
        (True, 1500000000, 47962871677981, (32487654320, 990837925167878)),
        (True, 1176000000, 34613752533252, (33663654320, 956224172634626)),
        (False, 1141873052, 33574010174530, (32521781268, 989798182809156)),
    ]:
        assert quote == (curve_buy_quote(token, state) if is_buy else curve_sell_quote(token, state))
        state = after_trade(state, is_buy=is_buy, token_amount=token, quote_amount=quote)
        assert state == after
    first = (30987654320, 1038800796845859)
    assert spot_price(*first) == pytest.approx(2.98302e-8, rel=1e-5)
    assert market_cap(*first, supply=10**15) == pytest.approx(29.830, rel=1e-4)
    assert (fee(987654320, 95), fee(987654320, 30)) == (9382717, 2962963)


def test_the_worked_example_of_the_pool() -> None:
    """Fact sheet section 6.1."""
    before = Reserves(quote=1_395_056_995_069, token=12_799_919_608_495)
    assert pool_buy_quote(7_399_890_271, before) == 806_976_961
    assert fee(806_976_961, 20) == 1_613_954
    after = after_trade(before, is_buy=True, token_amount=7_399_890_271, quote_amount=806_976_961, lp_fee=1_613_954)
    assert after == (1_395_865_585_984, 12_792_519_718_224)
    assert spot_price(*before) == pytest.approx(1.089895e-4, rel=1e-6)
    assert spot_price(*after) == pytest.approx(1.091158e-4, rel=1e-6)


@given(reserves, tokens, st.booleans(), st.integers(0, 10**9))
def test_before_and_after_undo_each_other(state: Reserves, token: int, is_buy: bool, lp_fee: int) -> None:
    quote = curve_buy_quote(token, state) if is_buy else curve_sell_quote(token, state)
    after = after_trade(state, is_buy=is_buy, token_amount=token, quote_amount=quote, lp_fee=lp_fee)
    assert before_trade(after, is_buy=is_buy, token_amount=token, quote_amount=quote, lp_fee=lp_fee) == state


@given(reserves, tokens)
def test_rounding_never_favours_the_trader(state: Reserves, token: int) -> None:
    product = state.quote * state.token
    for is_buy, quote in (
        (True, curve_buy_quote(token, state)),
        (True, pool_buy_quote(token, state)),
        (False, curve_sell_quote(token, state)),
        (False, pool_sell_quote(token, state)),
    ):
        after = after_trade(state, is_buy=is_buy, token_amount=token, quote_amount=quote)
        assert after.quote * after.token >= product


@given(reserves, quotes)
def test_an_exact_quote_buy_never_gets_more_than_it_paid_for(state: Reserves, quote: int) -> None:
    token = curve_buy_tokens(quote, state)
    assert token < state.token
    assert curve_buy_quote(token, state) <= quote
    bought = pool_buy_tokens(quote, state)
    assert bought == token
    assert pool_buy_quote(bought, state) <= quote


def test_dust_is_sold_for_nothing() -> None:
    """A real sell of 13,317 base units paid 0 lamports."""
    assert curve_sell_quote(13_317, START) == 0


def test_the_buyback_share_is_rounded_down() -> None:
    assert (buyback_fee(9381251, 5000), buyback_fee(1, 5000), buyback_fee(100, 0)) == (4690625, 0, 0)


def test_a_price_counts_whole_units_of_any_quote() -> None:
    assert spot_price(2_000_000, 1_000_000, quote_decimals=6) == 2.0
    assert spot_price(2_000_000_000, 10**8, token_decimals=8) == 2.0
    assert market_cap(2_000_000, 1_000_000, supply=3_000_000, quote_decimals=6) == 6.0


def test_without_tokens_there_is_no_price() -> None:
    assert spot_price(1, 0) is None
    assert market_cap(1, 0, supply=1) is None


@pytest.mark.parametrize(("file", "count"), [("session_2026-07-03.jsonl", 197), ("trades_pool_pump.jsonl", 4)])
def test_market_caps_are_pumpportals_own(corpus: Path, file: str, count: int) -> None:
    """Its 201 frames say marketCapSol, for a supply of 10**15, mayhem coins included."""
    frames = [json.loads(line) for line in (corpus / "pumpportal" / file).read_text("utf-8").splitlines()]
    told = [json.loads(frame["raw"]) if "raw" in frame else frame for frame in frames]
    told = [frame for frame in told if "vTokensInBondingCurve" in frame]
    assert len(told) == count
    for frame in told:
        reserves = (round(frame["vSolInBondingCurve"] * 1e9), round(frame["vTokensInBondingCurve"] * 1e6))
        assert market_cap(*reserves, supply=10**15) == pytest.approx(frame["marketCapSol"], rel=1e-9)


@pytest.mark.parametrize("file", FILES)
def test_what_was_paid_for_each_lies_between_the_prices_before_and_after(corpus: Path, file: str) -> None:
    """Column price_in_sol of the three files: paid per token, to ten decimals; 1,499 of 1,499."""
    for row in rows(corpus, file):
        ends = [spot_price(*before_of(row)), spot_price(*after_of(row))]
        low, high = sorted(price for price in ends if price is not None)
        assert low - 1e-10 <= float(row["price_in_sol"]) <= high + 1e-10


@pytest.fixture(scope="module")
def told_by_the_chain(corpus: Path) -> list[Event]:
    messages = read_session(corpus / "helius/logs_subscribe_2026-07-04.jsonl")
    found = [solana.decode_message(message.text.encode(), {}) for message in messages]
    return [event for one in found if isinstance(one, solana.Notified) for event in one.events]


def test_a_real_mayhem_coin_states_the_same_supply_as_any_other(told_by_the_chain: list[Event]) -> None:
    """What is held outside the curve is in no event: the market cap is of what the token's own creation states."""
    made = [event for event in told_by_the_chain if isinstance(event, TokenCreated)]
    assert [event.token_total_supply for event in made] == [10**15] * 19
    assert any(event.is_mayhem_mode for event in made)


def test_the_first_trades_of_real_curves_sold_as_much_as_the_progress_says(told_by_the_chain: list[Event]) -> None:
    starts = {event.mint: event.real_token_reserves for event in told_by_the_chain if isinstance(event, TokenCreated)}
    sold = dict.fromkeys(starts, 0)
    compared = 0
    for trade in told_by_the_chain:
        if isinstance(trade, Trade) and trade.mint in sold and sold[trade.mint] is not None and trade.real_token_reserves:
            sold[trade.mint] += trade.token_amount if trade.is_buy else -trade.token_amount
            start = starts[trade.mint]
            if start is not None and start - sold[trade.mint] == trade.real_token_reserves:
                compared += 1
                progress = bonding_progress(start, trade.real_token_reserves)
                assert progress == pytest.approx(sold[trade.mint] / 793_100_000_000_000 * 100)
    assert compared >= 19


def test_progress_ends_at_100_and_is_unknown_without_a_creation() -> None:
    assert bonding_progress(793_100_000_000_000, 793_100_000_000_000) == 0
    assert bonding_progress(793_100_000_000_000, 0) == 100
    assert bonding_progress(None, 0) is None
    assert bonding_progress(0, 0) is None
    real_mayhem_account = 793_586_015_213_140  # of corpus/onchain/curve_accounts: the agent sold what no curve had sold
    assert bonding_progress(793_100_000_000_000, real_mayhem_account) == pytest.approx(-0.0613, rel=1e-3)


def test_what_is_unknown_makes_no_market_cap() -> None:
    assert market_cap(*START, supply=None) is None
    assert market_cap(*START, supply=10**15, quote_decimals=None) is None
    assert spot_price(*START, quote_decimals=None) is None


@pytest.mark.parametrize("file", FILES)
def test_the_impact_of_a_real_trade_is_against_the_trade_before_it(corpus: Path, file: str) -> None:
    table = sorted(rows(corpus, file), key=key_of)
    for earlier, later in pairwise(table):
        impact = impact_of_trade(
            after_of(later),
            is_buy=later["is_buy"] == "true",
            token_amount=int(later["amount_in_token"]),
            quote_amount=int(later["amount_in_sol"]),
        )
        (quote, token), (quote_before, token_before) = after_of(later), after_of(earlier)
        assert impact == pytest.approx(quote * token_before / (token * quote_before) - 1, abs=1e-12)
        assert impact is not None
        assert (impact > 0) == (later["is_buy"] == "true") or abs(impact) < 1e-9


def test_what_stays_in_a_pool_moves_its_price_too() -> None:
    """The worked example of the pool: from 1.089895e-4 to 1.091158e-4."""
    after = Reserves(1_395_865_585_984, 12_792_519_718_224)
    impact = impact_of_trade(after, is_buy=True, token_amount=7_399_890_271, quote_amount=806_976_961, lp_fee=1_613_954)
    assert impact == pytest.approx(1.091158 / 1.089895 - 1, rel=1e-3)
    assert impact_of_trade(Reserves(1, 0), is_buy=True, token_amount=1, quote_amount=1) is None


def test_impact_is_relative_to_the_price_before() -> None:
    assert price_impact(3.0, 2.0) == 0.5
    assert price_impact(1.0, 2.0) == -0.5
    assert price_impact(1.0, 0.0) is None


def test_a_chain_key_is_25_bytes_big_endian() -> None:
    assert chain_key("curve", 1, 2, 3) == bytes(8) + b"\x01" + bytes(15) + b"\x06"
    largest = 2**63 - 1
    assert chain_key("pool", largest, largest, largest) == b"\x01" + largest.to_bytes(8, "big") + (largest**2).to_bytes(16, "big")


@pytest.mark.parametrize("unknown", [(None, 2, 3), (1, None, 3), (1, 2, None)])
def test_what_is_not_known_has_no_place_in_the_chain(unknown: tuple[int | None, int | None, int | None]) -> None:
    assert chain_key("curve", *unknown) is None


def test_the_curve_comes_before_the_pool_and_slots_before_products() -> None:
    keys = [chain_key("curve", 5, 1, 9), chain_key("curve", 5, 2, 9), chain_key("curve", 6, 1, 1), chain_key("pool", 1, 1, 1)]
    assert keys == sorted(key for key in keys if key is not None)
