"""Our curve is the chain's: real trades come out to the lamport."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pumpwatch.simulator import arithmetic as sums
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.player import HistoricTrade, read_trades

_WALLET = "2TofRsSCxfDf9NXcD2QTPyrP1FQgjidTTbcdfJSweLgw"


def read_coins(corpus: Path) -> list[list[HistoricTrade]]:
    coins = []
    for path in sorted((corpus / "trades").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            coins.append(read_trades(csv.DictReader(file)))
    return coins


def test_1499_real_trades_replayed_through_our_curve_give_the_same_numbers(corpus: Path) -> None:
    replayed = 0
    for trades in read_coins(corpus):
        coin = Coin(mint=trades[0].row.mint, creator=trades[0].creator, name="", symbol="", uri="")
        for trade in trades:
            row = trade.row
            if not row.is_buy:
                filled = coin.sell(row.wallet, row.token_amount)
            elif sums.curve_cost(coin.virtual_quote, coin.virtual_token, row.token_amount) == row.quote_amount:
                filled = coin.buy_tokens(row.wallet, row.token_amount)
            else:
                filled = coin.buy_quote(row.wallet, row.quote_amount)
            assert (filled.tokens, filled.quote) == (row.token_amount, row.quote_amount)
            assert (filled.protocol_fee, filled.creator_fee) == (row.protocol_fee, row.creator_fee)
            assert (coin.virtual_token, coin.virtual_quote) == (row.virtual_token_reserves, row.virtual_quote_reserves)
            assert (coin.real_token, coin.real_quote) == (row.real_token_reserves, row.real_quote_reserves)
            assert filled.trader_quote == row.trader_quote_amount
            replayed += 1
    assert replayed == 1_499


def test_real_pool_trades_give_the_same_numbers(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two whole PumpSwap transactions of the corpus, with the vaults' balances before and after."""
    bought = json.loads((corpus / "onchain/pumpswap_buy_v1_2026-10.json").read_text(encoding="utf-8"))["meta"]
    coin = _pool(bought, virtual=17_584_505_288)
    filled = coin.pool_buy(_WALLET, 7_399_890_271, exact_quote=False)
    assert filled.quote == 806_976_961
    assert filled.lp_fee == 1_613_954
    assert (coin.base, coin.vault) == _balances(bought["postTokenBalances"])

    sold = json.loads((corpus / "onchain/pumpswap_sell_v2_2026-10-08.json").read_text(encoding="utf-8"))["meta"]
    coin = _pool(sold, virtual=17_584_418_739)
    coin.keeps_fees = True
    monkeypatch.setattr(sums, "POOL_CREATOR_BPS", 85)
    filled = coin.pool_sell(_WALLET, 3_143_049_857)
    assert (filled.quote, filled.lp_fee, filled.protocol_fee) == (9_977_328, 19_955, 4_989)
    assert (filled.creator_fee, filled.trader_quote) == (84_808, 9_867_576)
    assert (coin.base, coin.vault) == _balances(sold["postTokenBalances"])


def _pool(meta: dict[str, list[dict[str, object]]], *, virtual: int) -> Coin:
    coin = Coin(mint="AWof251XpdZS4kq8TKeQmUNtFiCcW8Jy7DgPPau3pump", creator=_WALLET, name="", symbol="", uri="", stage="pool")
    coin.base, coin.vault = _balances(meta["preTokenBalances"])
    coin.virtual = virtual
    return coin


def _balances(balances: list[dict[str, object]]) -> tuple[int, int]:
    amounts = [json.loads(json.dumps(balance))["uiTokenAmount"]["amount"] for balance in balances]
    return int(amounts[0]), int(amounts[1])


def test_a_buy_of_all_that_is_left_completes_the_curve_and_costs_by_tokens() -> None:
    coin = Coin(mint="AWof251XpdZS4kq8TKeQmUNtFiCcW8Jy7DgPPau3pump", creator=_WALLET, name="", symbol="", uri="")

    filled = coin.buy_quote(_WALLET, 10**15)

    assert coin.stage == "complete"
    assert coin.real_token == 0
    assert filled.tokens == sums.START_REAL_TOKEN
    assert coin.virtual_quote == 115_005_359_057
    coin.graduate(0)
    assert (coin.base, coin.vault) == (sums.POOL_TOKENS, filled.quote - sums.MIGRATION_FEE)
