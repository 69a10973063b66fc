"""What was read lately, kept for all and told to one: nothing twice, nothing left out unsaid, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from cli_samples import Maker

from pumpwatch.dashboard import ticks
from pumpwatch.dashboard.rows import TokenRow
from pumpwatch.dashboard.ticks import Covers, Found, Interest, Position, Ticks
from pumpwatch.storage.chosen import TradeRow
from pumpwatch.storage.following import CompletenessChanged, Place, Told, TradeChanged
from pumpwatch.storage.windows import Hour

MAKE = Maker()
MINT, OTHER, WALLET = MAKE.address(), MAKE.address(), MAKE.address()
BOARD, OF_MINT = Interest(board=True), Interest(mint=MINT)
COVERS = Covers.of([BOARD, OF_MINT, Interest(wallet=WALLET)])


def place(trade_id: int, change_id: int = 0) -> Place:
    return Place(1, trade_id, change_id)


def at(tick: int, trade_id: int = 0, change_id: int = 0) -> Position:
    return Position(place(trade_id, change_id), 0, 0, "run", tick)


def row(mint: str, trades: int = 0) -> TokenRow:
    values: dict[str, Any] = dict.fromkeys(TokenRow.__struct_fields__)
    return TokenRow(**{**values, "mint": mint, "trades": trades, "hour": Hour(3600)})


def told(id_: int, mint: str = MINT, wallet: str = WALLET, state: str = "confirmed") -> Told:
    values: dict[str, Any] = dict.fromkeys(TradeRow.__struct_fields__)
    return Told(id_, state, True, "since", TradeRow(**{**values, "mint": mint, "wallet": wallet}))


def found(trade_id: int = 0, change_id: int = 0, **values: Any) -> Found:
    return Found(place(trade_id, change_id), 0, values.pop("covers", COVERS), **values)


@pytest.fixture
def kept() -> Ticks:
    made = Ticks("run")
    made.begin()
    return made


def told_to(kept: Ticks, position: Position, interest: Interest) -> dict[str, Any]:
    events, _ = kept.since(position, interest, 0)
    return {event.event: event.data for event in events}


def test_one_who_was_told_out_of_the_record_beyond_a_tick_is_not_told_again(kept: Ticks) -> None:
    """Its place is behind what the thread finds only now."""
    start = at(kept.number, trade_id=12, change_id=5)
    changes = [TradeChanged(number, 0, told(number)) for number in (5, 6)]
    kept.add(found(11, 6, news=[told(11), *changes]), 0)

    events, position = kept.since(start, OF_MINT, 0)

    assert [trade.id for event in events for trade in event.data["trades"]] == [6]
    assert (position.place.trade_id, position.place.change_id) == (12, 6), "it does not go back"
    kept.add(found(13, 6, news=[told(12), told(13)]), 0)
    assert [trade.id for trade in told_to(kept, position, OF_MINT)["trades"]["trades"]] == [13]


def test_several_ticks_are_told_as_one_the_newest_row_and_state_of_each(kept: Ticks) -> None:
    start = at(kept.number)
    kept.add(found(1, rows=[row(MINT, 1), row(OTHER, 1)], news=[told(1, state="provisional")]), 0)
    kept.add(found(1, 1, rows=[row(MINT, 2)], news=[TradeChanged(1, 0, told(1))]), 0)

    events = told_to(kept, start, Interest(board=True, mint=MINT))

    assert [(one.mint, one.trades) for one in events["tokens"]["tokens"]] == [(OTHER, 1), (MINT, 2)]
    assert [(one.id, one.state) for one in events["trades"]["trades"]] == [(1, "confirmed")]
    assert list(events)[-1] == "trades"


def test_each_is_told_what_concerns_it(kept: Ticks) -> None:
    start = at(kept.number)
    changed = CompletenessChanged(1, 0, MINT, "A", "holes", None, None, None, 1, "a hole")
    kept.add(found(2, 1, rows=[row(MINT), row(OTHER)], news=[told(1), told(2, OTHER), changed]), 0)

    assert list(told_to(kept, start, BOARD)) == ["tokens"]
    of_mint = told_to(kept, start, OF_MINT)
    assert list(of_mint) == ["tokens", "completeness", "trades"]
    assert [one.mint for one in of_mint["tokens"]["tokens"]] == [MINT]
    assert [one.id for one in of_mint["trades"]["trades"]] == [1]
    assert [one.id for one in told_to(kept, start, Interest(wallet=WALLET))["trades"]["trades"]] == [1, 2]
    assert told_to(kept, start, Interest(system=True)) == {}


def test_more_rows_than_an_event_holds_are_the_newest_and_it_is_said(kept: Ticks) -> None:
    start = at(kept.number)
    made = [MAKE.address() for _ in range(700)]
    kept.add(found(rows=[row(mint) for mint in made[:400]]), 0)
    kept.add(found(rows=[row(mint) for mint in made[400:]]), 0)

    tokens = told_to(kept, start, BOARD)["tokens"]

    assert [one.mint for one in tokens["tokens"]] == made[-500:]
    assert tokens["is_cut"]


def test_what_is_kept_is_bounded_and_one_who_is_behind_it_is_not_reached(kept: Ticks) -> None:
    start = at(kept.number)
    for number in range(20):
        kept.add(found(rows=[row(MAKE.address()) for _ in range(150)], news=[told(number)] * 100), number)

    assert len(kept._rows) == ticks._KEPT_ROWS
    assert not kept.reach(start, BOARD)
    assert not kept.reach(start, OF_MINT)
    assert kept.reach(start, Interest(wallet=WALLET)), "it is told no rows"
    assert kept.reach(at(kept.number), BOARD)
    kept.add(found(), 100.0)
    assert not kept.reach(start, Interest(wallet=WALLET)), "a minute is over"
    assert len(kept._ticks) == 1


def test_a_tick_that_had_not_in_mind_what_one_wants_does_not_cover_it(kept: Ticks) -> None:
    start = at(kept.number)
    kept.add(found(covers=Covers.of([BOARD])), 0)

    assert kept.cover(start, BOARD)
    assert not kept.cover(start, OF_MINT)
    assert not kept.cover(start, Interest(wallet=WALLET))
    assert kept.cover(at(kept.number), OF_MINT)


def test_a_loss_is_told_to_those_who_were_there_and_the_rest_is_gone(kept: Ticks) -> None:
    early = at(kept.number)
    kept.add(found(5, rows=[row(MINT)]), 0)
    there = at(kept.number, 5)
    kept.add(found(2, lost="the record is another one now"), 0)

    events, position = kept.since(there, BOARD, 0)

    assert [(event.event, event.data["reason"]) for event in events] == [("resync", "the record is another one now")]
    assert position.place == place(2), "back, as it was lost"
    assert not kept.reach(early, BOARD)


def test_a_position_of_another_process_or_before_a_rest_is_not_reached(kept: Ticks) -> None:
    before = at(kept.number)
    assert kept.reach(before, BOARD)
    kept.begin()
    assert not kept.reach(before, BOARD)
    assert not kept.reach(at(0), BOARD)
    assert not kept.reach(at(kept.number + 1), BOARD)
    other = Position(place(0), 0, 0, "another", kept.number)
    assert not kept.reach(other, BOARD)
