"""``wallet`` and what ``token`` says of traders: real commands over a record of several wallets and quotes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_samples import HOSTILE, NOW, USDC, Maker, Outcome

from pumpwatch.cli.main import build_parser
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.config import load
from pumpwatch.errors import UsageError
from pumpwatch.events import WRAPPED_SOL, SpellEnded, SpellStarted
from pumpwatch.storage.store import Store

SUPPLY = 10**15
FOR_SALE = 793_100_000_000_000


@dataclass
class Desk:
    """
    A record, and the commands over it.

    Attributes:
        cat: Of SOL, with all kinds of traders; *dollar*: of USDC; *hostile*: a name that acts; *young*: told by PumpPortal alone.
        trader: Bought and sold; *developer* made the cat, *gifted* sold what it never bought.
    """

    run: Callable[..., Outcome]
    database: Path
    cat: str
    dollar: str
    hostile: str
    young: str
    trader: str
    developer: str
    gifted: str


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    make = Maker()
    cat, dollar, hostile, young, trader, developer, gifted = (make.address() for _ in range(7))
    created = make.signature()
    at = {"slot": 10, "block_time": NOW, "real_token_reserves": FOR_SALE, "token_total_supply": SUPPLY}
    make.create(cat, developer, signature=created, symbol="CAT", name="A cat", **at)
    make.create(dollar, developer, symbol="USD", quote_mint=USDC)
    make.create(hostile, developer, symbol=HOSTILE, name=HOSTILE)

    def trade(mint: str, wallet: str, number: int, is_buy: bool, tokens: int, paid: int, **changes: Any) -> None:
        left = FOR_SALE - number * 10**12
        values = {"is_buy": is_buy, "token_amount": tokens, "trader_quote_amount": paid, "real_token_reserves": left}
        make.trade(mint, wallet, number, **{**values, **changes})

    trade(cat, developer, 0, True, 50_000_000_000_000, 2_000_000_000, signature=created, event_index=1)
    trade(cat, trader, 1, True, 40_000_000_000_000, 1_500_000_000)
    trade(cat, trader, 2, False, 10_000_000_000_000, 500_000_000, block_time=NOW + 60)
    trade(cat, gifted, 3, False, 1_000_000, 7_000_000, block_time=NOW + 200)
    trade(dollar, trader, 4, True, 1_000_000, 2_500_000, quote_mint=USDC)
    trade(hostile, trader, 5, True, 1_000_000, 1_000)
    make.provisional(young, trader, 1)
    make.put("pumpwatch", SpellStarted(kind="wallet", address=trader, reason="asked", at_us=NOW * 1_000_000))
    make.put("pumpwatch", SpellEnded(kind="wallet", address=trader, reason="asked", at_us=(NOW + 60) * 1_000_000))
    database = tmp_path / "pumpwatch.db"
    store = Store.open(database, origin="simulator")
    for one in make.deliveries:
        store.apply([one])
    store.close()

    def run(*line: str) -> Outcome:
        settings = load(config=None, environ={"PUMPWATCH_PUMPWATCH_DATABASE": str(database)}, directory=tmp_path)
        arguments = build_parser().parse_args(line)
        status = arguments.function(settings, arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return Desk(run, database, cat, dollar, hostile, young, trader, developer, gifted)


def fields(outcome: Outcome) -> list[tuple[str, str]]:
    """Name and value, the lines of a value joined, of what is above the table."""
    found: list[tuple[str, str]] = []
    for line in outcome.out.partition("\n\n")[0].splitlines():
        name, _, value = line.partition("  ")
        if name:
            found.append((name, value.strip()))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]} {value.strip()}")
    return found


# wallet


def test_a_wallet_is_summed_for_each_quote_by_itself(desk: Desk) -> None:
    said = fields(desk.run("wallet", desk.trader))

    assert said[:2] == [("wallet", desk.trader), ("watched", "from 2026-09-21 14:13:20 (asked) to 2026-09-21 14:14:20 (asked)")]
    assert [pair for pair in said if pair[0].startswith("in ")] == [
        ("in SOL", "2 tokens, 2 buys, 1 sell"),
        ("in USDC", "1 token, 1 buy, 0 sells"),
        ("in ?", "1 token, 1 buy, 0 sells"),
    ]
    of = {name: [value for key, value in said if key == name] for name, _ in said}
    assert of["spent"] == ["1.500001 SOL", "2.5 USDC", "unknown for 1 token"]
    assert of["received"] == ["0.5 SOL", "0 USDC", "0 ?"]
    assert of["realised profit"] == ["0.125 SOL", "0 USDC", "unknown for 1 token"]
    assert of["completeness"] == ["0 of 2 tokens with a complete record", *["0 of 1 token with a complete record"] * 2]
    assert "transfer" in of["seen"][0]


def test_a_wallet_s_positions_are_listed_with_the_record_of_each_token(desk: Desk) -> None:
    lines = desk.run("wallet", desk.trader).out.partition("\n\n")[2].splitlines()

    assert lines[0].split() == ["SYMBOL", "MINT", "SPENT", "RECEIVED", "PROFIT", "IN", "NET", "TOKENS", "LAST", "RECORD"]
    assert lines[1].split()[:1] == ["CAT"]
    assert lines[1].split()[2:7] == ["1.5", "0.5", "0.125", "SOL", "30000000"]
    assert all(" unproven" in line for line in lines[1:5])
    assert "- = unknown: a trade is not on the chain yet" in lines[5]


def test_a_wallet_in_json_is_exact(desk: Desk) -> None:
    document = desk.run("wallet", desk.trader, "--json").json()

    assert document["address"] == desk.trader
    assert [total["quote_mint"] for total in document["totals"]] == [WRAPPED_SOL, USDC, None]
    assert document["totals"][0]["spent"] == 1_500_001_000
    assert document["totals"][2]["profit_unknown"] == 1
    assert {row["mint"] for row in document["positions"]} == {desk.cat, desk.dollar, desk.hostile, desk.young}
    assert document["positions"][0]["realised_profit"] == 500_000_000 - 1_500_000_000 // 4
    assert document["spells"][0]["end_reason"] == "asked"


def test_a_profit_is_unknown_where_tokens_came_by_transfer(desk: Desk) -> None:
    outcome = desk.run("wallet", desk.gifted)

    assert ("realised profit", "unknown for 1 token (1 received by transfer)") in fields(outcome)
    assert outcome.lines()[-1].startswith("t = received by transfer: sold more than bought here")
    assert outcome.lines()[-2].endswith("unproven t")


def test_the_tokens_of_a_wallet_can_be_chosen_and_ordered(desk: Desk) -> None:
    def listed(*options: str) -> list[str]:
        return [row["mint"] for row in desk.run("wallet", desk.trader, "--json", *options).json()["positions"]]

    assert listed("--order", "volume") == [desk.cat, desk.hostile, desk.dollar, desk.young], "one quote after the other"
    assert listed("--order", "profit", "--limit", "1") == [desk.cat]
    assert listed("--quote", "USDC") == listed("--quote", USDC) == [desk.dollar]
    assert listed() == [desk.cat, desk.hostile, desk.dollar, desk.young]
    only = desk.run("wallet", desk.trader, "--json", "--quote", "USDC").json()["totals"]
    assert [total["quote_mint"] for total in only] == [USDC]


def test_a_wallet_without_trades_against_the_wanted_quote_is_not_said_to_have_none(desk: Desk) -> None:
    assert "none against USD1 in this record" in desk.run("wallet", desk.trader, "--quote", "USD1").out


def test_the_beginning_of_an_address_is_enough_when_it_is_the_only_one(desk: Desk) -> None:
    assert desk.run("wallet", desk.trader[:9], "--json").json()["address"] == desk.trader
    with pytest.raises(UsageError, match="several wallets begin"):
        desk.run("wallet", "")
    with pytest.raises(AnswerIsNo, match="no wallet of the record begins with zzz"):
        desk.run("wallet", "zzz%_*")


def test_a_wallet_that_only_made_tokens_has_no_trades(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.database)) as connection, connection:
        connection.execute("INSERT INTO wallets (address) VALUES ('onlycreator')")

    assert fields(desk.run("wallet", "onlycreator"))[1] == ("trades", "none in this record")


# token


def test_a_token_names_its_developer_and_first_buyers_with_their_share(desk: Desk) -> None:
    said = dict(fields(desk.run("token", desk.cat)))

    assert said["developer traded"] == "1 buy of 50000000 tokens, 0 sells of 0; unproven"
    assert "creator traded" not in said, "it is the same"
    alone = "1 wallet: 50000000 tokens (5 % of the supply), 50000000 of it the developer; unproven"
    assert said["bought at creation"] == said["bought in its slot"] == alone
    assert said["bought in 3 slots"] == "2 wallets: 90000000 tokens (9 % of the supply), 50000000 of it the developer; unproven"
    assert said["top 10 net"] == "2 wallets: 80000000 tokens bought and not sold (8 % of the supply); unproven"
    first, *rest = said["sold by (UTC)"].split(", ")
    assert (first, len(rest)) == ("14:14 0.126 %", 2)
    assert rest[-1].startswith("14:17 0.378 %")


def test_a_token_lists_its_traders_in_the_order_that_was_asked_for(desk: Desk) -> None:
    def traders(*options: str) -> list[str]:
        return [row["wallet"] for row in desk.run("token", desk.cat, "--json", *options).json()["traders"]]

    assert traders() == [desk.developer, desk.trader, desk.gifted]
    assert traders("--order", "profit") == [desk.trader, desk.developer, desk.gifted]
    assert traders("--order", "last", "--limit", "1") == [desk.gifted]
    assert traders("--limit", "0") == []
    table = desk.run("token", desk.cat, "--order", "net").out.split("\n\n")[2].splitlines()
    assert table[0] == "traders by net of 3, in trades alone; record unproven"
    assert [line.split()[1:] for line in table[2:5]] == [
        ["1", "0", "2", "0", "0", "SOL", "50000000", "5", "%"],
        ["1", "1", "1.5", "0.5", "0.125", "SOL", "30000000", "3", "%"],
        ["0", "1", "0", "0.007", "-", "SOL", "-1", "-1e-07", "%", "t"],
    ]


def test_a_token_shows_what_was_traded_lately(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW + 210))

    document = desk.run("token", desk.cat, "--json").json()["windows"]
    assert {name: window["trades"] for name, window in document.items()} == {"1m": 1, "5m": 4, "1h": 4, "24h": 4}
    lines = desk.run("token", desk.cat).out.split("\n\n")[1].splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [["1m", "1", "0", "1"], ["5m", "4", "2", "2"]]
    assert all(line.endswith("unproven") for line in lines[1:])


def test_dollars_are_shown_with_the_age_of_their_rate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(desk.database)) as connection, connection:
        connection.execute("INSERT INTO rates VALUES (1, ?, 200.0, 'test', ?)", (NOW // 60, NOW * 1_000_000))
    monkeypatch.setattr("time.time", lambda: float(NOW + 7200))

    said = dict(fields(desk.run("token", desk.cat)))

    price = desk.run("token", desk.cat, "--json").json()["price"]
    assert said["in US dollars"].startswith(f"price {price * 200:.4g} USD, market cap ")
    assert said["in US dollars"].endswith("(rate 2 h old); unproven")
    assert "in US dollars" not in dict(fields(desk.run("token", desk.dollar)))


def test_a_maker_s_words_are_shown_as_words(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.database)) as connection, connection:
        connection.execute(
            "INSERT INTO metadata (token_id, fetched_at_us, source, description, website) "
            "SELECT id, 1, 'ipfs.example', ?, 'https://cat.example' FROM tokens WHERE mint = ?",
            (HOSTILE, desk.cat),
        )
    outcome = desk.run("token", desk.cat)

    assert dict(fields(outcome))["website"] == "https://cat.example"
    assert "\x1b" not in outcome.out
    assert "\u202e" not in outcome.out
    assert desk.run("token", desk.cat, "--json").json()["metadata"]["description"] == HOSTILE


# Both


@pytest.mark.parametrize("what", ["wallet", "cat", "dollar", "hostile", "young"])
def test_every_line_fits_80_columns_and_json_is_ascii(desk: Desk, what: str) -> None:
    line = ("wallet", desk.trader) if what == "wallet" else ("token", getattr(desk, what))

    shown, document = desk.run(*line), desk.run(*line, "--json")

    assert all(len(text) <= 80 for text in shown.lines())
    assert all(text.isprintable() for text in shown.lines())
    assert document.out.isascii()
    assert shown.status == document.status == 0
    assert document.json()
