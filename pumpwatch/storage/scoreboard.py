"""What each feed was good for: which trades it had, which it missed, which never were, and how late it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pumpwatch.events import SOURCES
from pumpwatch.storage.schema import DROPPED

#: The newest rows; the cost is bounded whatever the file holds. Parameter: ``:last``.
LAST_TRADES: Final = """
    SELECT token_id, state, block_time, pumpportal_at_us, helius_at_us, backfill_at_us FROM trades ORDER BY id DESC LIMIT :last
"""

#: Parameter ``:last``.
SPELLS: Final = """
    SELECT tokens.id, started_at_us, ended_at_us
    FROM (SELECT DISTINCT token_id FROM (SELECT token_id FROM trades ORDER BY id DESC LIMIT :last)) AS latest
    CROSS JOIN tokens ON tokens.id = latest.token_id
    CROSS JOIN spells ON spells.kind = 'token' AND spells.address = tokens.mint
"""

_NEVER_US: Final = 2**62
_SECOND_US: Final = 1_000_000
_PUMPPORTAL: Final = SOURCES.index("pumpportal")
_HELIUS: Final = SOURCES.index("helius")
_TIMES: Final = 3


class Score(msgspec.Struct, frozen=True):
    """
    One source in the last trades of the record.

    Attributes:
        seen: Trades that it delivered and that are (or, provisional, may be) real.
        only: Those of them that no other has delivered.
        missed: Confirmed trades that others delivered and it should have. Of ``helius``: of tokens that were watched at the block
            time. Of ``pumpportal``, which is paid for some tokens only: between a token's first and last trade that it did
            deliver. None of ``backfill``, which fetches what is missing.
        invented: Trades that it delivered and the chain does not have: dropped or superseded.
        delay_median_ms: Behind the first source, over the trades that several delivered; None if there are none.
        delay_p95_ms: 95 of 100 were not later.
    """

    feed: str
    seen: int
    only: int
    missed: int | None
    invented: int
    delay_median_ms: float | None
    delay_p95_ms: float | None


def scores(rows: Iterable[Any], spells: Iterable[Any]) -> list[Score]:
    """Judge the sources, in the order of ``sources``, from the rows of :data:`LAST_TRADES` and :data:`SPELLS`."""
    spells_of: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for token_id, started_us, ended_us in spells:
        spells_of[token_id].append((started_us, _NEVER_US if ended_us is None else ended_us))
    seen, only, invented, missed = ([0] * _TIMES for _ in range(4))
    delays: list[list[int]] = [[] for _ in SOURCES]
    paid: dict[int, tuple[int, int]] = {}
    unpaid: list[tuple[int, int]] = []
    for token_id, state, block_time, *at_us in rows:
        having = [source for source in range(_TIMES) if at_us[source] is not None]
        if state >= DROPPED:
            for source in having:
                invented[source] += 1
            continue
        for source in having:
            seen[source] += 1
            if len(having) > 1:
                delays[source].append(at_us[source] - min(at_us[other] for other in having))
            else:
                only[source] += 1
        if state == 0 or block_time is None:
            continue
        if at_us[_PUMPPORTAL] is None:
            unpaid.append((token_id, block_time))
        else:
            first, last = paid.get(token_id, (block_time, block_time))
            paid[token_id] = (min(first, block_time), max(last, block_time))
        missed[_HELIUS] += at_us[_HELIUS] is None and _is_watched(spells_of.get(token_id, ()), block_time)
    missed[_PUMPPORTAL] = sum(
        token_id in paid and paid[token_id][0] < block_time < paid[token_id][1] for token_id, block_time in unpaid
    )
    return [
        Score(
            feed,
            seen[source],
            only[source],
            missed[source] if source in (_PUMPPORTAL, _HELIUS) else None,
            invented[source],
            _at(delays[source], 0.5),
            _at(delays[source], 0.95),
        )
        for source, feed in enumerate(SOURCES)
    ]


def _is_watched(spells: Iterable[tuple[int, int]], block_time: int) -> bool:
    """All of that second lies in one of the spells."""
    return any(
        started_us <= block_time * _SECOND_US and (block_time + 1) * _SECOND_US <= ended_us for started_us, ended_us in spells
    )


def _at(delays: list[int], share: float) -> float | None:
    """The delay that *share* of them do not exceed, in milliseconds."""
    if not delays:
        return None
    delays.sort()
    return delays[min(len(delays) - 1, int(len(delays) * share))] / 1000
