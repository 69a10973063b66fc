from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest
from audit_samples import FIRST_SLOT, NOW, Token, record, stored_verdicts, without

from pumpwatch.audit import TokenAudit, audit
from pumpwatch.continuity import State
from pumpwatch.events import Delivery, Listed, ReservesChanged, SpellEnded, SpellStarted, TokenMigrated, Trade
from pumpwatch.storage.evidence import AnchorSeen, open_evidence
from pumpwatch.storage.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.db"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts were seen at times that were chosen when the tests were collected."""
    monkeypatch.setattr("pumpwatch.verdict.STALE_SECONDS", 10**9)


def audited(path: Path, *mints: str, asked: dict[str, AnchorSeen] | None = None) -> list[TokenAudit]:
    with open_evidence(path) as evidence:
        return list(audit(evidence, mints or None, asked=asked))


def verdict_of(token: TokenAudit) -> tuple[object, ...]:
    return token.completeness, token.complete_from, token.complete_until, token.proven_to_slot, token.holes, token.reason


def test_a_whole_record_is_complete(path: Path) -> None:
    token = Token(1)
    record(path, token.watched, token.created, *token.trades, token.anchor())

    (found,) = audited(path)

    assert verdict_of(found) == ("complete", NOW, NOW + 34, FIRST_SLOT + 85, 0, None)
    assert (found.trades, found.links, found.breaks, found.first_slot, found.last_slot) == (
        8,
        7,
        0,
        FIRST_SLOT + 10,
        FIRST_SLOT + 80,
    )
    assert verdict_of(found) == stored_verdicts(path)[token.mint]


@pytest.mark.parametrize("seed", range(12))
def test_audit_and_the_writer_agree(path: Path, seed: int) -> None:
    """Whatever is missing, in whatever order it came, in several transactions."""
    rng = random.Random(seed)
    tokens = [Token(seed * 10 + number, trades=rng.randrange(1, 12)) for number in range(6)]
    events = []
    for token in tokens:
        missing = rng.sample(range(len(token.trades)), rng.choice((0, 0, 1, 2)) % len(token.trades))
        events += without(token.trades, missing)
    rng.shuffle(events)
    record(path, *(token.watched for token in tokens if rng.random() < 0.8), *(token.created for token in tokens))
    for start in range(0, len(events), 7):
        record(path, *events[start : start + 7])
    for token in tokens:
        if rng.random() < 0.9:
            record(path, token.anchor(after=rng.randrange(1, len(token.trades) + 1)))

    stored = stored_verdicts(path)

    assert len(stored) == 6
    for found in audited(path):
        assert verdict_of(found) == stored[found.mint]


def test_it_trusts_nothing_that_was_concluded(path: Path) -> None:
    token, other = Token(1), Token(2)
    record(path, token.watched, token.created, *token.trades, token.anchor(), other.watched, other.created)
    record(path, *without(other.trades, {3}), other.anchor())
    before = {found.mint: found for found in audited(path)}
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM segments")
        connection.execute("UPDATE anchors SET is_matched = 1 - is_matched, matched_key = NULL")
        connection.execute(
            "UPDATE tokens SET completeness = 'complete', holes = 0, proven_to_slot = 1, anchored_slot = 9, unmatched_slot = NULL"
        )
    connection.close()

    assert {found.mint: found for found in audited(path)} == before
    assert (before[token.mint].completeness, before[other.mint].completeness) == ("complete", "holes")


def test_a_missing_run_is_told_with_its_size(path: Path) -> None:
    token = Token(3)
    record(path, token.watched, token.created, *without(token.trades, {2, 3}), token.anchor())

    (found,) = audited(path)

    before, after = token.trades[1], token.trades[3]
    (missing,) = found.missing
    assert (missing.from_slot, missing.to_slot, missing.counts, missing.venue) == (
        FIRST_SLOT + 20,
        FIRST_SLOT + 50,
        True,
        "curve",
    )
    assert missing.token_amount == (after.real_token_reserves or 0) - (before.real_token_reserves or 0)
    assert missing.quote_amount == (after.real_quote_reserves or 0) - (before.real_quote_reserves or 0)
    assert (found.completeness, found.holes, found.proven_to_slot) == ("holes", 1, FIRST_SLOT + 19)


