"""Promises of ``candles`` and of what ``tokens`` chooses."""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from contextlib import closing

import pytest
from cli_samples import NOW, USDC, Record, Run

from pumpwatch.errors import UsageError

SOL, USDCAT, HOSTILE, QUOTELESS, EMPTY = range(5)


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def test_candles_are_shown_with_unit_and_record_in_80_columns(run: Run, record: Record) -> None:
    outcome = run("candles", record.mints[SOL], "--interval", "1h")

    assert outcome.status == 0
    assert outcome.lines()[0].split() == ["TIME", "(UTC)", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", "BUYS", "SELLS"]
    assert "in SOL, from trades that the chain told; record unproven" in outcome.out
    assert max(map(cells, outcome.lines())) <= 80
    document = run("candles", record.mints[SOL], "--interval", "1h", "--json").json()
    assert document["unit"] == "So11111111111111111111111111111111111111112"
    assert sum(candle["trades"] for candle in document["candles"]) == record.trades[record.mints[SOL]] - 1, "one is provisional"
    assert document["completeness"] == "unproven"


def test_without_a_rate_dollars_are_unknown(run: Run, record: Record) -> None:
    document = run("candles", record.mints[SOL], "--usd", "--json").json()
    assert document["candles"]
    assert {candle["close"] for candle in document["candles"]} == {None}
    assert run("candles", record.mints[SOL], "--usd").lines()[1].split()[2:7] == ["-"] * 5


def test_a_token_without_confirmed_trades_has_no_candles(run: Run, record: Record) -> None:
    for mint in (record.mints[QUOTELESS], record.mints[EMPTY]):
        assert run("candles", mint, "--gapless", "--json").json()["candles"] == []


@pytest.mark.parametrize(("begin", "end", "state"), [(20, 70, "open"), (-500, None, "filling"), (20, 20, "unfillable")])
def test_candles_in_which_trades_may_be_missing_are_marked(
    run: Run, record: Record, begin: int, end: int | None, state: str
) -> None:
    times = (None if at is None else (NOW + at) * 1_000_000 for at in (begin, end))
    with closing(sqlite3.connect(record.database)) as connection, connection:
        connection.execute(
            "INSERT INTO gaps (cause, mint, from_us, to_us, state) VALUES ('break', ?, ?, ?, ?)",
            (record.mints[SOL], *times, state),
        )
    asked = ("candles", record.mints[SOL], "--interval", "15s", "--until", str(NOW + 140))
    document, outcome = run(*asked, "--json").json(), run(*asked)

    expected = [
        candle["opens_at"] + 15 > NOW + begin and (end is None or candle["opens_at"] <= NOW + end)
        for candle in document["candles"]
    ]
    assert any(expected)
    assert [line.endswith(" ?") for line in outcome.lines()[1 : 1 + len(expected)]] == expected
    assert "?: trades may be missing; 1 gap in this time" in outcome.out
    assert [gap["state"] for gap in document["gaps"]] == [state]
    assert max(map(cells, outcome.lines())) <= 80
    assert run("candles", record.mints[SOL], "--until", str(NOW - 1000), "--json").json()["gaps"] == []


def test_gaps_that_are_closed_or_elsewhere_mark_nothing(run: Run, record: Record) -> None:
    own, other = record.mints[SOL], record.mints[USDCAT]
    rows = [(own, "closed", 0, None), (other, "open", 0, None), (own, "open", 10**6, None), (own, "open", -2_000, -1_000)]
    with closing(sqlite3.connect(record.database)) as connection, connection:
        connection.executemany(
            "INSERT INTO gaps (cause, mint, state, from_us, to_us) VALUES ('break', ?, ?, ?, ?)",
            [(mint, state, *(None if at is None else (NOW + at) * 10**6 for at in times)) for mint, state, *times in rows],
        )
    assert run("candles", own, "--json").json()["gaps"] == []
    assert "?" not in run("candles", own).out


def test_the_future_has_no_candles(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 180.0)
    document = run("candles", record.mints[SOL], "--gapless", "--until", str(NOW + 10**6), "--json").json()
    assert document["candles"][-1]["opens_at"] == (NOW + 180) // 60 * 60


@pytest.mark.parametrize("order", ["volume", "market-cap", "last-trade", "wallets", "progress", "oldest"])
def test_tokens_come_in_every_order(run: Run, record: Record, order: str) -> None:
    assert len(run("tokens", "--order", order, "--json").json()["tokens"]) == len(record.mints)


def test_tokens_are_chosen_by_symbol_quote_age_and_volume(run: Run, record: Record) -> None:
    def chosen(*options: str) -> set[str]:
        return {token["mint"] for token in run("tokens", "--json", *options).json()["tokens"]}

    assert chosen("--symbol", "usdc") == {record.mints[USDCAT]}
    assert chosen("--symbol", "u*cat") == {record.mints[USDCAT]}
    assert chosen("--quote", "usdc") == chosen("--quote", USDC) == {record.mints[USDCAT]}
    assert chosen("--older-than", str(NOW - 1)) == set()
    assert record.mints[SOL] in chosen("--younger-than", str(NOW - 1))
    assert chosen("--min-volume", "0.1") >= {record.mints[SOL]}
    assert chosen("--min-volume", "1e12") == set()
    assert chosen("--completeness", "complete") == set()


def test_a_window_shows_what_was_traded_in_it(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 60.0)
    outcome = run("tokens", "--window", "1h")
    assert outcome.lines()[0].split()[:4] == ["SYMBOL", "MINT", "PRICE", "CHANGE"]
    assert max(map(cells, outcome.lines())) <= 80
    found = {token["mint"]: token["window"] for token in run("tokens", "--window", "1h", "--json").json()["tokens"]}
    assert found[record.mints[SOL]]["trades"] == record.trades[record.mints[SOL]] - 1, "one is provisional"
    monkeypatch.setattr(time, "time", lambda: NOW + 10 * 86_400.0)
    assert run("tokens", "--window", "24h", "--json").json()["tokens"] == []


def test_a_change_without_a_window_is_refused(run: Run, record: Record) -> None:
    with pytest.raises(UsageError, match="give --window"):
        run("tokens", "--order", "change")


def test_what_can_have_no_answer_is_said(run: Run, record: Record) -> None:
    assert run("tokens", "--quote", "nonsense").lines()[-1] == "no token of the record fits"
    for command in (["trades"], ["candles", record.mints[SOL]]):
        with pytest.raises(UsageError, match="turn them round"):
            run(*command, "--since", "1h", "--until", "2h")
