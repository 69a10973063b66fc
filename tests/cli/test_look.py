"""Promises of what the command line shows: the record as it is, exactly, with its completeness, in 80 columns, never obeyed."""

from __future__ import annotations

import os
import sqlite3
import time
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_samples import NOW, Outcome, Record, Run

from pumpwatch.cli import output
from pumpwatch.cli.main import main
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.status import BackfillStatus, FeedStatus, Status, StatusFile, path_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.scoreboard import SPELLS, Score, scores

SOL, USDCAT, HOSTILE, QUOTELESS, EMPTY = range(5)


def cells(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def write_status(record: Any, **changes: Any) -> None:
    now = time.time()
    feeds = {
        "pumpportal": FeedStatus(state="connected", since=now - 7260, last_data_at=now - 3, messages=123_456, trades=77),
        "helius": FeedStatus(state="connected", since=now - 30),
    }
    values: dict[str, Any] = {
        "pid": 4321,
        "started_at": now - 7300,
        "written_at": now - 1,
        "version": "0.1.0",
        "state": "running",
    }
    values |= {"feeds": feeds, "queue_depth": 5, "last_commit_at": now - 2, "trades": 3000, "watched": 3}
    assert StatusFile(path_of(record.database)).write(Status(**{**values, **changes}))


# status


def test_status_of_a_healthy_worker_says_all_and_ends_with_0(run: Run, record: Record) -> None:
    write_status(record)

    outcome = run("status")

    assert outcome.status == 0
    assert outcome.lines()[0] == "healthy"
    assert "pid 4321, running; started 2 h ago" in outcome.out
    assert "pumpportal connected  2 h      3 s          123456        77" in outcome.out
    assert "helius     connected  30 s     -                 0         0" in outcome.out
    assert "queue 5, spilled 0, last commit 2 s ago" in outcome.out
    assert "trades 3000, watched 3, open gaps 0" in outcome.out
    assert "(simulator data); watched tokens by completeness: 2 unproven" in outcome.out
    assert "PumpPortal: free" in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"written_at": time.time() - 3600}, "the worker (pid 4321) is gone or hangs"),
        (
            {"feeds": {"helius": FeedStatus(state="refused", since=1.0, reason="the key\x1b[0m is wrong")}},
            "helius is refused: the key",
        ),
        (
            {"feeds": {"helius": FeedStatus(state="connected", since=1.0, reason="delivers nothing of 3 tokens: refused")}},
            "helius delivers nothing of 3 tokens: refused",
        ),
        ({"spilled": 9}, "9 messages wait"),
    ],
)
def test_status_of_an_unhealthy_worker_says_why_and_ends_with_1(
    run: Run, record: Record, changes: dict[str, Any], said: str
) -> None:
    write_status(record, **changes)

    outcome = run("status")

    assert outcome.status == 1
    assert said in outcome.lines()[0]
    assert "\x1b" not in outcome.out
    assert run("status", "--json").json()["healthy"] is False


def test_status_says_a_feeds_reason_also_when_it_is_connected_or_the_worker_is_gone(run: Run, record: Record) -> None:
    feed = FeedStatus(state="connected", since=1.0, reason="delivers nothing of 3 tokens: \x1b[0m refused")
    write_status(record, feeds={"helius": feed}, state="stopped")

    assert "helius: delivers nothing of 3 tokens: \\x1b[0m refused" in run("status").lines()


def test_status_says_what_backfill_does_and_why_not_and_an_alarm(run: Run, record: Record) -> None:
    assert "backfill" not in run("status").out.split("FEED")[0]
    backfill = BackfillStatus(state="exhausted", reason="the plan\x1b[0m is used up", requests=5, fetched=4, to_fetch=7)
    write_status(record, backfill=backfill, alarm="the programs \x1b[0m have changed")

    words = " ".join(run("status").out.split())
    assert (
        "backfill exhausted (the plan\\x1b[0m is used up): 7 transactions to fetch; since the start 5 requests, 4 trans" in words
    )
    assert "ALARM: the programs \\x1b[0m have changed" in words
    worker = run("status", "--json").json()["worker"]
    assert (worker["backfill"]["to_fetch"], worker["alarm"]) == (7, "the programs \x1b[0m have changed")


