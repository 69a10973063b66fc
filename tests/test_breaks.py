"""The seams: the end of a curve, what is bought before its pool opens, the opening, and what moves a pool without a trade."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pumpwatch.breaks import Facts, breaks, is_end
from pumpwatch.continuity import CURVE, POOL, Chain, State, Step, step_of_trade
from pumpwatch.market import Reserves, after_trade, chain_key, curve_buy_quote, fee, pool_buy_quote, pool_sell_quote

START = State(1_073_000_000_000_000, 30_000_000_000, 793_100_000_000_000, 0)
POOL_TOKENS = 206_900_000_000_000
MIGRATION_FEE = 15_000_001
COMPLETED, MIGRATED = 120, 130


def curve(*, left: int = 0) -> list[Step]:
    """Three purchases that leave so much on the curve."""
    state, sold = Reserves(START.virtual_quote or 0, START.virtual_token or 0), 0
    steps = []
    for slot, amount in ((100, 300_000_000_000_000), (110, 293_100_000_000_000), (COMPLETED, 200_000_000_000_000 - left)):
        paid = curve_buy_quote(amount, state)
        state, sold = after_trade(state, is_buy=True, token_amount=amount, quote_amount=paid), sold + amount
        key = chain_key("curve", slot, state.token, state.quote)
        real = (793_100_000_000_000 - sold, state.quote - 30_000_000_000)
        steps.append(made(CURVE, True, amount, paid, slot, key, state, *real))
    return steps


def made(
    venue: int,
    is_buy: bool,
    amount: int,
    quote: int,
    slot: int,
    key: bytes | None,
    after: Reserves,
    real_token: int | None,
    real_quote: int | None,
    lp_fee: int = 0,
) -> Step:
    step = step_of_trade(
        venue, is_buy, amount, quote, lp_fee, 0, slot, slot, key, after.token, after.quote, real_token, real_quote
    )
    assert step is not None
    return step


def raised(steps: Sequence[Step]) -> int:
    """The quote that the curve leaves to its pool."""
    assert steps[-1].after.real_quote is not None
    return steps[-1].after.real_quote - MIGRATION_FEE


def pool(
    quote: int, *, tokens: int = POOL_TOKENS, virtual: int = 0, slot: int = MIGRATED + 5, keeps_fees: bool = False
) -> list[Step]:
    """A purchase and a sale in a pool that opens with these vaults."""
    state, vault, steps = Reserves(quote + virtual, tokens), quote, []
    for number, (is_buy, amount) in enumerate(((True, 5_000_000_000), (False, 3_000_000_000))):
        net = pool_buy_quote(amount, state) if is_buy else pool_sell_quote(amount, state)
        stays = fee(net, 20)
        state = after_trade(state, is_buy=is_buy, token_amount=amount, quote_amount=net, lp_fee=stays)
        vault += (net if is_buy else -net) + stays
        key = chain_key("pool", slot + number, state.token, state.quote)
        seen = None if keeps_fees else vault
        steps.append(made(POOL, is_buy, amount, net, slot + number, key, state, state.token, seen, stays))
    return steps


def bought_before_opening(quote: int, *, amount: int = 7_000_000_000) -> Step:
    before = Reserves(quote, POOL_TOKENS)
    net = pool_buy_quote(amount, before)
    after = after_trade(before, is_buy=True, token_amount=amount, quote_amount=net)
    key = chain_key("pool", COMPLETED, after.token, after.quote)
    return made(POOL, True, amount, net, COMPLETED, key, after, after.token, after.quote)


def boost(quote: int, vault: int, *, slot: int = MIGRATED) -> Step:
    """InitBoostEvent: the effective quote and the vault after it, no tokens (fact sheet 2.3)."""
    nothing = State(None, None, None, None)
    return Step(POOL, slot, slot, chain_key("pool", slot, 0, 0) or b"", nothing, State(None, quote, None, vault), trades=0)


def facts(quote: int | None, *, tokens: int = POOL_TOKENS, seams: tuple[tuple[int, int, str], ...] = ()) -> Facts:
    known = quote is not None
    return Facts(
        start=START,
        created_slot=90,
        created_at=90,
        completed_slot=COMPLETED,
        migrated_slot=MIGRATED if known else None,
        migrated_token_amount=tokens if known else None,
        migrated_quote_amount=quote,
        seams=seams,
    )


def found(steps: Sequence[Step], of: Facts) -> list[tuple[int, int | None, int | None, str | None]]:
    return [(one.venue, one.token_amount, one.quote_amount, one.reason) for one in breaks(Chain.of(steps).segments, of)]


def test_a_curve_that_is_sold_out_leads_into_its_pool() -> None:
    steps = curve()
    assert found(steps, facts(None)) == []
    assert found(steps, facts(raised(steps))) == []
    assert found(steps + pool(raised(steps)), facts(raised(steps))) == []


@pytest.mark.parametrize("virtual", [17_584_505_288, -1_000_000_000])
def test_a_virtual_quote_reserve_given_at_the_opening_is_checked_by_the_vault(virtual: int) -> None:
    steps = curve()
    assert found(steps + pool(raised(steps), virtual=virtual), facts(raised(steps))) == []


def test_without_the_vault_it_is_not_known_whether_something_is_missing_at_the_opening() -> None:
    steps = curve()
    reason = "the pool's virtual quote reserve at its opening is not known"
    assert found(steps + pool(raised(steps), virtual=9_000_000_000, keeps_fees=True), facts(raised(steps))) == [
        (POOL, 0, None, reason)
    ]


def test_what_the_opening_is_boosted_by_is_told_by_its_event() -> None:
    steps, virtual = curve(), 9_000_000_000
    quote = raised(steps)
    for traded in (pool(quote, virtual=virtual, keeps_fees=True), pool(quote, virtual=virtual)):
        assert found([*steps, boost(quote + virtual, quote), *traded], facts(quote)) == []
        ((venue, tokens, _, reason),) = found([*steps, boost(quote + virtual, quote), *traded[1:]], facts(quote))
        assert (venue, tokens, reason) == (POOL, -5_000_000_000, None)
    # With another vault than the pool was opened with, something else has happened before.
    assert found([*steps, boost(quote + 1 + virtual, quote + 1), *pool(quote + 1, virtual=virtual)], facts(quote)) == [
        (POOL, 0, 0, "init boost")
    ]


def test_a_lost_first_trade_of_the_pool_is_a_hole() -> None:
    steps = curve()
    opened = pool(raised(steps))
    lost, kept = opened
    ((venue, tokens, quote, reason),) = found([*steps, kept], facts(raised(steps)))
    assert (venue, tokens, reason) == (POOL, -5_000_000_000, None)
    assert quote == (lost.after.virtual_quote or 0) - (lost.before.virtual_quote or 0)


@pytest.mark.parametrize("virtual", [0, 5_000_000_000])
def test_what_is_bought_before_the_opening_is_of_the_pool(virtual: int) -> None:
    steps = curve()
    early = bought_before_opening(raised(steps))
    assert early.after.real_token is not None
    assert early.after.real_quote is not None
    of = facts(early.after.real_quote, tokens=early.after.real_token)
    traded = pool(early.after.real_quote, tokens=early.after.real_token, virtual=virtual)

    assert found([*steps, early], of) == []
    assert found([*steps, early], facts(None)) == []
    assert found([*steps, early, *traded], of) == []
    assert found([*steps, early, *traded], facts(None)) == []
    # It is lost: the pool has opened with less than an ordinary curve leaves to it.
    assert found([*steps, *traded], of) == [(CURVE, -7_000_000_000, None, None)]
    assert found(steps, of) == [(CURVE, -7_000_000_000, None, None)]


def test_what_is_left_on_a_curve_that_is_complete_was_bought_unseen() -> None:
    steps = curve()
    quote = raised(steps)
    for of, seen in ((facts(None), steps[:2]), (facts(quote), steps[:2]), (facts(quote), steps[:2] + pool(quote))):
        assert found(seen, of) == [(CURVE, -200_000_000_000_000, None, None)]
    assert found(pool(quote), facts(quote)) == [(CURVE, -793_100_000_000_000, None, None)]
    (one,) = breaks(Chain.of(steps[:2]).segments, facts(None))
    assert (one.from_slot, one.to_slot, one.left is None, one.right) == (110, COMPLETED, False, None)


def test_a_migration_that_was_not_seen_proves_nothing() -> None:
    steps = curve()
    assert found(steps + pool(raised(steps)), facts(None)) == [(POOL, None, None, "the migration was not seen")]


def test_a_token_known_from_its_pool_alone_has_no_break_before_it() -> None:
    assert found(pool(80_000_000_000), Facts()) == []
    assert found(pool(80_000_000_000)[1:], Facts(migrated_token_amount=POOL_TOKENS, migrated_quote_amount=80_000_000_000)) != []


def test_across_a_deposit_nothing_can_be_said() -> None:
    steps = curve()
    quote = raised(steps)
    opened, later = pool(quote), pool(quote + 10**9, tokens=POOL_TOKENS + 10**9, slot=MIGRATED + 50)
    of = facts(quote, seams=((POOL, MIGRATED + 20, "deposit"),))
    assert [reason for *_, reason in found(steps + opened + later, of)] == ["deposit"]
    elsewhere = facts(quote, seams=((POOL, MIGRATED + 70, "deposit"), (CURVE, MIGRATED + 20, "deposit")))
    assert [reason for *_, reason in found(steps + opened + later, elsewhere)] == [None]


def test_the_agents_parameters_are_a_step_like_any_other() -> None:
    """UpdateMayhemVirtualParams renames virtual reserves, the real ones stay."""
    first, second, third = curve()
    renamed = first.after._replace(
        virtual_token=(first.after.virtual_token or 0) + 7, virtual_quote=(first.after.virtual_quote or 0) + 9
    )
    params = Step(CURVE, 105, 105, chain_key("curve", 105, 1, 1) or b"", first.after, renamed, trades=0)

    def moved(step: Step) -> Step:
        before, after = (
            s._replace(virtual_token=(s.virtual_token or 0) + 7, virtual_quote=(s.virtual_quote or 0) + 9)
            for s in (step.before, step.after)
        )
        return Step(step.venue, step.slot, step.time, step.key, before, after)

    steps = [first, params, moved(second), moved(third)]
    chain = Chain()
    for step in reversed(steps):
        chain.add(step)
    assert [(segment.trades, segment.first_slot, segment.last_slot) for segment in chain.segments] == [(3, 100, COMPLETED)]
    assert len(found([first, moved(second), moved(third)], facts(None))) == 1


def test_an_account_is_compared_with_what_the_record_ends_in() -> None:
    steps = curve()
    quote = raised(steps)
    opened = State(POOL_TOKENS, quote + 9, POOL_TOKENS, quote)
    ends = [
        ([], facts(None), CURVE, START),
        (steps[:2], facts(None), CURVE, steps[1].after),
        (steps, facts(quote), POOL, opened),
        ([*steps, boost(quote + 9, quote)], facts(quote), POOL, opened),
        (steps + pool(quote), facts(quote), POOL, pool(quote)[-1].after),
    ]
    for seen, of, venue, state in ends:
        segments = Chain.of(seen).segments
        assert is_end(segments, of, venue, state)
        # As long as the virtual quote reserve is not known, the vault is what counts.
        for field in ("virtual_token", "real_quote") if seen is steps and venue == POOL else ("virtual_token", "virtual_quote"):
            assert not is_end(segments, of, venue, state._replace(**{field: (getattr(state, field) or 0) + 1}))
    assert not is_end([], Facts(), CURVE, START)
    assert not is_end([], Facts(), POOL, opened)
    early = bought_before_opening(quote)
    assert early.after.real_quote is not None
    of = facts(early.after.real_quote, tokens=early.after.real_token or 0)
    boosted = early.after._replace(virtual_quote=early.after.real_quote + 5)
    assert is_end(Chain.of([*steps, early]).segments, of, POOL, boosted)
