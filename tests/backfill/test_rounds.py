"""Which accounts are read when: by what is known of each token, by the room in a call, and by what the month has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import msgspec
import pytest

from pumpwatch.backfill.anchor import ACCOUNTS_OF_TOKENS, Snapshots, Target
from pumpwatch.backfill.rounds import Rounds, target_of
from pumpwatch.events import WRAPPED_SOL, Anchor
from pumpwatch.simulator.chain import address
from pumpwatch.storage.worklist import Watched

_NOW = 1_790_000_000


class Read:
    """Notes what is asked for, and shows nothing."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []

    def take(self, targets: Iterable[Target], *, min_context_slot: int | None = None) -> Iterator[Anchor]:
        del min_context_slot
        self.rounds.append([target.mint for target in targets])
        return iter(())


def token(number: int = 1, **changes: object) -> Watched:
    known = Watched(
        token_id=number,
        mint=address(number.to_bytes(32, "big")),
        created_slot=1,
        started_us=(_NOW - 3600) * 1_000_000,
        quote_mint=None,
        is_mayhem=False,
        status="curve",
        pool=None,
        last_trade=_NOW - 10,
        anchored_slot=None,
        unmatched_slot=None,
        unmatched_since_us=None,
        begins_slot=None,
        segments=1,
        trades=1,
    )
    return msgspec.structs.replace(known, **changes)


@pytest.fixture
def read() -> Read:
    return Read()


@pytest.fixture
def rounds(read: Read) -> Callable[..., Rounds]:
    def make(pace: float | None = None) -> Rounds:
        return Rounds(cast("Snapshots", read), active_seconds=15, idle_seconds=300, pace=lambda: pace, clock=lambda: float(_NOW))

    return make


def times_read(rounds: Rounds, watched: Watched, *, seconds: int) -> list[int]:
    """The seconds at which it is read, looked at each second."""
    return [now for now in range(seconds) if rounds.read([watched], lambda _: None, now=float(now))]


def test_a_token_that_trades_is_read_every_15_s_and_a_quiet_one_every_five_minutes(rounds: Callable[..., Rounds]) -> None:
    assert times_read(rounds(), token(), seconds=46) == [0, 15, 30, 45]
    assert times_read(rounds(), token(last_trade=_NOW - 1000), seconds=601) == [0, 300, 600]


def test_one_that_is_watched_since_a_moment_is_active_before_its_first_trade(rounds: Callable[..., Rounds]) -> None:
    new = token(last_trade=None, started_us=(_NOW - 5) * 1_000_000)

    assert times_read(rounds(), new, seconds=20) == [0, 15]


def test_what_is_ahead_of_the_record_is_asked_for_again_at_once_then_less_often(rounds: Callable[..., Rounds]) -> None:
    ahead = token(unmatched_since_us=1)

    assert times_read(rounds(), ahead, seconds=60) == [0, 2, 6, 14, 29, 44, 59]


def test_quiet_ones_ride_along_while_there_is_room_in_the_call(rounds: Callable[..., Rounds], read: Read) -> None:
    quiet = [token(number, last_trade=None, status="graduated") for number in range(2, 60)]
    made = rounds()
    made.read([token(), *quiet], lambda _: None, now=0.0)

    made.read([token(), *quiet], lambda _: None, now=15.0)

    assert len(read.rounds[1]) == 1 + (ACCOUNTS_OF_TOKENS - 1) // 3
    made.read([token(), *quiet], lambda _: None, now=30.0)
    assert set(read.rounds[2]) & set(read.rounds[1]) <= {token().mint, *read.rounds[1][:8]}  # the others have their turn first


def test_anchors_take_no_more_than_the_month_has_left(rounds: Callable[..., Rounds]) -> None:
    # 100 credits an hour, of which anchors may have 90: a call every 40 s.
    assert times_read(rounds(pace=100.0), token(), seconds=90) == [0, 40, 80]
    assert times_read(rounds(pace=0.0), token(), seconds=301) == [0, 300]


def test_the_pool_is_read_once_a_token_has_graduated() -> None:
    assert target_of(token()) == Target(token().mint, "curve", WRAPPED_SOL)
    assert target_of(token(status="completed")).venue == "curve"
    assert target_of(token(status="graduated", quote_mint="Q")) == Target(token().mint, "pool", "Q")
