from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import PUMP, PUMP_AMM, USDC, canonical_pool, to_address
from pumpwatch.decode.payloads import Payload, decode_payloads
from pumpwatch.events import WRAPPED_SOL, Counted, Event, PoolSeen, Rejected, ReservesChanged, TokenMigrated, Trade
from pumpwatch.market import Reserves, before_trade, fee, pool_buy_quote, pool_buy_tokens, pool_sell_quote

SIGNATURE = "5" * 88
MINT, POOL, USER, RECIPIENT = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34)), bytes(range(3, 35))

Write = Callable[..., tuple[bytes, list[int]]]


def seen(pool: str, mint: str = "A" * 43) -> PoolSeen:
    return PoolSeen(pool=pool, mint=mint, quote_mint=WRAPPED_SOL)


def decode(*bodies: bytes, pools: dict[str, PoolSeen] | None = None) -> tuple[Event, ...]:
    if pools is None:
        offset = 120
        addresses = [to_address(body[offset : offset + 32]) for body in bodies]
        pools = {address: seen(address) for address in addresses}
    return decode_payloads([Payload(PUMP_AMM, body) for body in bodies], signature=SIGNATURE, slot=7, pools=pools)


def corpus_payload(corpus: Path, identity: str) -> bytes:
    for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["id"] == identity:
            return base64.b64decode(entry["b64"])
    raise LookupError(identity)


def transaction(corpus: Path, file: str) -> tuple[bytes, dict[str, Any]]:
    data = json.loads((corpus / "onchain" / file).read_text(encoding="utf-8"))
    (line,) = [line for line in data["meta"]["logMessages"] if line.startswith("Program data: ")]
    return base64.b64decode(line[14:]), data


def vaults(data: dict[str, Any], when: str) -> tuple[int, int]:
    """The amounts (token, quote) that the two vaults hold."""
    token, quote = (int(balance["uiTokenAmount"]["amount"]) for balance in data["meta"][when])
    return token, quote


BUYS = ["s31/buy", "s36", "s38/buy", "s42/buy_exact_quote_in_v2"]
SELLS = ["s31/sell", "s35", "s37", "s38/sell", "s39", "s42/sell_433"]


@pytest.mark.parametrize("identity", BUYS + SELLS)
def test_every_real_pool_trade_satisfies_the_formula_of_a_pool(corpus: Path, identity: str) -> None:
    body = corpus_payload(corpus, identity)
    (event,) = decode(body)
    assert isinstance(event, Trade)
    assert_in_pool(event)
    assert event.is_buy == (identity in BUYS)
    assert (event.venue, event.event_index, event.slot, event.mint, event.quote_mint) == ("pool", 0, 7, "A" * 43, WRAPPED_SOL)


def assert_in_pool(event: Trade) -> None:
    assert event.quote_amount is not None
    assert event.lp_fee is not None
    assert event.virtual_quote_reserves is not None
    assert event.virtual_token_reserves is not None
    before = before_trade(
        Reserves(event.virtual_quote_reserves, event.virtual_token_reserves),
        is_buy=event.is_buy,
        token_amount=event.token_amount,
        quote_amount=event.quote_amount,
        lp_fee=event.lp_fee,
    )
    if not event.is_buy:
        assert event.quote_amount == pool_sell_quote(event.token_amount, before)
    elif event.quote_amount != pool_buy_quote(event.token_amount, before):
        assert event.token_amount == pool_buy_tokens(event.quote_amount, before)


def test_a_v1_buy_leaves_what_the_vaults_hold_afterwards(corpus: Path) -> None:
    body, data = transaction(corpus, "pumpswap_buy_v1_2026-10.json")
    (event,) = decode(body)
    assert isinstance(event, Trade)
    assert_in_pool(event)
    assert (event.real_token_reserves, event.real_quote_reserves) == vaults(data, "postTokenBalances")
    assert (event.virtual_token_reserves, event.virtual_quote_reserves) == (12_792_519_718_224, 1_395_865_585_984)
    assert (event.quote_amount, event.lp_fee) == (806_976_961, 1_613_954)
    assert event.block_time == data["blockTime"]
    before = vaults(data, "preTokenBalances")
    assert event.real_quote_reserves is not None
    assert event.real_quote_reserves - before[1] == 808_590_915


def test_a_v2_sell_leaves_what_the_vaults_hold_afterwards(corpus: Path) -> None:
    body, data = transaction(corpus, "pumpswap_sell_v2_2026-10-08.json")
    (event,) = decode(body)
    assert isinstance(event, Trade)
    assert_in_pool(event)
    assert (event.real_token_reserves, event.real_quote_reserves) == vaults(data, "postTokenBalances")
    assert event.real_quote_reserves == vaults(data, "preTokenBalances")[1] - 9_870_070


def test_a_v2_buy_leaves_an_unknown_amount_in_the_vault(corpus: Path) -> None:
    (event,) = decode(corpus_payload(corpus, "s42/buy_exact_quote_in_v2"))
    assert isinstance(event, Trade)
    assert event.real_quote_reserves is None
    assert event.real_token_reserves == 152502187179376 - 344675460426


