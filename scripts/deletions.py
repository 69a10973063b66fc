"""
Take trades out of random records and see whether the proof notices: how often is an incomplete one called complete?

    python scripts/deletions.py [--runs 10000] [--seed 1]

A third of the runs lose the tail, a third an exact round trip (a purchase and the sale of just as much, which leaves a lamport),
a third anything. Trades arrive in any order; the chain's account is seen at the end. Then all that was taken out is put back.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from pumpwatch.continuity import CURVE, Chain, State, Step, links, step_of_trade
from pumpwatch.market import Reserves, chain_key, curve_buy_quote, curve_sell_quote
from pumpwatch.verdict import Break, Facts, Proofs, Verdict, breaks, verdict

Kind: TypeAlias = Literal["buy", "sell", "round trip", "agent buy", "agent sell"]

#: Virtual tokens, virtual quote, real tokens: a curve against SOL, one against USDC, one of another size.
STARTS = (
    State(1_073_000_000_000_000, 30_000_000_000, 793_100_000_000_000, 0),
    State(1_073_000_000_000_000, 2_450_123_457, 793_100_000_000_000, 0),
    State(1_022_900_000_000_000, 30_000_000_000, 743_000_000_000_000, 0),
)
FIRST_SLOT = 366_000_000
FIRST_TIME = 1_790_000_000
WATCHED = ((FIRST_TIME * 1_000_000, None),)


class Move(NamedTuple):
    """One thing that happens on a curve; *share* (1 to 1000) of what there is; *slots* after the one before."""

    kind: Kind
    share: int
    slots: int


class Result(NamedTuple):
    """Of :func:`measure`."""

    runs: int
    false_complete: int
    false_holes: int
    wrong_sizes: int


def steps_of(start: State, moves: Iterable[Move]) -> list[Step]:
    """Return the trades of a new curve, priced as the program does; a round trip is two."""
    tokens, quote, real_tokens, real_quote = start
    assert tokens is not None
    assert quote is not None
    assert real_tokens is not None
    assert real_quote is not None
    sold, slot = 0, FIRST_SLOT
    steps: list[Step] = []
    for move in moves:
        slot += move.slots
        sides = {"round trip": (True, False)}.get(move.kind, (move.kind.endswith("buy"),))
        amount = 0
        for is_buy in sides:
            by_agent = move.kind.startswith("agent")
            if len(sides) == 1 or is_buy:
                amount = (real_tokens // 40 if is_buy else sold) * move.share // 1000
            if not amount:
                continue
            before = Reserves(quote, tokens)
            paid = curve_buy_quote(amount, before) if is_buy else curve_sell_quote(amount, before)
            sign = 1 if is_buy else -1
            tokens, real_tokens, sold = tokens - sign * amount, real_tokens - sign * amount, sold + sign * amount
            quote, real_quote = quote + sign * paid, real_quote + sign * paid
            if by_agent:
                quote = quote * (900 + move.share % 200) // 1000 + 1
            key = chain_key("curve", slot, tokens, quote)
            time = FIRST_TIME + (slot - FIRST_SLOT) * 2 // 5
            step = step_of_trade(
                CURVE, is_buy, amount, paid, None, by_agent, slot, time, key, tokens, quote, real_tokens, real_quote
            )
            assert step is not None
            steps.append(step)
    return steps


def facts_of(start: State) -> Facts:
    """What is known of such a curve."""
    return Facts(start=start, created_slot=FIRST_SLOT, created_at=FIRST_TIME)


def runs_of(missing: Iterable[int]) -> list[range]:
    """Return the runs of neighbouring places."""
    runs: list[range] = []
    for place in sorted(missing):
        if runs and runs[-1].stop == place:
            runs[-1] = range(runs[-1].start, place + 1)
        else:
            runs.append(range(place, place + 1))
    return runs


def sizes_of(steps: Sequence[Step], run: range) -> tuple[int, int]:
    """Return by how much a run of trades changes the real reserves: tokens, quote."""
    first, last = steps[run.start].before, steps[run.stop - 1].after
    assert first.real_token is not None
    assert last.real_token is not None
    assert first.real_quote is not None
    assert last.real_quote is not None
    return last.real_token - first.real_token, last.real_quote - first.real_quote


def judged(chain: Chain, facts: Facts, seen: State, slot: int) -> tuple[Verdict, list[Break]]:
    """Return what is said of a record when the account was *seen* in a state at *slot*, and its breaks."""
    segments = chain.segments
    found = breaks(segments, facts)
    last = segments[-1].after if segments else facts.start
    is_matched = last is not None and links(CURVE, last, seen)
    proofs = Proofs(anchored_slot=slot if is_matched else None, anchored_at=FIRST_TIME, tail=not is_matched)
    return verdict(segments, found, facts, proofs, WATCHED), found


def measure(*, runs: int = 10_000, seed: int = 1) -> Result:
    """Take trades out of *runs* random records, and put them back."""
    rng = random.Random(seed)
    false_complete = false_holes = wrong_sizes = 0
    for number in range(runs):
        start = rng.choice(STARTS)
        steps = steps_of(start, _moves(rng))
        missing = _missing(rng, number % 3, steps)
        facts = facts_of(start)
        chain = Chain()
        for place in rng.sample(range(len(steps)), len(steps)):
            if place not in missing:
                chain.add(steps[place])
        said, found = judged(chain, facts, steps[-1].after, steps[-1].slot)
        false_complete += said.completeness == "complete"
        lost = runs_of(missing)
        in_the_middle = [run for run in lost if run.stop < len(steps)]
        wrong_sizes += said.holes != len(lost)
        wrong_sizes += [(one.token_amount, one.quote_amount) for one in found] != [sizes_of(steps, run) for run in in_the_middle]
        for place in rng.sample(sorted(missing), len(missing)):
            chain.add(steps[place])
        said, found = judged(chain, facts, steps[-1].after, steps[-1].slot)
        false_holes += said.holes
        false_holes += said.completeness != "complete"
    return Result(runs, false_complete, false_holes, wrong_sizes)


def _moves(rng: random.Random) -> list[Move]:
    moves = [Move("buy", rng.randrange(1, 1001), 0)]
    for _ in range(rng.randrange(2, 25)):
        kind: Kind = rng.choice(("buy", "buy", "sell", "round trip"))
        moves.append(Move(kind, rng.randrange(1, 1001), rng.choice((0, 0, 1, 3))))
    moves.insert(rng.randrange(len(moves) + 1), Move("round trip", rng.randrange(1, 1001), 0))
    return moves


def _missing(rng: random.Random, kind: int, steps: list[Step]) -> set[int]:
    count = len(steps)
    if kind == 0:
        return set(range(count - rng.randrange(1, min(count, 6)), count))
    if kind == 1:
        trips = [place for place in range(count - 1) if steps[place].before.real_token == steps[place + 1].after.real_token]
        place = rng.choice(trips)
        return {place, place + 1}
    return set(rng.sample(range(count), rng.randrange(1, count)))


def main() -> None:
    """Print the result; exit 1 if anything was judged wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    result = measure(runs=arguments.runs, seed=arguments.seed)
    print(
        f"{result.runs} deletions: {result.false_complete} called complete, {result.wrong_sizes} of the wrong size; "
        f"{result.false_holes} holes after all was put back"
    )
    raise SystemExit(bool(result.false_complete or result.false_holes or result.wrong_sizes))


if __name__ == "__main__":
    main()
