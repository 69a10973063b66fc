"""The live line over real sockets, as browsers and dead clients use it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from page_server import Served, served
from written_record import Written

from pumpwatch.dashboard import stream
from pumpwatch.dashboard.live import MOST_CLIENTS
from pumpwatch.dashboard.server import THREADS


@dataclass
class Line:
    """One connection to /api/live, and the events of it."""

    connection: socket.socket
    received: bytes = b""
    events: list[tuple[str, str | None, Any]] = field(default_factory=list)

    def next(self) -> tuple[str, str | None, Any]:
        """The next event: its name, id and data."""
        while not self.events:
            piece = self.connection.recv(65_536)
            assert piece, self.received
            self.received += piece
            self._parse()
        return self.events.pop(0)

    def until(self, name: str) -> Any:
        while True:
            found, _, data = self.next()
            if found == name:
                return data

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


def listen(page: Served, stack: ExitStack, query: str = "board=1", **headers: str) -> Line:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=15))
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


def test_last_event_id_goes_on_without_loss(record: Written, page: Served) -> None:
    mint = record.created()
    with ExitStack() as first:
        line = listen(page, first, f"mint={mint}")
        line.until("hello")
        record.traded(mint)
        while True:
            _, cursor, _ = line.next()
            if cursor is not None and line.events == []:
                break
    record.traded(mint, times=4)  # while the line is away

    with ExitStack() as second:
        line = listen(page, second, f"mint={mint}", Last_Event_ID=str(cursor))
        found: list[str] = []
        while len(set(found)) < 4:
            found += [trade["signature"] for trade in line.until("trades")["trades"]]


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
        lines = [listen(page, stack) for _ in range(MOST_CLIENTS)]
        for line in lines:
            line.until("hello")

        refused = page.ask("/api/live?board=1")

        assert (refused.status, refused.error) == (503, "too_many_streams")
        assert THREADS > MOST_CLIENTS
        assert page.ask("/api/tokens").status == 200
        mint = record.created()
        for line in lines:
            assert mint in [row["mint"] for row in line.until("tokens")["tokens"]]


def test_clients_that_die_give_their_threads_back(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.3)
    with ExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            listen(page, stack).until("hello")
    ends = time.monotonic() + 15
    while page.live._streams and time.monotonic() < ends:
        time.sleep(0.05)

    assert page.live._streams == 0
    with ExitStack() as stack:
        listen(page, stack).until("hello")


def test_a_quiet_line_beats(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_SECONDS", 0.2)
    with ExitStack() as stack:
        line = listen(page, stack)

        assert [line.until("beat") for _ in range(3)] == [{}, {}, {}]


@pytest.mark.parametrize("query", ["after=nonsense", "mint=x", "board=2", "nothing=1"])
def test_a_wrong_question_is_answered_before_the_line_begins(page: Served, query: str) -> None:
    for path in ("live", "changes"):
        assert page.ask(f"/api/{path}?{query}").status == 400
    assert page.live._streams == 0


def test_without_a_record_the_line_does_not_begin(tmp_path: Any) -> None:
    with served(tmp_path / "none.db") as page:
        assert (page.ask("/api/live?board=1").status, page.ask("/api/live?board=1").error) == (503, "no_database")
        assert page.live._streams == 0
