"""What is new, told to those who listen: read once for all, from a cursor on, nothing left out and no trade twice."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from written_record import Written

from pumpwatch import status
from pumpwatch.dashboard import looks, ticks
from pumpwatch.dashboard.answers import LiveEvent
from pumpwatch.dashboard.live import MOST_STREAMS, Live, TooManyStreams
from pumpwatch.dashboard.rows import token_rows
from pumpwatch.dashboard.subscription import Subscription
from pumpwatch.dashboard.ticks import Interest, Position
from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.events import SpellEnded, SpellStarted, TokenMigrated
from pumpwatch.storage import queries

BOARD = Interest(board=True)


@pytest.fixture
def live(record: Written) -> Iterator[Live]:
    record.created()
    yield from running(record.database)


def running(database: Path) -> Iterator[Live]:
    found = Live(database)
    found.start()
    yield found
    found.stop()
    found.join(5)
    assert not found.is_alive()
    assert found.error is None


class Client:
    """One who listens, and what it was told."""

    def __init__(self, live: Live, interest: Interest, after: str | None) -> None:
        self.line = Subscription(live, interest, None if after is None else Position.of_text(after))
        self.told: list[LiveEvent] = []

    def next(self, seconds: float = 2.0) -> list[LiveEvent]:
        events = self.line.take(seconds)
        self.told += events
        return events

    def until(self, condition: Callable[[list[LiveEvent]], Any], seconds: float = 10.0) -> list[LiveEvent]:
        """All it was told, when that makes it true."""
        ends = time.monotonic() + seconds
        while not condition(self.told):
            assert time.monotonic() < ends, self.told
            self.next(0.2)
        return self.told

    def quiet(self, seconds: float = 0.8) -> list[LiveEvent]:
        """What comes in so much time."""
        ends = time.monotonic() + seconds
        found: list[LiveEvent] = []
        while (left := ends - time.monotonic()) > 0:
            found += self.next(left)
        return found


@pytest.fixture
def client(live: Live) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(interest: Interest, after: str | None = None) -> Client:
        clients.append(Client(live, interest, after))
        [hello] = clients[-1].next()
        assert hello.event == "hello"
        return clients[-1]

    yield make
    for one in clients:
        one.line.close()


def mints(events: list[LiveEvent]) -> list[str]:
    return [row.mint for event in events if event.event == "tokens" for row in event.data["tokens"]]


def rows(events: list[LiveEvent]) -> list[Any]:
    return [row for event in events if event.event == "trades" for row in event.data["trades"]]


def ids(events: list[LiveEvent]) -> list[int]:
    return [row.id for row in rows(events)]


def names(events: list[LiveEvent]) -> list[str]:
    return [event.event for event in events]


def test_a_commit_is_told_at_once_to_everybody_whom_it_concerns(
    record: Written, live: Live, client: Callable[..., Client]
) -> None:
    mint, other, wallet = record.created(), record.created(), record.make.address()
    board, of_token, of_other, of_wallet = (
        client(interest) for interest in (BOARD, Interest(mint=mint), Interest(mint=other), Interest(wallet=wallet))
    )
    record.traded(mint, wallet=wallet, times=3)

    assert mints(board.until(mints)) == [mint]
    assert len(rows(of_token.until(rows))) == 3
    assert mints(of_token.told) == [mint]
    assert names(of_token.told)[-1] == "trades", "a cursor stands behind the trades"
    assert len(rows(of_wallet.until(rows))) == 3
    assert mints(of_wallet.told) == []
    assert of_other.quiet() == []


def test_an_event_comes_within_half_a_second_of_the_commit(record: Written, client: Callable[..., Client]) -> None:
    mint = record.created()
    board = client(BOARD)
    delays = []
    for _ in range(8):
        board.told.clear()
        record.traded(mint)
        began = time.monotonic()
        board.until(mints)
        delays.append(time.monotonic() - began)

    assert sorted(delays)[-2] < 0.5, delays  # this machine may sleep once


def test_a_token_that_nobody_traded_yet_is_told(record: Written, client: Callable[..., Client]) -> None:
    board = client(BOARD)

    mint = record.created()

    assert mint in mints(board.until(mints))


def test_what_changes_without_a_trade_is_told(record: Written, client: Callable[..., Client]) -> None:
    mint = record.created()
    board, of_token = client(BOARD), client(Interest(mint=mint))
    for event in (
        SpellStarted(kind="token", address=mint, reason="pinned", at_us=1_790_000_000_000_000),
        TokenMigrated(mint=mint, signature=record.make.signature(), pool=record.make.address()),
        SpellEnded(kind="token", address=mint, reason="removed", at_us=1_790_000_001_000_000),
    ):
        for one in (board, of_token):
            one.told.clear()
        record.make.put("helius", event)
        record.commit()
        for one in (board, of_token):
            assert mint in mints(one.until(mints)), event


def test_a_change_of_what_was_told_is_told_with_the_same_id(record: Written, client: Callable[..., Client]) -> None:
    mint = record.created()
    of_token = client(Interest(mint=mint))
    signature = record.told_first(mint)
    [provisional] = rows(of_token.until(rows))
    assert (provisional.signature, provisional.state) == (signature, "provisional")

    record.make.trade(mint, provisional.wallet, 1, signature=signature, is_buy=True, token_amount=7)
    record.commit()

    confirmed = rows(of_token.until(lambda events: rows(events)[-1].state == "confirmed"))[-1]
    assert (confirmed.id, confirmed.state) == (provisional.id, "confirmed")


def test_the_completeness_of_the_token_is_told(record: Written, client: Callable[..., Client]) -> None:
    mint, other = record.created(), record.created()
    of_token, of_other = client(Interest(mint=mint)), client(Interest(mint=other))

    record.traded(mint, times=3)  # that do not chain

    told = of_token.until(lambda events: "completeness" in names(events))
    [completeness] = [event.data for event in told if event.event == "completeness"][-1:]
    assert completeness.mint == mint
    assert completeness.completeness
    assert "completeness" not in names(of_other.quiet())


def test_from_a_cursor_on_nothing_is_left_out_and_no_trade_told_twice(
    record: Written, live: Live, client: Callable[..., Client]
) -> None:
    """Whether nobody read meanwhile, or somebody else did, or the thread had this token in mind."""
    mint, wallet = record.created(), record.make.address()
    cursor = live.cursor()
    record.traded(mint, times=5)  # nobody listens
    both = client(Interest(mint=mint, wallet=wallet), cursor)
    assert len(rows(both.until(lambda events: len(ids(events)) >= 5))) == 5
    record.traded(mint, times=2)
    record.traded(record.created(), wallet=wallet, times=2)
    both.until(lambda events: len(ids(events)) >= 9)
    both.line.close()
    client(BOARD)  # the thread goes on, with something else in mind
    record.traded(mint, times=3)
    time.sleep(0.7)
    again = client(Interest(mint=mint, wallet=wallet), both.line.cursor)
    record.traded(mint, times=2)
    again.until(lambda events: len(ids(events)) >= 5)

    again.quiet()
    everything = ids(both.told) + ids(again.told)
    assert sorted(everything) == sorted(row[0] for row in asked(record, "SELECT id FROM trades"))
    assert len(set(everything)) == 14


def test_the_cursor_of_a_process_that_has_ended_goes_on_in_the_next(record: Written, live: Live) -> None:
    mint = record.created()
    cursor = live.cursor()
    record.traded(mint, times=3)
    created = record.created()

    for later in running(record.database):
        events, position = later.changes(Interest(board=True, mint=mint), Position.of_text(cursor))

        assert len(ids(events)) == 3
        assert {mint, created} <= set(mints(events))
        assert later.changes(Interest(mint=mint), position)[0] == []


def test_those_who_ask_now_and_then_are_told_the_same(record: Written, live: Live) -> None:
    mint = record.created()
    _, position = live.changes(Interest(mint=mint))
    told: list[LiveEvent] = []
    for _ in range(6):
        record.traded(mint, times=2)
        events, position = live.changes(Interest(mint=mint), position)
        told += events
        time.sleep(0.15)
    ends = time.monotonic() + 5
    while len(ids(told)) < 12 and time.monotonic() < ends:
        events, position = live.changes(Interest(mint=mint), Position.of_text(position.text()))
        told += events
        time.sleep(0.05)

    assert len(ids(told)) == len(set(ids(told))) == 12


def test_nothing_is_read_while_nobody_listens(record: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[str] = []
    read = queries.Reader.rows

    def counted(self: queries.Reader, statement: str, **parameters: object) -> list[Any]:
        asked_for.append(statement)
        return read(self, statement, **parameters)

    monkeypatch.setattr(queries.Reader, "rows", counted)
    record.created()
    for live in running(record.database):
        time.sleep(0.8)
        assert asked_for == []
        line = Subscription(live, BOARD)
        line.take(2.0)
        line.close()
        assert asked_for
        time.sleep(0.8)
        asked_for.clear()
        time.sleep(0.8)
        assert asked_for == []


def test_one_reading_serves_all(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return token_rows(*arguments)

    clients = [client(BOARD) for _ in range(20)]
    for one in clients:
        one.quiet(0.02)
    monkeypatch.setattr("pumpwatch.dashboard.looks.token_rows", counted)

    mint = record.created()

    for one in clients:
        assert mint in mints(one.until(mints))
    assert len(made) == 1


def test_only_so_many_streams_at_once(live: Live) -> None:
    lines = [Subscription(live, BOARD) for _ in range(MOST_STREAMS)]
    with pytest.raises(TooManyStreams):
        Subscription(live, BOARD)
    lines[0].close()
    lines[0].close()
    lines[0] = Subscription(live, BOARD)
    assert live.streams == MOST_STREAMS
    for line in lines:
        line.close()
    assert live.streams == 0


def test_who_falls_behind_loads_anew_once_and_costs_no_memory(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_KEPT_NEWS", 50)
    mint = record.created()
    quick, slow = client(Interest(mint=mint)), client(Interest(mint=mint))
    for _ in range(6):
        record.traded(mint, times=20)
        quick.told.clear()
        quick.until(rows)

    assert names(slow.next()) == ["resync"]
    assert sum(len(tick.found.news) for tick in live._ticks._ticks) <= 50
    record.traded(mint)
    assert len(ids(slow.until(rows))) == 1
    assert names(slow.told).count("resync") == 1
    assert "resync" not in names(quick.told)


def test_many_changed_tokens_are_bounded_to_the_newest_and_it_is_said(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "MOST_ROWS", 10)
    made = [record.created() for _ in range(30)]
    cursor = live.cursor()
    board, of_first = client(BOARD), client(Interest(mint=made[0]))
    for mint in made:
        record.number += 1
        record.make.trade(mint, record.make.address(), record.number)
    record.commit()

    # The token that somebody looks at is among them however many there are.
    assert set(mints(board.until(mints))) == {made[0], *made[-9:]}
    [told] = [event for event in board.told if event.event == "tokens"]
    assert told.data["is_cut"]
    assert set(mints(of_first.until(mints))) == {made[0]}
    [told] = [event for event in of_first.told if event.event == "tokens"]
    assert not told.data["is_cut"]
    late, _ = live.changes(BOARD, Position.of_text(cursor))
    assert len(mints(late)) == 10


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "c.x.1", "cAAAA.1.1.deadbeef.0", "c" * 60, "../../etc", "\n", "cAAA.1.1.deadbeef.99999999999999999999"),
        *("{cursor} ", "{cursor}0000000000000000", "d{cursor}", "{cursor}\n"),
    ],
)
def test_what_is_no_cursor_is_refused(live: Live, cursor: str) -> None:
    with pytest.raises(UsageError, match="cursor of an answer"):
        Position.of_text(cursor.format(cursor=live.cursor()))


def test_a_cursor_of_another_record_is_answered_with_resync(record: Written, live: Live, tmp_path: Path) -> None:
    with closing(Written(tmp_path / "other.db")) as other:
        other.open()
        other.created()
        cursor = Live(other.database).cursor()
    record.traded(record.created(), times=3)

    told, position = live.changes(Interest(board=True, mint=record.make.address()), Position.of_text(cursor))

    assert names(told) == ["resync"]
    assert live.changes(BOARD, position)[0] == []


def test_a_cursor_from_before_a_restored_copy_is_answered_with_resync(record: Written, tmp_path: Path) -> None:
    mint = record.created()
    copied(record, tmp_path / "copy.db")
    record.traded(mint, times=3)
    cursor = Live(record.database).cursor()
    record.close()
    replaced(record, tmp_path / "copy.db")

    for live in running(record.database):
        assert names(live.changes(Interest(mint=mint), Position.of_text(cursor))[0]) == ["resync"]


def test_one_who_was_away_too_long_for_the_list_loads_it_anew(record: Written, live: Live) -> None:
    mint = record.created()
    position = Position.of_text(live.cursor())
    position = type(position)(position.place, position.newest_token, position.at - 700, position.run, 0)
    record.traded(mint, times=2)

    assert names(live.changes(BOARD, position)[0]) == ["resync"]
    assert len(ids(live.changes(Interest(mint=mint), position)[0])) == 2


def test_a_cursor_before_what_was_pruned_is_answered_with_resync(record: Written, live: Live) -> None:
    mint = record.created()
    cursor = live.cursor()
    record.traded(mint, times=3)
    record.close()
    asked(record, "INSERT OR REPLACE INTO meta (key, value) VALUES ('pruned_to_id', '2')")
    record.open()

    assert names(live.changes(Interest(mint=mint), Position.of_text(cursor))[0]) == ["resync"]


def test_a_record_that_is_put_in_the_place_of_this_one_is_followed(
    record: Written, client: Callable[..., Client], tmp_path: Path
) -> None:
    with closing(Written(tmp_path / "other.db")) as other:
        other.open()
        first, *_ = (other.created() for _ in range(3))  # the same addresses as in this one
        other.traded(first, times=3)
    board, of_token = client(BOARD), client(Interest(mint=first))
    record.close()
    replaced(record, other.database)

    for one in (board, of_token):
        one.until(lambda events: "resync" in names(events))
    record.open()
    record.created()
    record.created()
    mint = record.created()
    board.until(lambda events: mint in mints(events))
    assert names(board.told).count("resync") == 1
    of_token.quiet(0.5)
    assert names(of_token.told) == ["hello", "resync"], "what was there before is loaded"


def test_the_same_record_moved_back_into_its_place_is_gone_on_with(
    record: Written, client: Callable[..., Client], tmp_path: Path
) -> None:
    mint = record.created()
    of_token = client(Interest(mint=mint))
    copied(record, tmp_path / "copy.db")
    record.close()
    replaced(record, tmp_path / "copy.db")
    record.open()

    record.traded(mint, times=2)

    assert len(ids(of_token.until(rows))) == 2
    assert "resync" not in names(of_token.told)


def test_a_record_that_appears_later_says_hello_then(tmp_path: Path) -> None:
    for live in running(tmp_path / "late.db"):
        assert live.cursor() == ""
        with pytest.raises(DatabaseError):
            live.changes(BOARD)
        line = Subscription(live, BOARD)
        assert line.take(0.5) == []
        with closing(Written(tmp_path / "late.db")) as late:
            late.open()
            mint = late.created()
            ends = time.monotonic() + 5
            told = line.take(0.5)
            while not told and time.monotonic() < ends:
                told = line.take(0.5)
            [hello] = told
            assert (hello.event, hello.data["origin"]) == ("hello", "simulator")
            late.traded(mint)
            while not mints(told) and time.monotonic() < ends:
                told = line.take(0.5)
            assert mints(told) == [mint]
        line.close()


def test_a_record_that_is_locked_for_a_while_is_waited_for_and_nothing_is_lost(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    mint = record.created()
    of_token = client(Interest(mint=mint))
    record.traded(mint)
    of_token.until(rows)
    read = queries.Reader.rows
    is_locked, met = [True], []

    def locked(self: queries.Reader, statement: str, **parameters: object) -> list[Any]:
        if is_locked[0] and "FROM trades" in statement:
            met.append(statement)
            raise DatabaseError("the database is locked by another program")
        return read(self, statement, **parameters)

    monkeypatch.setattr(queries.Reader, "rows", locked)
    record.traded(mint, times=3)
    ends = time.monotonic() + 5
    while (len(met) < 3 or live.is_reading) and time.monotonic() < ends:
        assert ids(of_token.next(0.1)) == []
    assert len(met) >= 3
    is_locked[0] = False

    of_token.until(lambda events: len(ids(events)) >= 4)
    of_token.quiet(0.5)
    assert len(ids(of_token.told)) == len(set(ids(of_token.told))) == 4
    assert "resync" not in names(of_token.told)
    assert live.is_reading


def test_a_record_that_is_away_for_a_while_is_gone_on_with(
    record: Written, live: Live, client: Callable[..., Client], tmp_path: Path
) -> None:
    mint = record.created()
    of_token = client(Interest(mint=mint))
    record.database.rename(tmp_path / "away.db")
    ends = time.monotonic() + 5
    while live.is_reading and time.monotonic() < ends:
        assert of_token.next(0.1) == []
    assert not live.is_reading
    with pytest.raises(DatabaseError):
        live.changes(BOARD)
    (tmp_path / "away.db").rename(record.database)

    record.traded(mint, times=2)

    assert len(ids(of_token.until(lambda events: len(ids(events)) >= 2))) == 2
    assert "resync" not in names(of_token.told)


def test_a_stop_ends_every_wait_at_once(record: Written) -> None:
    record.created()
    live = Live(record.database)
    live.start()
    line = Subscription(live, BOARD)
    line.take(1.0)
    began = time.monotonic()
    stopper = threading.Timer(0.3, live.stop)
    stopper.start()

    assert line.take(30.0) == []
    live.join(5)

    assert 0.3 <= time.monotonic() - began < 1.3
    stopper.join()
    assert not live.is_alive()


def test_the_worker_is_asked_for_every_two_seconds_once_for_all(
    record: Written, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[float] = []

    def counted(path: Path) -> Any:
        asked_for.append(time.monotonic())
        return status.read(path)

    monkeypatch.setattr("pumpwatch.dashboard.live.read", counted)
    client(BOARD).quiet(0.5)
    assert asked_for == []
    clients = [client(Interest(system=True)) for _ in range(3)]
    asked_for.clear()  # one who begins is told at once
    told = clients[0].until(lambda events: names(events).count("system") >= 3)
    for one in clients[1:]:
        assert names(one.quiet(0.1)).count("system") >= 1

    assert told[-1].data.worker is None
    assert not told[-1].data.healthy
    assert told[-1].data.problems
    assert len(asked_for) <= 3
    assert min(later - earlier for earlier, later in itertools.pairwise(asked_for)) >= 1.9


def test_a_cursor_is_read_as_it_was_written(live: Live) -> None:
    cursor = live.cursor()

    assert Position.of_text(cursor).text() == cursor


def asked(record: Written, statement: str) -> list[Any]:
    """Of the file, past the store."""
    with closing(sqlite3.connect(record.database)) as connection:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found


def copied(record: Written, path: Path) -> None:
    with closing(sqlite3.connect(record.database)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def replaced(record: Written, by: Path) -> None:
    for name in ("-wal", "-shm"):
        Path(f"{record.database}{name}").unlink(missing_ok=True)
    by.replace(record.database)
