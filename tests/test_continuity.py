from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deletions_module
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pumpwatch.breaks import Facts, breaks
from pumpwatch.continuity import CURVE, POOL, Chain, Segment, State, Step, links, order_by_linking, step_of_trade
from pumpwatch.market import Reserves, after_trade, chain_key, fee, pool_buy_quote, pool_sell_quote

if TYPE_CHECKING:
    import deletions
else:
    deletions = deletions_module.load()

START = deletions.STARTS[0]
FILES = {
    "8gQkv453h8zzwBNDvJdtVo74DYX5kqAAog1tdHNypump.csv": 500,
    "FCuk4XWLR6fAJFTcQoMrm3KeywSt2X6wK4Ufh4Xjpump.csv": 499,
    "HkutG4exp1CxzGaDggWwMgPtQ2hXP2Sesde7WGVcpump.csv": 500,
}

ordinary = st.builds(
    deletions.Move,
    st.sampled_from(["buy", "buy", "sell", "round trip"]),
    st.integers(1, 1000),
    st.integers(0, 2),
)
#: One trade a slot: keys do not tell the order of the agent's trades, and two runs inside one slot could not be told apart.
with_agent = st.builds(
    deletions.Move,
    st.sampled_from(["buy", "sell", "agent buy", "agent sell"]),
    st.integers(1, 1000),
    st.integers(1, 2),
)


def chained(steps: Sequence[Step]) -> Chain:
    chain = Chain()
    for step in steps:
        chain.add(step)
    return chain


def contents(chain: Chain) -> list[tuple[Any, ...]]:
    return [
        (s.venue, s.trades, s.first_key, s.last_key, s.first_slot, s.last_slot, s.first_time, s.last_time, s.before, s.after)
        for s in chain.segments
    ]


def real_steps(corpus: Path, file: str) -> list[Step]:
    steps = []
    with (corpus / "trades" / file).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            slot, tokens, quote = (int(row[name]) for name in ("block_num", "virtual_token_reserves", "virtual_sol_reserves"))
            step = step_of_trade(
                CURVE,
                row["is_buy"] == "true",
                int(row["amount_in_token"]),
                int(row["amount_in_sol"]),
                None,
                False,
                slot,
                int(row["block_time"]),
                chain_key("curve", slot, tokens, quote),
                tokens,
                quote,
                int(row["real_token_reserves"]),
                int(row["real_sol_reserves"]),
            )
            assert step is not None
            steps.append(step)
    return steps


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_all_real_trades_chain_from_the_creation_in_any_order_of_arrival(corpus: Path, file: str, seed: int | None) -> None:
    """1,499 of 1,499 over the three files."""
    steps = real_steps(corpus, file)
    if seed is not None:
        random.Random(seed).shuffle(steps)

    chain = chained(steps)

    assert [segment.trades for segment in chain.segments] == [FILES[file]]
    assert breaks(chain.segments, Facts(start=START)) == []


@pytest.mark.parametrize("file", FILES)
def test_each_real_trade_left_out_is_one_break_of_its_size(corpus: Path, file: str) -> None:
    steps = sorted(real_steps(corpus, file), key=lambda step: step.key)
    for place in range(0, len(steps) - 1, 7):
        (found,) = breaks(chained(steps[:place] + steps[place + 1 :]).segments, Facts(start=START))

        assert (found.token_amount, found.quote_amount) == deletions.sizes_of(steps, range(place, place + 1))
        assert found.fits_one_trade
        assert found.reason is None


@given(
    st.sampled_from(deletions.STARTS),
    st.one_of(st.lists(ordinary, min_size=2, max_size=25), st.lists(with_agent, min_size=2, max_size=15)),
    st.data(),
)
def test_exactly_what_is_missing_is_reported_with_its_size(start: State, moves: list[Any], data: st.DataObject) -> None:
    """Any trades taken out, any order of arrival; put back, nothing is missing any more."""
    steps = deletions.steps_of(start, moves)
    states = [start, *(step.after for step in steps)]
    assume(len(steps) > 1)
    # Only states of mayhem curves can repeat; what lies between two equal states cannot be seen there.
    assume(not any(links(CURVE, one, other) for place, one in enumerate(states) for other in states[:place]))
    missing = data.draw(st.sets(st.integers(0, len(steps) - 1), max_size=len(steps) - 1))
    order = data.draw(st.permutations(range(len(steps))))
    facts = deletions.facts_of(start)
    chain = Chain()
    for place in order:
        if place not in missing:
            chain.add(steps[place])

    said, found = deletions.judged(chain, facts, steps[-1].after, steps[-1].slot)

    lost = deletions.runs_of(missing)
    assert [(one.token_amount, one.quote_amount) for one in found] == [
        deletions.sizes_of(steps, run) for run in lost if run.stop < len(steps)
    ]
    assert said.holes == len(lost)
    assert said.completeness == ("holes" if lost else "complete")
    assert contents(chain) == contents(Chain.of(steps[place] for place in order if place not in missing))
    for place in order:
        if place in missing:
            chain.add(steps[place])
    said, found = deletions.judged(chain, facts, steps[-1].after, steps[-1].slot)
    assert (found, said.holes, said.completeness) == ([], 0, "complete")
    assert [segment.trades for segment in chain.segments] == [len(steps)]