def test_both_families_of_buys_tell_the_same_amounts(corpus: Path) -> None:
    """``buy_exact_quote_in`` swaps the total paid and the net amount (fact sheet 6.2)."""
    swapped = decode(corpus_payload(corpus, "s31/buy"))[0]
    plain = decode(corpus_payload(corpus, "s38/buy"))[0]
    kept = decode(corpus_payload(corpus, "s42/buy_exact_quote_in_v2"))[0]
    assert isinstance(swapped, Trade)
    assert isinstance(plain, Trade)
    assert isinstance(kept, Trade)
    assert (swapped.quote_amount, swapped.trader_quote_amount) == (986666666, 999000000)
    assert (plain.quote_amount, plain.trader_quote_amount) == (2961375686, 2970259814)
    assert (kept.quote_amount, kept.trader_quote_amount) == (5082174814, 5196523749)


def test_a_seller_gets_the_gross_amount_less_all_fees(corpus: Path) -> None:
    for identity in SELLS:
        (event,) = decode(corpus_payload(corpus, identity))
        assert isinstance(event, Trade)
        assert event.quote_amount is not None
        fees = (event.lp_fee or 0) + (event.protocol_fee or 0) + (event.creator_fee or 0)
        cashback = 723_796 if identity == "s35" else 0
        assert event.trader_quote_amount == event.quote_amount - fees - cashback


def test_fees_of_real_trades_are_rounded_up(corpus: Path) -> None:
    (event,) = decode(corpus_payload(corpus, "s31/sell"))
    assert isinstance(event, Trade)
    assert event.quote_amount is not None
    assert (event.lp_fee, event.protocol_fee, event.creator_fee) == tuple(fee(event.quote_amount, bps) for bps in (20, 5, 95))


def test_virtual_quote_may_be_negative(write: Write) -> None:
    (event,) = decode(sell(write, pool_quote_token_reserves=1000, virtual_quote_reserves=-400, quote_amount_out=100, lp_fee=1))
    assert isinstance(event, Trade)
    assert event.virtual_quote_reserves == 501


def test_reserves_that_cannot_be_are_set_aside(write: Write) -> None:
    (event,) = decode(sell(write, pool_quote_token_reserves=1000, virtual_quote_reserves=-1001))
    assert isinstance(event, Rejected)
    assert (event.kind, event.ours) == ("out of range", True)
    (event,) = decode(sell(write, pool_quote_token_reserves=1000, virtual_quote_reserves=2**100))
    assert isinstance(event, Rejected)
    buy = write(layouts.BUY.discriminator, layouts.BUY.fields, {"pool": POOL, "lp_fee": 5, "quote_amount_in_with_lp_fee": 4})[0]
    (event,) = decode(buy)
    assert isinstance(event, Rejected)


def test_a_v2_sell_of_a_version_without_buyback_leaves_the_vault_unknown(write: Write) -> None:
    payload, ends = write(layouts.SELL.discriminator, layouts.SELL.fields, {"pool": POOL, "pool_quote_token_reserves": 9})
    names = [name for name, _ in layouts.SELL.fields]
    (event,) = decode(payload[: ends[names.index("coin_creator_fee") + 1]])
    assert isinstance(event, Trade)
    assert event.real_quote_reserves is None
    assert event.virtual_quote_reserves == 9


def sell(write: Write, **values: object) -> bytes:
    base: dict[str, object] = {"pool": POOL, "user": USER, "protocol_fee_recipient": RECIPIENT}
    return write(layouts.SELL.discriminator, layouts.SELL.fields, base | values)[0]


def test_a_trade_of_an_unknown_pool_is_kept_to_be_decoded_later(corpus: Path) -> None:
    body = corpus_payload(corpus, "s31/buy")
    (event,) = decode(body, pools={})
    assert isinstance(event, Rejected)
    assert (event.kind, event.ours, event.signature, event.slot) == ("unknown pool", True, SIGNATURE, 7)
    assert "GnpU6c7H9CbPrbb9cUkQMxgz6DZV41h8XbU4pLh4C27e" in event.reason


@pytest.mark.parametrize(("identity", "mint"), [("s30/create_pool", "527x"), ("s33", "4zEF"), ("s34", "GPAV")])
def test_the_canonical_pool_of_a_token_is_told(corpus: Path, identity: str, mint: str) -> None:
    (event,) = decode(corpus_payload(corpus, identity))
    assert isinstance(event, PoolSeen)
    assert event.mint.startswith(mint)
    assert event.pool == canonical_pool(event.mint)
    assert (event.quote_mint, event.base_decimals, event.quote_decimals) == (WRAPPED_SOL, 6, 9)


def test_a_pool_that_anyone_opened_is_counted_only(corpus: Path) -> None:
    assert decode(corpus_payload(corpus, "s40/create_pool")) == (Counted(kind="pool not canonical"),)