def test_status_without_a_worker_ends_with_1(run: Run) -> None:
    outcome = run("status")

    assert outcome.status == 1
    assert outcome.lines()[0] == "NOT healthy: no worker has run here yet"


def test_status_with_a_damaged_status_file_is_an_answer_and_no_crash(run: Run, record: Record) -> None:
    path_of(record.database).write_bytes(b"{")

    outcome = run("status")

    assert outcome.status == 1
    assert "is not a status file of this version" in outcome.out


def test_status_as_json_is_the_file_with_the_verdict(run: Run, record: Record) -> None:
    write_status(record)

    document = run("status", "--json").json()

    assert document["healthy"] is True
    assert document["problems"] == []
    assert document["completeness"] == {"unproven": 2}
    assert document["worker"]["feeds"]["pumpportal"]["messages"] == 123_456
    assert document["worker"]["feeds"]["helius"]["last_data_at"] is None
    assert len(document["cost"]) == 2


@pytest.mark.parametrize("command", [["status"], ["tokens"], ["token", "X"], ["trades"], ["watch", "list"]])
def test_without_a_database_every_command_that_looks_ends_with_4_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("PUMPWATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    assert main(command) == 4

    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "start `python -m pumpwatch` first" in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"this is no database" * 100, b""])
def test_a_file_that_is_no_record_is_refused_with_4(run: Run, record: Record, content: bytes) -> None:
    record.database.write_bytes(content)

    with pytest.raises(DatabaseError):
        run("tokens")


def test_a_database_of_another_program_is_refused(run: Run, record: Record) -> None:
    record.database.unlink()
    with sqlite3.connect(record.database) as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()

    with pytest.raises(DatabaseError, match="no record of pumpwatch"):
        run("trades")


# tokens and token


def test_tokens_lists_every_token_with_its_completeness_newest_first(run: Run, record: Record) -> None:
    outcome = run("tokens")

    assert [line.split()[0] for line in outcome.lines()][:1] == ["SYMBOL"]
    rows = outcome.lines()[1:6]
    assert all("unproven" in row for row in rows)
    assert rows[0].startswith(f"-         {record.mints[QUOTELESS][:8]}… curve           3         - ?")
    assert rows[-1].startswith(f"CAT       {record.mints[SOL][:8]}… curve        3002")
    said = " ".join(outcome.lines()[6:])
    for token in run("tokens", "--json").json()["tokens"]:
        assert token["reason"]
        assert f"unproven: {token['reason']}" in said


def test_tokens_can_be_chosen_and_ordered(run: Run, record: Record) -> None:
    mints = record.mints

    def listed(*options: str) -> list[str]:
        return [token["mint"] for token in run("tokens", "--json", *options).json()["tokens"]]

    assert listed("--watched") == [mints[HOSTILE], mints[SOL]]
    assert listed("--status", "graduated") == [mints[USDCAT]]
    assert listed("--order", "trades", "--limit", "2") == [mints[SOL], mints[QUOTELESS]]
    assert listed("--order", "oldest", "--limit", "1") == [mints[SOL]]
    assert len(listed()) == 5


def fields_of(outcome: Outcome) -> dict[str, str]:
    """The names and values above the tables."""
    lines = outcome.lines()
    named = [line.partition("  ") for line in (lines[: lines.index("")] if "" in lines else lines) if line[0] != " "]
    return {name.strip(): value.strip() for name, _, value in named}


def test_token_shows_each_number_with_its_completeness(run: Run, record: Record) -> None:
    fields = fields_of(run("token", record.mints[SOL]))

    assert fields["mint"] == record.mints[SOL]
    assert fields["completeness"] == f"unproven: {run('token', record.mints[SOL], '--json').json()['reason']}"
    for name in ("trades", "volume", "price", "market cap"):
        assert fields[name].endswith("; unproven")
    assert fields["trades"].startswith("3002 (")
    assert fields["volume"] == "455.370367 SOL; unproven"
    assert fields["proven to slot"] == "-"
    assert fields["watched"] == "since 2026-09-21 14:13:20 (admitted)"


