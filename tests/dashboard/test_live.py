"""What is new, told to those who listen: read once for all, from a cursor on, nothing left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from written_record import Written

from pumpwatch.dashboard import live as module
from pumpwatch.dashboard.answers import LiveEvent
from pumpwatch.dashboard.live import MOST_CLIENTS, Interest, Live, Position
from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.storage import queries

BOARD = Interest(board=True)


@pytest.fixture
def live(record: Written) -> Iterator[Live]:
    record.created()
    found = Live(record.database)
    found.start()
    yield found
    found.stop()
    found.join(5)
    assert found.error is None


class Client:
    """One who listens."""

    def __init__(self, live: Live, interest: Interest, after: str | None = None) -> None:
        assert live.enter()
        self.live = live
        self.interest = interest
        self.told, self.position = live.begin(after, interest)

    def next(self, seconds: float = 5.0) -> list[LiveEvent]:
        events, self.position = self.live.wait(self.position, self.interest, seconds)
        return events

    def until(self, condition: Callable[[list[LiveEvent]], Any], seconds: float = 10.0) -> list[LiveEvent]:
        """All events up to the one that makes it true."""
        ends = time.monotonic() + seconds
        found = list(self.told)
        while not condition(found):
            assert time.monotonic() < ends, found
            found += self.next(0.5)
        return found

    def leave(self) -> None:
        self.live.leave()


@pytest.fixture
def client(live: Live) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(interest: Interest, after: str | None = None) -> Client:
        clients.append(Client(live, interest, after))
        return clients[-1]

    yield make
    for one in clients:
        one.leave()


def mints(events: list[LiveEvent]) -> list[str]:
    return [row.mint for event in events if event.event == "tokens" for row in event.data["tokens"]]


def trades(events: list[LiveEvent]) -> list[tuple[str, str]]:
    return [(row.signature, row.state) for event in events if event.event == "trades" for row in event.data["trades"]]


def test_a_commit_is_told_at_once_to_everybody_whom_it_concerns(
    record: Written, live: Live, client: Callable[..., Client]
) -> None:
    mint, other, wallet = record.created(), record.created(), record.make.address()
    board, of_token, of_other, of_wallet = (
        client(interest) for interest in (BOARD, Interest(mint=mint), Interest(mint=other), Interest(wallet=wallet))
    )
    began = time.monotonic()

    record.traded(mint, wallet=wallet, times=3)

    assert mints(board.until(mints)) == [mint]
    assert time.monotonic() - began < 3
    told = of_token.until(trades)
    assert len(trades(told)) == 3
    assert mints(told) == [mint]
    assert len(trades(of_wallet.until(trades))) == 3
    assert [event for event in of_other.next(0.6) if event.event != "system"] == []


def test_a_token_that_nobody_traded_yet_is_told(record: Written, client: Callable[..., Client]) -> None:
    board = client(BOARD)

    mint = record.created()

    assert mint in mints(board.until(mints))


def test_a_change_of_what_was_told_is_told_with_the_same_id(record: Written, client: Callable[..., Client]) -> None:
    mint = record.created()
    of_token = client(Interest(mint=mint))
    signature = record.told_first(mint)
    first = of_token.until(trades)
    [provisional] = [row for event in first if event.event == "trades" for row in event.data["trades"]]
    assert (provisional.signature, provisional.state) == (signature, "provisional")

    record.make.trade(mint, provisional.wallet, 1, signature=signature, is_buy=True, token_amount=7)
    record.commit()

    told = of_token.until(lambda events: "confirmed" in [state for _, state in trades(events)])
    confirmed = [row for event in told if event.event == "trades" for row in event.data["trades"]][-1]
    assert (confirmed.id, confirmed.state) == (provisional.id, "confirmed")


def test_from_a_cursor_on_nothing_is_left_out_whether_somebody_read_or_not(record: Written, live: Live) -> None:
    mint = record.created()
    cursor = live.cursor()
    record.traded(mint, times=5)  # nobody listens

    first, position = live.begin(cursor, Interest(mint=mint))
    assert len(trades(first)) == 5
    record.traded(mint, times=2)  # the thread reads
    later: list[LiveEvent] = []
    ends = time.monotonic() + 5
    while len(trades(later)) < 2 and time.monotonic() < ends:
        more, position = live.begin(position.text(), Interest(mint=mint))
        later += more
        time.sleep(0.05)

    assert len(trades(later)) == 2
    assert not {signature for signature, _ in trades(first)} & {signature for signature, _ in trades(later)}


def test_nothing_is_read_while_nobody_listens(record: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    rows = queries.Reader.rows

    def counted(self: queries.Reader, statement: str, **parameters: object) -> list[Any]:
        asked.append(statement)
        return rows(self, statement, **parameters)

    monkeypatch.setattr(queries.Reader, "rows", counted)
    record.created()
    live = Live(record.database)
    live.start()
    try:
        time.sleep(1.0)
        assert asked == []
        assert live.enter()
        live.begin(None, BOARD)
        live.leave()
        assert asked
    finally:
        live.stop()
        live.join(5)


def test_one_reading_serves_all(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    token_rows = module.token_rows

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return token_rows(*arguments)

    monkeypatch.setattr(module, "token_rows", counted)
    clients = [client(BOARD) for _ in range(20)]
    made.clear()

    mint = record.created()

    for one in clients:
        assert mints(one.until(mints)) == [mint]
    assert len(made) == 1


def test_only_so_many_streams_at_once(live: Live) -> None:
    assert all(live.enter() for _ in range(MOST_CLIENTS))
    assert not live.enter()
    live.leave()
    assert live.enter()
    for _ in range(MOST_CLIENTS):
        live.leave()


def test_who_falls_behind_loads_anew_and_costs_no_memory(
    record: Written, live: Live, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_NEWS", 50)
    quick, slow = client(BOARD), client(BOARD)
    mint = record.created()
    for _ in range(6):
        record.traded(mint, times=20)
        quick.until(mints)
        quick.told = []

    told = slow.next()

    assert [event.event for event in told] == ["resync"]
    assert live._news <= 50 + 20
    record.traded(mint)
    assert mints(slow.until(mints)) == [mint]


def test_a_burst_is_bounded_to_the_newest_rows(
    record: Written, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    made = [record.created() for _ in range(30)]
    board = client(BOARD)
    for mint in made:
        record.number += 1
        record.make.trade(mint, record.make.address(), record.number)
    record.commit()

    assert mints(board.until(mints)) == made[-10:]


@pytest.mark.parametrize(
    "cursor", ["", "x", "c.x.1", "cAAAA.deadbeef.0", "c" * 60, "../../etc", "cAAA.deadbeef.99999999999999999999", "\n"]
)
def test_what_is_no_cursor_is_refused(live: Live, cursor: str) -> None:
    with pytest.raises(UsageError):
        live.begin(cursor, BOARD)


def test_a_cursor_of_another_record_is_answered_with_resync(record: Written, live: Live, tmp_path: Any) -> None:
    other = Written(tmp_path / "other.db")
    other.open()
    other.created()
    strange = Live(other.database)
    cursor = strange.cursor()
    other.close()

    told, position = live.begin(cursor, BOARD)

    assert [event.event for event in told] == ["resync"]
    assert live.begin(position.text(), BOARD)[0] == []


def test_a_record_that_is_put_in_the_place_of_this_one_is_followed(
    record: Written, live: Live, client: Callable[..., Client], tmp_path: Any
) -> None:
    board = client(BOARD)
    other = Written(tmp_path / "other.db")
    other.open()
    other.created()
    other.close()
    record.close()
    for name in ("market.db-wal", "market.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    other.database.replace(record.database)

    board.until(lambda events: any(event.event == "resync" for event in events) or live.cursor())
    record.open()
    ends = time.monotonic() + 10
    while True:  # what the page does: load anew, go on from there
        _, position = live.begin(live.cursor(), BOARD)
        mint = record.created()
        events, _ = live.wait(position, BOARD, 2.0)
        if mint in mints(events):
            break
        assert time.monotonic() < ends


def test_without_a_record_there_is_no_cursor_and_later_there_is(tmp_path: Any) -> None:
    live = Live(tmp_path / "late.db")
    live.start()
    try:
        assert live.cursor() == ""
        with pytest.raises(DatabaseError):
            live.begin(None, BOARD)
        late = Written(tmp_path / "late.db")
        late.open()
        late.created()
        assert live.enter()
        _, position = live.begin(live.cursor(), BOARD)
        mint = late.created()
        ends = time.monotonic() + 10
        found: list[LiveEvent] = []
        while mint not in mints(found) and time.monotonic() < ends:
            events, position = live.wait(position, BOARD, 0.5)
            found += events
        assert mint in mints(found) or any(event.event == "resync" for event in found)
        late.close()
        live.leave()
    finally:
        live.stop()
        live.join(5)


def test_a_stop_ends_every_wait_at_once(record: Written) -> None:
    record.created()
    live = Live(record.database)
    live.start()
    _, position = live.begin(None, BOARD)
    live.stop()
    began = time.monotonic()

    assert live.wait(position, BOARD, 30.0)[0] == []

    assert time.monotonic() - began < 1
    live.join(5)
    assert not live.is_alive()


def test_the_worker_is_told_of_every_two_seconds(record: Written, client: Callable[..., Client]) -> None:
    system = client(Interest(system=True))

    told = system.until(lambda events: len([event for event in events if event.event == "system"]) >= 2)

    assert told[-1].data.worker is None
    assert not told[-1].data.healthy
    assert told[-1].data.problems


def test_a_cursor_is_read_as_it_was_written(record: Written, live: Live) -> None:
    cursor = live.cursor()

    assert Position.of_text(cursor).text() == cursor
    assert msgspec.json.encode(cursor).decode().strip('"') == cursor
