from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from storage_samples import chain_trade

from pumpwatch.decode.addresses import PUMP, PUMP_AMM
from pumpwatch.decode.payloads import Payload, decode_payloads, keep_payload
from pumpwatch.drift import Alarm, Drift, oddity
from pumpwatch.events import Counted, Event, Rejected

TRADE = (chain_trade(),)


def rejected(
    kind: str = "unknown event", *, program: str = PUMP, reason: str = "discriminator 0102030405060708"
) -> tuple[Event, ...]:
    return (Rejected(kind=kind, reason=reason, raw=keep_payload(program, 0, b"12345678"), ours=True, signature="s", slot=1),)


LONGER: tuple[Event, ...] = (*TRADE, Counted(kind="surplus bytes: TradeEvent"))


class Watch:
    """A drift under a clock of its own; transactions have signatures of their own."""

    def __init__(self) -> None:
        self.drift = Drift()
        self.now = 1000.0
        self.names: Iterator[int] = itertools.count()
        self.raised: list[Alarm] = []

    def see(self, events: tuple[Event, ...], *, times: int = 1, every: float = 1.0, silent: bool = False) -> int:
        """Return how many transactions it took until the first new alarm, 0 if there was none."""
        for number in range(times):
            self.now += every
            alarm = self.drift.transaction(str(next(self.names)), events, silent=silent, now_seconds=self.now)
            if alarm:
                self.raised.append(alarm)
                return number + 1
        return 0


@pytest.mark.parametrize(
    ("events", "silent"),
    [
        (rejected(), False),
        (rejected("unreadable event"), False),
        (rejected("unreadable transaction"), False),
        (rejected("bad base64"), False),
        (LONGER, False),
        ((), True),
    ],
)
def test_the_fiftieth_odd_transaction_raises_the_alarm_among_any_number_of_others(
    events: tuple[Event, ...], silent: bool
) -> None:
    watch = Watch()
    for _ in range(49):
        watch.see(TRADE, times=30, every=1)
        assert not watch.see(events, silent=silent)
    assert watch.see(events, silent=silent) == 1
    assert watch.drift.alarm is watch.raised[0]
    assert watch.raised[0].transactions == 50


@pytest.mark.parametrize("every", [5.0, 20.0, 60.0, 100.0])
def test_a_slow_token_raises_it_within_five_minutes(every: float) -> None:
    watch = Watch()
    assert watch.see(rejected(), times=50, every=every) * every <= 300 + every


def test_it_says_what_it_saw_and_what_to_do() -> None:
    watch = Watch()
    watch.see(rejected(), times=30)
    watch.see(rejected("unreadable event"), times=15)
    watch.see((), times=5, silent=True)
    (alarm,) = watch.raised
    assert "50 transactions in 49 s" in alarm.text
    assert (
        "pump unknown event, discriminator 0102030405060708: 30, unreadable event: 15, a trade without an event: 5" in alarm.text
    )
    assert alarm.text.endswith("update pumpwatch; the raw is kept; then run `python -m pumpwatch db redecode`")
    assert sum(alarm.kinds.values()) == 50


def test_events_that_only_grew_were_all_read() -> None:
    watch = Watch()
    watch.see(LONGER, times=50)
    (alarm,) = watch.raised
    assert "surplus bytes: TradeEvent: 50" in alarm.text
    assert "could still be read" in alarm.text
    assert "redecode" not in alarm.text


def test_single_oddities_from_time_to_time_raise_nothing() -> None:
    watch = Watch()
    for _ in range(500):
        watch.see(TRADE, times=60, every=60)
        watch.see(rejected())
    assert watch.raised == []


def test_a_burst_of_a_few_raises_nothing() -> None:
    watch = Watch()
    watch.see(rejected(), times=20)
    watch.see(TRADE, times=300)
    watch.see(rejected(), times=20)
    assert watch.raised == []


