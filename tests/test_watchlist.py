"""Promises of the watch list: who gets a place and keeps it, that nothing about it is lost, and how fast the feeds hear of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from pumpwatch.budget import BYTES_PER_CREDIT, HELIUS, Budget
from pumpwatch.commands import Answer, ask
from pumpwatch.config import WatchSettings
from pumpwatch.errors import SettingsError
from pumpwatch.events import (
    WRAPPED_SOL,
    CurveCompleted,
    Delivery,
    Event,
    SpellEnded,
    SpellStarted,
    TokenCreated,
    TokenMigrated,
    Trade,
)
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.steady import SteadyClock
from pumpwatch.symbols import matches
from pumpwatch.watched import MOST_WALLETS
from pumpwatch.watchlist import Watchlist

NOW = 1_790_000_000.0
NOW_US = int(NOW) * 1_000_000
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def address(number: int) -> str:
    return str(Pubkey.from_bytes(number.to_bytes(32, "big")))


A, B, C, D, E = (address(number) for number in range(1001, 1006))
W = address(2001)


def created(mint: str, **changes: Any) -> TokenCreated:
    return TokenCreated(
        **{"signature": f"s{mint}", "mint": mint, "bonding_curve": "curve", "developer": "dev", "symbol": "CAT", **changes}
    )


def trade(mint: str, **changes: Any) -> Trade:
    values: dict[str, Any] = {"signature": "s", "mint": mint, "wallet": "w", "is_buy": True, "venue": "curve", "token_amount": 1}
    return Trade(**{**values, **changes})


class Desk:
    """A watch list with a clock, a writer that may refuse, and everything it said."""

    def __init__(self, *, max_tokens: int = 3, **options: Any) -> None:
        self.now = NOW
        self.accepting = True
        self.listening = True
        self.recorded: list[Event] = []
        self.published: list[Wanted] = []
        settings = {name: options.pop(name) for name in list(options) if name in WatchSettings.__dataclass_fields__}
        self.list = Watchlist(
            WatchSettings(max_tokens=max_tokens, **settings),
            record=self.record,
            publish=self.published.append,
            listening=lambda: self.listening,
            clock=lambda: self.now,
            **options,
        )

    def record(self, delivery: Delivery) -> bool:
        if self.accepting:
            assert delivery.source == "pumpwatch"
            self.recorded.extend(delivery.events)
        return self.accepting

    def turn(self, *, minutes: float = 0.0) -> Wanted:
        self.now += minutes * 60
        self.list.turn(self.now)
        return self.published[-1]

    def create(self, *mints: str, **changes: Any) -> Wanted:
        for mint in mints:
            self.list.notice((created(mint, **changes),), round(self.now * 1_000_000))
        return self.turn()

    def trade(self, mint: str, **changes: Any) -> None:
        self.list.notice((trade(mint, **changes),), round(self.now * 1_000_000))

    def spells(self) -> list[tuple[str, str, str]]:
        found = []
        for event in self.recorded:
            assert isinstance(event, SpellStarted | SpellEnded)
            found.append(("start" if isinstance(event, SpellStarted) else "end", event.address, event.reason))
        return found


def open_spell(mint: str, reason: str, *, minutes_ago: float = 60.0) -> SpellStarted:
    return SpellStarted(kind="token", address=mint, reason=reason, at_us=NOW_US - round(minutes_ago * 60_000_000))


# Pins


def test_what_the_settings_pin_is_watched_from_the_first_turn_and_for_ever() -> None:
    desk = Desk(mints=(A,), wallets=(B,))

    assert desk.turn() == Wanted(mints=frozenset({A}), pinned=frozenset({A}), completed=frozenset({A}), wallets=frozenset({B}))
    assert desk.turn(minutes=100_000).mints == {A}
    assert desk.spells() == [("start", A, "pinned"), ("start", B, "pinned")]
    assert desk.list.watched() == 2


def test_a_pinned_address_that_is_none_is_refused_with_all_the_others() -> None:
    with pytest.raises(SettingsError) as raised:
        Desk(mints=("hello", A), wallets=("0x12\n",))

    assert len(raised.value.problems) == 2
    assert "[watch] mints: hello is not a Solana address" in raised.value.problems[0]
    assert "[watch] wallets" in raised.value.problems[1]


def test_more_pins_than_places_are_all_watched_and_nothing_else() -> None:
    desk = Desk(mints=(A, B, C), max_tokens=2)

    assert desk.create(D).mints == {A, B, C}
    assert desk.turn(minutes=100).mints == {A, B, C}


def test_a_pin_that_left_the_settings_ends_and_a_new_one_starts() -> None:
    desk = Desk(mints=(B,), spells=[open_spell(A, "pinned")])

    assert desk.turn().mints == {B}
    assert desk.spells() == [("end", A, "unpinned"), ("start", B, "pinned")]


# A restart


def test_a_restart_continues_what_was_asked_admitted_and_pinned_without_a_new_spell() -> None:
    wallet = SpellStarted(kind="wallet", address=D, reason="asked", at_us=NOW_US)
    spells = [open_spell(A, "asked"), open_spell(B, "admitted"), open_spell(C, "pinned"), wallet]
    desk = Desk(mints=(C,), spells=spells, quote_mints={B: USDC})

    wanted = desk.turn()

    assert wanted.mints == {A, B, C}
    assert wanted.pinned == {A, C}
    assert wanted.completed == {A, B, C}, "any of them may have graduated while nobody looked"
    assert wanted.quote_mints == {B: USDC}
    assert wanted.wallets == {D}
    assert desk.recorded == []


def test_admitted_tokens_of_before_go_when_the_settings_admit_none() -> None:
    desk = Desk(admit="none", spells=[open_spell(A, "admitted"), open_spell(B, "asked")])

    assert desk.turn().mints == {B}
    assert desk.spells() == [("end", A, "unpinned")]


def test_after_a_restart_the_silence_of_the_past_is_not_held_against_a_token() -> None:
    desk = Desk(idle_minutes=30, spells=[open_spell(A, "admitted", minutes_ago=600)])

    assert desk.turn().mints == {A}
    assert desk.turn(minutes=29).mints == {A}
    assert desk.turn(minutes=2).mints == set()


# Coming


def test_a_new_token_is_watched_from_its_creation_on() -> None:
    desk = Desk()
    desk.turn()
    desk.list.notice((created(A),), NOW_US - 20_000)

    wanted = desk.turn()

    assert wanted == Wanted(mints=frozenset({A}))
    assert desk.recorded == [SpellStarted(kind="token", address=A, reason="admitted", at_us=NOW_US - 20_000)]


def test_when_the_list_is_full_new_tokens_are_listed_and_not_watched() -> None:
    desk = Desk(max_tokens=2)

    assert desk.create(A, B, C).mints == {A, B}
    assert len(desk.spells()) == 2


def test_the_provider_caps_the_list_and_recording_everything_lifts_both() -> None:
    assert desk_size(Desk(max_tokens=5, provider_tokens=2)) == 2
    assert desk_size(Desk(max_tokens=1, provider_tokens=2)) == 1
    assert desk_size(Desk(max_tokens=1, provider_tokens=2, everything=True)) == 5


def desk_size(desk: Desk) -> int:
    return len(desk.create(A, B, C, D, E).mints)


def test_a_token_that_found_no_place_does_not_slip_in_with_the_report_of_the_other_feed() -> None:
    desk = Desk(max_tokens=1, minimum_watch_minutes=0, idle_minutes=1)
    desk.create(A, B)
    assert desk.turn(minutes=2).mints == set()

    assert desk.create(B).mints == set()
    assert desk.create(C).mints == {C}


def test_a_token_that_was_removed_is_not_admitted_again_by_a_second_report(tmp_path: Path) -> None:
    desk = Desk(commands=tmp_path)
    desk.create(A)
    assert command(desk, "watch remove", A).ok

    assert desk.create(A).mints == set()


def test_a_creation_that_a_repair_brings_is_no_new_token() -> None:
    desk = Desk()

    assert desk.create(A, block_time=int(NOW) - 7200).mints == set()
    assert desk.create(B, block_time=int(NOW) - 5).mints == {B}


@pytest.mark.parametrize(
    ("admit", "symbol", "watched"),
    [
        ("none", "CAT", False),
        ("all", None, True),
        ("auto", None, True),
        ("*cat*", "THECATS", True),
        ("*cat*", "DOG", False),
        ("*cat*", None, False),
        ("cat", "CAT2", False),
    ],
)
def test_the_settings_say_which_new_tokens_are_wanted(admit: str, symbol: str | None, watched: bool) -> None:
    assert (A in Desk(admit=admit).create(A, symbol=symbol).mints) is watched


@pytest.mark.parametrize(
    ("pattern", "symbol", "expected"),
    [
        ("*", "", True),
        ("?", "", False),
        ("?", "x", True),
        ("a*b*c", "aXXbYYc", True),
        ("a*b*c", "aXXbYY", False),
        ("**a", "ba", True),
        ("[ab]", "a", False),
        ("[ab]", "[AB]", True),
        (".*", "anything", False),
        ("STRASSE", "straße", True),
        ("*a*a*a*a*a*a*a*a*b", "a" * 100_000, False),
        ("(a+)+$", "a" * 100, False),
    ],
)
def test_a_pattern_knows_two_signs_and_no_symbol_can_make_it_slow(pattern: str, symbol: str, expected: bool) -> None:
    assert matches(pattern, symbol) is expected


# Going


def test_an_idle_token_leaves_and_its_place_is_free_again() -> None:
    desk = Desk(max_tokens=1, minimum_watch_minutes=15, idle_minutes=30)
    desk.create(A)

    assert desk.turn(minutes=30).mints == {A}
    assert desk.turn(minutes=0.1).mints == set()
    assert desk.create(B).mints == {B}
    assert desk.spells() == [("start", A, "admitted"), ("end", A, "idle"), ("start", B, "admitted")]


@pytest.mark.parametrize("jump_seconds", [3600.0, -43_200.0])
def test_a_clock_that_jumps_for_a_moment_lets_nobody_go(jump_seconds: float) -> None:
    desk = Desk(max_tokens=3, minimum_watch_minutes=15, idle_minutes=30)
    passed = [0.0]
    desk.list._steady = SteadyClock(lambda: desk.now, lambda: passed[0])
    desk.create(A, B)

    def step(seconds: float, *, set_by: float = 0.0) -> None:
        passed[0] += seconds
        desk.now += seconds + set_by
        desk.list.step()

    step(1.0)
    step(1.0, set_by=jump_seconds)
    desk.list.notice((trade(B),), round(desk.now * 1_000_000))  # received by the wrong clock
    step(1.5)
    step(1.0, set_by=-jump_seconds)
    assert desk.published[-1].mints == {A, B}
    assert [what for what, *_ in desk.spells()] == ["start", "start"]


def test_a_clock_that_was_set_makes_nobody_idle() -> None:
    desk = Desk(max_tokens=1, minimum_watch_minutes=15, idle_minutes=30)
    desk.create(A)
    desk.now += 7200
    desk.list._step_clock(7200.0)

    assert desk.turn(minutes=29).mints == {A}
    assert desk.turn(minutes=2).mints == set()


def test_a_token_keeps_its_place_for_the_minimum_however_quiet() -> None:
    desk = Desk(minimum_watch_minutes=15, idle_minutes=1)
    desk.create(A)

    assert desk.turn(minutes=14.9).mints == {A}
    assert desk.turn(minutes=0.2).mints == set()


def test_a_token_that_trades_stays_also_after_its_graduation() -> None:
    desk = Desk(idle_minutes=30)
    desk.create(A)
    desk.list.notice((CurveCompleted(signature="s", mint=A, event_index=1, slot=1),), NOW_US)
    for _ in range(20):
        desk.trade(A, venue="pool")
        assert desk.turn(minutes=29).mints == {A}

    assert desk.published[-1].completed == {A}
    assert desk.turn(minutes=2).mints == set()


def test_while_no_feed_listens_nobody_is_idle() -> None:
    desk = Desk(idle_minutes=30)
    desk.create(A)
    desk.listening = False
    assert desk.turn(minutes=300).mints == {A}
    desk.listening = True
    assert desk.turn(minutes=1).mints == {A}

    assert desk.turn(minutes=31).mints == set()


# Graduation and quotes


@pytest.mark.parametrize(
    "event",
    [CurveCompleted(signature="s", mint=A, event_index=1, slot=1), TokenMigrated(signature="s", mint=A)],
)
def test_from_completion_on_the_pool_is_watched_too(event: Event) -> None:
    desk = Desk()
    desk.create(A, B)
    desk.list.notice((event,), NOW_US)

    wanted = desk.turn()
    assert wanted.completed == {A}
    assert wanted.mints == {A, B}


def test_a_token_that_migrates_within_the_turn_of_its_creation_is_not_missed() -> None:
    desk = Desk()
    desk.list.notice((created(A), TokenMigrated(signature="s", mint=A)), NOW_US)

    assert desk.turn().completed == {A}


def test_a_quote_other_than_sol_is_told_to_the_feeds_whoever_knows_it_first() -> None:
    desk = Desk()
    desk.create(A, B, C)
    desk.list.notice((created(A, quote_mint=USDC),), NOW_US)
    desk.trade(B, quote_mint=USDC)
    desk.trade(C, quote_mint=WRAPPED_SOL)

    assert desk.turn().quote_mints == {A: USDC, B: USDC}


# What a person asks


def command(desk: Desk, name: str, what: str, kind: str = "token") -> Answer:
    directory = desk.list._box._directory if desk.list._box is not None else Path()
    return ask(directory, name, {"kind": kind, "address": what}, clock=lambda: desk.now, sleep=lambda _: desk.list.turn(desk.now))


def test_watch_add_pins_and_watch_remove_lets_go(tmp_path: Path) -> None:
    desk = Desk(admit="none", commands=tmp_path)

    assert command(desk, "watch add", A) == Answer(ok=True, text=f"watching token {A}")
    assert command(desk, "watch add", B, "wallet").ok
    assert desk.published[-1] == Wanted(
        mints=frozenset({A}), pinned=frozenset({A}), asked=frozenset({A}), completed=frozenset({A}), wallets=frozenset({B})
    )
    assert command(desk, "watch add", A) == Answer(ok=True, text=f"token {A} is pinned already")
    assert command(desk, "watch remove", A) == Answer(ok=True, text=f"no longer watching token {A}")
    assert command(desk, "watch remove", A) == Answer(ok=False, text=f"token {A} is not watched")
    assert command(desk, "watch remove", B, "wallet").ok
    assert desk.published[-1] == Wanted()
    assert desk.spells() == [("start", A, "asked"), ("start", B, "asked"), ("end", A, "asked"), ("end", B, "asked")]


def test_pinning_an_admitted_token_is_a_new_spell_so_that_a_restart_knows_it(tmp_path: Path) -> None:
    desk = Desk(commands=tmp_path)
    desk.create(A, quote_mint=USDC)

    assert command(desk, "watch add", A).ok

    assert desk.spells() == [("start", A, "admitted"), ("end", A, "asked"), ("start", A, "asked")]
    first, ended, second = desk.recorded
    assert isinstance(first, SpellStarted)
    assert isinstance(ended, SpellEnded)
    assert isinstance(second, SpellStarted)
    assert first.at_us < ended.at_us == second.at_us, "without a gap between, and with its own start"
    assert desk.published[-1].quote_mints == {A: USDC}


def test_a_pin_takes_the_place_of_the_longest_quiet_admitted_token(tmp_path: Path) -> None:
    desk = Desk(max_tokens=2, commands=tmp_path)
    desk.create(A)
    desk.create(B)
    desk.now += 5
    desk.trade(A)

    assert command(desk, "watch add", C).ok

    assert desk.published[-1].mints == {A, C}
    assert ("end", B, "limit") in desk.spells()


def test_pins_are_bounded_and_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    desk = Desk(max_tokens=1, mints=(A,), commands=tmp_path)

    answer = command(desk, "watch add", B)
    assert not answer.ok
    assert "1 tokens are pinned and 1 allowed" in answer.text
    assert "max_tokens" in answer.text

    for number in range(MOST_WALLETS):
        assert desk.list._watched.add("wallet", address(number + 1), NOW_US).ok
    assert not command(desk, "watch add", address(5000), "wallet").ok


@pytest.mark.parametrize("text", ["", "hello", "../../x", "\x1b[31m" + A, A + A, "1" * 10_000])
def test_what_is_no_address_is_refused_in_one_visible_line(tmp_path: Path, text: str) -> None:
    answer = command(Desk(commands=tmp_path), "watch add", text)

    assert not answer.ok
    assert "is not a Solana address" in answer.text
    assert "\x1b" not in answer.text
    assert len(answer.text) < 200


def test_a_quote_mint_is_refused_as_a_token(tmp_path: Path) -> None:
    assert "not a pump.fun token" in command(Desk(commands=tmp_path), "watch add", USDC).text


def test_what_the_settings_pin_cannot_be_removed_by_a_command(tmp_path: Path) -> None:
    desk = Desk(mints=(A,), commands=tmp_path)

    answer = command(desk, "watch remove", A)
    assert not answer.ok
    assert "[watch] mints" in answer.text
    assert "by the settings already" in command(desk, "watch add", A).text
    assert desk.published[-1].mints == {A}


def test_a_request_without_a_kind_is_answered_with_no(tmp_path: Path) -> None:
    assert not command(Desk(commands=tmp_path), "watch add", A, "planet").ok


# Money


def budget(desk_clock: list[float], credits_per_month: int) -> Budget:
    return Budget(
        pumpportal_sol_per_day=0.0, helius_credits_per_month=credits_per_month, metered=True, clock=lambda: desk_clock[0]
    )


def test_the_list_is_no_longer_than_the_month_carries() -> None:
    desk = Desk(max_tokens=50, budget=budget([NOW], 300_000))

    assert len(desk.create(*(address(number) for number in range(20))).mints) == 1
    all_of_them = Desk(max_tokens=5, admit="all", budget=budget([NOW], 300_000))
    assert desk_size(all_of_them) == 5, "asked for all: not paced, up to the month's share"


def test_when_the_month_is_spent_all_admitted_tokens_go_and_the_pins_stay() -> None:
    clock = [NOW]
    money = budget(clock, 1_000_000)
    desk = Desk(mints=(E,), admit="all", max_tokens=10, budget=money)
    assert desk.create(A, B).mints == {A, B, E}
    money.received(HELIUS, 800_000 * BYTES_PER_CREDIT)

    assert desk.turn(minutes=0.1).mints == {E}
    assert desk.create(C).mints == {E}
    assert [reason for what, _, reason in desk.spells() if what == "end"] == ["budget", "budget"]


def test_when_the_pace_is_lost_the_longest_quiet_leave_after_their_minimum() -> None:
    clock = [NOW]
    money = budget(clock, 1_000_000)
    desk = Desk(max_tokens=10, minimum_watch_minutes=15, idle_minutes=10_000, budget=money)
    desk.create(A)
    desk.create(B)
    desk.trade(A)
    desk.now += 1
    desk.trade(A)
    clock[0] += 60
    money.received(HELIUS, 2_000 * BYTES_PER_CREDIT)

    assert desk.turn(minutes=5).mints == {A, B}
    assert desk.turn(minutes=11).mints == {A}
    assert desk.spells()[-1] == ("end", B, "budget")


class Purse(Budget):
    """A budget that carries as many tokens as the test says."""

    def __init__(self, carries: int) -> None:
        super().__init__(pumpportal_sol_per_day=0.0, helius_credits_per_month=1_000_000, metered=True, clock=lambda: NOW)
        self.carries = carries

    def watchable(self, now: float) -> int:
        del now
        return self.carries


def starved(**options: Any) -> tuple[Desk, Purse]:
    """A list whose budget carries one token."""
    purse = Purse(1)
    return Desk(max_tokens=50, idle_minutes=1_000_000, budget=purse, **options), purse


def test_when_the_pace_is_lost_for_long_what_was_asked_goes_after_all_others_and_pins_never() -> None:
    spells = [open_spell(A, "asked"), open_spell(B, "asked", minutes_ago=50), open_spell(C, "admitted"), open_spell(D, "wallet")]
    desk, _ = starved(mints=(E,), wallets=(W,), spells=spells)

    assert desk.turn().mints == {A, B, E}, "what nobody pinned goes at once"
    assert desk.turn(minutes=9).mints == {A, B, E}
    assert desk.turn(minutes=2).mints == {E}, "the budget carries one token"
    assert desk.turn(minutes=100).mints == {E}
    ends = [(mint, reason) for what, mint, reason in desk.spells() if what == "end"]
    assert ends == [(C, "budget"), (D, "budget"), (A, "budget"), (B, "budget")], "the least useful first"


def test_what_was_asked_comes_back_before_anything_is_admitted_and_not_at_once() -> None:
    desk, purse = starved(spells=[open_spell(A, "asked", minutes_ago=50), open_spell(B, "asked")])
    desk.turn()
    assert desk.turn(minutes=11).mints == {A}
    purse.carries = 6

    assert desk.create(C).mints == {A}, "calm first"
    assert desk.turn(minutes=5).mints == {A}
    desk.turn(minutes=6)
    assert desk.turn(minutes=0.1).mints == {A, B}
    assert desk.create(D).mints == {A, B, D}
    assert desk.spells()[-2] == ("start", B, "asked")


def test_what_was_given_up_is_still_wanted_after_a_restart_unless_a_person_removes_it(tmp_path: Path) -> None:
    desk, purse = starved(mints=(E,), suspended=[A, B], commands=tmp_path)
    assert command(desk, "watch remove", B).ok
    assert desk.spells()[-2:] == [("start", B, "asked"), ("end", B, "asked")], "so that the next start knows"
    purse.carries = 6

    assert desk.turn(minutes=1).mints == {A, E}
    assert desk.turn(minutes=1).mints == {A, E}


def test_a_budget_that_goes_up_and_down_a_little_changes_nothing() -> None:
    purse = Purse(68)
    desk = Desk(max_tokens=1000, minimum_watch_minutes=0, idle_minutes=1_000_000, budget=purse)
    assert len(desk.create(*(address(number) for number in range(5000, 5100))).mints) == 68
    purse.carries = 62

    assert len(desk.turn(minutes=1).mints) == 68, "within a tenth"
    purse.carries = 55
    assert len(desk.turn(minutes=1).mints) == 55
    purse.carries = 68
    assert len(desk.create(A, B).mints) == 55, "what has just gone is not replaced"
    desk.now += 601
    assert len(desk.create(C).mints) == 56


# Lack of disk


def test_with_a_disk_nearly_full_no_token_comes_and_then_only_what_persons_asked_for_stays() -> None:
    desk = Desk(max_tokens=10, mints=(E,), wallets=(W,), spells=[open_spell(D, "asked")])
    assert desk.create(A).mints == {A, D, E}
    desk.list.stop_admissions(True)
    assert follow(desk, B).mints == {A, D, E}
    assert desk.create(C).mints == {A, D, E}

    desk.list.let_unpinned_go(True)
    assert desk.turn(minutes=0.1).mints == {D, E}
    assert desk.spells()[-1] == ("end", A, "disk")
    desk.list.let_unpinned_go(False)
    assert follow(desk, B).mints == {D, E}
    desk.list.stop_admissions(False)
    assert follow(desk, B).mints == {B, D, E}


# Watched wallets


def following(**options: Any) -> Desk:
    """A list with a watched wallet, begun."""
    desk = Desk(wallets=(W,), **options)
    desk.turn()
    return desk


def follow(desk: Desk, mint: str, **changes: Any) -> Wanted:
    desk.trade(mint, wallet=W, **changes)
    return desk.turn()


def test_what_a_watched_wallet_trades_is_watched_from_then_on_and_not_paid_for() -> None:
    desk = following(admit="none")
    desk.list.notice((trade(B, wallet=W, quote_mint=USDC, venue="pool"), trade(C)), NOW_US - 20_000)

    wanted = desk.turn()

    assert wanted.mints == {B}
    assert wanted.pinned == set(), "nobody asked for this token: no money for it"
    assert wanted.completed == {B}, "it may have graduated before"
    assert wanted.quote_mints == {B: USDC}
    assert desk.recorded[-1] == SpellStarted(kind="token", address=B, reason="wallet", at_us=NOW_US - 20_000)


def test_it_takes_the_place_of_the_longest_quiet_admitted_token_but_of_no_other() -> None:
    desk = following(max_tokens=3, mints=(A,))
    desk.create(B)
    desk.now += 5
    desk.create(C)

    assert follow(desk, D).mints == {A, C, D}
    assert follow(desk, E).mints == {A, D, E}
    assert follow(desk, B).mints == {A, D, E}, "all places are pinned, or of such tokens"
    assert desk.create(address(9)).mints == {A, D, E}
    assert [spell for spell in desk.spells() if spell[0] == "end"] == [("end", B, "limit"), ("end", C, "limit")]


def test_a_person_s_wish_goes_before_what_wallets_bring(tmp_path: Path) -> None:
    desk = following(max_tokens=1, admit="none", commands=tmp_path)
    follow(desk, A)

    assert command(desk, "watch add", B).ok
    assert desk.published[-1].mints == desk.published[-1].pinned == {B}
    assert command(desk, "watch add", C).text.startswith("the list is full")


def test_an_admitted_token_that_the_wallet_trades_is_held_like_one_that_it_brought() -> None:
    desk = following(max_tokens=2)
    desk.create(A, quote_mint=USDC)
    follow(desk, A)
    follow(desk, A)

    assert desk.spells()[1:] == [("start", A, "admitted"), ("end", A, "wallet"), ("start", A, "wallet")], "one new spell, not two"
    ended, second = desk.recorded[2:]
    assert isinstance(ended, SpellEnded)
    assert isinstance(second, SpellStarted)
    assert ended.at_us == second.at_us, "without a gap between"
    assert desk.published[-1].quote_mints == {A: USDC}
    assert desk.create(B).mints == {A, B}
    assert follow(desk, C).mints == {A, C}


def test_what_a_wallet_brought_leaves_when_nobody_trades_it_any_more() -> None:
    desk = following(admit="none", minimum_watch_minutes=15, idle_minutes=30)
    follow(desk, A)

    assert desk.turn(minutes=30).mints == {A}
    assert desk.turn(minutes=0.1).mints == set()
    assert desk.spells()[-1] == ("end", A, "idle")
    assert follow(desk, A).mints == {A}, "until the wallet trades it again"


def test_what_a_person_removed_the_wallet_does_not_bring_back(tmp_path: Path) -> None:
    desk = following(admit="none", commands=tmp_path)
    follow(desk, A)
    assert command(desk, "watch remove", A).ok

    assert follow(desk, A).mints == set()
    assert command(desk, "watch add", A).ok
    assert command(desk, "watch remove", A).ok
    assert follow(desk, A).mints == set()


def test_after_a_restart_they_stay_as_long_as_a_wallet_is_watched() -> None:
    brought = open_spell(A, "wallet")
    asked = SpellStarted(kind="wallet", address=W, reason="asked", at_us=NOW_US)

    assert Desk(wallets=(W,), spells=[brought], admit="none").turn().mints == {A}
    assert Desk(spells=[brought, asked], admit="none").turn().mints == {A}
    alone = Desk(spells=[brought])
    assert alone.turn().mints == set()
    assert alone.spells() == [("end", A, "unpinned")]


def test_the_budget_bounds_them_as_it_bounds_admitted_ones() -> None:
    clock = [NOW]
    money = budget(clock, 300_000)
    desk = following(max_tokens=50, budget=money)
    assert desk.create(A).mints == {A}

    assert follow(desk, B).mints == {B}, "one place, and it goes first"
    assert follow(desk, C).mints == {B}
    money.received(HELIUS, 300_000 * BYTES_PER_CREDIT)
    assert desk.turn(minutes=0.1).mints == set()
    assert follow(desk, D).mints == set()


def test_when_nothing_is_left_to_spend_no_token_comes_for_another() -> None:
    money = budget([NOW], 300_000)
    desk = following(budget=money)
    desk.create(A)
    money.received(HELIUS, 300_000 * BYTES_PER_CREDIT)

    follow(desk, B)
    assert ("start", B, "wallet") not in desk.spells()


def test_only_what_changes_the_list_is_news_and_only_of_that_wallet() -> None:
    desk = following()
    desk.create(A)
    desk.trade(A, wallet=W)
    desk.turn()
    desk.trade(A, wallet=W)
    assert not desk.list._news

    desk.create(B)
    desk.trade(B, wallet=E, quote_mint=USDC)
    assert desk.turn().quote_mints == {B: USDC}
    assert desk.spells()[-1] == ("start", B, "admitted")


def test_when_the_pace_is_lost_admitted_tokens_leave_before_those_of_wallets() -> None:
    clock = [NOW]
    money = budget(clock, 1_000_000)
    desk = following(max_tokens=10, minimum_watch_minutes=0, idle_minutes=10_000, budget=money)
    follow(desk, A)
    desk.now += 5
    desk.create(B)
    clock[0] += 60
    money.received(HELIUS, 2_000 * BYTES_PER_CREDIT)

    assert desk.turn(minutes=1).mints == {A}


def test_a_wallet_that_trades_thousands_of_tokens_does_not_make_the_list_longer() -> None:
    desk = following(max_tokens=3)
    for number in range(20_000):
        desk.trade(address(number), wallet=W)

    assert len(desk.list._news) == 10_000
    assert len(desk.turn().mints) == 3


# Nothing is lost, nothing grows


def test_a_spell_that_the_writer_does_not_take_is_offered_again_in_order() -> None:
    desk = Desk(idle_minutes=30)
    desk.accepting = False
    assert desk.create(A).mints == {A}, "the feeds do not wait for the writer"
    desk.turn(minutes=31)
    desk.accepting = True
    desk.turn()

    assert desk.spells() == [("start", A, "admitted"), ("end", A, "idle")]


def test_a_flood_of_creations_is_bounded_and_the_next_turn_goes_on() -> None:
    desk = Desk(max_tokens=2)
    for number in range(20_000):
        desk.list.notice((created(address(number)),), NOW_US)

    assert len(desk.list._news) == 10_000
    assert len(desk.turn().mints) == 2
    assert len(desk.list._judged) <= 5_000


def test_trades_of_tokens_that_are_not_watched_leave_no_trace() -> None:
    desk = Desk()
    for number in range(1000):
        desk.trade(address(number))

    assert desk.list.watched() == 0
    assert not desk.list._news


def test_an_unchanged_list_is_not_published_again() -> None:
    desk = Desk(mints=(A,))
    for _ in range(10):
        desk.turn(minutes=1)

    assert len(desk.published) == 1


# The thread


class Feeds:
    """What a running list publishes, to be waited for."""

    def __init__(self) -> None:
        self.heard: list[Wanted] = []
        self._changed = threading.Condition()

    def want(self, wanted: Wanted) -> None:
        with self._changed:
            self.heard.append(wanted)
            self._changed.notify_all()

    def wait_for(self, count: int) -> Wanted:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, timeout=20)
            return self.heard[count - 1]


@pytest.fixture
def feeds() -> Feeds:
    return Feeds()


@pytest.fixture
def running(feeds: Feeds, tmp_path: Path) -> Iterator[Watchlist]:
    watchlist = Watchlist(WatchSettings(), record=lambda _: True, publish=feeds.want, commands=tmp_path)
    watchlist.start()
    yield watchlist
    watchlist.stop()
    watchlist.join(10)
    assert not watchlist.is_alive()
    assert watchlist.error is None


def test_news_wake_the_thread_and_do_not_wait_for_its_next_look(
    feeds: Feeds, running: Watchlist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.watchlist.POLL_SECONDS", 3600.0)
    feeds.wait_for(1)
    running.notice((created(E),), 1)  # whatever wait had begun before the patch ends with this
    feeds.wait_for(2)
    running.notice((created(A),), 1)

    assert feeds.wait_for(3).mints == {A, E}


def test_a_command_reaches_the_feeds_of_a_running_list(feeds: Feeds, running: Watchlist, tmp_path: Path) -> None:
    feeds.wait_for(1)  # or the first thing that is published may be the answer to the command

    assert ask(tmp_path, "watch add", {"kind": "token", "address": B}).ok

    assert feeds.wait_for(2).mints == {B}
