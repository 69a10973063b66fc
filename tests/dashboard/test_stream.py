"""The live line over real sockets, as browsers and dead clients use it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from page_server import Served, served
from real_worker import until
from written_record import Written

from pumpwatch.dashboard import stream, ticks
from pumpwatch.dashboard.live import MOST_STREAMS
from pumpwatch.dashboard.server import THREADS


class Ended(Exception):
    """The server has closed the connection."""


@dataclass
class Line:
    """One connection to /api/live, and the events of it."""

    connection: socket.socket
    received: bytes = b""
    everything: bytes = b""
    events: list[tuple[str, str | None, Any]] = field(default_factory=list)

    def next(self) -> tuple[str, str | None, Any]:
        """The next event: its name, id and data."""
        while not self.events:
            self._receive()
        return self.events.pop(0)

    def until(self, name: str, *, others: Sequence[str] | None = None) -> Any:
        """The data of the next event of this name; before it come *others* alone, if that is said."""
        while True:
            found, _, data = self.next()
            if found == name:
                return data
            assert others is None or found in others, found

    def until_bytes(self, wanted: bytes) -> None:
        """Read on until this comes; *events* has what came before."""
        self.everything = b""
        while wanted not in self.everything:
            self._receive()

    def _receive(self) -> None:
        try:
            piece = self.connection.recv(65_536)
        except ConnectionError:
            piece = b""
        if not piece:
            raise Ended
        self.everything += piece
        self.received += piece
        self._parse()

    def _parse(self) -> None:
        """Whole events; what is around them (chunks, headers, retry) is passed over."""
        while b"\n\n" in self.received:
            block, self.received = self.received.split(b"\n\n", 1)
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if ": " in line)
            if "event" in fields:
                self.events.append((fields["event"], fields.get("id"), json.loads(fields["data"])))


@pytest.fixture
def page(record: Written) -> Iterator[Served]:
    record.created()
    with served(record.database) as found:
        yield found


def listen(page: Served, stack: ExitStack, query: str = "board=1", *, receive_bytes: int = 0, **headers: str) -> Line:
    connection = stack.enter_context(socket.socket())
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(15)
    connection.connect(("127.0.0.1", page.port))
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET /api/live?{query} HTTP/1.1\r\nHost: {page.host}\r\n{lines}\r\n".encode())
    return Line(connection)


def test_it_says_hello_and_then_what_happens(record: Written, page: Served) -> None:
    mint = record.created()
    with ExitStack() as stack:
        line = listen(page, stack, f"mint={mint}")
        name, _, hello = line.next()
        assert (name, hello["origin"]) == ("hello", "simulator")
        record.traded(mint)

        trades = line.until("trades")["trades"]

    assert [(trade["mint"], trade["state"]) for trade in trades] == [(mint, "confirmed")]
    assert trades[0]["id"] > 0


def test_the_answer_is_what_browsers_want_of_such_a_line(page: Served) -> None:
    with ExitStack() as stack:
        line = listen(page, stack)
        line.next()
        # The head was passed over by the reader: ask for it as it is.
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=15))
        connection.sendall(f"GET /api/live?board=1 HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)

    assert b"200 OK" in head
    assert b"Content-Type: text/event-stream" in head
    assert b"Cache-Control: no-store" in head


def test_last_event_id_goes_on_without_loss_and_without_telling_a_trade_twice(record: Written, page: Served) -> None:
    mint = record.created()
    with ExitStack() as first:
        line = listen(page, first, f"mint={mint}")
        line.until("hello")
        record.traded(mint)
        cursor = None
        while cursor is None or line.events:
            name, cursor, data = line.next()
        assert name == "trades"
        before = data["trades"][0]["id"]
    record.traded(mint, times=4)  # while the line is away

    with ExitStack() as second:
        line = listen(page, second, f"mint={mint}&after={page.live.cursor()}", Last_Event_ID=cursor)
        _, where, hello = line.next()
        assert where == hello["cursor"] == cursor
        found: list[int] = []
        while len(found) < 5:
            found += [trade["id"] for trade in line.until("trades")["trades"]]
            if len(found) == 4:
                record.traded(mint)

    assert found == [before + number for number in range(1, 6)]


def test_those_who_ask_are_told_the_same(record: Written, page: Served) -> None:
    mint = record.created()
    cursor = page.ask(f"/api/changes?mint={mint}").json["cursor"]
    record.traded(mint, times=3)
    found: list[str] = []
    ends = time.monotonic() + 10
    while len(found) < 3 and time.monotonic() < ends:
        answer = page.ask(f"/api/changes?mint={mint}&after={cursor}").json
        cursor = answer["cursor"]
        found += [
            trade["signature"] for event in answer["events"] if event["event"] == "trades" for trade in event["data"]["trades"]
        ]

    assert len(found) == len(set(found)) == 3


def test_too_many_lines_are_refused_and_the_others_go_on(record: Written, page: Served) -> None:
    with ExitStack() as stack:
        lines = [listen(page, stack) for _ in range(MOST_STREAMS)]
        for line in lines:
            line.until("hello")

        refused = page.ask("/api/live?board=1")

        assert (refused.status, refused.error) == (503, "too_many_streams")
        assert THREADS > MOST_STREAMS
        assert page.ask("/api/tokens").status == 200
        mint = record.created()
        for line in lines:
            assert mint in [row["mint"] for row in line.until("tokens")["tokens"]]


def test_clients_that_die_give_their_threads_back(page: Served) -> None:
    """Long before anything would be written to them."""
    with ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            listen(page, stack).until("hello")
    began = time.monotonic()
    while page.live.streams and time.monotonic() < began + 15:
        time.sleep(0.05)

    assert page.live.streams == 0
    assert time.monotonic() - began < stream.BEAT_SECONDS / 2
    with ExitStack() as stack:
        listen(page, stack).until("hello")


def test_where_the_server_cannot_tell_a_dead_client_shows_when_it_is_written_to(
    page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(stream, "_is_gone", lambda _: bool)
    with ExitStack() as stack:
        listen(page, stack).until("hello")
    until(lambda: not page.live.streams, what="the thread of a dead client")


def test_one_who_takes_nothing_costs_little_and_loads_anew_once(
    record: Written, page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_KEPT_NEWS", 300)
    mint = record.created()
    with ExitStack() as stack:
        quick, slow = listen(page, stack, f"mint={mint}"), listen(page, stack, f"mint={mint}", receive_bytes=4096)
        quick.until("hello")
        slow.until("hello")
        [channel] = [one for one in page.server._server.active_channels.values() if one.addr == slow.connection.getsockname()]
        assert channel.adj.outbuf_high_watermark <= 1 << 20
        channel.adj.outbuf_high_watermark = 100_000
        channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        held = 0
        for _ in range(12):  # far more than what may wait
            record.traded(mint, times=100)
            quick.until("trades")
            held = max(held, channel.total_outbufs_len)

        assert 100_000 < held < 400_000
        assert sum(len(tick.found.news) for tick in page.live._ticks._ticks) <= 300
        slow.until("resync")
        record.traded(mint)
        assert slow.until("trades", others=("tokens", "completeness"))["trades"][-1]["mint"] == mint
        assert page.ask("/api/tokens").status == 200


def test_a_stop_ends_every_line_within_a_second(record: Written) -> None:
    with ExitStack() as stack:
        with served(record.database) as page:
            lines = [listen(page, stack) for _ in range(8)]
            for line in lines:
                line.until("hello")
            began = time.monotonic()
        assert time.monotonic() - began < 1.0
        for line in lines:
            with pytest.raises(Ended):
                line.until("nothing")


def test_a_quiet_line_beats(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.2)
    with ExitStack() as stack:
        line = listen(page, stack)

        assert [line.until("beat") for _ in range(3)] == [{}, {}, {}]


@pytest.mark.parametrize("query", ["after=nonsense", "mint=x", "board=2", "nothing=1"])
def test_a_wrong_question_is_answered_before_the_line_begins(page: Served, query: str) -> None:
    for path in ("live", "changes"):
        assert page.ask(f"/api/{path}?{query}").status == 400
    assert page.live.streams == 0


def test_without_a_record_the_line_waits_and_says_hello_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.2)
    with served(tmp_path / "late.db") as page, ExitStack() as stack:
        assert (page.ask("/api/changes?board=1").status, page.ask("/api/changes?board=1").error) == (503, "no_database")
        line = listen(page, stack)
        line.until_bytes(b": the record cannot be read now")
        assert line.events == []  # a beat would say that all is well
        with closing(Written(tmp_path / "late.db")) as late:
            late.open()
            name, _, hello = line.next()
            assert (name, hello["origin"]) == ("hello", "simulator")
            mint = late.created()
            assert mint in [row["mint"] for row in line.until("tokens")["tokens"]]


def test_a_line_over_a_record_that_went_away_says_so_by_silence(
    record: Written, page: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.3)
    with ExitStack() as stack:
        line = listen(page, stack)
        line.until("beat")
        record.database.rename(tmp_path / "away.db")
        line.until_bytes(b": the record cannot be read now")
        (tmp_path / "away.db").rename(record.database)
        line.until("beat")
