"""What the API answers with: each document by its fields."""

from __future__ import annotations

from typing import Any

import msgspec

from pumpwatch.candles import Candle
from pumpwatch.dashboard.rows import TokenRow
from pumpwatch.events import Usage
from pumpwatch.overview import CostRow, Disk, RateRow
from pumpwatch.status import Status
from pumpwatch.storage.alerts import AlertRow
from pumpwatch.storage.chosen import ListedTrade
from pumpwatch.storage.launch import Launch, Progress
from pumpwatch.storage.offchain import MetadataRow
from pumpwatch.storage.positions import Largest, PositionRow, WalletTotal
from pumpwatch.storage.proof import Proof
from pumpwatch.storage.queries import GapCount, GapRow, SourceCounts, SpellRow
from pumpwatch.storage.windows import Window


class Tokens(msgspec.Struct, frozen=True):
    """*cursor*: from where /api/live goes on; *now*: unix seconds."""

    origin: str
    now: float
    cursor: str
    tokens: list[TokenRow]


class Token(TokenRow, frozen=True, kw_only=True):
    """All about one token: its row, and the fields of :class:`pumpwatch.storage.about.About`; *sold_by_minute*: its progress."""

    origin: str
    now: float
    cursor: str
    metadata: MetadataRow | None
    windows: dict[str, Window]
    developer_position: PositionRow | None
    creator_position: PositionRow | None
    launch: Launch
    largest: Largest
    sold_by_minute: list[Progress]
    traders: list[PositionRow]
    spells: list[SpellRow]
    gaps: list[GapRow]
    sources: SourceCounts
    pruned_until: int | None


class Candles(msgspec.Struct, frozen=True):
    """*candles* the oldest first, also those without a trade; *gaps*: what is not closed in their time."""

    origin: str
    mint: str
    symbol: str | None
    interval_seconds: int
    unit: str | None
    quote_mint: str | None
    quote_decimals: int | None
    completeness: str
    reason: str | None
    candles: list[Candle]
    is_cut: bool
    pruned_until: int | None
    gaps: list[GapRow]


class Trades(msgspec.Struct, frozen=True):
    """*trades* the newest first. *is_cut*: more may fit; everything was looked at down to *looked_to*, unix seconds."""

    origin: str
    cursor: str
    completeness: str | None
    trades: list[ListedTrade]
    is_cut: bool
    looked_to: int | None


class Trader(PositionRow, frozen=True, kw_only=True):
    """A wallet's position, and *share*: what it bought and did not sell, of the token's whole supply."""

    share: float | None


class Traders(msgspec.Struct, frozen=True):
    """The largest first, in the order that was asked for."""

    origin: str
    mint: str
    order: str
    completeness: str
    traders: list[Trader]


class ProofOf(Proof, frozen=True, kw_only=True):
    """The proof of a token's record, and what is concluded from it."""

    origin: str
    cursor: str
    mint: str
    completeness: str
    reason: str | None
    holes: int | None
    complete_from: int | None
    complete_until: int | None
    proven_to_slot: int | None
    pruned_until: int | None
    quote_mint: str | None
    quote_decimals: int | None
    sources: SourceCounts
    spells: list[SpellRow]


class Wallet(msgspec.Struct, frozen=True):
    """What a wallet did, in trades alone: transfers are not seen."""

    origin: str
    now: float
    cursor: str
    address: str
    is_watched: bool
    spells: list[SpellRow]
    totals: list[WalletTotal]
    positions: list[PositionRow]
    quotes: dict[str, int | None]


class GapOf(msgspec.Struct, frozen=True):
    """A gap, and whose it is; of all tokens where *mint* is null."""

    id: int
    cause: str
    state: str
    feed: str | None
    mint: str | None
    symbol: str | None
    from_us: int
    to_us: int | None
    detail: str | None
    found: int
    closed_by: str | None
    closed_at_us: int | None
    reason: str | None


class Run(msgspec.Struct, frozen=True):
    """One start of the worker, and its end; *ended_at_us* null: it runs."""

    started_at_us: int
    pid: int
    version: str
    ended_at_us: int | None
    exit_status: int | None
    reason: str | None


class System(msgspec.Struct, frozen=True, kw_only=True):
    """
    Beside what ``pumpwatch status --json`` shows, all of which is here too.

    Attributes:
        drops: Gaps that a feed's connection made, the newest first.
    """

    origin: str
    now: float
    cursor: str
    alerts: list[AlertRow]
    runs: list[Run]
    drops: list[GapOf]
    gaps_open: list[GapOf]
    gaps_closed: list[GapOf]
    healthy: bool
    problems: list[str]
    database: str
    completeness: dict[str, int]
    disk: Disk
    gaps: list[GapCount]
    rates: list[RateRow]
    scoreboard: dict[str, Any]
    cost: list[str]
    costs: list[CostRow]
    usage: list[Usage]
    worker: Status | None


class Step(msgspec.Struct, frozen=True):
    """One thing that a newcomer needs; *what_to_do* is empty where it is done."""

    id: str
    done: bool
    needed: bool
    text: str
    what_to_do: str


class Welcome(msgspec.Struct, frozen=True):
    """*is_ready*: there is something to see."""

    is_ready: bool
    steps: list[Step]


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /api/watch`` takes."""

    mint: str
    action: str


class Done(msgspec.Struct, frozen=True):
    """It was done; *text* says what."""

    ok: bool
    text: str


class LiveEvent(msgspec.Struct, frozen=True):
    """One event, as /api/live sends it: *data* by its name."""

    event: str
    data: Any


class Changes(msgspec.Struct, frozen=True):
    """What happened since a cursor."""

    cursor: str
    now: float
    events: list[LiveEvent]


class Said(msgspec.Struct, frozen=True):
    """What went wrong: *code* for programs, *message* for people."""

    code: str
    message: str


class Error(msgspec.Struct, frozen=True):
    """The answer of a request that failed."""

    error: Said


class StatusEvent(msgspec.Struct, frozen=True):
    """The worker as it says it is; null: nobody can tell. *problems*: why it is not healthy."""

    worker: Status | None
    healthy: bool
    problems: list[str]
