from __future__ import annotations

import base64
import json
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import MAYHEM_AGENT, PUMP, USDC, ZERO_KEY, bonding_curve, canonical_pool, to_address
from pumpwatch.decode.payloads import Payload, decode_payloads
from pumpwatch.events import (
    WRAPPED_SOL,
    Counted,
    CurveCompleted,
    Event,
    PoolSeen,
    Rejected,
    ReservesChanged,
    TokenCreated,
    TokenMigrated,
    Trade,
)
from pumpwatch.market import Reserves, before_trade, curve_buy_quote, curve_buy_tokens, curve_sell_quote

SIGNATURE = "5" * 88
MINT, USER, OTHER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
USDC_KEY = bytes.fromhex("c6fa7af3bedbad3a3d65f36aabc97431b1bbe4c2d2f6e0e47ca60203452f5d61")

Write = Callable[..., tuple[bytes, list[int]]]


def decode(*bodies: bytes) -> tuple[Event, ...]:
    return decode_payloads([Payload(PUMP, body) for body in bodies], signature=SIGNATURE, slot=7, pools={})


def corpus_payloads(corpus: Path, name: bytes) -> list[bytes]:
    entries = [json.loads(line) for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines()]
    bodies = [base64.b64decode(e["b64"]) if "b64" in e else bytes.fromhex(e["hex"])[8:] for e in entries]
    return [body for body in bodies if body[:8] == name]


@pytest.fixture
def trade(write: Write) -> Callable[..., Any]:
    def make(length: int | None = None, **values: object) -> Any:
        texts = {"mint": MINT, "user": USER, "ix_name": b"buy", "is_buy": 1}
        payload, _ = write(layouts.TRADE.discriminator, layouts.TRADE.fields, texts | values)
        (event, *_) = decode(payload[:length])
        return event

    return make


def test_every_real_trade_of_every_age_is_decoded(corpus: Path) -> None:
    trades = decode(*corpus_payloads(corpus, layouts.TRADE.discriminator))
    assert Tally(type(event) for event in trades) == {Trade: 32}
    assert [event.event_index for event in trades if isinstance(event, Trade)] == list(range(32))


def test_real_trades_have_the_lengths_of_their_age(corpus: Path) -> None:
    bodies = corpus_payloads(corpus, layouts.TRADE.discriminator)
    name_length = [int.from_bytes(body[258:262], "little") for body in bodies]
    fixed = Tally(len(body) - (length if len(body) > 262 else 0) for body, length in zip(bodies, name_length, strict=True))
    one_shareholder = fixed.pop(355 + 34)
    assert fixed | {355: fixed[355] + one_shareholder} == {129: 17, 225: 4, 258: 1, 262: 1, 263: 2, 279: 1, 355: 4, 371: 2}


def test_every_real_trade_satisfies_the_curve_formula(corpus: Path) -> None:
    """32 of 32: 21 buys, 11 sells, as corpus/README.md counts them."""
    sides: Tally[bool] = Tally()
    for event in decode(*corpus_payloads(corpus, layouts.TRADE.discriminator)):
        assert isinstance(event, Trade)
        assert_on_curve(event)
        sides[event.is_buy] += 1
    assert sides == {True: 21, False: 11}


def assert_on_curve(event: Trade) -> None:
    assert event.quote_amount is not None
    assert event.virtual_quote_reserves is not None
    assert event.virtual_token_reserves is not None
    after = Reserves(event.virtual_quote_reserves, event.virtual_token_reserves)
    before = before_trade(after, is_buy=event.is_buy, token_amount=event.token_amount, quote_amount=event.quote_amount)
    if not event.is_buy:
        assert event.quote_amount == curve_sell_quote(event.token_amount, before)
    elif event.quote_amount != curve_buy_quote(event.token_amount, before):
        assert event.token_amount == curve_buy_tokens(event.quote_amount, before)


def test_a_trade_carries_all_that_its_event_tells(corpus: Path) -> None:
    """The September 2026 buy of the corpus, field by field."""
    body = next(b for b in corpus_payloads(corpus, layouts.TRADE.discriminator) if len(b) == 358)
    (event,) = decode(body)
    assert event == Trade(
        signature=SIGNATURE,
        event_index=0,
        slot=7,
        block_time=1789087342,
        mint="uKubAxmYJEABdmw6hqegbgghe6fcmaHqjKd2umjpump",
        wallet="8tEh5ZzrxyLh12jfprebQEVjz9kgMgUcYLCHmeSME6E9",
        is_buy=True,
        venue="curve",
        token_amount=34194029850746,
        quote_amount=987500000,
        trader_quote_amount=987500000 + 9381250 + 2962500,
        quote_mint=WRAPPED_SOL,
        protocol_fee=9381250,
        creator_fee=2962500,
        virtual_token_reserves=1038805970149254,
        virtual_quote_reserves=30987500000,
        real_token_reserves=758905970149254,
        real_quote_reserves=987500000,
    )


