"""What the API says of many tokens, and of one."""

from __future__ import annotations

import time

import pytest
from api_record import Api, Shown
from cli_samples import HOSTILE, NOW, USDC

from pumpwatch.dashboard.api_tokens import ORDERS
from pumpwatch.events import WRAPPED_SOL
from pumpwatch.storage.board import BoardRow, board_rows
from pumpwatch.storage.queries import open_reader


def mints(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [token["mint"] for token in answer["tokens"]]


def test_a_token_of_the_list_is_its_row_of_the_board_with_its_decimals_and_its_hour(api: Api, shown: Shown) -> None:
    answer = api.get("/api/tokens")

    assert answer["origin"] == "simulator"
    assert abs(answer["now"] - time.time()) < 60
    assert mints(answer) == [shown.unknown, shown.fresh, shown.empty, shown.hostile, shown.usdcat, shown.cat]
    with open_reader(shown.database) as reader:
        rows = {row.mint: row for row in board_rows(reader, shown.mints)}
    for token in answer["tokens"]:
        assert {name: token[name] for name in BoardRow.__struct_fields__} == {
            name: getattr(rows[token["mint"]], name) for name in BoardRow.__struct_fields__
        }
    by_mint = {token["mint"]: token for token in answer["tokens"]}
    assert {mint: by_mint[mint]["quote_decimals"] for mint in shown.mints} == {
        **dict.fromkeys(shown.mints, 9),
        shown.usdcat: 6,
    }
    assert by_mint[shown.hostile]["symbol"] == HOSTILE  # as it was written: who shows it escapes it
    assert by_mint[shown.hostile]["watched"] == "admitted"
    assert by_mint[shown.usdcat]["watched"] is None


def test_the_hour_of_a_token_says_what_was_traded_and_how_the_price_went(api: Api, shown: Shown) -> None:
    [token] = api.get("/api/tokens", symbol="FRESH")["tokens"]
    hour = token["hour"]

    assert (hour["seconds"], hour["trades"], hour["buys"], hour["sells"]) == (3600, 10, 8, 2)
    assert hour["volume"] == 10 * 10**9
    assert hour["volume_usd"] == pytest.approx(10 * 200)
    assert hour["price_change"] == pytest.approx(39 / 30 - 1)
    times = [at for at, _ in hour["closes"]]
    assert times == sorted(times)
    assert all(at % 60 == 0 and time.time() - 3660 < at <= time.time() for at in times)
    assert [price for _, price in hour["closes"]] == pytest.approx([(30 + number) * 1e-9 for number in range(10)])
    [long_ago] = api.get("/api/tokens", symbol="A cat")["tokens"]
    assert (long_ago["hour"]["trades"], long_ago["hour"]["closes"], long_ago["hour"]["price_change"]) == (0, [], 0.0)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "graduated"}, ["usdcat"]),
        ({"status": "completed"}, []),
        ({"watched": "1"}, ["fresh", "hostile", "cat"]),
        ({"symbol": "cat"}, ["usdcat", "cat"]),
        ({"symbol": "a CAT"}, ["cat"]),
        ({"symbol": "%"}, []),
        ({"symbol": "*"}, []),
        ({"symbol": "'; --"}, []),
        ({"completeness": "complete"}, []),
        ({"completeness": "unproven", "limit": "2"}, ["unknown", "fresh"]),
        ({"order": "trades", "limit": "2"}, ["cat", "fresh"]),
        ({"order": "last-trade", "limit": "2"}, ["fresh", "cat"]),
        ({"order": "change"}, ["fresh"]),
        ({"order": "volume-1h", "status": "curve"}, ["fresh"]),
        ({"order": "volume-1h", "status": "graduated"}, []),
    ],
)
def test_tokens_are_chosen_and_ordered(api: Api, shown: Shown, query: dict[str, str], names: list[str]) -> None:
    assert mints(api.get("/api/tokens", **query)) == [getattr(shown, name) for name in names]


def test_a_token_is_found_by_the_beginning_of_its_mint(api: Api, shown: Shown) -> None:
    for mint in shown.mints:
        assert mints(api.get("/api/tokens", symbol=mint)) == [mint]
        assert mint in mints(api.get("/api/tokens", symbol=mint[:4]))
    assert mints(api.get("/api/tokens", symbol=shown.cat[1:])) == []


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_every_token_once_or_those_of_the_last_hour(api: Api, shown: Shown, order: str) -> None:
    found = mints(api.get("/api/tokens", order=order))

    assert len(found) == len(set(found))
    assert set(found) == ({shown.fresh} if order in ("change", "volume-1h") else set(shown.mints))