def test_an_incomplete_record_is_never_called_complete() -> None:
    """Ten thousand of these are in the benchmark."""
    assert deletions.measure(runs=600, seed=5) == (600, 0, 0, 0)


def test_a_lost_round_trip_is_one_lamport() -> None:
    steps = deletions.steps_of(
        START, [deletions.Move("buy", 500, 0), deletions.Move("round trip", 700, 0), deletions.Move("buy", 9, 0)]
    )

    (found,) = breaks(chained([steps[0], steps[3]]).segments, Facts(start=START))

    assert (found.token_amount, found.quote_amount, found.fits_one_trade) == (0, 1, False)


@given(st.lists(ordinary, min_size=3, max_size=12), st.data())
def test_what_is_stored_after_every_step_is_what_the_chain_holds(moves: list[Any], data: st.DataObject) -> None:
    """The writer stores the changes only, and may start again from the rows at any moment."""
    steps = deletions.steps_of(START, moves)
    assume(steps)
    rows: dict[int, Segment] = {}
    chain = Chain()
    for number, place in enumerate(data.draw(st.permutations(range(len(steps)))), start=1):
        chain.add(steps[place])
        changed, gone = chain.take_changes()
        for row in gone:
            del rows[row]
        for segment in changed:
            segment.id = segment.id or number
            rows[segment.id] = segment
        assert sorted(rows.values(), key=lambda row: row.first_key) == chain.segments
        assert chain.take_changes() == ([], [])
        if data.draw(st.booleans()):
            chain = Chain(rows.values())
            assert chain.take_changes() == ([], [])


def test_a_fork_shows_as_a_break() -> None:
    first, kept = deletions.steps_of(START, [deletions.Move("buy", 500, 0), deletions.Move("buy", 300, 1)])
    _, forked = deletions.steps_of(START, [deletions.Move("buy", 500, 0), deletions.Move("buy", 301, 1)])

    for order in ([first, kept, forked], [kept, forked, first], [forked, first, kept]):
        chain = chained(order)
        assert len(chain.segments) == 2
        assert len(breaks(chain.segments, Facts(start=START))) == 1


def test_slots_out_of_order_do_not_link() -> None:
    first, second = deletions.steps_of(START, [deletions.Move("buy", 500, 5), deletions.Move("buy", 300, 1)])
    early = Step(CURVE, first.slot - 1, second.time, second.key, second.before, second.after)

    assert len(chained([first, early]).segments) == 2
    assert len(chained([early, first]).segments) == 2
    assert len(chained([first, second]).segments) == 1


def test_a_trade_of_nothing_breaks_nothing() -> None:
    first, second = deletions.steps_of(START, [deletions.Move("buy", 500, 0), deletions.Move("buy", 300, 0)])
    nothing = Step(CURVE, first.slot, first.time, first.key, first.after, first.after)

    for order in ([first, second, nothing], [nothing, first, second], [first, nothing, second]):
        assert len(chained(order).segments) == 1


def test_the_virtual_quote_counts_unless_the_agent_traded() -> None:
    """Fact sheet 7.3."""
    after = State(100, 200, 50, 60)
    assert links(CURVE, after, State(100, 200, 50, 60))
    assert not links(CURVE, after, State(100, 201, 50, 60))
    assert links(CURVE, after, State(100, None, 50, 60))
    assert links(CURVE, State(100, None, 50, 60), after)
    for other in (State(101, None, 50, 60), State(100, None, 51, 60), State(100, None, 50, 61)):
        assert not links(CURVE, after, other)


def test_the_agents_trade_moves_the_virtual_quote_and_still_links() -> None:
    kinds: list[deletions.Kind] = ["buy", "agent buy", "buy", "agent sell", "agent sell", "buy"]
    steps = deletions.steps_of(START, [deletions.Move(kind, 500, 1) for kind in kinds])
    assert steps[1].before.virtual_quote is steps[1].after.virtual_quote is None

    assert len(chained(steps).segments) == 1
    (found,) = breaks(chained(steps[:1] + steps[2:]).segments, Facts(start=START, is_mayhem=True))
    assert (found.token_amount, found.quote_amount) == deletions.sizes_of(steps, range(1, 2))


def test_old_trades_without_real_reserves_link_by_the_virtual_ones() -> None:
    """Events of 113 bytes (2024); the later ones of the same token have them."""
    moves = [deletions.Move("buy", share, 1) for share in (500, 300, 200, 100)]
    steps = deletions.steps_of(START, moves)
    old = [
        Step(s.venue, s.slot, s.time, s.key, s.before._replace(**bare), s.after._replace(**bare))
        for s in steps
        for bare in ({"real_token": None, "real_quote": None},)
    ]
    mixed = old[:2] + steps[2:]
    for order in (mixed, mixed[::-1], [mixed[1], mixed[3], mixed[0], mixed[2]]):
        assert len(chained(order).segments) == 1
    (found,) = breaks(chained(old[:1] + old[2:]).segments, Facts(start=START))
    assert (found.token_amount, found.quote_amount) == deletions.sizes_of(steps, range(1, 2))


