"""
The one table of events: what the two programs emit, field by field, and which fields become part of our records.

Source: facts/event_layouts.json (official IDLs, lengths checked on real events). A new field goes to the end of its event's text.
To read a field that is skipped today, add its name to the event's record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from pumpwatch.decode.addresses import PUMP, PUMP_AMM
from pumpwatch.decode.borsh import DISCRIMINATOR_BYTES, Field, Reader
from pumpwatch.events import Counted, Event

#: What the kind of a count begins with whose event has bytes behind the last field that we know.
SURPLUS_KIND: Final = "surplus bytes: "

_RecordT = TypeVar("_RecordT", bound=NamedTuple)


class TradeFields(NamedTuple):
    """``TradeEvent``: reserves are those after the trade, amounts net of fees."""

    mint: bytes
    sol_amount: int
    token_amount: int
    is_buy: bool
    user: bytes
    timestamp: int | None = None
    virtual_sol_reserves: int | None = None
    virtual_token_reserves: int | None = None
    real_sol_reserves: int | None = None
    real_token_reserves: int | None = None
    fee: int | None = None
    creator_fee: int | None = None
    cashback: int | None = None
    quote_mint: bytes | None = None
    quote_amount: int | None = None
    virtual_quote_reserves: int | None = None
    real_quote_reserves: int | None = None


class CreateFields(NamedTuple):
    """``CreateEvent``."""

    name: bytes
    symbol: bytes
    uri: bytes
    mint: bytes
    bonding_curve: bytes
    user: bytes
    creator: bytes | None = None
    timestamp: int | None = None
    virtual_token_reserves: int | None = None
    virtual_sol_reserves: int | None = None
    real_token_reserves: int | None = None
    token_total_supply: int | None = None
    token_program: bytes | None = None
    is_mayhem_mode: bool | None = None
    is_cashback_enabled: bool | None = None
    quote_mint: bytes | None = None
    virtual_quote_reserves: int | None = None
    is_holder_reward: bool | None = None


class CompleteFields(NamedTuple):
    """``CompleteEvent``."""

    mint: bytes
    timestamp: int | None = None
    quote_mint: bytes | None = None


class MigrationFields(NamedTuple):
    """``CompletePumpAmmMigrationEvent``: *sol_amount* is in units of the quote mint."""

    mint: bytes
    mint_amount: int
    sol_amount: int
    pool_migration_fee: int
    timestamp: int
    pool: bytes
    quote_mint: bytes | None = None


class PostCompleteBuyFields(NamedTuple):
    """``PostCompleteBuyEvent``: the part of a completing buy that is priced on the pool to come."""

    user: bytes
    mint: bytes
    quote_mint: bytes
    timestamp: int
    base_out: int
    quote_in: int
    fee: int
    creator_fee: int
    pool_base_reserves_after: int
    pool_quote_reserves_after: int


class BuyFields(NamedTuple):
    """PumpSwap ``BuyEvent``: pool reserves are those BEFORE the trade; *virtual_quote_reserves* is a signed i128."""

    timestamp: int
    base_amount_out: int
    pool_base_token_reserves: int
    pool_quote_token_reserves: int
    lp_fee: int
    protocol_fee: int
    quote_amount_in_with_lp_fee: int
    pool: bytes
    user: bytes
    protocol_fee_recipient: bytes
    coin_creator_fee: int | None = None
    cashback: int | None = None
    virtual_quote_reserves: bytes | None = None


class SellFields(NamedTuple):
    """PumpSwap ``SellEvent``: pool reserves are those BEFORE the trade; *virtual_quote_reserves* is a signed i128."""

    timestamp: int
    base_amount_in: int
    pool_base_token_reserves: int
    pool_quote_token_reserves: int
    quote_amount_out: int
    lp_fee: int
    protocol_fee: int
    quote_amount_out_without_lp_fee: int
    user_quote_amount_out: int
    pool: bytes
    user: bytes
    protocol_fee_recipient: bytes
    coin_creator_fee: int | None = None
    cashback: int | None = None
    buyback_fee: int | None = None
    virtual_quote_reserves: bytes | None = None


class CreatePoolFields(NamedTuple):
    """PumpSwap ``CreatePoolEvent``."""

    base_mint: bytes
    quote_mint: bytes
    base_mint_decimals: int
    quote_mint_decimals: int
    pool: bytes


class MayhemParamsFields(NamedTuple):
    """``UpdateMayhemVirtualParamsEvent``: virtual reserves before it, and after it (``new_*``); the real ones do not change."""

    timestamp: int
    mint: bytes
    virtual_token_reserves: int
    virtual_sol_reserves: int
    new_virtual_token_reserves: int
    new_virtual_sol_reserves: int
    real_token_reserves: int
    real_sol_reserves: int


class DepositFields(NamedTuple):
    """PumpSwap ``DepositEvent``: pool reserves (the vaults) BEFORE it."""

    timestamp: int
    pool_base_token_reserves: int
    pool_quote_token_reserves: int
    base_amount_in: int
    quote_amount_in: int
    pool: bytes


class WithdrawFields(NamedTuple):
    """PumpSwap ``WithdrawEvent``: pool reserves (the vaults) BEFORE it."""

    timestamp: int
    pool_base_token_reserves: int
    pool_quote_token_reserves: int
    base_amount_out: int
    quote_amount_out: int
    pool: bytes


class InitBoostFields(NamedTuple):
    """PumpSwap ``InitBoostEvent``: the quote side after it; *virtual_quote_reserves* is a signed i128."""

    timestamp: int
    pool: bytes
    virtual_quote_reserves: bytes
    real_quote_reserves_after: int


class BoostBuyAndBurnFields(NamedTuple):
    """PumpSwap ``BoostBuyAndBurnEvent``: both vaults after it; *virtual_quote_reserves* is a signed i128."""

    timestamp: int
    pool: bytes
    virtual_quote_reserves: bytes
    real_quote_reserves_after: int
    base_reserves_after: int


class Layout(Generic[_RecordT]):
    """One event of one program: its discriminator, all its fields, and how to read those of its record."""

    def __init__(self, program: str, name: str, fields: str, record: type[_RecordT]) -> None:
        self.program = program
        self.name = name
        self.discriminator = discriminator(name)
        self.fields = [Field(*text.split(":")) for text in fields.split()]
        self.surplus_kind = f"{SURPLUS_KIND}{name}"
        self._record: Callable[..., _RecordT] = record
        self._whole_record: Callable[[tuple[object, ...]], _RecordT] = record._make  # takes no defaults, so it is quicker
        self._size = len(record._fields)
        required = len(record._fields) - len(record._field_defaults)
        self._reader = Reader(self.fields, frozenset(record._fields), required=required)

    def read(self, payload: bytes) -> tuple[_RecordT, int]:
        """
        Return the record in *payload* and the number of bytes after the last known field.

        Raises:
            UnreadableEvent, OutOfRange: As :meth:`pumpwatch.decode.borsh.Reader.read`.

        """
        values, surplus = self._reader.read(payload)
        return self._whole_record(values) if len(values) == self._size else self._record(*values), surplus

    def told(self, event: Event, surplus: int) -> tuple[Event, ...]:
        """Return *event*, and a count when the payload had *surplus* bytes: the program has been upgraded."""
        return (event, Counted(kind=self.surplus_kind)) if surplus else (event,)


def discriminator(name: str) -> bytes:
    """Return what Anchor puts before the fields of event *name*."""
    return hashlib.sha256(f"event:{name}".encode()).digest()[:DISCRIMINATOR_BYTES]


TRADE: Final = Layout(
    PUMP,
    "TradeEvent",
    """mint:pk sol_amount:u64 token_amount:u64 is_buy:bool user:pk timestamp:i64 virtual_sol_reserves:u64
    virtual_token_reserves:u64 real_sol_reserves:u64 real_token_reserves:u64 fee_recipient:pk fee_basis_points:u64 fee:u64
    creator:pk creator_fee_basis_points:u64 creator_fee:u64 track_volume:bool total_unclaimed_tokens:u64 total_claimed_tokens:u64
    current_sol_volume:u64 last_update_timestamp:i64 ix_name:str mayhem_mode:bool cashback_fee_basis_points:u64 cashback:u64
    buyback_fee_basis_points:u64 buyback_fee:u64 shareholders:shv quote_mint:pk quote_amount:u64 virtual_quote_reserves:u64
    real_quote_reserves:u64 holder_rewards_bps:u64 holder_rewards:u64 creator_fee_unclaimed:u64""",
    TradeFields,
)
CREATE: Final = Layout(
    PUMP,
    "CreateEvent",
    """name:str symbol:str uri:str mint:pk bonding_curve:pk user:pk creator:pk timestamp:i64 virtual_token_reserves:u64
    virtual_sol_reserves:u64 real_token_reserves:u64 token_total_supply:u64 token_program:pk is_mayhem_mode:bool
    is_cashback_enabled:bool quote_mint:pk virtual_quote_reserves:u64 creator_fee_bps:u64 is_holder_reward:bool depth:u8""",
    CreateFields,
)
COMPLETE: Final = Layout(PUMP, "CompleteEvent", "user:pk mint:pk bonding_curve:pk timestamp:i64 quote_mint:pk", CompleteFields)
MIGRATION: Final = Layout(
    PUMP,
    "CompletePumpAmmMigrationEvent",
    """user:pk mint:pk mint_amount:u64 sol_amount:u64 pool_migration_fee:u64 bonding_curve:pk timestamp:i64 pool:pk
    quote_mint:pk""",
    MigrationFields,
)
POST_COMPLETE_BUY: Final = Layout(
    PUMP,
    "PostCompleteBuyEvent",
    """user:pk mint:pk bonding_curve:pk quote_mint:pk timestamp:i64 base_out:u64 quote_in:u64 fee_basis_points:u64 fee:u64
    creator_fee_basis_points:u64 creator_fee:u64 buyback_fee:u64 pool_base_reserves_before:u64 pool_quote_reserves_before:u64
    pool_base_reserves_after:u64 pool_quote_reserves_after:u64""",
    PostCompleteBuyFields,
)
BUY: Final = Layout(
    PUMP_AMM,
    "BuyEvent",
    """timestamp:i64 base_amount_out:u64 max_quote_amount_in:u64 user_base_token_reserves:u64 user_quote_token_reserves:u64
    pool_base_token_reserves:u64 pool_quote_token_reserves:u64 quote_amount_in:u64 lp_fee_basis_points:u64 lp_fee:u64
    protocol_fee_basis_points:u64 protocol_fee:u64 quote_amount_in_with_lp_fee:u64 user_quote_amount_in:u64 pool:pk user:pk
    user_base_token_account:pk user_quote_token_account:pk protocol_fee_recipient:pk protocol_fee_recipient_token_account:pk
    coin_creator:pk coin_creator_fee_basis_points:u64 coin_creator_fee:u64 track_volume:bool total_unclaimed_tokens:u64
    total_claimed_tokens:u64 current_sol_volume:u64 last_update_timestamp:i64 min_base_amount_out:u64 ix_name:str
    cashback_fee_basis_points:u64 cashback:u64 buyback_fee_basis_points:u64 buyback_fee:u64 virtual_quote_reserves:i128
    can_boost:bool base_supply:u64 holder_rewards_bps:u64 holder_rewards:u64 creator_fee_unclaimed:u64""",
    BuyFields,
)
SELL: Final = Layout(
    PUMP_AMM,
    "SellEvent",
    """timestamp:i64 base_amount_in:u64 min_quote_amount_out:u64 user_base_token_reserves:u64 user_quote_token_reserves:u64
    pool_base_token_reserves:u64 pool_quote_token_reserves:u64 quote_amount_out:u64 lp_fee_basis_points:u64 lp_fee:u64
    protocol_fee_basis_points:u64 protocol_fee:u64 quote_amount_out_without_lp_fee:u64 user_quote_amount_out:u64 pool:pk user:pk
    user_base_token_account:pk user_quote_token_account:pk protocol_fee_recipient:pk protocol_fee_recipient_token_account:pk
    coin_creator:pk coin_creator_fee_basis_points:u64 coin_creator_fee:u64 cashback_fee_basis_points:u64 cashback:u64
    buyback_fee_basis_points:u64 buyback_fee:u64 virtual_quote_reserves:i128 can_boost:bool base_supply:u64
    holder_rewards_bps:u64 holder_rewards:u64 creator_fee_unclaimed:u64""",
    SellFields,
)
CREATE_POOL: Final = Layout(
    PUMP_AMM,
    "CreatePoolEvent",
    """timestamp:i64 index:u16 creator:pk base_mint:pk quote_mint:pk base_mint_decimals:u8 quote_mint_decimals:u8
    base_amount_in:u64 quote_amount_in:u64 pool_base_amount:u64 pool_quote_amount:u64 minimum_liquidity:u64
    initial_liquidity:u64 lp_token_amount_out:u64 pool_bump:u8 pool:pk lp_mint:pk user_base_token_account:pk
    user_quote_token_account:pk coin_creator:pk is_mayhem_mode:bool creator_fee_bps:u64 can_edit_creator_fee:bool
    is_holder_reward:bool""",
    CreatePoolFields,
)
MAYHEM_PARAMS: Final = Layout(
    PUMP,
    "UpdateMayhemVirtualParamsEvent",
    """timestamp:i64 mint:pk virtual_token_reserves:u64 virtual_sol_reserves:u64 new_virtual_token_reserves:u64
    new_virtual_sol_reserves:u64 real_token_reserves:u64 real_sol_reserves:u64""",
    MayhemParamsFields,
)
DEPOSIT: Final = Layout(
    PUMP_AMM,
    "DepositEvent",
    """timestamp:i64 lp_token_amount_out:u64 max_base_amount_in:u64 max_quote_amount_in:u64 user_base_token_reserves:u64
    user_quote_token_reserves:u64 pool_base_token_reserves:u64 pool_quote_token_reserves:u64 base_amount_in:u64
    quote_amount_in:u64 lp_mint_supply:u64 pool:pk user:pk user_base_token_account:pk user_quote_token_account:pk
    user_pool_token_account:pk""",
    DepositFields,
)
WITHDRAW: Final = Layout(
    PUMP_AMM,
    "WithdrawEvent",
    """timestamp:i64 lp_token_amount_in:u64 min_base_amount_out:u64 min_quote_amount_out:u64 user_base_token_reserves:u64
    user_quote_token_reserves:u64 pool_base_token_reserves:u64 pool_quote_token_reserves:u64 base_amount_out:u64
    quote_amount_out:u64 lp_mint_supply:u64 pool:pk user:pk user_base_token_account:pk user_quote_token_account:pk
    user_pool_token_account:pk""",
    WithdrawFields,
)
INIT_BOOST: Final = Layout(
    PUMP_AMM,
    "InitBoostEvent",
    "timestamp:i64 mint:pk bonding_curve:pk pool:pk virtual_quote_reserves:i128 real_quote_reserves_after:u64",
    InitBoostFields,
)
BOOST_BUY_AND_BURN: Final = Layout(
    PUMP_AMM,
    "BoostBuyAndBurnEvent",
    """timestamp:i64 mint:pk bonding_curve:pk pool:pk authority:pk quote_amount_in_requested:u64 quote_amount_in_used:u64
    base_amount_burned:u64 virtual_quote_reserves:i128 real_quote_reserves_after:u64 base_reserves_after:u64
    boost_vault_remaining:u64""",
    BoostBuyAndBurnFields,
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Events that change no trade record: known by name, counted, not read. Names after ``facts/idl/`` and ``event_layouts.json``.
NOT_RECORDED: Final = {
    PUMP: _names(
        """AddQuoteControlMintEvent AdminCtoEvent AdminSetIdlAuthorityEvent AdminUpdateTokenIncentivesEvent ClaimCashbackEvent
    ClaimTokenIncentivesEvent CloseUserVolumeAccumulatorEvent CollectCreatorFeeEvent DistributeCreatorFeesEvent
    DistributeFeeToHoldersEvent ExtendAccountEvent InitUserVolumeAccumulatorEvent MigrateBondingCurveCreatorEvent
    MinimumDistributableFeeEvent RemoveQuoteControlMintEvent ReservedFeeRecipientsEvent SetCreatorEvent SetMetaplexCreatorEvent
    SetParamsEvent SetQuoteControlAdminEvent SweepBondingCurveFeeEvent SyncUserVolumeAccumulatorEvent UpdateCreatorFeeConfigEvent
    UpdateGlobalAuthorityEvent"""
    ),
    PUMP_AMM: _names(
        """AdminCtoPoolEvent AdminUpdateTokenIncentivesEvent ClaimCashbackEvent
    ClaimTokenIncentivesEvent CloseUserVolumeAccumulatorEvent CollectCoinCreatorFeeEvent CreateConfigEvent
    DisableEvent ExtendAccountEvent InitUserVolumeAccumulatorEvent MigratePoolCoinCreatorEvent
    ReservedFeeRecipientsEvent SetBondingCurveCoinCreatorEvent SetBoostAuthorityEvent SetMetaplexCoinCreatorEvent
    SweepPoolFeeEvent SyncUserVolumeAccumulatorEvent UpdateAdminEvent UpdateCreatorFeeConfigEvent UpdateFeeConfigEvent"""
    ),
}

#: Instructions of the two programs that trade or create, and so emit an event that is recorded;
#: facts/onchain_events.md sections 2 and 6. New families come as ``_v2``, ``_v3``. (A migration may do nothing: somebody else was
#: faster.)
TRADING: Final = tuple(
    f"{family}{version}"
    for family in ("buy", "sell", "create", "create_pool", "buy_exact_sol_in", "buy_exact_quote_in", "multi_hop_swap")
    for version in ("", "_v2", "_v3", "_v4", "_v5")
)