def test_all_about_a_token_is_flat_and_has_what_the_command_has(api: Api, shown: Shown) -> None:
    [row] = api.get("/api/tokens", symbol=shown.cat)["tokens"]
    answer = api.get(f"/api/tokens/{shown.cat}")

    assert {name: answer[name] for name in row} == row
    assert (answer["symbol"], answer["status"], answer["trades"]) == ("CAT", "curve", 300)
    assert set(answer["windows"]) == {"1m", "5m", "1h", "24h"}
    assert answer["metadata"]["description"] == HOSTILE
    assert answer["metadata"]["website"] == "javascript:alert(1)"
    assert len(answer["traders"]) == 20
    assert answer["traders"][0]["wallet"] == shown.wallet
    assert answer["developer_position"]["wallet"] == shown.wallet
    assert [spell["reason"] for spell in answer["spells"]] == ["admitted"]
    assert [gap["cause"] for gap in answer["gaps"]] == ["disconnected", "watched"]
    assert answer["sources"]["helius"] == 300
    assert answer["sold_by_minute"]
    assert answer["pruned_until"] is None


def test_candles_are_gapless_and_of_the_time_that_was_asked_for(api: Api, shown: Shown) -> None:
    answer = api.get(f"/api/tokens/{shown.fresh}/candles", interval="1m", limit="10")

    candles = answer["candles"]
    assert [candle["opens_at"] for candle in candles] == [candles[0]["opens_at"] + 60 * number for number in range(10)]
    assert sum(candle["trades"] for candle in candles) == 10
    assert (answer["interval_seconds"], answer["unit"], answer["quote_mint"]) == (60, WRAPPED_SOL, WRAPPED_SOL)
    assert answer["quote_decimals"] == 9
    assert candles[-1]["close"] == pytest.approx(39e-9)
    in_usd = api.get(f"/api/tokens/{shown.fresh}/candles", usd="1", limit="10")
    assert in_usd["unit"] == "USD"
    assert in_usd["candles"][-1]["close"] == pytest.approx(39e-9 * 200)
    earlier = api.get(f"/api/tokens/{shown.fresh}/candles", until=str(candles[4]["opens_at"] + 59), limit="3")
    assert [candle["opens_at"] for candle in earlier["candles"]] == [candle["opens_at"] for candle in candles[2:5]]


def test_candles_end_now_and_say_what_is_not_closed_in_their_time(api: Api, shown: Shown) -> None:
    far = api.get(f"/api/tokens/{shown.fresh}/candles", until="99999999999", limit="2000")["candles"]
    assert time.time() - 120 < far[-1]["opens_at"] <= time.time()

    gaps = api.get(f"/api/tokens/{shown.cat}/candles", interval="1s", limit="300")["gaps"]
    assert [(gap["cause"], gap["from_us"]) for gap in gaps] == [("disconnected", (NOW + 5) * 10**6), ("watched", NOW * 10**6)]
    assert api.get(f"/api/tokens/{shown.empty}/candles")["candles"] == []
    assert api.get(f"/api/tokens/{shown.unknown}/candles")["unit"] is None


def test_trades_are_the_newest_first_with_id_and_state(api: Api, shown: Shown) -> None:
    answer = api.get(f"/api/tokens/{shown.cat}/trades", limit="5")

    assert [trade["block_time"] for trade in answer["trades"]] == [NOW + 299 - number for number in range(5)]
    assert (answer["completeness"], answer["is_cut"], answer["looked_to"]) == ("unproven", False, None)
    assert len({trade["id"] for trade in answer["trades"]}) == 5
    assert {trade["state"] for trade in answer["trades"]} == {"confirmed"}
    unconfirmed = api.get(f"/api/tokens/{shown.unknown}/trades")["trades"]
    assert {(trade["state"], trade["event_index"], trade["confirmed"]) for trade in unconfirmed} == {("provisional", None, 0)}


def test_trades_are_chosen(api: Api, shown: Shown) -> None:
    path = f"/api/tokens/{shown.cat}/trades"

    assert {trade["side"] for trade in api.get(path, side="sell", limit="500")["trades"]} == {"sell"}
    assert len(api.get(path, wallet=shown.wallet, limit="500")["trades"]) == 150
    assert api.get(path, wallet=shown.cat)["trades"] == []
    assert api.get(path, until=str(NOW + 9))["trades"][0]["block_time"] == NOW + 9
    assert len(api.get(path, minimum_quote="0.123")["trades"]) == 100
    assert api.get(path, minimum_quote="0.1235")["trades"] == []


