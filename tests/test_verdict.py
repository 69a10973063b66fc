from __future__ import annotations

from typing import TYPE_CHECKING

import deletions_module
import pytest

from pumpwatch.continuity import CURVE, POOL, Chain, State, Step
from pumpwatch.verdict import STALE_SECONDS, Facts, Proofs, Verdict, breaks, holes, verdict

if TYPE_CHECKING:
    import deletions
else:
    deletions = deletions_module.load()

START = deletions.STARTS[0]
SLOT, TIME = deletions.FIRST_SLOT, deletions.FIRST_TIME
#: A trade every 100 slots (40 s).
STEPS = deletions.steps_of(START, [deletions.Move("buy", 100 + share, 100) for share in range(6)])
FACTS = deletions.facts_of(START)
ANCHORED = Proofs(anchored_slot=SLOT + 700, anchored_at=TIME + 280, seen_at=TIME + 280)
ALWAYS = ((TIME * 1_000_000, None),)


def us(after_seconds: float) -> int:
    return int((TIME + after_seconds) * 1_000_000)


def said(
    steps: list[Step], proofs: Proofs = ANCHORED, spells: tuple[tuple[int, int | None], ...] = ALWAYS, facts: Facts = FACTS
) -> Verdict:
    segments = Chain.of(steps).segments
    return verdict(segments, breaks(segments, facts), facts, proofs, spells)


def test_a_chain_from_the_creation_to_an_anchor_is_complete() -> None:
    assert said(STEPS) == ("complete", TIME, TIME + 280, SLOT + 700, 0, None)


def test_a_token_without_a_trade_is_complete_once_its_account_is_seen() -> None:
    assert said([]).completeness == "complete"
    assert said([], Proofs()).completeness == "unproven"


def test_without_an_anchor_no_token_is_complete() -> None:
    judged = said(STEPS, Proofs())
    assert (judged.completeness, judged.proven_to_slot) == ("unproven", None)
    assert judged.reason == "the chain's account was not seen yet in a state that our trades left"


def test_without_the_creation_it_is_complete_since_its_first_trade() -> None:
    judged = said(STEPS[2:], facts=Facts())
    assert (judged.completeness, judged.complete_from) == ("since", STEPS[2].time)


def test_holes_are_counted_and_what_is_before_them_is_proven() -> None:
    judged = said([STEPS[0], STEPS[1], STEPS[3], STEPS[5]])
    assert judged == ("holes", None, None, SLOT + 199, 2, f"2 runs of trades are missing, the first after slot {SLOT + 200}")
    assert said([STEPS[0], *STEPS[2:]], Proofs()).proven_to_slot == SLOT + 99
    assert said(STEPS[1:]).proven_to_slot is None


def test_a_tail_is_a_hole_and_proves_up_to_the_last_anchor() -> None:
    judged = said(STEPS, ANCHORED._replace(tail=True))
    assert (judged.completeness, judged.holes, judged.proven_to_slot) == ("holes", 1, SLOT + 700)
    assert said(STEPS[1:], ANCHORED._replace(tail=True)).holes == 2


def test_what_was_missed_while_nobody_watched_is_no_hole() -> None:
    """Two spells; the third and fourth trade (120 and 160 s) fall between them."""
    spells = ((us(0), us(100)), (us(190), None))
    judged = said([*STEPS[:2], *STEPS[4:]], spells=spells)
    assert judged == ("since", STEPS[4].time, TIME + 280, SLOT + 700, 0, None)
    assert holes(breaks(Chain.of([*STEPS[:2], *STEPS[4:]]).segments, FACTS), spells) == []
    # In watched time it counts, whatever happened elsewhere.
    assert said([STEPS[0], STEPS[4], STEPS[5]], spells=((us(0), us(30)), (us(190), None))).completeness == "since"
    assert said([*STEPS[:3], *STEPS[5:]], spells=((us(0), us(20)), (us(110), None))).holes == 1


def test_an_anchor_from_before_the_time_without_a_watch_proves_nothing_after_it() -> None:
    spells = ((us(0), us(100)), (us(190), None))
    judged = said([*STEPS[:2], *STEPS[4:]], Proofs(anchored_slot=SLOT + 210, anchored_at=TIME + 84), spells)
    assert judged.completeness == "unproven"


