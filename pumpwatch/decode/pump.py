"""
Events of the bonding-curve program: payload -> records.

Quote rule: an event has its quote amounts twice since May 2026. The ``quote_*`` fields hold for every quote mint, the ``sol_*``
fields are 0 unless it is SOL; older events are all SOL. Source: facts/onchain_events.md sections 0, 2 and 5.
"""

from __future__ import annotations

from typing import Final

from pumpwatch.decode.addresses import MAYHEM_AGENT, QUOTE_DECIMALS, ZERO_KEY, to_address
from pumpwatch.decode.layouts import COMPLETE, CREATE, MAYHEM_PARAMS, MIGRATION, POST_COMPLETE_BUY, TRADE, TradeFields
from pumpwatch.decode.place import Decoder, Place, bounded
from pumpwatch.decode.text import clean_bytes
from pumpwatch.events import WRAPPED_SOL, CurveCompleted, Event, PoolSeen, ReservesChanged, TokenCreated, TokenMigrated, Trade


def decode_trade(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode a ``TradeEvent``.

    Raises:
        UnreadableEvent, OutOfRange: As :meth:`pumpwatch.decode.borsh.Reader.read`.

    """
    fields, surplus = TRADE.read(payload)
    quote_mint = _quote_mint(fields.quote_mint)
    is_sol = quote_mint == WRAPPED_SOL
    quote_amount, virtual_quote, real_quote = fields.quote_amount, fields.virtual_quote_reserves, fields.real_quote_reserves
    if real_quote is None:  # the last of the three: an older event
        quote_amount = _quote(quote_amount, fields.sol_amount, is_sol=is_sol)
        virtual_quote = _quote(virtual_quote, fields.virtual_sol_reserves, is_sol=is_sol)
        real_quote = _quote(real_quote, fields.real_sol_reserves, is_sol=is_sol)
    wallet = to_address(fields.user)
    trade = Trade(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=to_address(fields.mint),
        wallet=wallet,
        is_buy=fields.is_buy,
        venue="curve",
        token_amount=fields.token_amount,
        quote_amount=quote_amount,
        trader_quote_amount=_trader_quote_amount(quote_amount, fields),
        quote_mint=quote_mint,
        protocol_fee=fields.fee,
        creator_fee=fields.creator_fee,
        virtual_token_reserves=fields.virtual_token_reserves,
        virtual_quote_reserves=virtual_quote,
        real_token_reserves=fields.real_token_reserves,
        real_quote_reserves=real_quote,
        by_mayhem_agent=wallet == MAYHEM_AGENT,
    )
    return TRADE.told(trade, surplus)


def decode_create(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``CreateEvent``. Raises as :func:`decode_trade`."""
    fields, surplus = CREATE.read(payload)
    quote_mint = _quote_mint(fields.quote_mint)
    is_sol = quote_mint == WRAPPED_SOL
    created = TokenCreated(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=to_address(fields.mint),
        bonding_curve=to_address(fields.bonding_curve),
        developer=to_address(fields.user),
        creator=_address(fields.creator),
        name=clean_bytes(fields.name),
        symbol=clean_bytes(fields.symbol),
        uri=clean_bytes(fields.uri),
        virtual_token_reserves=fields.virtual_token_reserves,
        virtual_quote_reserves=_quote(fields.virtual_quote_reserves, fields.virtual_sol_reserves, is_sol=is_sol),
        real_token_reserves=fields.real_token_reserves,
        token_total_supply=fields.token_total_supply,
        token_program=_address(fields.token_program),
        quote_mint=quote_mint,
        is_mayhem_mode=fields.is_mayhem_mode,
        is_cashback_enabled=fields.is_cashback_enabled,
        is_holder_reward=fields.is_holder_reward,
    )
    return CREATE.told(created, surplus)


def decode_complete(payload: bytes, place: Place) -> tuple[Event, ...]:
    """Decode a ``CompleteEvent``. Raises as :func:`decode_trade`."""
    fields, surplus = COMPLETE.read(payload)
    completed = CurveCompleted(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=to_address(fields.mint),
        quote_mint=_quote_mint(fields.quote_mint),
    )
    return COMPLETE.told(completed, surplus)


def decode_migration(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode a ``CompletePumpAmmMigrationEvent``. Raises as :func:`decode_trade`.

    The pool is told as :class:`PoolSeen` too, unless its creation in the same transaction did, or the quote mint's decimals are
    unknown (then only the creation can tell).
    """
    fields, surplus = MIGRATION.read(payload)
    mint, pool, quote_mint = to_address(fields.mint), to_address(fields.pool), _quote_mint(fields.quote_mint)
    migrated = TokenMigrated(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=mint,
        pool=pool,
        quote_mint=quote_mint,
        token_amount=fields.mint_amount,
        quote_amount=fields.sol_amount,
        pool_migration_fee=fields.pool_migration_fee,
    )
    events = MIGRATION.told(migrated, surplus)
    decimals = QUOTE_DECIMALS.get(quote_mint)
    if decimals is None:
        return events
    seen = PoolSeen(pool=pool, mint=mint, quote_mint=quote_mint, quote_decimals=decimals)
    return (*events, seen) if place.learn(seen) else events


def decode_post_complete_buy(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode a ``PostCompleteBuyEvent``: the part of a completing buy that is priced on the pool to come.

    Raises as :func:`decode_trade`. That pool has no virtual quote reserve yet (one may be added at the migration), so its
    effective reserves are its vaults'.
    """
    fields, surplus = POST_COMPLETE_BUY.read(payload)
    trade = Trade(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=to_address(fields.mint),
        wallet=to_address(fields.user),
        is_buy=True,
        venue="pool",
        token_amount=fields.base_out,
        quote_amount=fields.quote_in,
        trader_quote_amount=bounded(fields.quote_in + fields.fee + fields.creator_fee),
        quote_mint=_quote_mint(fields.quote_mint),
        protocol_fee=fields.fee,
        creator_fee=fields.creator_fee,
        virtual_token_reserves=fields.pool_base_reserves_after,
        virtual_quote_reserves=fields.pool_quote_reserves_after,
        real_token_reserves=fields.pool_base_reserves_after,
        real_quote_reserves=fields.pool_quote_reserves_after,
    )
    return POST_COMPLETE_BUY.told(trade, surplus)


def decode_mayhem_params(payload: bytes, place: Place) -> tuple[Event, ...]:
    """
    Decode an ``UpdateMayhemVirtualParamsEvent``. Raises as :func:`decode_trade`.

    It does not name the quote mint. No curve in SOL has a virtual quote reserve of 0: with 0, the quote is another, and its
    reserves are not in the event.
    """
    fields, surplus = MAYHEM_PARAMS.read(payload)
    in_sol = fields.virtual_sol_reserves > 0 or fields.new_virtual_sol_reserves > 0
    real_quote = fields.real_sol_reserves if in_sol else None
    changed = ReservesChanged(
        signature=place.signature,
        event_index=place.event_index,
        slot=place.slot,
        block_time=fields.timestamp,
        mint=to_address(fields.mint),
        venue="curve",
        kind="mayhem params",
        before_virtual_token_reserves=fields.virtual_token_reserves,
        before_virtual_quote_reserves=fields.virtual_sol_reserves if in_sol else None,
        before_real_token_reserves=fields.real_token_reserves,
        before_real_quote_reserves=real_quote,
        virtual_token_reserves=fields.new_virtual_token_reserves,
        virtual_quote_reserves=fields.new_virtual_sol_reserves if in_sol else None,
        real_token_reserves=fields.real_token_reserves,
        real_quote_reserves=real_quote,
    )
    return MAYHEM_PARAMS.told(changed, surplus)


#: Discriminator -> decoder, for every event of this program that becomes a record.
DECODERS: Final[dict[bytes, Decoder]] = {
    TRADE.discriminator: decode_trade,
    CREATE.discriminator: decode_create,
    COMPLETE.discriminator: decode_complete,
    MIGRATION.discriminator: decode_migration,
    POST_COMPLETE_BUY.discriminator: decode_post_complete_buy,
    MAYHEM_PARAMS.discriminator: decode_mayhem_params,
}


def _quote_mint(key: bytes | None) -> str:
    return WRAPPED_SOL if key is None or key == ZERO_KEY else to_address(key)


def _address(key: bytes | None) -> str | None:
    return None if key is None else to_address(key)


def _quote(in_quote: int | None, in_sol: int | None, *, is_sol: bool) -> int | None:
    """Apply the quote rule: the ``sol_*`` field stands in for a missing ``quote_*`` field only where the quote is SOL."""
    if in_quote is not None:
        return in_quote
    return in_sol if is_sol else None


def _trader_quote_amount(quote_amount: int | None, fields: TradeFields) -> int | None:
    """Return what was paid or received with all fees; None where the event's version does not tell the fees."""
    if quote_amount is None or fields.fee is None or fields.creator_fee is None:
        return None
    # Cashback takes the place of the creator fee; events before it existed had none.
    fees = fields.fee + fields.creator_fee + (fields.cashback or 0)
    if fields.is_buy:
        return bounded(quote_amount + fees)
    # Dust can be worth less than its fees, each of which is rounded up: what was paid out then is not in the event.
    return quote_amount - fees if quote_amount >= fees else None