def test_states_that_repeat_are_linked_as_they_fit_best() -> None:
    """A mayhem curve comes back to a state: in the order of arrival the first trade could have taken the wrong way."""
    here, there, further = (State(vt, None, vt - 10, rq) for vt, rq in ((100, 50), (90, 60), (80, 70)))
    away, back = step("a", 1, here, there), step("b", 1, there, here)
    on, again = step("c", 1, here, there), step("d", 2, there, further)

    for order in ([on, again, away, back], [away, again, back, on], [again, back, on, away]):
        assert [segment.trades for segment in Chain.of(order).segments] == [4]


def step(key: str, slot: int, before: State, after: State, *, venue: int = CURVE, trades: int = 1) -> Step:
    return Step(venue, slot, slot, bytes([venue]) + slot.to_bytes(8, "big") + key.encode().rjust(16), before, after, trades)


@given(st.lists(with_agent, min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_trades_of_one_slot_are_put_in_order_by_linking(moves: list[Any], rng: random.Random) -> None:
    steps = deletions.steps_of(START, [move._replace(slots=0) for move in moves])
    shuffled = rng.sample(steps, len(steps))

    ordered = [shuffled[place] for place in order_by_linking(START, shuffled)]

    state = START
    for one in ordered:
        assert links(CURVE, state, one.before)
        state = one.after


def test_what_does_not_link_in_a_slot_still_has_an_order() -> None:
    steps = deletions.steps_of(START, [deletions.Move("buy", share, 0) for share in (5, 6, 7, 8, 9)])
    left = [steps[4], steps[0], steps[3], steps[1]]

    assert order_by_linking(START, left) == [1, 3, 2, 0]
    assert order_by_linking(None, left) == [1, 3, 2, 0]
    assert sorted(order_by_linking(State(1, 1, 1, 1), left)) == [0, 1, 2, 3]


def test_order_is_found_in_bounded_time_where_states_repeat_often() -> None:
    here, there = State(100, None, 90, 50), State(90, None, 80, 60)
    steps = [step("x", 1, here, there) for _ in range(40)]

    assert sorted(order_by_linking(here, steps)) == list(range(40))

    # There and back, in every order possible, and one that never fits.
    steps = [step("x", 1, here, there) for _ in range(12)] + [step("y", 1, there, here) for _ in range(12)]
    steps.append(step("z", 1, State(1, None, 1, 1), State(2, None, 2, 2)))
    assert sorted(order_by_linking(here, steps)) == list(range(25))


def test_pool_trades_link_by_the_effective_reserves() -> None:
    """Fees of the liquidity providers stay in the pool (fact sheet 6.1)."""
    state, steps = Reserves(85_000_000_000, 206_900_000_000_000), []
    for number, is_buy in enumerate((True, False, True, True, False)):
        amount = 1_000_000_000 * (number + 1)
        quote = pool_buy_quote(amount, state) if is_buy else pool_sell_quote(amount, state)
        state = after_trade(state, is_buy=is_buy, token_amount=amount, quote_amount=quote, lp_fee=fee(quote, 20))
        key = chain_key("pool", number, state.token, state.quote)
        made = step_of_trade(
            POOL, is_buy, amount, quote, fee(quote, 20), 0, number, 1, key, state.token, state.quote, state.token, None
        )
        assert made is not None
        steps.append(made)

    assert [segment.trades for segment in chained(steps[::-1]).segments] == [5]
    (found,) = breaks(chained(steps[:2] + steps[3:]).segments, Facts())
    assert (found.token_amount, found.quote_amount) == (-3_000_000_000, steps[2].after[1] - steps[2].before[1])  # type: ignore[operator]
    assert found.fits_one_trade


def test_curve_and_pool_never_link() -> None:
    state = State(100, 200, 100, 200)
    segments = chained([step("a", 1, State(110, 190, 110, 190), state), step("b", 2, state, State(90, 210, 90, 210), venue=POOL)])

    assert len(segments.segments) == 2


@pytest.mark.parametrize("unknown", ["quote_amount", "slot", "key", "virtual_token", "virtual_quote"])
def test_a_trade_of_which_too_little_is_known_is_no_step(unknown: str) -> None:
    values = {
        "venue": 0,
        "is_buy": 1,
        "token_amount": 1,
        "quote_amount": 1,
        "lp_fee": None,
        "by_mayhem_agent": 0,
        "slot": 1,
        "time": 1,
        "key": b"",
        "virtual_token": 1,
        "virtual_quote": 1,
        "real_token": None,
        "real_quote": None,
    }
    assert step_of_trade(**values) is not None  # type: ignore[arg-type]
    assert step_of_trade(**{**values, unknown: None}) is None  # type: ignore[arg-type]