@pytest.mark.parametrize("order", ["volume", "profit", "net", "last"])
def test_traders_come_with_their_share_of_the_supply(api: Api, shown: Shown, order: str) -> None:
    [only] = api.get(f"/api/tokens/{shown.fresh}/traders", order=order)["traders"]

    assert (only["wallet"], only["buys"], only["sells"]) == (shown.trader, 8, 2)
    assert only["share"] == only["net_bought"] / 10**15
    many = api.get(f"/api/tokens/{shown.cat}/traders", order=order, limit="7")
    assert (len(many["traders"]), many["order"], many["completeness"]) == (7, order, "unproven")


@pytest.mark.parametrize("below", ["", "/candles", "/trades", "/traders", "/proof"])
def test_a_token_that_is_not_in_the_record_is_not_found(api: Api, shown: Shown, below: str) -> None:
    for mint in (USDC, shown.wallet):
        status, code, message = api.refused(f"/api/tokens/{mint}{below}")
        assert (status, code) == (404, "not_found")
        assert mint in message
    for wrong in ("short", f"{shown.cat}x", "0" * 40, "%E7%8B%97" * 40):
        assert api.refused(f"/api/tokens/{wrong}{below}")[:2] == (400, "bad_argument")


@pytest.mark.parametrize(
    ("below", "query", "sentence"),
    [
        ("", {"order": "best"}, "order is one of newest, trades, volume"),
        ("", {"limit": "0"}, "limit is a whole number from 1 to 500."),
        ("", {"limit": "501"}, "limit is a whole number from 1 to 500."),
        ("", {"limit": "5 OR 1"}, "limit is a whole number"),
        ("", {"limit": "\u0665"}, "limit is a whole number"),
        ("", {"limit": "1e2"}, "limit is a whole number"),
        ("", {"limit": ""}, "limit is a whole number"),
        ("", {"watched": "yes"}, "watched is one of 0, 1."),
        ("", {"watched": ""}, "watched is one of 0, 1."),
        ("", {"status": ""}, "status is one of curve, completed, graduated."),
        ("", {"symbol": "x" * 65}, "symbol is longer than 64 characters"),
        ("", {"symbol": "a\0b"}, "symbol is longer than 64 characters, or holds what no text does."),
        ("", {"page": "2"}, "There is no argument 'page' here: it takes status, completeness, symbol, watched, order, limit."),
        ("", {"\x1b[31m": "2"}, "There is no argument '\\\\x1b[31m' here"),
        ("", {"limit": ["1", "2"]}, "limit is given twice."),
        ("/{cat}", {"limit": "1"}, "There is no argument 'limit' here: it takes none."),
        ("/{cat}/candles", {"interval": "2m"}, "interval is one of 1s,"),
        ("/{cat}/candles", {"limit": "2001"}, "limit is a whole number from 1 to 2000."),
        ("/{cat}/candles", {"until": "-1"}, "until is a whole number from 0 to 99999999999."),
        ("/{cat}/trades", {"side": "both"}, "side is one of buy, sell."),
        ("/{cat}/trades", {"wallet": "x"}, "wallet is no Solana address"),
        ("/{cat}/trades", {"wallet": ""}, "wallet is no Solana address"),
        ("/{cat}/trades", {"minimum_quote": "nan"}, "minimum_quote is a number that is not negative."),
        ("/{cat}/trades", {"minimum_quote": "inf"}, "minimum_quote is a number that is not negative."),
        ("/{cat}/trades", {"minimum_quote": "1_0"}, "minimum_quote is a number that is not negative."),
        ("/{cat}/trades", {"minimum_quote": "-0.1"}, "minimum_quote is a number that is not negative."),
        ("/{cat}/traders", {"order": "newest"}, "order is one of volume, profit, net, last."),
        ("/{cat}/proof", {"limit": "501"}, "limit is a whole number from 1 to 500."),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence(
    api: Api, shown: Shown, below: str, query: dict[str, str], sentence: str
) -> None:
    status, code, message = api.refused(f"/api/tokens{below.format(cat=shown.cat)}", **query)

    assert (status, code) == (400, "bad_argument")
    assert sentence in message