def test_no_longer_watched_it_is_complete_from_then_to_then() -> None:
    judged = said(STEPS, spells=((us(0), us(300)),))
    assert judged[:4] == ("spell", TIME, TIME + 280, SLOT + 700)
    judged = said(STEPS[2:], spells=((us(111), us(300)),), facts=Facts())
    assert judged[:2] == ("spell", STEPS[2].time)


@pytest.mark.parametrize(("watched_after", "completeness"), [(2, "holes"), (59, "holes"), (180, "since")])
def test_a_token_admitted_at_its_creation_is_watched_from_its_creation(watched_after: float, completeness: str) -> None:
    """Its first trades are fetched; an old token that somebody adds is complete since then."""
    judged = said(STEPS[4:], spells=((us(watched_after), None),))
    assert judged.completeness == completeness


def test_clocks_may_differ_by_seconds() -> None:
    missing_third = [*STEPS[:2], *STEPS[3:]]
    assert said(missing_third, spells=((us(0), us(100)), (us(107), None))).completeness == "holes"
    assert said(missing_third, spells=((us(0), us(83)), (us(200), None))).completeness == "since"
    assert said(missing_third, spells=((us(0), us(158)), (us(200), None))).completeness == "holes"


def test_a_break_that_cannot_be_judged_leaves_the_token_unproven() -> None:
    facts = Facts(start=START, created_at=TIME, created_slot=SLOT, seams=((CURVE, SLOT + 300, "deposit"),))
    judged = said([*STEPS[:2], *STEPS[3:]], facts=facts)
    assert judged[:1] + judged[3:] == ("unproven", SLOT + 199, 0, f"deposit (slots {SLOT + 200} to {SLOT + 400})")
    # Unless the chain's own list shows that everything is there.
    listed = ANCHORED._replace(listings=((CURVE, SLOT + 150, SLOT + 400),))
    assert said([*STEPS[:2], *STEPS[3:]], listed, facts=facts).completeness == "complete"
    for listing in ((POOL, SLOT, SLOT + 900), (CURVE, SLOT + 201, SLOT + 900), (CURVE, SLOT, SLOT + 399)):
        assert said([*STEPS[:2], *STEPS[3:]], ANCHORED._replace(listings=(listing,)), facts=facts).completeness == "unproven"


def test_a_break_that_the_chains_history_does_not_explain_is_said_to_be_one() -> None:
    judged = said([*STEPS[:2], *STEPS[3:]], ANCHORED._replace(listings=((CURVE, 0, SLOT + 900),)))
    assert (judged.completeness, judged.holes) == ("unproven", 0)
    assert judged.reason == f"the chain's own history does not explain the reserves after slot {SLOT + 200}"


def test_a_chain_in_a_pool_is_said_to_be_weaker_evidence() -> None:
    state = State(100, 200, 100, 200)
    steps = [Step(POOL, SLOT, TIME, b"\1", state, state._replace(virtual_token=90)), Step(POOL, SLOT, TIME, b"\2", state, state)]
    judged = said(steps[:1], facts=Facts())
    assert judged.completeness == "since"
    assert judged.reason is not None
    assert "weaker evidence" in judged.reason


def test_what_only_pumpportal_told_proves_nothing() -> None:
    assert verdict([], [], Facts(), Proofs(), ALWAYS).reason == "no trade of the chain is recorded yet"
    judged = verdict([], [], Facts(), Proofs(), ALWAYS, has_chain_feed=False)
    assert (judged.completeness, judged.reason) == ("unproven", "no chain feed: what PumpPortal tells proves nothing")


def test_an_account_that_was_not_seen_for_long_proves_nothing_of_a_watched_token() -> None:
    segments = Chain.of(STEPS).segments
    for after, spells, completeness in (
        (STALE_SECONDS, ALWAYS, "complete"),
        (STALE_SECONDS + 1, ALWAYS, "unproven"),
        (STALE_SECONDS + 1, ((us(0), us(300)),), "spell"),
    ):
        assert verdict(segments, [], FACTS, ANCHORED, spells, now=TIME + 280 + after).completeness == completeness
