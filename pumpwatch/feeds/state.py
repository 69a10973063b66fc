"""How a feed is doing, for the status and for the supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["connecting", "connected", "waiting", "refused", "banned?", "exhausted", "paused", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """
    One feed at one moment.

    Attributes:
        since: Unix seconds at which *state* began.
        last_data_at: Unix seconds of the last data; None before the first.
        reason: Why it is in this state, or what is wrong with it though it is connected; empty when all is well.
        connects: Handshakes that were completed since the start.
    """

    name: str
    state: State
    since: float
    last_data_at: float | None
    messages: int
    trades: int
    reason: str
    connects: int
