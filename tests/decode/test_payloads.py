from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import PUMP, PUMP_AMM, to_address
from pumpwatch.decode.layouts import NOT_RECORDED, discriminator
from pumpwatch.decode.payloads import Payload, decode_kept, decode_payloads, keep_payload
from pumpwatch.events import WRAPPED_SOL, Counted, Event, PoolSeen, Rejected, Trade

SIGNATURE = "5" * 88
ALL_KEYS = [layouts.TRADE, layouts.CREATE, layouts.COMPLETE, layouts.MIGRATION, layouts.POST_COMPLETE_BUY]
AMM_KEYS = [layouts.BUY, layouts.SELL, layouts.CREATE_POOL]


def decode(*payloads: Payload) -> tuple[Event, ...]:
    return decode_payloads(list(payloads), signature=SIGNATURE, slot=7, pools={})


def test_every_event_that_is_not_recorded_is_counted_by_name() -> None:
    for program, names in NOT_RECORDED.items():
        for name in names:
            assert decode(Payload(program, discriminator(name) + b"any")) == (Counted(kind=f"not recorded: {name}"),)


def test_an_event_we_do_not_know_is_kept_and_takes_its_place_in_the_count() -> None:
    unknown, trade = decode(Payload(PUMP, b"new one!xyz"), Payload(PUMP, layouts.TRADE.discriminator + bytes(121)))
    assert unknown == Rejected(
        kind="unknown event",
        reason="discriminator 6e6577206f6e6521",
        raw=PUMP.encode() + b" 0 " + base64.b64encode(b"new one!xyz"),
        ours=True,
        signature=SIGNATURE,
        slot=7,
    )
    assert isinstance(trade, Trade)
    assert trade.event_index == 1


def test_an_event_of_the_other_program_is_unknown_to_this_one() -> None:
    (event,) = decode(Payload(PUMP_AMM, layouts.TRADE.discriminator + bytes(121)))
    assert isinstance(event, Rejected)
    assert event.kind == "unknown event"


def test_a_line_that_is_no_base64_is_kept() -> None:
    (event,) = decode(Payload(PUMP, None, "!!! \ud800"))
    assert isinstance(event, Rejected)
    assert (event.kind, event.ours) == ("bad base64", True)
    assert base64.b64decode(event.raw.split(b" ")[2]) == b"!!! ?"


def test_a_poison_payload_does_not_cost_its_neighbours() -> None:
    good = Payload(PUMP, layouts.TRADE.discriminator + bytes(121))
    events = decode(good, Payload(PUMP, layouts.TRADE.discriminator + bytes(7)), good)
    assert [type(event) for event in events] == [Trade, Rejected, Trade]
    assert [event.event_index for event in events if isinstance(event, Trade)] == [0, 2]


def test_the_index_counts_payloads_not_what_they_became() -> None:
    longer = Payload(PUMP, layouts.TRADE.discriminator + bytes(1000))
    events = decode(longer, longer)
    assert [type(event) for event in events] == [Trade, Counted, Trade, Counted]
    assert [event.event_index for event in events if isinstance(event, Trade)] == [0, 1]


def test_what_was_kept_is_decoded_once_its_pool_is_known(corpus: Path) -> None:
    entries = [json.loads(line) for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines()]
    (body,) = [base64.b64decode(entry["b64"]) for entry in entries if entry["id"] == "s31/buy"]
    _, kept = decode(Payload(PUMP, b"unknown!"), Payload(PUMP_AMM, body))
    assert isinstance(kept, Rejected)
    pool = PoolSeen(pool="GnpU6c7H9CbPrbb9cUkQMxgz6DZV41h8XbU4pLh4C27e", mint="M" * 43, quote_mint=WRAPPED_SOL)
    (trade,) = decode_kept(kept, {pool.pool: pool})
    assert isinstance(trade, Trade)
    assert (trade.event_index, trade.signature, trade.slot, trade.mint) == (1, SIGNATURE, 7, "M" * 43)
    assert decode_kept(kept, {}) == (kept,)


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": b""},
        {"raw": b"a b c"},
        {"raw": PUMP.encode() + b" x AAAA"},
        {"raw": PUMP.encode() + b" 1 A"},
        {"slot": None},
        {"signature": None},
    ],
)
def test_what_is_not_in_the_kept_form_is_refused(changes: dict[str, object]) -> None:
    kept = Rejected(kind="k", reason="r", raw=keep_payload(PUMP, 1, b"x"), ours=True, signature=SIGNATURE, slot=7)
    with pytest.raises(ValueError):
        decode_kept(msgspec.structs.replace(kept, **changes), {})


@given(
    st.lists(
        st.tuples(
            st.sampled_from([PUMP, PUMP_AMM]),
            st.sampled_from([*ALL_KEYS, *AMM_KEYS]),
            st.binary(max_size=700) | st.integers(0, 600).map(bytes),
        )
    )
)
def test_no_payload_makes_the_decoder_raise(drawn: list[tuple[str, layouts.Layout[object], bytes]]) -> None:  # type: ignore[type-var]
    payloads = [Payload(program, layout.discriminator + body) for program, layout, body in drawn]
    pools = {to_address(body[112:144]): PoolSeen(pool="p", mint="m", quote_mint="q") for _, _, body in drawn if len(body) >= 144}
    events = decode_payloads(payloads, signature=SIGNATURE, slot=7, pools=pools)
    assert len(events) >= len(payloads)
    assert all(event.event_index is not None for event in events if isinstance(event, Trade))
    msgspec.msgpack.encode(events)


def test_every_amount_of_a_trade_fits_a_database(write: Callable[..., tuple[bytes, list[int]]]) -> None:
    largest = {name: 2**63 - 1 for name, kind in layouts.POST_COMPLETE_BUY.fields if kind == "u64"}
    body = write(layouts.POST_COMPLETE_BUY.discriminator, layouts.POST_COMPLETE_BUY.fields, largest)[0]
    (event,) = decode(Payload(PUMP, body))
    assert isinstance(event, Rejected)
    assert event.kind == "out of range"
