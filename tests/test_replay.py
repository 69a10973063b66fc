"""Recorded sessions through the whole path: what went in is what is in the tables, at the session's times, twice the same."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, settled, subscribed, until

from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.replay import Replay, Summary
from pumpwatch.replay_files import Source, merged
from pumpwatch.sessions import Message, Problem, line_of
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.store import Store

#: All of a trade but its id and when it arrived.
TRADES = (
    "SELECT signature, event_index, slot, block_time, mint, wallet, side, venue, token_amount, quote_amount, trader_quote_amount,"
    " virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves, sources, confirmed, chain_key"
    " FROM trade_log ORDER BY mint, signature, event_index, token_amount"
)


def ask(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def replay(database: Path, *paths: Path, speed: float | None = None) -> Summary:
    return Replay([Source(path) for path in paths], database, speed=speed).run()


def dump(database: Path) -> list[str]:
    """Everything but the clock of the replay itself."""
    connection = sqlite3.connect(database)
    try:
        connection.executescript(
            "DELETE FROM meta WHERE key IN ('created_at_us', 'last_commit_us'); UPDATE changes SET at_us = 0"
        )
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.fixture
def sessions(corpus: Path) -> list[Path]:
    """Of both feeds, and trades of three coins."""
    portal = [corpus / "pumpportal" / name for name in ("session_2026-07-03.jsonl", "session_2026-09-28.jsonl")]
    return [*portal, corpus / "helius/logs_subscribe_2026-07-04.jsonl", *sorted((corpus / "trades").glob("*.csv"))]


def test_the_same_files_make_the_same_tables(tmp_path: Path, sessions: list[Path]) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"

    summaries = [replay(first, *sessions), replay(second, *reversed(sessions))]

    assert [summary.trades for summary in summaries] == [167 + 5 + 93 + 1499] * 2
    assert dump(first) == dump(second)


def test_messages_are_received_when_the_session_received_them(tmp_path: Path, corpus: Path) -> None:
    path = corpus / "helius/logs_subscribe_2026-07-04.jsonl"
    told = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        message = json.loads(entry["raw"])
        if "method" in message:
            told[message["params"]["result"]["value"]["signature"]] = round(entry["t_wall"] * 1_000_000)

    replay(tmp_path / "replay.db", path)

    received = ask(tmp_path / "replay.db", "SELECT signature, received_at_us FROM trade_log")
    assert len(received) == 93
    assert all(told[signature] == at_us for signature, at_us in received)


def test_a_replay_of_the_same_again_adds_nothing(tmp_path: Path, sessions: list[Path]) -> None:
    database = tmp_path / "replay.db"
    replay(database, *sessions[:3])
    before = ask(database, TRADES)

    again = replay(database, *sessions[:3])

    assert again.trades == 0
    assert ask(database, TRADES) == before
    assert ask(database, "SELECT value FROM meta WHERE key = 'origin'") == [("replay",)]
    assert not (tmp_path / "replay.db.spill").exists()


@pytest.mark.parametrize("origin", ["mainnet", "simulator"])
def test_it_is_never_mixed_with_other_data(tmp_path: Path, sessions: list[Path], origin: str) -> None:
    database = tmp_path / "pumpwatch.db"
    Store.open(database, origin=origin).close()

    with pytest.raises(DatabaseError, match=f"holds {origin} data"):
        replay(database, sessions[0])

    assert ask(database, "SELECT count(*) FROM tokens") == [(0,)]


def test_a_speed_keeps_the_pauses(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"".join(line_of(Message(1_000_000 * at, "pumpportal", b'{"txType":"no"}')) for at in (1, 3, 5)))

    began = time.monotonic()
    summary = replay(tmp_path / "replay.db", path, speed=8)

    assert time.monotonic() - began > 0.5
    assert summary.rejected == 3


def test_files_are_merged_by_time_each_in_its_own_order(tmp_path: Path) -> None:
    times = {"a": (5, 1, 9), "b": (2, 6), "c": (20,)}
    for name, at in times.items():
        lines = [line_of(Message(us, "helius", f'{{"jsonrpc":"{name}","method":1,"at":{us}}}'.encode())) for us in at]
        (tmp_path / name).write_bytes(gzip.compress(b"".join(lines)))
    problems: list[Problem] = []

    found = merged([Source(tmp_path / name) for name in times], problems.append)

    assert [message.at_us for message in found] == [2, 5, 1, 6, 9, 20]
    assert not problems


def test_a_broken_line_is_set_aside_and_its_neighbours_are_played(tmp_path: Path, corpus: Path) -> None:
    lines = (corpus / "pumpportal/session_2026-07-03.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:100], b'{"t_wall": 1}\n', *lines[100:], lines[-1][:50]]))
    problems: list[Problem] = []

    summary = Replay([Source(path)], tmp_path / "replay.db", told=problems.append).run()

    assert [problem.line for problem in problems] == [4, 102, len(lines) + 3]
    assert (summary.unreadable, summary.trades) == (3, 167)


def test_text_that_is_no_message_goes_the_way_that_it_went_when_it_came(tmp_path: Path) -> None:
    """Also what is no JSON, no UTF-8, or binary: the feed sets it aside, as it did then."""
    path = tmp_path / "session.jsonl"
    odd = [(b"{", False), (b'{"mint":"\xff"}', False), (b"\x00\x01", True), (b'{"txType":"create"}', False)]
    path.write_bytes(b"".join(line_of(Message(1 + at, "pumpportal", raw, binary)) for at, (raw, binary) in enumerate(odd)))

    summary = replay(tmp_path / "replay.db", path)

    assert summary.rejected == 4
    rows = ask(tmp_path / "replay.db", "SELECT kind, raw, received_at_us FROM rejected ORDER BY id")
    assert [bytes(raw) for _, raw, _ in rows] == [raw for raw, _ in odd]
    assert [at for _, _, at in rows] == [1, 2, 3, 4]
    assert [kind for kind, _, _ in rows][:3] == ["not json", "not utf-8", "binary message"]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"hello\n", b'{"t_wall": 1, "raw": "[]"}\n', b"\x1f\x8b\x08", b"transaction_signature,\nx,\n"]
)
def test_a_file_without_a_session_is_named_with_its_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"file line \d+: no recorded message"):
        Source(path)


def test_what_a_worker_recorded_replays_to_the_same_trades(tmp_path: Path) -> None:
    """The simulator trades, a real worker records rows and raw messages, and is killed once; the messages make the rows again."""
    folder = tmp_path / "raw"
    with Simulator(seed=11, rate=150, database=tmp_path / "pumpwatch.db") as simulator:
        recorder = RealWorker(tmp_path, {**QUICK, **EVERYTHING, **endpoints(simulator), **opening_coins(simulator)})
        recorder.settings["PUMPWATCH_BACKFILL_ENABLED"] = "no"
        try:
            recorder.start("--record", str(folder))
            until(lambda: subscribed(simulator), what="subscriptions")
            simulator.open_market()
            until(lambda: recorder.count() > 300, what="trades")
            simulator.close_market()
            until(lambda: recorder.grade(simulator).passed, what="everything delivered")
            time.sleep(1.5)  # the last flush
            recorder.kill()
            recorder.start("--record", str(folder))
            until(lambda: subscribed(simulator), what="subscriptions")
            simulator.open_market()
            until(lambda: recorder.count() > 600, what="more trades")
            simulator.close_market()
            settled(recorder, simulator)
        finally:
            recorder.end_all()

    files = sorted(folder.iterdir())
    assert len(files) == 2
    summary = replay(tmp_path / "replay.db", *files)

    assert summary.unreadable == 1  # where the first file was cut off
    recorded = ask(recorder.database, TRADES)
    assert len(recorded) > 600
    assert ask(tmp_path / "replay.db", TRADES) == recorded
