"""
What travels from the feeds to the writer: frozen records, one class for each fact that becomes a row.

Amounts are the chain's integers: base units of the token or lamports (base units of the quote mint), never floats, at most
:data:`LARGEST_INTEGER`. Addresses, mints and signatures are base58 text. Unknown is None. ``*_us`` is our clock in unix
microseconds, ``block_time`` the chain's in unix seconds.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

#: SQLite's INTEGER is signed, 64 bits: a larger u64 of the chain is set aside by the decoder, never stored half.
LARGEST_INTEGER: Final = 2**63 - 1

#: How SOL is named as a quote: events carry the zero key or the wrapped-SOL mint for it; both become this.
WRAPPED_SOL: Final = "So11111111111111111111111111111111111111112"

Venue: TypeAlias = Literal["curve", "pool"]

#: Who told us. The order is that of the ``sources`` column.
Source: TypeAlias = Literal["pumpportal", "helius", "backfill"]
SOURCES: Final[tuple[Source, ...]] = ("pumpportal", "helius", "backfill")


class Trade(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    One buy or sell.

    From the chain it has *event_index*, *slot* and the exact amounts. From PumpPortal it is provisional: *event_index*, *slot*,
    *block_time*, quote reserves and fees are None.

    Attributes:
        signature: Transaction. With *event_index* it identifies the trade.
        event_index: Position among all event payloads of the two programs in that transaction, known or not, from 0.
        wallet: The trader (``user`` of the event), not always the fee payer.
        token_amount: Base units of the token (10**-6 token for pump.fun mints).
        quote_amount: Base units of *quote_mint*, net of fees: what moved the reserves.
        trader_quote_amount: What the trader paid or received, fees included.
        quote_mint: :data:`WRAPPED_SOL` for SOL; None when the source does not tell.
        protocol_fee: ``fee`` of the event (the buyback share is contained in it).
        virtual_token_reserves: AFTER the trade, like all reserves. For a pool ``virtual_*`` are the effective B' and E' and
            ``real_*`` the vaults.
        by_mayhem_agent: The mayhem agent traded: the virtual quote reserve was re-anchored inside the trade, so the state before
            cannot be computed from the state after.
        message_key: What tells two PumpPortal messages about alike trades of one transaction apart: the token reserve after the
            trade where the message has one (positive), else a negative fingerprint of the message. None from the chain.

    Source: ``TradeEvent``, ``PostCompleteBuyEvent`` (pump), ``BuyEvent``, ``SellEvent`` (PumpSwap); messages of PumpPortal.
    """

    signature: str
    mint: str
    wallet: str
    is_buy: bool
    venue: Venue
    token_amount: int
    quote_amount: int | None = None
    trader_quote_amount: int | None = None
    quote_mint: str | None = None
    protocol_fee: int | None = None
    creator_fee: int | None = None
    lp_fee: int | None = None
    virtual_token_reserves: int | None = None
    virtual_quote_reserves: int | None = None
    real_token_reserves: int | None = None
    real_quote_reserves: int | None = None
    by_mayhem_agent: bool = False
    event_index: int | None = None
    slot: int | None = None
    block_time: int | None = None
    message_key: int | None = None