def test_a_volume_is_the_exact_sum_of_its_trades(run: Run, record: Record) -> None:
    token = run("token", record.mints[SOL], "--json").json()

    assert token["volume"] == 3000 * 123_456_789 + 84_999_999_999 + 1


def test_a_token_of_another_quote_is_counted_in_that_quote(run: Run, record: Record) -> None:
    assert "2.5 USDC" in run("token", record.mints[USDCAT]).out


def test_unknown_is_a_dash_and_never_zero(run: Run, record: Record) -> None:
    fields = fields_of(run("token", record.mints[QUOTELESS]))
    assert (fields["volume"], fields["price"]) == ("-", "-")
    token = run("token", record.mints[QUOTELESS], "--json").json()
    assert token["volume"] is None
    assert token["price"] is None
    assert token["symbol"] is None


def test_the_beginning_of_a_mint_is_enough_when_it_is_the_only_one(run: Run, record: Record) -> None:
    beginning = record.mints[SOL][:8]

    assert run("token", beginning, "--json").json()["mint"] == record.mints[SOL]
    assert run("trades", beginning, "--json", "--limit", "1").json()["trades"][0]["mint"] == record.mints[SOL]
    with pytest.raises(UsageError, match="several mints begin"):
        run("token", "")
    with pytest.raises(AnswerIsNo, match="no token of the record begins with zzz"):
        run("token", "zzz' OR 1=1 --")


# What is missing, and who delivered what


def change(record: Record, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(record.database)) as connection, connection:
        connection.execute(statement, values)


def add_gap(record: Record, cause: str, **columns: object) -> None:
    columns = {"cause": cause, "from_us": NOW * 1_000_000, **columns}
    names = ", ".join(columns)
    change(record, f"INSERT INTO gaps ({names}) VALUES ({', '.join('?' * len(columns))})", *columns.values())


def test_status_counts_what_is_not_closed_by_its_cause(run: Run, record: Record) -> None:
    add_gap(record, "disconnected", feed="helius", state="closed")
    add_gap(record, "disconnected", feed="pumpportal")
    for number in range(3):
        add_gap(record, "break", mint=record.mints[SOL], signature=str(number), state="filling")
    add_gap(record, "break", mint=record.mints[HOSTILE], signature="x", state="unfillable")

    out = run("status").out

    assert "gaps (break): 3 being filled, 1 unfillable; the oldest from" in out
    assert "gaps (disconnected): 1 open; the oldest from" in out
    found = run("status", "--json").json()["gaps"]
    assert found[0] == {"cause": "break", "open": 0, "filling": 3, "unfillable": 1, "oldest_us": NOW * 1_000_000}
    assert [gap["open"] for gap in found] == [0, 1]


def test_token_shows_its_completeness_and_each_hole_with_its_size(run: Run, record: Record) -> None:
    mint = record.mints[SOL]
    values = ("holes", NOW, NOW + 60, 4321, 1, "trades are missing")
    columns = "completeness = ?, complete_from = ?, complete_until = ?, proven_to_slot = ?, holes = ?, reason = ?"
    change(record, f"UPDATE tokens SET {columns} WHERE mint = ?", *values, mint)
    add_gap(
        record,
        *("break",),
        mint=mint,
        signature="later",
        from_slot=11,
        to_slot=15,
        net_token_amount=-3_500_000,
        net_quote_amount=200_000_000,
        to_us=NOW * 1_000_000,
    )
    add_gap(record, "tail", mint=mint, state="unfillable", reason="no account", from_us=1)
    add_gap(record, "silent", feed="helius", from_us=(NOW + 5) * 1_000_000)
    add_gap(record, "silent", feed="helius", from_us=5, to_us=6)  # before it was watched
    add_gap(record, "break", mint=record.mints[HOSTILE], signature="other")

    out = run("token", mint).out

    assert "holes: trades are missing" in out
    assert "complete from (UTC)   2026-09-21 14:13:20" in out
    assert "complete until (UTC)  2026-09-21 14:14:20" in out
    assert "proven to slot        4321" in out
    document = run("token", mint, "--json").json()
    assert [(gap["cause"], gap["state"]) for gap in document["gaps"]] == [
        ("silent", "open"),
        ("break", "open"),
        ("tail", "unfillable"),
    ]
    words = " ".join(out.split())
    assert "gap silent (helius), open: from 2026-09-21 14:13:25 on gap break, open: slots 11 to 15; reserves" in words
    assert "reserves changed by -3.5 tokens, 0.2 SOL gap tail, unfillable: from 1970-01-01 00:00:00 on; no account" in words
    assert "holes 1" in run("tokens").out