def test_a_pool_of_the_same_transaction_is_known_to_its_trades(write: Write) -> None:
    mint = to_address(MINT)
    pool = canonical_pool(mint, USDC)
    pool_key, usdc_key = (_key(address) for address in (pool, USDC))
    create = write(
        layouts.CREATE_POOL.discriminator,
        layouts.CREATE_POOL.fields,
        {"base_mint": MINT, "quote_mint": usdc_key, "pool": pool_key, "base_mint_decimals": 6, "quote_mint_decimals": 6},
    )[0]
    migrate = write(
        layouts.MIGRATION.discriminator, layouts.MIGRATION.fields, {"mint": MINT, "quote_mint": usdc_key, "pool": pool_key}
    )[0]
    payloads = [Payload(PUMP_AMM, create), Payload(PUMP, migrate), Payload(PUMP_AMM, sell(write, pool=pool_key))]
    told, migrated, trade = decode_payloads(payloads, signature=SIGNATURE, slot=7, pools={})
    assert told == PoolSeen(pool=pool, mint=mint, quote_mint=USDC, base_decimals=6, quote_decimals=6)
    assert isinstance(migrated, TokenMigrated)
    assert isinstance(trade, Trade)
    assert (trade.mint, trade.quote_mint, trade.event_index) == (mint, USDC, 2)


def _key(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


def change(*bodies: bytes, pool: bytes) -> list[ReservesChanged]:
    address = to_address(pool)
    return [event for event in decode(*bodies, pools={address: seen(address)}) if isinstance(event, ReservesChanged)]


def test_a_real_deposit_moves_the_vaults(corpus: Path) -> None:
    body = corpus_payload(corpus, "s40/deposit")
    (event,) = change(body, pool=_key("3Nfu1VWsoUbRwS9sXmMLzGJfVp2dWHf6Xw75JoSvvwZQ"))
    assert event == ReservesChanged(
        signature=SIGNATURE,
        mint="A" * 43,
        venue="pool",
        kind="deposit",
        event_index=0,
        slot=7,
        block_time=int.from_bytes(body[8:16], "little"),
        before_virtual_token_reserves=1_652_969_862_671,
        before_real_token_reserves=1_652_969_862_671,
        before_real_quote_reserves=4_203_492_200_023_607,
        virtual_token_reserves=1_652_969_862_671 + 10_008_857,
        real_token_reserves=1_652_969_862_671 + 10_008_857,
        real_quote_reserves=4_203_492_200_023_607 + 25_452_459_334,
    )


def test_a_real_withdrawal_moves_the_vaults(corpus: Path) -> None:
    (event,) = change(corpus_payload(corpus, "s40/withdraw"), pool=_key("CumioQrRqWyLv2Xdge2aFVgTgVrBZuF7y2PNTuDQfhXg"))
    assert (event.kind, event.before_real_token_reserves, event.before_real_quote_reserves) == (
        "withdraw",
        103_113_808_015,
        72_459_229_861_346,
    )
    assert (event.virtual_token_reserves, event.virtual_quote_reserves, event.real_quote_reserves) == (4, None, 2739)


def test_a_real_init_boost_tells_the_quote_side_after_it(corpus: Path) -> None:
    body = corpus_payload(corpus, "s32/init_boost")
    (event,) = change(body, pool=body[80:112])
    assert (event.kind, event.venue, event.real_quote_reserves) == ("init boost", "pool", 46_054_525_433)
    assert event.virtual_quote_reserves == 46_054_525_433 + 82_815_481_362
    assert (event.virtual_token_reserves, event.before_virtual_quote_reserves) == (None, None)


def test_a_boost_buy_tells_the_state_after_it(write: Write) -> None:
    layout = layouts.BOOST_BUY_AND_BURN
    values = {
        "timestamp": 5,
        "pool": POOL,
        "virtual_quote_reserves": -7,
        "real_quote_reserves_after": 100,
        "base_reserves_after": 9,
    }
    (event,) = change(write(layout.discriminator, layout.fields, values)[0], pool=POOL)
    after = (event.virtual_token_reserves, event.virtual_quote_reserves, event.real_token_reserves, event.real_quote_reserves)
    assert (event.kind, event.block_time, after) == ("boost buy and burn", 5, (9, 93, 9, 100))


def test_a_change_of_an_unknown_pool_is_kept(corpus: Path) -> None:
    for identity in ("s40/deposit", "s40/withdraw", "s32/init_boost"):
        (kept,) = decode(corpus_payload(corpus, identity), pools={})
        assert isinstance(kept, Rejected)
        assert (kept.kind, kept.ours) == ("unknown pool", True)


def test_a_withdrawal_of_more_than_there_is_cannot_be(write: Write) -> None:
    values = {"pool": POOL, "pool_base_token_reserves": 5, "base_amount_out": 6}
    body = write(layouts.WITHDRAW.discriminator, layouts.WITHDRAW.fields, values)[0]
    (kept,) = decode(body, pools={to_address(POOL): seen(to_address(POOL))})
    assert isinstance(kept, Rejected)
    assert kept.kind == "out of range"
