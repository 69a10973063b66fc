"""Failures by name: the same ones for ``demo --faults`` and for every test."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from solders.signature import Signature

from pumpwatch.simulator.deals import UpgradeKind
from pumpwatch.simulator.delivered import Feed
from pumpwatch.simulator.markers import clock_marker, disk_full_marker, hang_marker
from pumpwatch.simulator.poison import BAD_UTF8, pumpportal_poison, solana_poison

if TYPE_CHECKING:
    from pumpwatch.simulator.serving import Client, FeedServer
    from pumpwatch.simulator.simulator import Simulator

#: Codes that real servers close with.
_CLOSE_CODES: Final = (1000, 1001, 1011, 1012, 1013)

#: Handshake refusals with their ``Retry-After``. "Wrong key" comes to one feed only: were it both, a client would give up.
_REFUSALS: Final[dict[Feed, tuple[tuple[int, str | None], ...]]] = {
    "pumpportal": ((503, None), (429, "1"), (503, "1")),
    "helius": ((503, None), (429, "1"), (401, None), (403, None)),
}

_GARBAGE: Final = (
    b"\xc1\x05hello",  # a reserved bit: compression that was never agreed on
    b"\x83\x02hi",  # a reserved opcode
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
    b"\x88\x02\x03\xee",  # a close code that must not be sent
)

#: An hour, as when summer time is mistaken for a time zone; seconds, as when a clock is set; half a day.
_CLOCK_JUMPS_SECONDS: Final = (3600.0, -3600.0, 20.0, -20.0, -43_200.0)

#: A frame that promises a megabyte, and 5 bytes of it.
_HALF_FRAME: Final = b"\x81\x7f" + (2**20).to_bytes(8, "big") + b'{"sig'


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How a fault is made; each fault uses what concerns it.

    Attributes:
        feed: Which feed suffers; None: one after the other, but for ``partial_mute``: the chain's.
        seconds: How long it lasts, where it lasts.
        status, retry_after: Of ``refuse``.
        reset: ``drop`` by a TCP reset instead of an end of stream.
        count: How many (transactions for ``truncate_logs``, trades for ``fork``, events for ``upgrade``).
        slots: By how much ``rpc_lag`` makes nodes lag.
        exhausted: ``rpc_429`` says that the month's credits are used up.
        kind: Of ``upgrade``: ``tail`` (trade events are longer from now on); ``renamed`` or ``middle`` (the next *count* trade
            events of curves have another discriminator, or a new field in the middle: nobody can read them).
    """

    feed: Feed | None = None
    seconds: float = 1.5
    status: int | None = None
    retry_after: str | None = None
    reset: bool = False
    count: int = 3
    slots: int = 25
    exhausted: bool = False
    kind: UpgradeKind = "tail"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One way to fail.

    Attributes:
        apply: Makes it happen and says what it did; None if there was nothing to do it to yet.
    """

    name: str
    what: str
    apply: Callable[[Simulator, Options], str | None]


def _victim(simulator: Simulator, options: Options) -> Client | None:
    """A healthy connection: of the feed asked for, else of the one that has waited longest."""
    feeds: list[FeedServer] = [simulator.server(options.feed)] if options.feed else simulator.next_servers()
    for server in feeds:
        for client in server.open_clients():
            if client.is_fine:
                return client
    return None


def _drop(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    if options.reset:
        client.reset()
        return f"reset the {client.feed} connection"
    client.cut()
    return f"cut the {client.feed} connection"


def _close(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    code = options.status or simulator.rng.choice(_CLOSE_CODES)
    client.close(code, "simulated")
    return f"closed the {client.feed} connection with {code}"


def _mute(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    client.mute()
    return f"made the {client.feed} connection mute"


def _half_open(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    client.freeze()
    return f"froze the {client.feed} connection"


def _partial_mute(simulator: Simulator, options: Options) -> str | None:
    if options.feed == "pumpportal":
        return "pumpportal tells no more trades" if simulator.pumpportal.silence_trades() else None
    died = simulator.solana.silence_some(3)
    return f"{died} helius subscriptions deliver nothing more" if died else None


def _refuse(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    status, retry_after = simulator.rng.choice(_REFUSALS[client.feed])
    trouble = simulator.server(client.feed).trouble
    trouble.refuse = options.status or status
    trouble.retry_after = options.retry_after if options.status else retry_after
    trouble.refuse_until = time.monotonic() + options.seconds
    client.cut()
    return f"refuse {client.feed} handshakes with {trouble.refuse}"


def _slow_handshake(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    simulator.server(client.feed).trouble.drip_until = time.monotonic() + options.seconds
    client.cut()
    return f"answer {client.feed} handshakes byte by byte"


def _garbage(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    kind = simulator.rng.randrange(len(_GARBAGE) + 2)
    if kind == len(_GARBAGE):
        client.inject(_HALF_FRAME, then_silence=True)
        return f"half a frame on the {client.feed} connection, then silence"
    client.inject(simulator.rng.randbytes(200) if kind > len(_GARBAGE) else _GARBAGE[kind])
    return f"garbage on the {client.feed} connection"


def _poison(simulator: Simulator, options: Options) -> str | None:
    client = _victim(simulator, options)
    if client is None:
        return None
    rng = simulator.rng
    subscription = simulator.solana.some_subscription(client) if client.feed == "helius" else 0
    texts = pumpportal_poison(rng) if client.feed == "pumpportal" else solana_poison(rng, subscription)
    for text in texts:
        client.put(text)
    client.put_raw(BAD_UTF8)
    return f"{len(texts) + 1} bad messages on the {client.feed} connection"


def _for_some_time(attribute: str, text: str) -> Callable[[Simulator, Options], str | None]:
    def apply(simulator: Simulator, options: Options) -> str | None:
        client = _victim(simulator, options)
        if client is None:
            return None
        setattr(simulator.server(client.feed).trouble, attribute, time.monotonic() + options.seconds)
        return f"{text} on the {client.feed} feed for {options.seconds:g} s"

    return apply


def _truncate_logs(simulator: Simulator, options: Options) -> str | None:
    if not simulator.solana.open_clients():
        return None
    simulator.solana.truncate_next += options.count
    return f"the next {options.count} logs with trades are truncated"


def _fork(simulator: Simulator, options: Options) -> str | None:
    """Copies of true trades under a signature that never lands."""
    followed = sorted(simulator.pumpportal.followed())
    ledger = simulator.market.ledger
    told = 0
    rng = simulator.rng
    for number in range(len(ledger) - 1, max(len(ledger) - 500, -1), -1):
        row = ledger[number]
        if row.mint in followed and row.venue == "curve":
            signature = str(Signature.from_bytes(rng.randbytes(64)))
            phantom = row._replace(signature=signature, token_amount=row.token_amount + rng.randrange(1, 1000))
            simulator.phantoms.append(phantom)
            told += simulator.pumpportal.phantom(phantom, simulator.market.coins[row.mint].curve)
            if told == options.count:
                break
    return f"{told} pumpportal trades that will never land" if told else None


def _upgrade(simulator: Simulator, options: Options) -> str | None:
    upgrade = simulator.market.upgrade
    if options.kind == "tail":
        upgrade.tail_bytes += 8
        return f"trade events are {upgrade.tail_bytes} bytes longer from now on"
    upgrade.coming.extend([options.kind] * options.count)
    what = "under another name" if options.kind == "renamed" else "changed in the middle"
    return f"the next {options.count} trade events of curves are {what}"


def _rpc_429(simulator: Simulator, options: Options) -> str | None:
    trouble = simulator.rpc.endpoint.trouble
    trouble.refuse = options.status or 429
    trouble.exhausted = options.exhausted
    trouble.retry_after = options.retry_after if options.status else simulator.rng.choice((None, "1"))
    trouble.refuse_until = time.monotonic() + options.seconds
    return f"RPC refuses with {trouble.refuse} for {options.seconds:g} s" + (": credits used up" if options.exhausted else "")


def _rpc_lag(simulator: Simulator, options: Options) -> str | None:
    lag = simulator.rpc.endpoint.node.lag
    lag.slots = options.slots
    lag.until = time.monotonic() + options.seconds
    return f"most RPC nodes are {lag.slots} slots behind for {options.seconds:g} s"


def _rpc_off(simulator: Simulator, options: Options) -> str | None:
    simulator.rpc.endpoint.trouble.off_until = time.monotonic() + options.seconds
    return f"RPC answers nothing for {options.seconds:g} s"


def _lock_database(simulator: Simulator, options: Options) -> str | None:
    database = simulator.database
    if database is None or not database.exists():
        return None
    simulator.background(_hold_lock, database, options.seconds, simulator.stopping)
    return f"hold the database's write lock for {options.seconds:g} s"


def _hold_lock(database: Path, seconds: float, stopping: threading.Event) -> None:
    connection = sqlite3.connect(database, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        stopping.wait(seconds)
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return  # the worker never let go of it: nothing to hold
    finally:
        connection.close()


def _disk_full(simulator: Simulator, options: Options) -> str | None:
    database = simulator.database
    if database is None:
        return None
    simulator.background(_fill_disk, disk_full_marker(database), options.seconds, simulator.stopping)
    return f"the disk is full for {options.seconds:g} s"


def _fill_disk(marker: Path, seconds: float, stopping: threading.Event) -> None:
    marker.touch()
    try:
        stopping.wait(seconds)
    finally:
        marker.unlink(missing_ok=True)


def _hang(simulator: Simulator, options: Options) -> str | None:
    del options
    if simulator.database is None or not simulator.database.exists():
        return None
    hang_marker(simulator.database).touch()
    return "the worker's next transaction never ends"


def _clock(simulator: Simulator, options: Options) -> str | None:
    if simulator.database is None or not all(server.open_clients() for server in simulator.next_servers()):
        return None
    offset_seconds = simulator.rng.choice(_CLOCK_JUMPS_SECONDS)
    simulator.background(_shift_clock, clock_marker(simulator.database), offset_seconds, options.seconds, simulator.stopping)
    return f"the worker's clock is wrong by {offset_seconds:+g} s for {options.seconds:g} s"


def _shift_clock(marker: Path, offset_seconds: float, seconds: float, stopping: threading.Event) -> None:
    part = marker.with_name(f"{marker.name}.part")
    part.write_text(str(offset_seconds), encoding="ascii")
    part.replace(marker)
    try:
        stopping.wait(seconds)
    finally:
        marker.unlink(missing_ok=True)


def _kill(simulator: Simulator, options: Options) -> str | None:
    del options
    if simulator.kill_worker is None or (simulator.database is not None and clock_marker(simulator.database).exists()):
        return None  # of a time that nobody knows nothing could be graded: a worker that begins in the wrong hour
    simulator.kill_worker()
    return "killed the worker"


FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault("drop", "the TCP connection ends without a close frame", _drop),
        Fault("close", "the server closes with a close frame", _close),
        Fault("mute", "open, answers pings, sends no data", _mute),
        Fault("half_open", "open, sends nothing at all", _half_open),
        Fault("partial_mute", "some subscriptions deliver nothing more, others do", _partial_mute),
        Fault("refuse", "the handshake is refused with an HTTP status", _refuse),
        Fault("slow_handshake", "the handshake is answered one byte at a time", _slow_handshake),
        Fault("garbage", "bytes that are no WebSocket frame", _garbage),
        Fault("poison", "messages that no decoder expects", _poison),
        Fault("duplicate", "every message comes twice", _for_some_time("twice_until", "messages come twice")),
        Fault("reorder", "messages come out of order", _for_some_time("shuffled_until", "messages come out of order")),
        Fault("lossy", "some messages never come", _for_some_time("lost_until", "some messages never come")),
        Fault("truncate_logs", "the log is cut before a trade's event", _truncate_logs),
        Fault("fork", "PumpPortal tells trades that never land", _fork),
        Fault("upgrade", "the programs' events grow, get another name, or change in the middle", _upgrade),
        Fault("rpc_429", "RPC refuses: too many requests, or no credits", _rpc_429),
        Fault("rpc_lag", "RPC nodes are behind: old slots, no new transactions, lists with rows left out", _rpc_lag),
        Fault("rpc_off", "RPC closes every connection without an answer", _rpc_off),
        Fault("lock_database", "somebody else holds the database's write lock", _lock_database),
        Fault("disk_full", "SQLite has no room left", _disk_full),
        Fault("clock", "the worker's clock jumps, and back again", _clock),
        Fault("hang", "a transaction of the worker never ends", _hang),
        Fault("kill", "the worker process is killed", _kill),
    )
}


class Schedule:
    """
    When which fault happens; asked a few times a second by the simulator.

    Not thread-safe: owned by the simulator's thread once it runs.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(
        self, name: str, options: Options, *, at_trade: int | None, at_second: float | None, every_seconds: float | None
    ) -> None:
        """Plan *name*: once a number of trades or seconds is reached, then every so many seconds."""
        self._entries.append(_Entry(name, options, at_trade, at_second, every_seconds))

    def due(self, *, seconds: float, trades: int, apply: Callable[[str, Options], str | None]) -> None:
        """Apply what is due; what could not be applied yet is tried again at the next call."""
        for entry in list(self._entries):
            if entry.at_trade is not None and trades < entry.at_trade:
                continue
            if entry.at_second is not None and seconds < entry.at_second:
                continue
            if apply(entry.name, entry.options) is None:
                continue
            if entry.every_seconds is None:
                self._entries.remove(entry)
            else:
                entry.at_trade = None
                entry.at_second = seconds + entry.every_seconds

    def clear(self) -> None:
        """Plan nothing more."""
        self._entries.clear()


@dataclass(slots=True)
class _Entry:
    name: str
    options: Options
    at_trade: int | None
    at_second: float | None
    every_seconds: float | None
