"""What is counted in the database every few seconds: open gaps, and how complete what is watched is."""

from __future__ import annotations

import time
from typing import ClassVar

import msgspec

from pumpwatch.storage.database import ShortReads
from pumpwatch.storage.sizes import measured

_OPEN = "SELECT cause, count(*), min(from_us) FROM gaps WHERE state IN ('open', 'filling') GROUP BY cause"
_CLOSED = "SELECT count(*) FROM gaps WHERE state = 'closed' AND closed_at_us >= :since_us"
_COMPLETENESS = """
    SELECT tokens.completeness, count(*) FROM spells JOIN tokens ON tokens.mint = spells.address
    WHERE spells.kind = 'token' AND spells.ended_at_us IS NULL GROUP BY tokens.completeness
"""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """
    Attributes:
        gaps_open: By cause.
        gap_oldest_at: Beginning of the oldest of them, unix seconds; None: there is none.
        gaps_closed: Since the moment that was asked for.
        completeness: Watched tokens by completeness.
        growth_bytes_per_day: Of the database, over the last day; None: not measured yet.
    """

    gaps_open: dict[str, int] = {}
    gap_oldest_at: float | None = None
    gaps_closed: int = 0
    completeness: dict[str, int] = {}
    growth_bytes_per_day: float | None = None


class Census(ShortReads):
    """Counts. For one thread."""

    NOTHING: ClassVar = Counted()

    def take(self, *, since_us: int) -> Counted:
        """
        Count once.

        Args:
            since_us: Gaps closed from then on are counted.

        Raises:
            DatabaseBusy: Try again later.

        """
        gaps = self._rows(_OPEN)
        return Counted(
            gaps_open={str(cause): int(count) for cause, count, _ in gaps},
            gap_oldest_at=min((oldest / 1e6 for _, _, oldest in gaps if oldest), default=None),
            gaps_closed=int(self._rows(_CLOSED, since_us=since_us)[0][0]),
            completeness={str(completeness): int(count) for completeness, count in self._rows(_COMPLETENESS)},
            growth_bytes_per_day=measured(self._rows, now=time.time()).growth_bytes_per_day,
        )
