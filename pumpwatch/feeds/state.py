"""How a feed is doing, for the status and for the supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

State: TypeAlias = Literal["connecting", "connected", "waiting", "refused", "banned?", "exhausted", "paused", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """
    One feed at one moment.

    Attributes:
        state: ``exhausted`` and ``refused`` also while free messages flow, if what is paid for does not come.
        is_open: There is a connection.
        since: Unix seconds at which *state* began.
        last_data_at: Unix seconds of the last data; None before the first.
        reason: Why it is in this state, or what is wrong with it though it is connected; empty when all is well.
        connects: Handshakes that were completed since the start.
        drops: Connections that had been open and ended, by :data:`pumpwatch.feeds.outcome.DropCause`; ours to stop not counted.
        failed_connects: Attempts that never became a connection, likewise.
    """

    name: str
    state: State
    since: float
    last_data_at: float | None
    messages: int
    trades: int
    reason: str
    connects: int
    drops: Mapping[str, int] = field(default_factory=dict)
    failed_connects: Mapping[str, int] = field(default_factory=dict)
    is_open: bool = False