def test_token_says_who_delivered_its_trades(run: Run, record: Record) -> None:
    mint = record.mints[SOL]
    change(
        record,
        "UPDATE trades SET backfill_at_us = helius_at_us, helius_at_us = NULL WHERE id IN "
        "(SELECT trades.id FROM trades JOIN tokens ON tokens.id = token_id WHERE mint = ? AND helius_at_us IS NOT NULL LIMIT 4)",
        mint,
    )

    words = " ".join(run("token", mint).out.split())
    assert "delivered by pumpportal 1, helius 2997, backfill 4, backfill alone 4 trades" in words
    sources = run("token", mint, "--json").json()["sources"]
    assert (sources["trades"], sources["backfilled"], sources["dropped"]) == (3002, 4, 0)


def score(feeds: list[Score], feed: str) -> Score:
    return next(score for score in feeds if score.feed == feed)


def row(number: int = 1, state: int = 1, time: int | None = NOW, *at_us: int | None) -> tuple[object, ...]:
    return (number, state, time, *at_us)


ALWAYS = [(1, 0, None)]


def test_the_scoreboard_tells_who_had_what_alone_and_how_late() -> None:
    rows = [row(1, 1, NOW, 1_000, 1_000 + delay * 1000, None) for delay in range(1, 101)]
    rows += [row(1, 1, NOW, None, None, 5), row(1, 2, NOW, None, 5, None), row(1, 0, None, 5, None, None)]

    found = scores(rows, ALWAYS)

    assert [(one.feed, one.seen, one.only) for one in found] == [("pumpportal", 101, 1), ("helius", 101, 1), ("backfill", 1, 1)]
    helius = score(found, "helius")
    assert (helius.delay_median_ms, helius.delay_p95_ms) == (51, 96)
    assert (found[0].delay_median_ms, found[0].delay_p95_ms) == (0, 0)
    assert (found[2].delay_median_ms, found[2].missed) == (None, None)


