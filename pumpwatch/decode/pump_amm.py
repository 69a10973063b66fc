"""
Events of PumpSwap: payload -> records.

Buy and sell events carry the reserves BEFORE the trade; our records carry those after. Effective quote reserves are the vault
plus the signed ``virtual_quote_reserves`` (absent: 0). Source: facts/onchain_events.md sections 2.3 and 6.
"""

from __future__ import annotations

from typing import Final

from pumpwatch.decode.addresses import ZERO_KEY, canonical_pool, to_address
from pumpwatch.decode.layouts import (
    BOOST_BUY_AND_BURN,
    BUY,
    CREATE_POOL,
    DEPOSIT,
    INIT_BOOST,
    SELL,
    WITHDRAW,
    SellFields,
)
from pumpwatch.decode.place import Decoder, Place, bounded
from pumpwatch.events import Counted, Event, PoolSeen, ReservesChanged, Trade
from pumpwatch.market import Reserves, after_trade

_OTHER_POOL: Final = Counted(kind="pool not canonical")


def decode_buy(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode a ``BuyEvent`` of a pool that *place* knows.

    ``buy_exact_quote_in`` swaps the meaning of two amounts; the net amount is right in both families as
    ``quote_amount_in_with_lp_fee - lp_fee`` (fact sheet 6.2).

    Raises:
        UnreadableEvent, OutOfRange: As :meth:`pumpwatch.decode.borsh.Reader.read`.
        UnknownPool: If *place* does not know the pool.

    """
    fields, surplus = BUY.read(payload)
    pool = place.pool(to_address(fields.pool))
    with_lp = fields.quote_amount_in_with_lp_fee
    net = bounded(with_lp - fields.lp_fee)
    creator_fee, cashback = fields.coin_creator_fee or 0, fields.cashback or 0
    after = after_trade(
        _effective(fields.pool_quote_token_reserves, fields.pool_base_token_reserves, fields.virtual_quote_reserves),
        is_buy=True,
        token_amount=fields.base_amount_out,
        quote_amount=net,
        lp_fee=fields.lp_fee,
    )
    # Where the fees stay in the pool (zero recipient) the vault grows by more; by how much a buy event does not prove.
    fees_leave = fields.protocol_fee_recipient != ZERO_KEY
    trade = Trade(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=pool.mint,
        wallet=to_address(fields.user),
        is_buy=True,
        venue="pool",
        token_amount=fields.base_amount_out,
        quote_amount=net,
        trader_quote_amount=bounded(with_lp + fields.protocol_fee + creator_fee + cashback),
        quote_mint=pool.quote_mint,
        protocol_fee=fields.protocol_fee,
        creator_fee=creator_fee,
        lp_fee=fields.lp_fee,
        virtual_token_reserves=bounded(after.token),
        virtual_quote_reserves=bounded(after.quote),
        real_token_reserves=bounded(after.token),
        real_quote_reserves=bounded(fields.pool_quote_token_reserves + with_lp) if fees_leave else None,
    )
    return BUY.told(trade, surplus)


def decode_sell(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``SellEvent`` of a pool that *place* knows; *quote_amount* is gross. Raises as :func:`decode_buy`."""
    fields, surplus = SELL.read(payload)
    pool = place.pool(to_address(fields.pool))
    after = after_trade(
        _effective(fields.pool_quote_token_reserves, fields.pool_base_token_reserves, fields.virtual_quote_reserves),
        is_buy=False,
        token_amount=fields.base_amount_in,
        quote_amount=fields.quote_amount_out,
        lp_fee=fields.lp_fee,
    )
    trade = Trade(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=pool.mint,
        wallet=to_address(fields.user),
        is_buy=False,
        venue="pool",
        token_amount=fields.base_amount_in,
        quote_amount=fields.quote_amount_out,
        trader_quote_amount=fields.user_quote_amount_out,
        quote_mint=pool.quote_mint,
        protocol_fee=fields.protocol_fee,
        creator_fee=fields.coin_creator_fee or 0,
        lp_fee=fields.lp_fee,
        virtual_token_reserves=bounded(after.token),
        virtual_quote_reserves=bounded(after.quote),
        real_token_reserves=bounded(after.token),
        real_quote_reserves=_quote_vault_after(fields),
    )
    return SELL.told(trade, surplus)


def decode_create_pool(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode a ``CreatePoolEvent``. Raises as :func:`decode_buy`.

    Anyone may open a pool of any two mints: only the one at the address derived from the base mint is recorded.
    """
    fields, surplus = CREATE_POOL.read(payload)
    mint, quote_mint, pool = to_address(fields.base_mint), to_address(fields.quote_mint), to_address(fields.pool)
    if canonical_pool(mint, quote_mint) != pool:
        return CREATE_POOL.told(_OTHER_POOL, surplus)
    seen = PoolSeen(
        pool=pool,
        mint=mint,
        quote_mint=quote_mint,
        base_decimals=fields.base_mint_decimals,
        quote_decimals=fields.quote_mint_decimals,
    )
    place.learn(seen)
    return CREATE_POOL.told(seen, surplus)


def decode_deposit(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``DepositEvent`` of a pool that *place* knows: the vaults only. Raises as :func:`decode_buy`."""
    fields, surplus = DEPOSIT.read(payload)
    vaults = Reserves(fields.pool_quote_token_reserves, fields.pool_base_token_reserves)
    after = Reserves(vaults.quote + fields.quote_amount_in, vaults.token + fields.base_amount_in)
    return DEPOSIT.told(_liquidity_moved("deposit", fields.pool, fields.timestamp, vaults, after, place), surplus)


def decode_withdraw(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``WithdrawEvent`` as :func:`decode_deposit`."""
    fields, surplus = WITHDRAW.read(payload)
    vaults = Reserves(fields.pool_quote_token_reserves, fields.pool_base_token_reserves)
    after = Reserves(vaults.quote - fields.quote_amount_out, vaults.token - fields.base_amount_out)
    return WITHDRAW.told(_liquidity_moved("withdraw", fields.pool, fields.timestamp, vaults, after, place), surplus)


def decode_init_boost(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode an ``InitBoostEvent``: the quote side after it, which is all that it tells. Raises as :func:`decode_buy`."""
    fields, surplus = INIT_BOOST.read(payload)
    effective = _effective(fields.real_quote_reserves_after, 0, fields.virtual_quote_reserves).quote
    changed = ReservesChanged(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=place.pool(to_address(fields.pool)).mint,
        venue="pool",
        kind="init boost",
        virtual_quote_reserves=bounded(effective),
        real_quote_reserves=fields.real_quote_reserves_after,
    )
    return INIT_BOOST.told(changed, surplus)


def decode_boost_buy_and_burn(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``BoostBuyAndBurnEvent``: the state after it, which is all that it tells. Raises as :func:`decode_buy`."""
    fields, surplus = BOOST_BUY_AND_BURN.read(payload)
    after = _effective(fields.real_quote_reserves_after, fields.base_reserves_after, fields.virtual_quote_reserves)
    changed = ReservesChanged(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=place.pool(to_address(fields.pool)).mint,
        venue="pool",
        kind="boost buy and burn",
        virtual_token_reserves=after.token,
        virtual_quote_reserves=bounded(after.quote),
        real_token_reserves=fields.base_reserves_after,
        real_quote_reserves=fields.real_quote_reserves_after,
    )
    return BOOST_BUY_AND_BURN.told(changed, surplus)


#: Discriminator -> decoder, for every event of this program that becomes a record.
DECODERS: Final[dict[bytes, Decoder]] = {
    BUY.discriminator: decode_buy,
    SELL.discriminator: decode_sell,
    CREATE_POOL.discriminator: decode_create_pool,
    DEPOSIT.discriminator: decode_deposit,
    WITHDRAW.discriminator: decode_withdraw,
    INIT_BOOST.discriminator: decode_init_boost,
    BOOST_BUY_AND_BURN.discriminator: decode_boost_buy_and_burn,
}


def _liquidity_moved(kind: str, pool: bytes, timestamp: int, before: Reserves, after: Reserves, place: Place) -> ReservesChanged:
    """What is known is the vaults; the event has no virtual quote reserve, so the effective one is not."""
    return ReservesChanged(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=timestamp,
        mint=place.pool(to_address(pool)).mint,
        venue="pool",
        kind=kind,
        before_virtual_token_reserves=before.token,
        before_real_token_reserves=before.token,
        before_real_quote_reserves=before.quote,
        virtual_token_reserves=bounded(after.token),
        real_token_reserves=bounded(after.token),
        real_quote_reserves=bounded(after.quote),
    )


def _effective(quote_vault: int, base_vault: int, virtual_quote: bytes | None) -> Reserves:
    virtual = 0 if virtual_quote is None else int.from_bytes(virtual_quote, "little", signed=True)
    return Reserves(quote_vault + virtual, base_vault)


def _quote_vault_after(fields: SellFields) -> int | None:
    if fields.protocol_fee_recipient != ZERO_KEY:
        leaves = fields.quote_amount_out_without_lp_fee
    elif fields.buyback_fee is not None:
        leaves = fields.user_quote_amount_out + fields.buyback_fee
    else:
        return None
    return bounded(fields.pool_quote_token_reserves - leaves)
