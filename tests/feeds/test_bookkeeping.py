"""The pure parts: subscriptions, groups of addresses, pace, endings."""

from __future__ import annotations

import itertools

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.feeds import grouping
from pumpwatch.feeds.grouping import Grouping
from pumpwatch.feeds.helius import _meaning
from pumpwatch.feeds.outcome import Ending, HandshakeUnfit, ending_of
from pumpwatch.feeds.pace import Pace
from pumpwatch.feeds.subscriptions import SLOTS, Subscriptions, Target
from pumpwatch.feeds.unheard import Unheard
from pumpwatch.feeds.waits import Waits

WAITS = Waits(acknowledged_within_seconds=10, retry_first_seconds=2, retry_longest_seconds=60)


def logs(address: str) -> Target:
    return Target("logs", frozenset((address,)))


def books(limit: int | None = None) -> Subscriptions:
    return Subscriptions(limit=limit, waits=WAITS)


# Subscriptions


def test_what_is_wanted_is_asked_for_once_in_order() -> None:
    held = books()
    wanted = [SLOTS, logs("a"), logs("b")]

    assert [request.target for request in held.due(wanted, 0)] == wanted
    assert list(held.due(wanted, 1)) == []
    assert not held.is_settled(wanted)


def test_an_answer_belongs_to_one_request_and_comes_once() -> None:
    held = books()
    [request] = held.due([logs("a")], 0)

    assert held.answered(request.request_id) is request
    assert held.answered(request.request_id) is None
    assert held.answered(None) is None


def test_what_is_not_wanted_any_more_is_ended_by_the_servers_id() -> None:
    held = books()
    [request] = held.due([logs("a")], 0)
    held.confirm(request.target, 77)
    [end] = held.due([], 1)

    assert (end.method, end.subscription) == ("logsUnsubscribe", 77)
    assert list(held.due([], 2)) == []


def test_a_confirmation_of_what_nobody_wants_any_more_is_ended() -> None:
    held = books()
    [request] = held.due([logs("a")], 0)
    assert list(held.due([], 1)) == []
    held.confirm(request.target, 77)

    assert [end.subscription for end in held.due([], 2)] == [77]


def test_a_second_confirmation_after_a_late_answer_is_ended() -> None:
    held = books()
    wanted = [logs("a")]
    list(held.due(wanted, 0))
    assert held.overdue(11) == wanted
    [again] = held.due(wanted, 14)
    held.confirm(again.target, 1)
    held.confirm(again.target, 2)

    assert [end.subscription for end in held.due(wanted, 15)] == [2]
    assert held.is_confirmed(logs("a"))


def test_unanswered_requests_are_repeated_later_each_time() -> None:
    held = books()
    wanted = [logs("a")]
    sent = []
    for tenth in range(3000):
        now = tenth / 10
        held.overdue(now)
        sent += [now for _ in held.due(wanted, now)]

    gaps = [round(after - before) for before, after in itertools.pairwise(sent)]
    assert gaps[:5] == [12, 14, 18, 26, 42]


def test_the_wait_before_a_repetition_has_a_ceiling() -> None:
    held = books()
    list(held.due([logs("a")], 0))

    assert max(held.retry(logs("a"), 0) for _ in range(100)) == 60
    assert held.retry(logs("never asked"), 0) == 0


def test_what_is_given_up_is_not_asked_again_until_the_next_connection() -> None:
    held = books()
    wanted = [logs("a")]
    list(held.due(wanted, 0))
    held.give_up(logs("a"))
    held.give_up(logs("never asked"))
    assert held.is_settled(wanted)
    assert held.overdue(1000) == []
    assert list(held.due(wanted, 1000)) == []
    held.reset()

    assert len(list(held.due(wanted, 2000))) == 1


def test_the_limit_leaves_out_the_end_of_the_list() -> None:
    held = books(limit=2)
    wanted = [SLOTS, logs("a"), logs("b"), logs("c")]

    assert [request.target for request in held.due(wanted, 0)] == wanted[:2]
    assert held.left_out == 2
    for target in wanted[:2]:
        held.confirm(target, 1)
    assert held.is_settled(wanted)
    assert [request.method for request in held.due([SLOTS, logs("b")], 1)] == ["logsUnsubscribe", "logsSubscribe"]
    assert held.left_out == 0


def test_only_what_was_sent_can_have_had_its_time() -> None:
    held = books(limit=3)
    wanted = [SLOTS, logs("a"), logs("b"), logs("left out")]
    sending = held.due(wanted, 5)
    next(sending)
    next(sending)
    assert not held.is_settled(wanted, sent_before=1000), "b was never sent"
    next(held.due(wanted, 50))

    assert not held.is_settled(wanted, sent_before=50)
    held.overdue(500)
    list(held.due(wanted, 900))
    assert held.is_settled(wanted, sent_before=51), "a repetition is no new chance"
    assert held.beyond_limit(wanted) == [logs("left out")]