def test_events_before_the_quote_fields_are_paid_in_sol(trade: Callable[..., Any]) -> None:
    event = trade(129, sol_amount=5, token_amount=6, virtual_sol_reserves=7, virtual_token_reserves=8, real_sol_reserves=9)
    assert (event.quote_mint, event.quote_amount, event.virtual_quote_reserves, event.real_quote_reserves) == (
        WRAPPED_SOL,
        5,
        7,
        9,
    )


def test_a_fee_not_told_is_unknown_not_zero(trade: Callable[..., Any]) -> None:
    event = trade(129, sol_amount=5)
    assert (event.protocol_fee, event.creator_fee, event.trader_quote_amount) == (None, None, None)


def test_the_oldest_version_has_no_real_reserves(trade: Callable[..., Any]) -> None:
    event = trade(113, virtual_sol_reserves=7, virtual_token_reserves=8)
    assert (event.virtual_quote_reserves, event.virtual_token_reserves) == (7, 8)
    assert (event.real_quote_reserves, event.real_token_reserves) == (None, None)


@pytest.mark.parametrize("key", [ZERO_KEY, bytes.fromhex("069b8857feab8184fb687f634618c035dac439dc1aeb3b5598a0f00000000001")])
def test_the_zero_key_and_the_wrapped_sol_mint_are_both_sol(trade: Callable[..., Any], key: bytes) -> None:
    assert trade(quote_mint=key, quote_amount=5, sol_amount=5).quote_mint == WRAPPED_SOL


def test_a_trade_in_another_quote_has_its_amounts_from_the_quote_fields(trade: Callable[..., Any]) -> None:
    event = trade(
        quote_mint=USDC_KEY,
        quote_amount=5,
        virtual_quote_reserves=6,
        real_quote_reserves=7,
        fee=1,
        creator_fee=2,
        virtual_sol_reserves=0,
    )
    assert event.quote_mint == USDC
    assert (event.quote_amount, event.virtual_quote_reserves, event.real_quote_reserves) == (5, 6, 7)
    assert event.trader_quote_amount == 8


def test_a_quote_amount_not_told_is_never_the_sol_field_of_another_quote(write: Write) -> None:
    payload, ends = write(layouts.TRADE.discriminator, layouts.TRADE.fields, {"quote_mint": USDC_KEY, "sol_amount": 9})
    names = [name for name, _ in layouts.TRADE.fields]
    (event,) = decode(payload[: ends[names.index("quote_mint") + 1]])
    assert isinstance(event, Trade)
    assert (event.quote_mint, event.quote_amount, event.virtual_quote_reserves) == (USDC, None, None)


def test_a_buyer_pays_all_fees_on_top_and_a_seller_gets_what_they_leave(trade: Callable[..., Any]) -> None:
    fees: dict[str, object] = {
        "quote_amount": 1000,
        "fee": 10,
        "creator_fee": 3,
        "cashback": 2,
        "holder_rewards": 3,
        "buyback_fee": 5,
    }
    assert trade(is_buy=1, **fees).trader_quote_amount == 1015
    assert trade(is_buy=0, **fees).trader_quote_amount == 985


def test_what_a_sale_of_dust_paid_is_unknown_where_fees_exceed_it(trade: Callable[..., Any]) -> None:
    assert trade(is_buy=0, quote_amount=1, fee=1, creator_fee=1).trader_quote_amount is None
    assert trade(is_buy=0, quote_amount=2, fee=1, creator_fee=1).trader_quote_amount == 0


def test_a_total_above_the_largest_integer_is_set_aside(trade: Callable[..., Any]) -> None:
    event = trade(quote_amount=2**63 - 1, fee=1)
    assert isinstance(event, Rejected)
    assert (event.kind, event.ours) == ("out of range", True)


@pytest.mark.parametrize("field", ["token_amount", "virtual_token_reserves", "quote_amount", "real_quote_reserves", "fee"])
def test_an_amount_above_the_largest_integer_is_set_aside_whole(trade: Callable[..., Any], field: str) -> None:
    event = trade(**{field: 2**63})
    assert isinstance(event, Rejected)
    assert (event.kind, event.ours, event.signature, event.slot) == ("out of range", True, SIGNATURE, 7)


def test_a_huge_number_that_is_not_recorded_costs_nothing(trade: Callable[..., Any]) -> None:
    assert isinstance(trade(total_unclaimed_tokens=2**64 - 1), Trade)


