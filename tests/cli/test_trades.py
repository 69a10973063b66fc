"""Promises of ``trades``: the trades that were asked for, in their order, each with all that is known; and how far it looked."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

import pytest
from cli_samples import NOW, Record, Run

from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.errors import UsageError
from pumpwatch.storage import tape

SOL, USDCAT, HOSTILE, QUOTELESS, EMPTY = range(5)


def listed(run: Run, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("trades", "--json", *options).json()["trades"]
    return found


def test_trades_are_the_newest_first_and_provisional_ones_are_marked(run: Run, record: Record) -> None:
    outcome = run("trades", record.mints[SOL], "--limit", "3")

    provisional, newest, before = outcome.lines()[1:4]
    assert provisional.endswith(" p")
    assert " 0.000007 " in provisional
    assert newest.startswith("09-21 15:36:40 buy   999999999.123456  84.999999999 SOL")
    assert not newest.endswith(" p")
    assert before.startswith("09-21 15:03:19 buy           1.002999   0.123456789 SOL")
    assert outcome.lines()[4].startswith("p = provisional")
    assert outcome.lines()[5].startswith("record unproven: ")


def test_trades_of_a_token_come_in_the_chains_order(run: Run, record: Record) -> None:
    def slots(*options: str) -> list[int | None]:
        return [trade["slot"] for trade in listed(run, record.mints[SOL], "--limit", "5000", *options)]

    oldest_first = slots("--oldest")
    assert len(oldest_first) == 3002
    assert oldest_first == [*range(10, 3010), 5010, None]
    assert slots() == oldest_first[::-1]
    assert slots("--confirmed") == oldest_first[-2::-1]


def test_trades_of_all_tokens_come_by_the_chains_clock_and_before_it_tells_by_ours(run: Run, record: Record) -> None:
    newest = run("trades", "--json", "--limit", "6").json()

    assert [record.mints.index(trade["mint"]) for trade in newest["trades"]] == [SOL, SOL, QUOTELESS, QUOTELESS, QUOTELESS, SOL]
    assert [trade["confirmed"] for trade in newest["trades"]] == [1, 0, 0, 0, 0, 1]
    assert set(newest["completeness"]) == {record.mints[index] for index in (SOL, QUOTELESS)}
    assert newest["completeness"][record.mints[SOL]]["completeness"] == "unproven"
    assert [trade["slot"] for trade in listed(run, "--oldest", "--limit", "2")] == [10, 11]
    assert [trade["slot"] for trade in listed(run, "--confirmed", "--limit", "2")] == [5010, 3009]


def test_a_token_without_trades_is_an_empty_table_with_its_completeness(run: Run, record: Record) -> None:
    [said] = run("trades", record.mints[EMPTY]).lines()[1:]
    assert said.startswith("record unproven: ")
    assert record.mints[EMPTY] in run("trades", record.mints[EMPTY], "--json").json()["completeness"]


@pytest.mark.parametrize("of", ["all", "token", "wallet", "both"])
def test_each_filter_leaves_just_what_fits(run: Run, record: Record, of: str) -> None:
    place = {
        "all": [],
        "token": [record.mints[SOL]],
        "wallet": ["--wallet", record.wallet[:9]],
        "both": [record.mints[SOL], "--wallet", record.wallet],
    }[of]

    def chosen(*options: str) -> list[dict[str, Any]]:
        return listed(run, *place, *options, "--limit", "5000")

    every = chosen()
    assert len(every) == (3002 if place[:1] == [record.mints[SOL]] else 3007)
    for option, value, fits in (
        ("--side", "sell", lambda trade: trade["side"] == "sell"),
        ("--venue", "curve", lambda trade: trade["venue"] == "curve"),
        ("--venue", "pool", lambda trade: trade["venue"] == "pool"),
        ("--min-tokens", "1.001", lambda trade: trade["token_amount"] >= 1_001_000),
        ("--min-quote", "0.123456789", lambda trade: trade["quote_amount"] >= 123_456_789 or trade["quote_amount"] == 2_500_000),
        ("--min-quote", "0.12345679", lambda trade: trade["quote_amount"] in (2_500_000, 84_999_999_999)),
        ("--since", str(NOW + 1500), lambda trade: moment(trade) >= NOW + 1500),
        ("--until", str(NOW + 1500), lambda trade: moment(trade) <= NOW + 1500),
    ):
        assert chosen(option, value) == [trade for trade in every if fits(trade)], option
    assert chosen("--confirmed") == [trade for trade in every if trade["confirmed"]]
    oldest_first = chosen("--oldest", "--side", "buy", "--since", str(NOW + 100), "--until", str(NOW + 3002))
    between = [trade for trade in every if trade["side"] == "buy" and NOW + 100 <= moment(trade) <= NOW + 3002]
    assert sorted(map(str, oldest_first)) == sorted(map(str, between))
    assert [moment(trade) for trade in oldest_first] == sorted(map(moment, between))
    assert len(between) > 1000


def moment(trade: dict[str, Any]) -> int:
    return int(trade["received_at_us"] // 1_000_000 if trade["block_time"] is None else trade["block_time"])


def test_a_trade_as_json_has_every_column_of_the_view(run: Run, record: Record) -> None:
    with sqlite3.connect(record.database) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(trade_log)")}
    connection.close()

    trade = listed(run, record.mints[SOL], "--confirmed", "--limit", "1")[0]
    assert set(trade) == columns
    assert trade["chain_key"].startswith("00")
    provisional = listed(run, record.mints[QUOTELESS], "--limit", "1")[0]
    assert {name for name, value in provisional.items() if value is None} >= {"chain_key", "slot", "event_index", "block_time"}


def test_what_no_index_knows_is_looked_for_in_so_many_rows_and_then_it_says_so(
    run: Run, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "MOST_ROWS", 1000)
    told = "looked back to 2026-09-21 14:46:40; older with --until 2026-09-21T14:46:40"

    for place in ([], [record.mints[SOL]]):
        assert told in run("trades", *place, "--side", "sell", "--limit", "1000").out
    document = run("trades", "--side", "sell", "--limit", "1000", "--json").json()
    assert document["is_cut"]
    assert document["looked_to"] == NOW + 2000
    enough = run("trades", "--side", "sell", "--limit", "10", "--json").json()
    assert (enough["is_cut"], enough["looked_to"]) == (False, None)
    newer = run("trades", "--side", "sell", "--limit", "1000", "--oldest").out
    assert "looked up to 2026-09-21 14:29:58; newer with --since 2026-09-21T14:29:58" in newer


def test_going_on_where_it_stopped_looking_finds_every_trade(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "MOST_ROWS", 500)
    found: set[str] = set()
    options: list[str] = []
    for _ in range(10):
        out = run("trades", "--side", "sell", "--limit", "5000", *options, "--json").json()
        found |= {trade["signature"] for trade in out["trades"]}
        if not out["is_cut"]:
            break
        text = run("trades", "--side", "sell", "--limit", "5000", *options).out
        options = ["--until", re.findall(r"--until (\S+)", text)[0]]

    with sqlite3.connect(record.database) as connection:
        sells = {signature for (signature,) in connection.execute("SELECT signature FROM trade_log WHERE side = 'sell'")}
    connection.close()
    assert found == sells


def test_an_unknown_or_ambiguous_wallet_is_told(run: Run, record: Record) -> None:
    with pytest.raises(AnswerIsNo, match="no wallet of the record begins with 1111"):
        run("trades", "--wallet", "1111")
    with sqlite3.connect(record.database) as connection:
        connection.execute("INSERT INTO wallets (address) VALUES (?)", (f"{record.wallet[:5]}x",))
    connection.close()
    with pytest.raises(UsageError, match="several wallets begin with"):
        run("trades", "--wallet", record.wallet[:5])


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "1000000"])
def test_a_senseless_limit_is_wrong_usage(run: Run, limit: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run("trades", "--limit", limit)
    assert ended.value.code == 2


@pytest.mark.parametrize("option", [["--min-quote", "nan"], ["--min-tokens", "-1"], ["--since", "yesterday"]])
def test_a_senseless_size_or_time_is_wrong_usage(run: Run, option: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("trades", *option)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "line",
    [
        ["--after", "begin"],
        ["--follow", "--after", "begin"],
        ["--follow", "--oldest"],
        ["--follow", "--until", "1h"],
        ["--follow", "--json", "--limit", "3"],
        ["--follow", "--json", "--after", "nonsense"],
        ["--follow", "--json", "--after", ""],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(run: Run, line: list[str]) -> None:
    with pytest.raises(UsageError):
        run("trades", *line)