def test_the_scoreboard_looks_up_the_spells_of_the_last_tokens_alone(record: Record) -> None:
    with closing(sqlite3.connect(record.database)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {SPELLS}", {"last": 9})]
    assert not [step for step in plan if step.startswith(("SCAN spells", "SCAN tokens"))], plan


def test_the_chain_feed_misses_what_others_had_of_tokens_that_were_watched_then() -> None:
    lost = row(1, 1, NOW, None, None, 5)
    second = 1_000_000

    assert score(scores([lost], ALWAYS), "helius").missed == 1
    assert score(scores([lost], [(1, NOW * second, (NOW + 1) * second)]), "helius").missed == 1
    assert score(scores([lost], [(1, NOW * second + 1, None)]), "helius").missed == 0, "perhaps before the spell"
    assert score(scores([lost], [(1, 0, NOW * second + 1)]), "helius").missed == 0, "perhaps after it"
    assert score(scores([lost], []), "helius").missed == 0
    assert score(scores([row(1, 0, None, 5, None, None)], ALWAYS), "helius").missed == 0, "provisional: perhaps never was"


def test_the_paid_feed_misses_what_lies_between_two_trades_that_it_had() -> None:
    rows = [
        row(1, 1, NOW, None, 5, None),
        row(1, 1, NOW + 10, 5, 5, None),
        row(1, 1, NOW + 11, None, 5, None),
        row(1, 1, NOW + 12, 5, 5, None),
        row(1, 1, NOW + 13, None, 5, None),
        row(2, 1, NOW + 11, None, 5, None),
    ]

    assert score(scores(rows, ALWAYS), "pumpportal").missed == 1


def test_what_is_not_on_the_chain_was_invented_and_is_no_trade_of_anybody() -> None:
    found = scores([row(1, 3, None, 5, None, None), row(1, 4, None, 5, None, None)], ALWAYS)

    assert (score(found, "pumpportal").invented, score(found, "pumpportal").seen) == (2, 0)
    assert score(found, "helius").missed == 0


def test_the_scoreboard_looks_at_the_newest_rows_only(record: Record) -> None:
    with open_reader(record.database) as reader:
        assert sum(one.seen for one in reader.scoreboard(last=100)) == 100
        assert sum(one.seen for one in reader.scoreboard()) == 3007


def test_status_shows_the_scoreboard_of_the_feeds_that_are_on(run: Run, record: Record) -> None:
    out = run("status").out

    assert "FEED           SEEN  ONLY IT   MISSED INVENTED      LATE 95 % LATE" in out
    assert "helius         3003     3003" in out
    assert "backfill          0        0        -" in out
    feeds = run("status", "--json").json()["scoreboard"]["feeds"]
    assert [one["feed"] for one in feeds] == ["pumpportal", "helius", "backfill"]
    change(record, "UPDATE trades SET pumpportal_at_us = NULL")
    feeds = run("status", "--json", PUMPWATCH_PUMPPORTAL_ENABLED="no").json()["scoreboard"]["feeds"]
    assert [one["feed"] for one in feeds] == ["helius", "backfill"]


def test_a_delay_is_short() -> None:
    assert [output.delay(value) for value in (None, 0.0, 380.4, 2440.0)] == ["-", "0 ms", "380 ms", "2.4 s"]


# Hostile text and width


@pytest.mark.parametrize("line", [["tokens"], ["trades"], ["watch", "list"], ["status"]])
def test_every_table_fits_80_columns_and_no_text_of_the_chain_acts(run: Run, record: Record, line: list[str]) -> None:
    write_status(record)

    out = run(*line).out

    assert max(cells(shown) for shown in out.splitlines() if not shown.startswith("Helius")) <= 80
    assert not [letter for letter in out if unicodedata.category(letter) in ("Cc", "Cf") and letter != "\n"]


def test_a_token_with_a_hostile_name_is_shown_on_its_lines(run: Run, record: Record) -> None:
    out = run("token", record.mints[HOSTILE]).out

    assert max(cells(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len([line for line in out.splitlines() if line.startswith("name")]) == 1


@pytest.mark.parametrize("line", [["tokens"], ["trades", "--limit", "6"], ["status"], ["watch", "list"]])
def test_json_is_one_ascii_document_and_nothing_else(run: Run, record: Record, line: list[str]) -> None:
    outcome = run(*line, "--json")

    assert outcome.json() is not None
    assert outcome.out.isascii()
    assert outcome.err == ""


def test_a_reader_changes_nothing_in_the_file(run: Run, record: Record) -> None:
    before = record.database.read_bytes()
    for line in (["status"], ["tokens"], ["trades"], ["watch", "list"]):
        run(*line)

    assert record.database.read_bytes() == before


# Amounts and times


@pytest.mark.parametrize(
    ("base_units", "decimals", "shown"),
    [
        (None, 9, "-"),
        (0, 9, "0"),
        (1, 9, "0.000000001"),
        (1_000_000_000, 9, "1"),
        (1_500_000_000, 9, "1.5"),
        (-1_500_000, 6, "-1.5"),
        (2**63 - 1, 9, "9223372036.854775807"),
        (9_007_199_254_740_993, 6, "9007199254.740993"),
        (12, 0, "12"),
        (12, None, "12 units"),
    ],
)
def test_an_amount_is_written_exactly_from_its_integer(base_units: int | None, decimals: int | None, shown: str) -> None:
    assert output.amount(base_units, decimals) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_written_in_its_largest_unit(seconds: float | None, shown: str) -> None:
    assert output.ago(seconds) == shown


def test_a_time_of_the_chain_beyond_any_calendar_is_no_crash() -> None:
    assert output.moment(2**62) == "9999-12-31 23:59:59"
    assert output.moment(-(2**62)) == "1970-01-01 00:00:00"
    assert output.moment(None) == "-"


def test_no_number_is_cut_to_fit(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([output.Column("N", 3, is_number=True), output.Column("T", 3)], [[123456789, "abcdef"], [None, None]])

    assert capsys.readouterr().out.splitlines() == ["  N T", "123456789 ab…", "  - -"]