def test_numbers_out_of_range_count_only_where_they_last() -> None:
    """Anyone can have a pool with absurd numbers."""
    watch = Watch()
    for _ in range(400):
        watch.see(TRADE, times=9)
        watch.see(rejected("out of range"))
    assert watch.raised == []
    assert Watch().see(rejected("out of range"), times=50, every=20) > 0


def test_a_transaction_told_by_several_subscriptions_counts_once() -> None:
    drift = Drift()
    assert not any(drift.transaction("same", rejected(), silent=False, now_seconds=float(at)) for at in range(400))


def test_it_is_raised_once_until_an_hour_was_quiet() -> None:
    watch = Watch()
    watch.see(rejected(), times=50)
    assert watch.see(rejected(), times=5000, every=1) == 0
    watch.now += 3590
    assert watch.see(rejected(), times=60) == 0
    watch.now += 3600
    assert watch.see(rejected(), times=60) == 50
    assert len(watch.raised) == 2


def test_it_is_over_after_an_hour_in_which_all_was_as_known() -> None:
    watch = Watch()
    watch.see(rejected(), times=50)
    lasted = []
    for events in [*[TRADE] * 61, rejected()]:
        watch.see(events, every=60)
        lasted.append(watch.drift.alarm is not None)
    assert lasted == [True] * 59 + [False] * 3, "one is none"


def test_what_is_known_and_not_recorded_is_no_oddity() -> None:
    assert oddity((Counted(kind="not recorded: ExtendAccountEvent"), Counted(kind="pool not canonical")), silent=False) is None
    assert oddity(rejected("unknown pool"), silent=False) is None
    assert oddity((Rejected(kind="unknown event", reason="not ours", raw=b""),), silent=False) is None
    assert oddity((), silent=False) is None


def test_an_oddity_behind_a_trade_is_seen_and_named() -> None:
    events = decode_payloads([Payload(PUMP_AMM, b"12345678")], signature="5" * 88, slot=1, pools={})
    assert oddity((*LONGER, *events), silent=False) == "PumpSwap unknown event, discriminator 3132333435363738"


def test_chains_in_pieces_everywhere_raise_the_alarm() -> None:
    drift = Drift()
    alarms = [
        drift.chain(f"mint {token}", steps=4, breaks=3, now_seconds=60.0 * minute) for minute in range(5) for token in range(4)
    ]
    (alarm,) = [alarm for alarm in alarms if alarm]
    assert "tokens do not follow one another any more" in alarm.text
    assert drift.alarm is alarm


def test_a_single_watched_token_in_pieces_raises_it_within_fifty_breaks() -> None:
    drift = Drift()
    alarms = [drift.chain("mint", steps=1, breaks=1, now_seconds=float(at)) for at in range(60)]
    assert [at for at, alarm in enumerate(alarms) if alarm] == [49]


def test_a_lost_connection_breaks_a_link_of_each_token_and_raises_nothing() -> None:
    drift = Drift()
    for round_ in range(10):
        for token in range(30):
            assert drift.chain(f"mint {token}", steps=5, breaks=1, now_seconds=30.0 * round_) is None


def test_one_token_in_pieces_among_many_raises_nothing() -> None:
    drift = Drift()
    for at in range(100):
        for token in range(10):
            assert drift.chain(f"mint {token}", steps=5, breaks=0, now_seconds=float(at)) is None
        assert drift.chain("odd one", steps=1, breaks=1, now_seconds=float(at)) is None


def test_memory_is_bounded() -> None:
    watch = Watch()
    watch.see(rejected(), times=20_000, every=0.001)
    watch.see(rejected(), times=20_000, every=0.001)
    for token in range(11_000):
        watch.drift.chain(str(token), steps=1, breaks=0, now_seconds=0.0)
    assert len(watch.drift._odd) <= 500
    assert len(watch.drift._signatures) <= 1000
    assert len(watch.drift._links) == 10_000
    assert len(watch.drift._seen) <= 12