class TokenCreated(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A token was created on pump.fun.

    From the chain (``CreateEvent``) all fields its version has; from PumpPortal *event_index*, *slot*, *block_time* and what the
    message lacks are None.

    Attributes:
        developer: ``user`` of CreateEvent, who signed the creation.
        creator: Who gets the creator fee; on some coins an address controlled by pump.fun.
        bonding_curve: Derived by us from *mint*, never taken from PumpPortal.
    """

    signature: str
    mint: str
    bonding_curve: str
    developer: str
    event_index: int | None = None
    slot: int | None = None
    block_time: int | None = None
    name: str | None = None
    symbol: str | None = None
    uri: str | None = None
    creator: str | None = None
    virtual_token_reserves: int | None = None
    virtual_quote_reserves: int | None = None
    real_token_reserves: int | None = None
    token_total_supply: int | None = None
    token_program: str | None = None
    quote_mint: str | None = None
    is_mayhem_mode: bool | None = None
    is_cashback_enabled: bool | None = None
    is_holder_reward: bool | None = None


class CurveCompleted(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """The curve is sold out: no more curve trades until the migration. Source: ``CompleteEvent``."""

    signature: str
    mint: str
    event_index: int
    slot: int
    block_time: int | None = None
    quote_mint: str | None = None


class TokenMigrated(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A token moved to its canonical PumpSwap pool.

    Source: ``CompletePumpAmmMigrationEvent``, or PumpPortal's ``migrate``, which has nothing but signature and mint.
    """

    signature: str
    mint: str
    event_index: int | None = None
    slot: int | None = None
    block_time: int | None = None
    pool: str | None = None
    quote_mint: str | None = None
    token_amount: int | None = None
    quote_amount: int | None = None
    pool_migration_fee: int | None = None


class PoolSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A canonical PumpSwap pool is known: from ``CreatePoolEvent``, from a migration, or derived by us for a watched token.

    Attributes:
        mint: The pump.fun token (the pool's base mint).
    """

    pool: str
    mint: str
    quote_mint: str
    base_decimals: int = 6
    quote_decimals: int = 9


class ReservesChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    Reserves moved, or were renamed, without a trade: a step of the token's chain all the same.

    Attributes:
        kind: ``mayhem params`` (UpdateMayhemVirtualParamsEvent), ``deposit``, ``withdraw``, ``init boost``, ``boost buy and
            burn``.
        event_index: As of a trade.
        before_virtual_token_reserves: BEFORE it; unknown is None. For a pool ``virtual_*`` are the effective B and E, ``real_*``
            the vaults, as in :class:`Trade`.
        virtual_token_reserves: AFTER it, like all without ``before``.

    Source: facts/onchain_events.md sections 2.2, 2.3 and 7.
    """

    signature: str
    mint: str
    venue: Venue
    kind: str
    event_index: int
    slot: int
    block_time: int | None = None
    before_virtual_token_reserves: int | None = None
    before_virtual_quote_reserves: int | None = None
    before_real_token_reserves: int | None = None
    before_real_quote_reserves: int | None = None
    virtual_token_reserves: int | None = None
    virtual_quote_reserves: int | None = None
    real_token_reserves: int | None = None
    real_quote_reserves: int | None = None


class GapOpened(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A stretch in which trades may have been missed.

    Attributes:
        cause: ``disconnected``, ``silent``, ``log truncated``, ``spill full``, ``spill torn``, ``start``, ``restart``; why a feed
            does not deliver what is wanted: ``refused``, ``limit``, ``budget``; ``watched``: a token was watched before its
            subscription was confirmed. The writer itself finds ``break`` (two trades of a token do not chain), ``doubt`` (whether
            they do cannot be told) and ``tail`` (the chain's account is in a state that follows none of our trades).
        mint: None for all watched tokens (or, of these last three, for the wallets or programs).
        to_us: None while it is still open.
    """

    cause: str
    from_us: int
    to_us: int | None = None
    feed: str | None = None
    mint: str | None = None
    signature: str | None = None
    slot: int | None = None
    detail: str | None = None


class Anchor(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    The state of a token's curve, or of its pool, as an account of the chain showed it: where its chain of trades must end.

    Attributes:
        slot: Of the answer's context: trades of later slots are not in it.
        asked_at_us: When it was asked for, by our clock.
        block_time: The chain's clock at that slot, in unix seconds (sysvar Clock, read in the same call).
        commitment: ``confirmed`` or ``finalized``.
        exists: False: there is no such account (asked again at finalized).
        is_complete: The curve's flag; with zero reserves it has migrated.
        virtual_token_reserves: For a pool ``virtual_*`` are the effective B and E, ``real_*`` the vaults, as in :class:`Trade`.
    """

    mint: str
    venue: Venue
    slot: int
    asked_at_us: int
    commitment: str
    block_time: int | None = None
    exists: bool = True
    is_complete: bool = False
    virtual_token_reserves: int | None = None
    virtual_quote_reserves: int | None = None
    real_token_reserves: int | None = None
    real_quote_reserves: int | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    The list of signatures of a token's curve or pool was read over a range of slots, and every successful one in it is recorded:
    told behind the trades that it brought.

    Attributes:
        commitment: ``finalized``: nothing can be added to the range or taken from it any more; ``confirmed``: it could.
        from_slot: The first slot of the range; 0 = back to the creation.
        signatures: How many transactions the list has in the range, failed ones left out.
    """

    mint: str
    venue: Venue
    from_slot: int
    to_slot: int
    commitment: str
    signatures: int
    at_us: int


class GapFilling(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    Backfill has taken up a gap.

    Attributes:
        from_slot: The slots that certainly hold all of the gap; kept where the row has none yet.
    """

    gap_id: int
    from_slot: int | None = None
    to_slot: int | None = None


class GapFilled(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    Backfill has done what it can for a gap, for now: the writer judges it in the transaction that stores this.

    Attributes:
        fetched: Its transaction (``log truncated``) was fetched and is stored before this.
        unfillable: Why no further try is worth it; the gap then is ``unfillable`` unless it can be closed.
    """

    gap_id: int
    at_us: int
    fetched: bool = False
    unfillable: str | None = None


class TradesDropped(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """A transaction is not on the chain, and cannot be any more: its trades are ``dropped`` (and revived if it is after all)."""

    signature: str
    mint: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A message or payload that did not become an event, kept with its raw text and the reason.

    Attributes:
        kind: Few and fixed, for counting: ``not json``, ``unknown shape``, ``quote mint as mint``, ``out of range``, ...
        ours: One of our own two programs emitted it: kept apart, bounded by age, so that a later version can read it.
    """

    kind: str
    reason: str
    raw: bytes
    ours: bool = False
    signature: str | None = None
    slot: int | None = None


class Counted(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """Something known and not recorded, by design: counted under *kind*, nothing kept (another launchpad's token, say)."""

    kind: str


class SpellStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A token or wallet is watched from *at_us* on.

    Attributes:
        reason: ``pinned`` (settings), ``asked`` (``watch add``), ``wallet`` (a watched wallet traded the token), ``admitted``.
    """

    kind: Literal["token", "wallet"]
    address: str
    reason: str
    at_us: int


class SpellEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """It is watched no longer. *reason*: ``idle``, ``asked``, ``wallet``, ``unpinned``, ``limit``, ``budget``, ``disk``."""

    kind: Literal["token", "wallet"]
    address: str
    reason: str
    at_us: int


class Covered(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """Up to *until_us* everything that *feed* brought was handed over: told behind all of it, so that it is stored after it."""

    feed: str
    until_us: int


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    What a provider delivered since the last such event: added to its row of that UTC *day* (``2026-11-22``).

    Attributes:
        calls: JSON-RPC calls over HTTP, each of a batch counted; *call_credits* what they cost.
    """

    provider: str
    day: str
    messages: int = 0
    paid_messages: int = 0
    received_bytes: int = 0
    connections: int = 0
    calls: int = 0
    call_credits: int = 0


class QuotePriced(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    What a whole one of a quote cost in a minute. Told in that minute it is live, and replaces what was told before; told later (a
    close of the past) it only fills a minute that has none.

    Attributes:
        minute: Unix time / 60.
        usd: US dollars.
        source: Who said so: ``coinbase``, ``jupiter``, ``coingecko``, ``binance (USDT)``, or the server of ``[prices] url``.
        at_us: When it was asked for, by our clock.
    """

    quote_mint: str
    minute: int
    usd: float
    source: str
    at_us: int


class MetadataFetched(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    The file behind a token's uri was asked for. Replaces what was there; a failure does not replace what was fetched.

    Attributes:
        source: The host that was asked.
        error: Why there is nothing; None: the texts are what the file said.
    """

    mint: str
    at_us: int
    source: str
    error: str | None = None
    name: str | None = None
    symbol: str | None = None
    description: str | None = None
    image: str | None = None
    website: str | None = None
    twitter: str | None = None
    telegram: str | None = None


class RatesSought(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    No source has a close for these minutes of a quote: they are not asked for again. Replaces what was told before.

    Attributes:
        ranges: First and last minute (unix time / 60) of each stretch.
    """

    quote_mint: str
    ranges: tuple[tuple[int, int], ...]


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    A worker has started. A run before it that has no end gets the one that is told here.

    Attributes:
        before_ended_at_us: When that one was last known to live; None: unknown.
        before_exit_status: None where nobody knows.
    """

    started_at_us: int
    pid: int
    version: str
    before_ended_at_us: int | None = None
    before_exit_status: int | None = None
    before_reason: str = "killed, or the power went: it could not say so"


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """The worker that started then is stopping."""

    started_at_us: int
    ended_at_us: int
    exit_status: int
    reason: str


class AlertRaised(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """
    Somebody should hear of this. *rule*, *subject* and *raised_at_us* identify it.

    Attributes:
        rule: ``feed down``, ``disk``, ``large trade``, ...
        subject: A feed, a mint, a signature, or empty.
        text: One sentence. It may hold strangers' text: to be rendered by whoever shows it.
        lasts: It has an end, which is told later (:class:`AlertResolved`).
        completeness: Of the record that a market alert is based on.
        to_send: There is somebody to send it to.
    """

    rule: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    raised_at_us: int
    text: str
    is_market: bool = False
    lasts: bool = True
    completeness: str | None = None
    value: float | None = None
    threshold: float | None = None
    to_send: bool = False


class AlertResolved(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """What an alert was raised for is over."""

    rule: str
    subject: str
    raised_at_us: int
    resolved_at_us: int
    text: str


class AlertSent(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True, omit_defaults=True):
    """What became of sending an alert. *outcome*: ``sent`` or ``failed``."""

    rule: str
    subject: str
    raised_at_us: int
    outcome: Literal["sent", "failed"]
    at_us: int
    attempts: int


Event: TypeAlias = (
    Trade
    | TokenCreated
    | CurveCompleted
    | TokenMigrated
    | PoolSeen
    | ReservesChanged
    | GapOpened
    | Anchor
    | Listed
    | GapFilling
    | GapFilled
    | TradesDropped
    | Rejected
    | Counted
    | SpellStarted
    | SpellEnded
    | Covered
    | Usage
    | QuotePriced
    | RatesSought
    | MetadataFetched
    | RunStarted
    | RunEnded
    | AlertRaised
    | AlertResolved
    | AlertSent
)


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """
    One message of a source with all that was decoded from it: the unit on the queue, in the spill and in a transaction.

    Attributes:
        source: ``pumpportal``, ``helius`` or ``backfill``; ``pumpwatch`` for what we say ourselves (gaps, spells, usage).
        events: For a chain source, all events of the transaction: a delivery of trades settles its signature.
        raw: The message as received, kept until the events are stored.
    """

    source: str
    received_at_us: int
    events: tuple[Event, ...]
    raw: bytes = b""