def test_the_mayhem_agent_is_recognised_by_its_wallet(corpus: Path) -> None:
    data = json.loads((corpus / "onchain/mayhem_and_cashback_logs_2026-07-18.json").read_text(encoding="utf-8"))
    lines = [line for fixture in data["fixtures"] for line in fixture["logs"] if line.startswith("Program data: vdt/")]
    buy, sell, cashback = [event for line in lines for event in decode(base64.b64decode(line[14:])) if isinstance(event, Trade)]
    assert [buy.by_mayhem_agent, sell.by_mayhem_agent, cashback.by_mayhem_agent] == [True, True, False]
    assert buy.wallet == sell.wallet == MAYHEM_AGENT
    for agent, apart in ((buy, 37_693_656_480), (sell, 2_057_505_158)):
        assert agent.virtual_quote_reserves is not None
        assert agent.real_quote_reserves is not None
        assert agent.virtual_quote_reserves - agent.real_quote_reserves == apart
        assert agent.trader_quote_amount == agent.quote_amount
    assert (cashback.creator_fee, cashback.is_buy) == (0, True)
    assert cashback.quote_amount is not None
    assert cashback.protocol_fee is not None
    assert cashback.trader_quote_amount == cashback.quote_amount + cashback.protocol_fee + 150_001


def test_surplus_bytes_are_counted_and_the_trade_is_kept(write: Write) -> None:
    payload, _ = write(layouts.TRADE.discriminator, layouts.TRADE.fields, {})
    trade, counted = decode(payload + b"\x01")
    assert isinstance(trade, Trade)
    assert counted == Counted(kind="surplus bytes: TradeEvent")


def test_a_creation_carries_all_that_its_event_tells(corpus: Path) -> None:
    (body,) = corpus_payloads(corpus, layouts.CREATE.discriminator)
    (event,) = decode(body)
    assert event == TokenCreated(
        signature=SIGNATURE,
        event_index=0,
        slot=7,
        block_time=1789087342,
        mint="uKubAxmYJEABdmw6hqegbgghe6fcmaHqjKd2umjpump",
        bonding_curve=bonding_curve("uKubAxmYJEABdmw6hqegbgghe6fcmaHqjKd2umjpump"),
        developer="8tEh5ZzrxyLh12jfprebQEVjz9kgMgUcYLCHmeSME6E9",
        creator="8tEh5ZzrxyLh12jfprebQEVjz9kgMgUcYLCHmeSME6E9",
        name="Official Bonzi Buddy",
        symbol="BONZI",
        uri="https://ipfs.io/ipfs/bafkreidfurn3cnjgvgdniiby3ppbqbzwwh3wsampqct4l5yfttdpxsdcrm",
        virtual_token_reserves=1073000000000000,
        virtual_quote_reserves=30000000000,
        real_token_reserves=793100000000000,
        token_total_supply=1000000000000000,
        token_program="TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
        quote_mint=WRAPPED_SOL,
        is_mayhem_mode=False,
        is_cashback_enabled=False,
    )


def test_an_old_creation_leaves_unknown_what_it_does_not_tell(write: Write) -> None:
    payload, ends = write(
        layouts.CREATE.discriminator, layouts.CREATE.fields, {"name": b"n", "symbol": b"s", "uri": b"u", "mint": MINT}
    )
    (event,) = decode(payload[: ends[6]])
    assert isinstance(event, TokenCreated)
    assert (event.creator, event.block_time, event.virtual_token_reserves, event.token_program) == (None, None, None, None)
    assert event.quote_mint == WRAPPED_SOL


def test_hostile_text_of_a_creation_is_storable_and_bounded(write: Write) -> None:
    values = {"name": b"a\x00\xff\xed\xa0\x80", "symbol": b"S" * 5000, "uri": b""}
    (event,) = decode(write(layouts.CREATE.discriminator, layouts.CREATE.fields, values)[0])
    assert isinstance(event, TokenCreated)
    assert event.name == "a�����"
    assert event.symbol == "S" * 1024
    assert event.uri == ""


def test_a_completion_names_its_token(corpus: Path) -> None:
    (body,) = corpus_payloads(corpus, layouts.COMPLETE.discriminator)
    (event,) = decode(body)
    assert event == CurveCompleted(
        signature=SIGNATURE,
        event_index=0,
        slot=7,
        block_time=1787337289,
        mint="4yGJ5ynrB4QX7AiRps1DTAzdXwEf15NvrRF5gouEpump",
        quote_mint=WRAPPED_SOL,
    )


