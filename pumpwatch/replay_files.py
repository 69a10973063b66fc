"""Files of recorded messages, merged by time: sessions in all formats of ``sessions.py``, and the corpus' tables of trades."""

from __future__ import annotations

import csv
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pumpwatch.decode import pumpportal, solana
from pumpwatch.errors import DecodeError, UsageError
from pumpwatch.feeds.transport import LARGEST_MESSAGE_BYTES
from pumpwatch.sessions import FeedName, Lines, Message, Problem, began_us, feed_of, parse_line
from pumpwatch.simulator.player import logs_notifications, read_trades
from pumpwatch.telemetry import visible

#: So many lines are read to find out what a file is.
_LOOKED_AT: Final = 200

#: A column that only the tables of trades have.
_TABLE: Final = b"transaction_signature,"


class Source:
    """
    One file.

    Attributes:
        feed: Whose messages it has, where they do not say so themselves.
        first_us: When its first message was received, in unix microseconds.
    """

    def __init__(self, path: Path) -> None:
        """
        Look into the file.

        Raises:
            UsageError: It cannot be read, or holds no recorded message.

        """
        self.path = path
        self._began_us = began_us(path)
        self._lines: Lines | None = None
        self._is_done = False
        problems: list[Problem] = []
        try:
            self.size_bytes = path.stat().st_size
            with Lines(path, problems.append) as lines:
                start = next(iter(lines), (1, b""))[1]
        except OSError as error:
            raise UsageError(f"{_shown(path)} cannot be read: {error.strerror or error}") from error
        self._is_table = _TABLE in start
        self.feed: FeedName = "helius"
        self.first_us = 0
        self._look(problems)

    def _look(self, problems: list[Problem]) -> None:
        first_us: int | None = None
        feed: FeedName | None = None
        for message in self._read(problems.append, most_lines=_LOOKED_AT):
            first_us = message.at_us if first_us is None else first_us
            feed = feed or message.feed or feed_of(message.raw)
            if feed is not None:
                break
        if feed is None or first_us is None:
            where, reason = (problems[0].line, problems[0].reason) if problems else (1, "it is empty")
            raise UsageError(f"{_shown(self.path)} line {where}: no recorded message of a feed ({visible(reason, limit=200)})")
        self.feed, self.first_us = feed, first_us

    @property
    def bytes_read(self) -> int:
        """How much of the file is behind us."""
        return self.size_bytes if self._is_done else 0 if self._lines is None else self._lines.bytes_read

    def messages(self, told: Callable[[Problem], None]) -> Iterator[Message]:
        """All messages that the server sent by itself, in the file's order; *told* hears of what is none."""
        for message in self._read(told, most_lines=None):
            feed = message.feed or self.feed
            if message.pools or message.is_binary or not _is_answer(feed, message.raw):
                yield Message(message.at_us, feed, message.raw, message.is_binary, message.pools)
        self._is_done = True

    def _read(self, told: Callable[[Problem], None], *, most_lines: int | None) -> Iterator[Message]:
        if self._is_table:
            yield from _messages_of_table(self.path, told)
            return
        with Lines(self.path, told) as lines:
            self._lines = lines
            for number, line in lines:
                if most_lines is not None and number > most_lines:
                    return
                try:
                    message = parse_line(line, began_us=self._began_us)
                except DecodeError as error:
                    told(Problem(self.path, number, str(error)))
                    continue
                if message is not None and len(message.raw) > LARGEST_MESSAGE_BYTES:
                    told(Problem(self.path, number, "larger than any message that a feed takes"))
                elif message is not None:
                    yield message


def merged(sources: Sequence[Source], told: Callable[[Problem], None]) -> Iterator[Message]:
    """The messages of all *sources* by time, each file's in its own order. A file is opened when its time has come."""
    waiting = sorted(enumerate(sources), key=lambda numbered: (numbered[1].first_us, numbered[0]), reverse=True)
    heap: list[tuple[int, int, Message, Iterator[Message]]] = []

    def push(number: int, messages: Iterator[Message], not_before_us: int) -> None:
        message = next(messages, None)
        if message is not None:
            heapq.heappush(heap, (max(message.at_us, not_before_us), number, message, messages))

    while heap or waiting:
        while waiting and waiting[-1][1].first_us <= (heap[0][0] if heap else math.inf):
            number, source = waiting.pop()
            push(number, source.messages(told), source.first_us)
        if heap:
            at_us, number, message, messages = heapq.heappop(heap)
            yield message
            push(number, messages, at_us)


def _is_answer(feed: FeedName, raw: bytes) -> bool:
    """An acknowledgement or refusal of what the recorder asked: what is asked in a replay is answered anew."""
    if feed == "pumpportal":
        if b'"txType"' in raw:
            return False
        decoded = pumpportal.decode_message(raw)
        return isinstance(decoded, pumpportal.Control) and decoded.kind != "unknown"
    return b'"method"' not in raw[:200] and isinstance(solana.decode_message(raw, {}), solana.Answer)


def _messages_of_table(path: Path, told: Callable[[Problem], None]) -> Iterator[Message]:
    """Trades of the corpus' tables as log notifications: received when the table says, a coin's in the chain's order."""
    rows: dict[str, list[dict[str, str]]] = {}
    received: dict[str, int] = {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        table = csv.DictReader(file)
        try:
            for row in table:
                try:
                    (trade,) = read_trades([row])
                    list(logs_notifications([trade]))
                    received[trade.row.signature] = int(row["ingested_at"]) * 1_000_000
                    rows.setdefault(trade.row.mint, []).append(row)
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    told(Problem(path, table.line_num, f"no trade: {type(error).__name__} {error}"))
        except csv.Error as error:
            told(Problem(path, table.line_num, str(error), is_end=True))
    found = []
    for of_coin in rows.values():
        trades, at_us = read_trades(of_coin), 0
        signatures = dict.fromkeys(trade.row.signature for trade in trades)
        for signature, text in zip(signatures, logs_notifications(trades), strict=True):
            at_us = max(at_us, received[signature])
            found.append(Message(at_us, "helius", text.encode()))
    yield from sorted(found, key=lambda message: message.at_us)


def _shown(path: Path) -> str:
    return visible(path, limit=300)