def test_targets_name_themselves() -> None:
    assert [str(SLOTS), str(logs("abc")), str(Target("transactions", frozenset("xy")))] == [
        "slots",
        "logs of abc",
        "transactions of 2 addresses",
    ]


@given(st.lists(st.sets(st.sampled_from("abcdef")), max_size=12), st.data())
def test_whatever_is_wanted_and_whenever_it_answers_the_server_ends_with_exactly_that(
    steps: list[set[str]], data: st.DataObject
) -> None:
    held = books()
    server: dict[int, Target] = {}
    ids = itertools.count(1)
    unanswered: list[tuple[int, int]] = []
    now = 0.0
    for wanted in [*steps, *[steps[-1] if steps else set()] * 8]:
        now += 1
        for request in held.due([logs(address) for address in sorted(wanted)], now):
            if request.subscription is not None:
                del server[request.subscription]
            else:
                subscription = next(ids)
                server[subscription] = request.target
                unanswered.append((request.request_id, subscription))
        answered = len(unanswered) if now > len(steps) else data.draw(st.integers(0, len(unanswered)))
        for request_id, subscription in unanswered[:answered]:
            answered_request = held.answered(request_id)
            assert answered_request is not None
            held.confirm(answered_request.target, subscription)
        del unanswered[:answered]

    last = steps[-1] if steps else set()
    assert sorted("".join(target.addresses) for target in server.values()) == sorted(last)


# Groups


def addresses(targets: list[Target]) -> frozenset[str]:
    return frozenset().union(*(target.addresses for target in targets))


def test_new_addresses_get_a_group_of_their_own() -> None:
    groups = Grouping()
    groups.targets(frozenset("ab"), 0, lambda _: True)

    assert groups.targets(frozenset("abc"), 1, lambda _: True) == [
        Target("transactions", frozenset("ab")),
        Target("transactions", frozenset("c")),
    ]


def test_many_groups_are_merged_and_the_old_ones_go_only_when_the_new_one_is_confirmed() -> None:
    groups = Grouping()
    held: list[Target] = []
    for count in range(1, 7):
        held = groups.targets(frozenset("abcdef"[:count]), count, lambda _: False)
    merged = Target("transactions", frozenset("abcde"))
    assert merged in held
    assert len(held) == 7, "six groups and the merged one"

    held = groups.targets(frozenset("abcdef"), 7, lambda target: target == merged)
    assert held == [merged, Target("transactions", frozenset("f"))]


def test_addresses_nobody_wants_go_with_the_next_merge() -> None:
    groups = Grouping()
    many = frozenset(f"a{number}" for number in range(40))
    groups.targets(many, 0, lambda _: True)
    held = groups.targets(frozenset(("a1",)), 1, lambda _: True)
    assert Target("transactions", frozenset(("a1",))) in held

    assert groups.targets(frozenset(("a1",)), 2, lambda _: True) == [Target("transactions", frozenset(("a1",)))]


def test_when_nothing_is_wanted_any_more_nothing_is_held() -> None:
    groups = Grouping()
    groups.targets(frozenset(f"a{number}" for number in range(40)), 0, lambda _: True)

    assert groups.targets(frozenset(), 1, lambda _: True) == []


def test_more_addresses_than_one_subscription_takes_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MOST_ADDRESSES", 3)

    assert [len(target.addresses) for target in Grouping().targets(frozenset("abcdefgh"), 0, lambda _: True)] == [3, 3, 2]


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcdefghij")), st.booleans()), max_size=30))
def test_every_wanted_address_is_covered_at_every_moment(steps: list[tuple[set[str], bool]]) -> None:
    groups = Grouping()
    for now, (wanted, confirmed) in enumerate(steps):
        held = groups.targets(frozenset(wanted), now * 4.0, lambda _, confirmed=confirmed: confirmed)  # type: ignore[misc]
        assert addresses(held) >= wanted
        assert len(held) == len(set(held))


# Pace


def test_a_burst_and_then_so_many_a_second() -> None:
    pace = Pace(2, burst=3)
    taken = [tenth / 10 for tenth in range(1000, 1031) for _ in range(5) if pace.take(tenth / 10)]

    assert taken[:3] == [100.0, 100.0, 100.0]
    assert len(taken) == 3 + 6


def test_no_limit_is_no_limit() -> None:
    pace = Pace(None, burst=1)

    assert all(pace.take(0) for _ in range(1000))


# Endings and refusals


def test_no_error_is_a_lost_connection() -> None:
    assert ending_of(None).kind == "lost"


@pytest.mark.parametrize(
    ("ending", "cause"),
    [
        (ending_of(None), "cut"),
        (ending_of(ConnectionResetError()), "cut"),
        (ending_of(websocket.WebSocketTimeoutException("ping/pong timed out")), "ping"),
        (ending_of(websocket.WebSocketBadStatusException("", 502, "", {}, b"")), "cut"),
        (Ending(kind="lost", reason="the server closed with code 1001", status=1001), "closed"),
        (Ending(kind="silent", reason="no data for 10 s"), "silent"),
        (Ending(kind="stopped", reason="stopped"), None),
    ],
)
def test_an_ending_has_one_word_for_counters(ending: Ending, cause: str | None) -> None:
    assert ending.cause == cause