def test_a_migration_tells_the_pool_too(corpus: Path) -> None:
    (body,) = corpus_payloads(corpus, layouts.MIGRATION.discriminator)
    migrated, seen = decode(body)
    mint = "ELJFma9JzJfLWbc2fBSXPMAExayXoTr2LUNJLbPpump"
    assert isinstance(migrated, TokenMigrated)
    assert (migrated.mint, migrated.pool, migrated.quote_mint) == (mint, canonical_pool(mint), WRAPPED_SOL)
    assert (migrated.token_amount, migrated.pool_migration_fee) == (206900000000000, 15000001)
    assert seen == PoolSeen(pool=canonical_pool(mint), mint=mint, quote_mint=WRAPPED_SOL, base_decimals=6, quote_decimals=9)


def test_a_migration_to_a_quote_of_unknown_decimals_tells_no_pool(write: Write) -> None:
    body = write(layouts.MIGRATION.discriminator, layouts.MIGRATION.fields, {"mint": MINT, "quote_mint": OTHER, "pool": USER})[0]
    (event,) = decode(body)
    assert isinstance(event, TokenMigrated)
    assert (event.quote_mint, event.pool) == (to_address(OTHER), to_address(USER))


def test_a_migration_to_usdc_has_six_decimals(write: Write) -> None:
    body = write(layouts.MIGRATION.discriminator, layouts.MIGRATION.fields, {"mint": MINT, "quote_mint": USDC_KEY, "pool": USER})[
        0
    ]
    assert decode(body)[1] == PoolSeen(pool=to_address(USER), mint=to_address(MINT), quote_mint=USDC, quote_decimals=6)
    assert len(decode(body, body)) == 3


def test_the_pool_part_of_a_completing_buy_is_a_trade_of_the_pool(corpus: Path) -> None:
    data = json.loads((corpus / "onchain/completing_txs_2026-10-09.json").read_text(encoding="utf-8"))
    kinds: Tally[str] = Tally()
    for transaction in data["txs"]:
        bodies = [base64.b64decode(line[14:]) for line in transaction["program_data_lines"]]
        events = decode(*bodies)
        assert [event.event_index for event in events if not isinstance(event, Counted)] == list(range(len(bodies)))  # type: ignore[union-attr]
        kinds.update(type(event).__name__ + (event.venue if isinstance(event, Trade) else "") for event in events)
        pool = [event for event in events if isinstance(event, Trade) and event.venue == "pool"]
        curve = [event for event in events if isinstance(event, Trade) and event.venue == "curve"]
        assert [event.real_token_reserves for event in curve][-1] == 0
        for event in pool:
            assert_completes(event, curve[-1])
    assert kinds == {"Tradecurve": 6, "CurveCompleted": 6, "Tradepool": 4, "TokenCreated": 1}


def assert_completes(event: Trade, curve: Trade) -> None:
    """The pool opens with 206.9e12 tokens and the curve's quote less the migration fee; what is bought now leaves it at once."""
    assert (event.signature, event.wallet, event.mint, event.is_buy) == (curve.signature, curve.wallet, curve.mint, True)
    assert curve.real_quote_reserves is not None
    assert event.quote_amount is not None
    assert event.virtual_token_reserves == event.real_token_reserves == 206_900_000_000_000 - event.token_amount
    assert (
        event.virtual_quote_reserves == event.real_quote_reserves == curve.real_quote_reserves - 15_000_001 + event.quote_amount
    )
    assert event.protocol_fee is not None
    assert event.creator_fee is not None
    assert event.trader_quote_amount == event.quote_amount + event.protocol_fee + event.creator_fee


@pytest.mark.parametrize("in_sol", [True, False])
def test_new_virtual_reserves_of_a_mayhem_coin_are_a_step_without_a_trade(write: Write, in_sol: bool) -> None:
    quote = {"virtual_sol_reserves": 30, "new_virtual_sol_reserves": 20, "real_sol_reserves": 2} if in_sol else {}
    values = {
        "timestamp": 5,
        "mint": MINT,
        "virtual_token_reserves": 9,
        "new_virtual_token_reserves": 8,
        "real_token_reserves": 3,
    }
    payload = write(layouts.MAYHEM_PARAMS.discriminator, layouts.MAYHEM_PARAMS.fields, values | quote)[0]
    assert decode(payload) == (
        ReservesChanged(
            signature=SIGNATURE,
            mint=to_address(MINT),
            venue="curve",
            kind="mayhem params",
            event_index=0,
            slot=7,
            block_time=5,
            before_virtual_token_reserves=9,
            before_virtual_quote_reserves=30 if in_sol else None,
            before_real_token_reserves=3,
            before_real_quote_reserves=2 if in_sol else None,
            virtual_token_reserves=8,
            virtual_quote_reserves=20 if in_sol else None,
            real_token_reserves=3,
            real_quote_reserves=2 if in_sol else None,
        ),
    )