def test_a_missing_tail_is_shown_by_the_account_alone(path: Path) -> None:
    token = Token(4)
    record(path, token.watched, token.created, *token.trades[:-1], token.anchor(after=5), token.anchor())

    (found,) = audited(path)

    assert (found.completeness, found.holes, found.breaks, found.proven_to_slot) == ("holes", 1, 0, FIRST_SLOT + 55)


def test_an_account_that_lacks_a_lamport_proves_nothing(path: Path) -> None:
    token = Token(4)
    last = token.trades[-1]
    for field, value in (
        ("real_quote_reserves", last.real_quote_reserves),
        ("virtual_token_reserves", last.virtual_token_reserves),
    ):
        file = path.with_name(field)
        record(file, token.watched, token.created, *token.trades, token.anchor(**{field: (value or 0) + 1}))
        assert audited(file)[0].completeness == "holes"


def test_what_was_missed_while_nobody_watched_is_no_hole(path: Path) -> None:
    token = Token(5, trades=20)
    ended = SpellEnded(kind="token", address=token.mint, reason="idle", at_us=(NOW + 22) * 1_000_000)
    again = SpellStarted(kind="token", address=token.mint, reason="asked", at_us=(NOW + 60) * 1_000_000)
    record(path, token.watched, token.created, *token.trades[:5], ended, again, *token.trades[15:], token.anchor())

    (found,) = audited(path)

    assert (found.completeness, found.complete_from, found.holes) == ("since", token.trades[15].block_time, 0)
    assert [one.counts for one in found.missing] == [False]
    assert verdict_of(found) == stored_verdicts(path)[token.mint]


def test_only_pumpportals_word_proves_nothing(path: Path) -> None:
    token = Token(6)
    trades = [
        Trade(signature=t.signature, mint=t.mint, wallet=t.wallet, is_buy=t.is_buy, venue="curve", token_amount=t.token_amount)
        for t in token.trades
    ]
    record(path, token.watched, *trades, source="pumpportal")

    (found,) = audited(path)

    assert (found.trades, found.provisional, found.links, found.first_slot) == (8, 8, 0, None)
    assert found.completeness == "unproven"


def test_an_account_that_does_not_exist_is_said_so(path: Path) -> None:
    token = Token(7)
    record(path, token.watched, token.created, *token.trades, token.anchor(exists=False))

    (found,) = audited(path)

    assert (found.completeness, found.reason) == ("unproven", "account not found")


def test_each_source_is_counted_with_what_it_had_alone_and_how_late(path: Path) -> None:
    token = Token(8)
    record(path, token.watched, token.created, *token.trades[:6], late_seconds=0.5)
    record(path, *token.trades[4:], source="backfill", late_seconds=30.0)

    sources = audited(path)[0].sources

    assert {name: (seen.trades, seen.alone, seen.late_seconds) for name, seen in sources.items()} == {
        "helius": (6, 4, 0.5),
        "backfill": (4, 2, 30.0),
    }


def test_steps_without_a_trade_belong_to_the_chain(path: Path) -> None:
    token = Token(9)
    renamed = ReservesChanged(
        signature=token.trades[0].signature,
        mint=token.mint,
        venue="curve",
        kind="mayhem params",
        event_index=3,
        slot=FIRST_SLOT + 15,
        before_virtual_token_reserves=token.trades[0].virtual_token_reserves,
        before_virtual_quote_reserves=token.trades[0].virtual_quote_reserves,
        before_real_token_reserves=token.trades[0].real_token_reserves,
        before_real_quote_reserves=token.trades[0].real_quote_reserves,
        virtual_token_reserves=token.trades[0].virtual_token_reserves,
        virtual_quote_reserves=token.trades[0].virtual_quote_reserves,
        real_token_reserves=token.trades[0].real_token_reserves,
        real_quote_reserves=token.trades[0].real_quote_reserves,
    )
    record(path, token.watched, token.created, *token.trades, renamed, token.anchor())

    assert (audited(path)[0].completeness, audited(path)[0].links) == ("complete", 7)