def test_an_unfit_answer_without_a_status_is_unwelcome() -> None:
    assert ending_of(HandshakeUnfit("too long", None)).kind == "unwelcome"


def test_a_close_that_says_that_the_plan_is_used_up_is_exhausted() -> None:
    error = websocket.WebSocketConnectionClosedException("closed")
    error.status_code = 1013  # type: ignore[attr-defined]
    error.reason = "Max usage reached"  # type: ignore[attr-defined]

    assert ending_of(error).kind == "exhausted"


def test_an_error_without_a_text_is_named() -> None:
    assert ending_of(ConnectionResetError()).reason == "ConnectionResetError"


def test_control_characters_of_a_server_do_not_get_into_a_reason() -> None:
    error = websocket.WebSocketBadStatusException("", 500, "", {}, b"\x1b[2J\r\nfake log line\x00" + b"x" * 10_000)
    reason = ending_of(error).reason

    assert reason.isprintable()
    assert len(reason) < 300


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (-32429, "max usage reached", "exhausted"),
        (-32429, "rate limited", "retry"),
        (-32600, "transactionSubscribe is not available on the free plan", "plan"),
        (-32601, "Method not found", "plan"),
        (-32602, "Invalid Request: Only 1 address supported", "give up"),
        (-32603, "account index service overloaded, please try again.", "retry"),
    ],
)
def test_refusals_mean_what_their_text_says(code: int, text: str, meaning: str) -> None:
    assert _meaning(code, text) == meaning


# What only another feed delivers


def test_trades_that_both_feeds_deliver_are_no_sign_whichever_is_first() -> None:
    unheard = Unheard(15)
    unheard.expect(["a"], 0)
    for at in range(0, 1000, 10):
        unheard.heard("a", at)
        unheard.elsewhere("a", at + 9)
        unheard.elsewhere("a", at - 9)
        assert not unheard.mute(at + 9)


def test_the_last_trades_of_a_token_are_no_sign_either() -> None:
    unheard = Unheard(15)
    unheard.expect(["a"], 0)
    unheard.heard("a", 100)
    for _ in range(50):
        unheard.elsewhere("a", 114)

    assert not unheard.mute(10_000)


def test_one_of_many_is_mute_when_many_of_its_trades_are_missed() -> None:
    unheard = Unheard(15)
    unheard.expect(["a", "b"], 0)
    for at in (20, 25):
        unheard.elsewhere("a", at)
        unheard.heard("b", at)
    unheard.heard("b", 39)
    assert not unheard.mute(40), "two are too few"
    unheard.elsewhere("a", 30)

    assert unheard.mute(34) == frozenset()
    assert unheard.mute(35) == {"a"}
    unheard.heard("a", 36)
    assert unheard.mute(1000) == frozenset()


def test_when_nothing_is_heard_at_all_the_trades_of_all_tokens_count() -> None:
    unheard = Unheard(15)
    unheard.expect(["a", "b", "c"], 0)
    for at, mint in ((20, "a"), (21, "b"), (22, "c"), (23, "unexpected")):
        unheard.elsewhere(mint, at)

    assert unheard.mute(36) == frozenset()
    assert unheard.mute(37) == {"a", "b", "c"}
    unheard.expect(["a", "b"], 38)
    assert unheard.mute(38) == frozenset()


# Mute, or pushed out


def test_what_is_pushed_beyond_the_limit_is_ended_before_another_takes_its_place() -> None:
    held = books(limit=2)
    for request in held.due([SLOTS, logs("a")], 0):
        held.confirm(request.target, request.request_id)

    wanted = [SLOTS, logs("b"), logs("a")]
    assert [request.method for request in held.due(wanted, 1)] == ["logsUnsubscribe", "logsSubscribe"]
    assert held.beyond_limit(wanted) == [logs("a")]


def test_only_a_confirmed_subscription_is_renewed() -> None:
    held = books()
    [request] = held.due([logs("a")], 0)
    held.renew(logs("a"))
    held.renew(logs("never asked"))
    assert list(held.due([logs("a")], 1)) == []
    held.confirm(request.target, 7)
    held.renew(logs("a"))

    assert [(again.method, again.subscription) for again in held.due([logs("a")], 2)] == [
        ("logsUnsubscribe", 7),
        ("logsSubscribe", None),
    ]


def test_a_renewed_group_covers_the_same_and_the_old_one_stays_until_it_is_confirmed() -> None:
    groups = Grouping()
    addresses = frozenset("ab")
    [old] = groups.targets(addresses, 0, lambda _target: True)
    groups.renew()
    both = groups.targets(addresses, 1, lambda target: target == old)

    assert both[0] == old
    assert len(both) == 2
    assert both[1].addresses == old.addresses
    assert groups.targets(addresses, 2, lambda _target: True) == [both[1]]
