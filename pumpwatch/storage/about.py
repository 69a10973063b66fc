"""All that the record has of one token beside its single trades: for those who look at it."""

from __future__ import annotations

from typing import Final

import msgspec

from pumpwatch.storage.board import BoardRow, board_rows
from pumpwatch.storage.launch import Launch, Progress, launch_of, progress_of
from pumpwatch.storage.offchain import MetadataRow, metadata_of
from pumpwatch.storage.positions import Largest, Order, PositionRow, largest, position_of, traders_of
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import GapRow, Reader, SourceCounts, SpellRow
from pumpwatch.storage.windows import WINDOWS, Window, windows

#: Sources are told of so many trades at most.
LAST_TRADES: Final = 20_000

_MOST_SPELLS: Final = 5
_MOST_GAPS: Final = 10

#: A day of trading, if a minute never passes without a trade.
_MOST_MINUTES: Final = 1_440


class About(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that is asked of the record for one token.

    Attributes:
        developer_position: What the one who signed its creation did with it; None: no trade, or not known who that is.
        creator_position: What the one who gets the creator fee did with it.
        traders: In the order that was asked for.
    """

    row: BoardRow
    metadata: MetadataRow | None
    windows: dict[str, Window]
    developer_position: PositionRow | None
    creator_position: PositionRow | None
    launch: Launch
    largest: Largest
    progress: list[Progress]
    traders: list[PositionRow]
    spells: list[SpellRow]
    gaps: list[GapRow]
    sources: SourceCounts
    pruned_until: int | None = None


def about(reader: Reader, mint: str, *, traders: int, order: Order = "volume", now: float) -> About | None:
    """
    All about one token at *now* (unix seconds); None: there is no such token.

    Args:
        traders: So many of them, by *order*.

    """
    rows = board_rows(reader, [mint])
    if not rows:
        return None
    (row,) = rows
    return About(
        row=row,
        metadata=metadata_of(reader, mint),
        windows=dict(zip(WINDOWS, windows(reader, mint, now), strict=True)),
        developer_position=position_of(reader, mint, row.developer) if row.developer is not None else None,
        creator_position=position_of(reader, mint, row.creator) if row.creator is not None else None,
        launch=launch_of(reader, mint),
        largest=largest(reader, mint),
        progress=progress_of(reader, mint, limit=_MOST_MINUTES),
        traders=traders_of(reader, mint, limit=traders, order=order),
        spells=reader.spells(mint, limit=_MOST_SPELLS),
        gaps=reader.gaps_of(mint, limit=_MOST_GAPS),
        sources=reader.sources_of(mint, last=LAST_TRADES),
        pruned_until=pruned_until(reader, mint),
    )