def test_a_list_of_the_chain_that_is_recorded_whole_stands_for_what_cannot_be_judged(path: Path) -> None:
    token = Token(10)
    deposit = ReservesChanged(
        signature=token.trades[0].signature, mint=token.mint, venue="curve", kind="deposit", event_index=3, slot=FIRST_SLOT + 25
    )
    record(path, token.watched, token.created, *without(token.trades, {2}), deposit, token.anchor())
    assert audited(path)[0].reason == f"deposit (slots {FIRST_SLOT + 20} to {FIRST_SLOT + 40})"

    listed = Listed(
        mint=token.mint, venue="curve", from_slot=0, to_slot=FIRST_SLOT + 99, commitment="finalized", signatures=8, at_us=NOW
    )
    record(path, listed)
    assert audited(path)[0].completeness == "complete"


def test_the_chain_may_be_asked_for_more_than_is_recorded(path: Path) -> None:
    """What the account shows now is judged by its slot: the record may have gone on, but must not be behind."""
    token = Token(11)
    record(path, token.watched, token.created, *token.trades[:6])
    assert audited(path)[0].completeness == "unproven"

    def seen(after: int, *, exists: bool = True) -> dict[str, AnchorSeen]:
        a = token.anchor(after=after)
        state = State(a.virtual_token_reserves, a.virtual_quote_reserves, a.real_token_reserves, a.real_quote_reserves)
        return {token.mint: AnchorSeen(0, a.slot, a.asked_at_us, a.block_time, exists, state)}

    for after, chain, completeness in ((6, "agrees", "complete"), (5, "agrees", "complete"), (7, "differs", "holes")):
        (found,) = audited(path, asked=seen(after))
        assert (found.chain, found.completeness) == (chain, completeness)
    assert audited(path, asked=seen(6, exists=False))[0].chain == "no account"


def test_a_token_that_left_its_curve_unseen_misses_its_end(path: Path) -> None:
    token = Token(12)
    migrated = TokenMigrated(
        signature=token.trades[0].signature,
        mint=token.mint,
        event_index=4,
        slot=FIRST_SLOT + 500,
        token_amount=206_900_000_000_000,
        quote_amount=85_000_000_000,
    )
    record(path, token.watched, token.created, *token.trades, token.anchor(), migrated)

    (found,) = audited(path)

    assert (found.completeness, found.holes) == ("holes", 1)
    assert found.missing[0].token_amount == -(token.trades[-1].real_token_reserves or 0)


def test_some_tokens_may_be_asked_for(path: Path) -> None:
    tokens = [Token(number) for number in range(20, 24)]
    for token in tokens:
        record(path, token.created, *token.trades)

    assert [found.mint for found in audited(path, tokens[2].mint, tokens[0].mint)] == [tokens[0].mint, tokens[2].mint]
    assert len(audited(path)) == 4


def seen_just_now(token: Token, after: int) -> AnchorSeen:
    a = token.anchor(after=after, asked_at_us=time.time_ns() // 1000)
    state = State(a.virtual_token_reserves, a.virtual_quote_reserves, a.real_token_reserves, a.real_quote_reserves)
    return AnchorSeen(0, a.slot, a.asked_at_us, a.block_time, exists=True, state=state)


def test_who_asks_the_chain_has_waited_already_but_what_was_stored_just_now_has_a_grace(path: Path) -> None:
    token = Token(13)
    record(path, token.watched, token.created, *token.trades[:6], token.anchor(after=6))
    assert audited(path, asked={token.mint: seen_just_now(token, 8)})[0].completeness == "holes"

    store = Store.open(path, origin="simulator")
    store.apply([Delivery(source="pumpwatch", received_at_us=NOW, events=(token.anchor(asked_at_us=time.time_ns() // 1000),))])
    store.close()
    assert audited(path)[0].completeness == "complete"


def test_an_account_that_was_ahead_once_and_is_explained_since_is_no_hole(path: Path) -> None:
    """An anchor between two that match, which belongs to trades that no watch covers, does not count for the end."""
    token = Token(14)
    record(path, token.watched, token.created, *token.trades, token.anchor(after=3, real_quote_reserves=1), token.anchor())

    assert audited(path)[0].completeness == "complete"


def test_what_happens_after_the_watch_ended_is_not_missing(path: Path) -> None:
    token = Token(15, trades=20)
    ended = SpellEnded(kind="token", address=token.mint, reason="idle", at_us=(NOW + 45) * 1_000_000)
    record(path, token.watched, token.created, *token.trades[:10], token.anchor(after=10), ended)

    (found,) = audited(path, asked={token.mint: seen_just_now(token, 20)})

    assert (found.chain, found.completeness, found.holes) == ("differs", "spell", 0)
