"""What the API says of one wallet."""

from __future__ import annotations

import pytest
from api_record import Api, Shown
from cli_samples import NOW, USDC

from pumpwatch.events import WRAPPED_SOL


def test_a_wallet_has_its_totals_by_quote_its_positions_and_when_it_was_watched(api: Api, shown: Shown) -> None:
    answer = api.get(f"/api/wallets/{shown.wallet}")

    assert (answer["address"], answer["is_watched"], answer["origin"]) == (shown.wallet, True, "simulator")
    assert [(spell["kind"], spell["reason"]) for spell in answer["spells"]] == [("wallet", "asked")]
    assert [(total["quote_mint"], total["tokens"]) for total in answer["totals"]] == [(WRAPPED_SOL, 2), (USDC, 1), (None, 1)]
    positions = [position["mint"] for position in answer["positions"]]
    assert (positions[0], positions[-1]) == (shown.cat, shown.unknown)  # the last has no time of the chain
    assert set(positions[1:-1]) == {shown.hostile, shown.usdcat}
    cat = answer["positions"][0]
    assert (cat["buys"] + cat["sells"], cat["last_trade_at"]) == (150, NOW + 299)
    assert answer["quotes"][WRAPPED_SOL] == 9
    assert answer["quotes"][USDC] == 6


def test_one_that_only_traded_is_not_watched(api: Api, shown: Shown) -> None:
    answer = api.get(f"/api/wallets/{shown.trader}")

    assert (answer["is_watched"], answer["spells"]) == (False, [])
    [position] = answer["positions"]
    assert (position["mint"], position["buys"], position["sells"], position["spent"]) == (shown.fresh, 8, 2, 8 * 1_010_000_000)


def test_its_trades_are_the_newest_first_over_all_tokens(api: Api, shown: Shown) -> None:
    path = f"/api/wallets/{shown.wallet}/trades"
    answer = api.get(path, limit="500")

    assert len(answer["trades"]) == 155
    assert {trade["wallet"] for trade in answer["trades"]} == {shown.wallet}
    assert {trade["mint"] for trade in answer["trades"]} == {shown.cat, shown.usdcat, shown.hostile, shown.unknown}
    assert {trade["state"] for trade in answer["trades"]} == {"provisional", "confirmed"}
    assert (answer["completeness"], answer["is_cut"]) == (None, False)
    times = [trade["block_time"] for trade in answer["trades"] if trade["block_time"] is not None]
    assert times == sorted(times, reverse=True)
    until = api.get(path, until=str(NOW + 51))["trades"]
    assert until[0]["block_time"] == NOW + 51
    assert len(api.get(path, limit="3")["trades"]) == 3


@pytest.mark.parametrize("below", ["", "/trades"])
def test_a_wallet_that_was_never_seen_is_not_found_and_what_is_no_address_is_refused(api: Api, shown: Shown, below: str) -> None:
    assert api.refused(f"/api/wallets/{shown.cat}{below}") == (
        404,
        "not_found",
        f"No trade of the record is of the wallet {shown.cat}.",
    )
    assert api.refused(f"/api/wallets/none{below}")[:2] == (400, "bad_argument")
    assert api.refused(f"/api/wallets/{shown.wallet}{below}", page="2")[:2] == (400, "bad_argument")
