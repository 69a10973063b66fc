"""
Event payloads, byte for byte as the two programs write them (Borsh behind an 8-byte discriminator).

Fields left out are zero: most of an event is bookkeeping that no trade depends on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from pumpwatch.simulator.chain import PUMP, PUMPSWAP

#: What a field takes: int, bool, 32 bytes of a key, text (or its raw bytes), or shareholders as (key, basis points).
FieldValue: TypeAlias = int | bytes | str | Sequence[tuple[bytes, int]]
Values: TypeAlias = Mapping[str, FieldValue]

_CODES: Final = {"pk": "32s", "u64": "Q", "i64": "q", "u16": "H", "u8": "B", "bool": "?"}
_ZEROS: Final[dict[str, FieldValue]] = {"pk": bytes(32)}

_TRADE = """
mint:pk sol_amount:u64 token_amount:u64 is_buy:bool user:pk timestamp:i64 virtual_sol_reserves:u64 virtual_token_reserves:u64
real_sol_reserves:u64 real_token_reserves:u64 fee_recipient:pk fee_basis_points:u64 fee:u64 creator:pk
creator_fee_basis_points:u64 creator_fee:u64 track_volume:bool total_unclaimed_tokens:u64 total_claimed_tokens:u64
current_sol_volume:u64 last_update_timestamp:i64 ix_name:str mayhem_mode:bool cashback_fee_basis_points:u64 cashback:u64
buyback_fee_basis_points:u64 buyback_fee:u64 shareholders:shares quote_mint:pk quote_amount:u64 virtual_quote_reserves:u64
real_quote_reserves:u64 holder_rewards_bps:u64 holder_rewards:u64 creator_fee_unclaimed:u64
"""

_CREATE = """
name:str symbol:str uri:str mint:pk bonding_curve:pk user:pk creator:pk timestamp:i64 virtual_token_reserves:u64
virtual_sol_reserves:u64 real_token_reserves:u64 token_total_supply:u64 token_program:pk is_mayhem_mode:bool
is_cashback_enabled:bool quote_mint:pk virtual_quote_reserves:u64 creator_fee_bps:u64 is_holder_reward:bool depth:u8
"""

_SWAP_HEAD = """
timestamp:i64 {base} user_base_token_reserves:u64 user_quote_token_reserves:u64 pool_base_token_reserves:u64
pool_quote_token_reserves:u64 {gross}:u64 lp_fee_basis_points:u64 lp_fee:u64 protocol_fee_basis_points:u64 protocol_fee:u64
{with_lp}:u64 {user}:u64 pool:pk user:pk user_base_token_account:pk user_quote_token_account:pk protocol_fee_recipient:pk
protocol_fee_recipient_token_account:pk coin_creator:pk coin_creator_fee_basis_points:u64 coin_creator_fee:u64
"""

_SWAP_TAIL = """
cashback_fee_basis_points:u64 cashback:u64 buyback_fee_basis_points:u64 buyback_fee:u64 virtual_quote_reserves:i128
can_boost:bool base_supply:u64 holder_rewards_bps:u64 holder_rewards:u64 creator_fee_unclaimed:u64
"""

_BUY = (
    _SWAP_HEAD.format(
        base="base_amount_out:u64 max_quote_amount_in:u64",
        gross="quote_amount_in",
        with_lp="quote_amount_in_with_lp_fee",
        user="user_quote_amount_in",
    )
    + """track_volume:bool total_unclaimed_tokens:u64 total_claimed_tokens:u64 current_sol_volume:u64
last_update_timestamp:i64 min_base_amount_out:u64 ix_name:str"""
    + _SWAP_TAIL
)

_SELL = (
    _SWAP_HEAD.format(
        base="base_amount_in:u64 min_quote_amount_out:u64",
        gross="quote_amount_out",
        with_lp="quote_amount_out_without_lp_fee",
        user="user_quote_amount_out",
    )
    + _SWAP_TAIL
)

_CREATE_POOL = """
timestamp:i64 index:u16 creator:pk base_mint:pk quote_mint:pk base_mint_decimals:u8 quote_mint_decimals:u8 base_amount_in:u64
quote_amount_in:u64 pool_base_amount:u64 pool_quote_amount:u64 minimum_liquidity:u64 initial_liquidity:u64
lp_token_amount_out:u64 pool_bump:u8 pool:pk lp_mint:pk user_base_token_account:pk user_quote_token_account:pk coin_creator:pk
is_mayhem_mode:bool creator_fee_bps:u64 can_edit_creator_fee:bool is_holder_reward:bool
"""

_POST_COMPLETE_BUY = """
user:pk mint:pk bonding_curve:pk quote_mint:pk timestamp:i64 base_out:u64 quote_in:u64 fee_basis_points:u64 fee:u64
creator_fee_basis_points:u64 creator_fee:u64 buyback_fee:u64 pool_base_reserves_before:u64 pool_quote_reserves_before:u64
pool_base_reserves_after:u64 pool_quote_reserves_after:u64
"""

_LIQUIDITY_TAIL = """
user_base_token_reserves:u64 user_quote_token_reserves:u64 pool_base_token_reserves:u64 pool_quote_token_reserves:u64
{base}:u64 {quote}:u64 lp_mint_supply:u64 pool:pk user:pk user_base_token_account:pk user_quote_token_account:pk
user_pool_token_account:pk
"""

Encoder: TypeAlias = Callable[[FieldValue], bytes]


def _text(value: FieldValue) -> bytes:
    raw = value.encode("utf-8") if isinstance(value, str) else value
    assert isinstance(raw, bytes)
    return len(raw).to_bytes(4, "little") + raw


def _shares(value: FieldValue) -> bytes:
    assert not isinstance(value, int | str | bytes)
    return len(value).to_bytes(4, "little") + b"".join(key + points.to_bytes(2, "little") for key, points in value)


def _wide(value: FieldValue) -> bytes:
    assert isinstance(value, int)
    return value.to_bytes(16, "little", signed=True)


_VARIABLE: Final[dict[str, tuple[Encoder, FieldValue]]] = {"str": (_text, ""), "shares": (_shares, ()), "i128": (_wide, 0)}


class Layout:
    """Fields of one event, in order, and how they become bytes."""

    def __init__(self, name: str, program: str, fields: str) -> None:
        self.name = name
        self.program = program
        self.discriminator = sha256(f"event:{name}".encode()).digest()[:8]
        self.fields = tuple((field, kind) for field, _, kind in (item.partition(":") for item in fields.split()))
        self._whole = _compiled(self.fields)

    def encode(self, values: Values, *, last: str | None = None) -> bytes:
        """
        Bytes of the event, discriminator first.

        Args:
            values: By field name; what is missing is zero.
            last: Write only as far as this field, as an older version of the program did.

        """
        if last is None:
            segments = self._whole
        else:
            names = [name for name, _ in self.fields]
            segments = _compiled(self.fields[: names.index(last) + 1])
        return self.discriminator + b"".join([segment(values) for segment in segments])


_Segment: TypeAlias = Callable[[Values], bytes]


def _compiled(fields: Sequence[tuple[str, str]]) -> list[_Segment]:
    """Runs of fixed-size fields are packed by one struct each."""
    segments: list[_Segment] = []
    run: list[tuple[str, str]] = []
    for field, kind in fields:
        if kind in _CODES:
            run.append((field, kind))
            continue
        if run:
            segments.append(_fixed(run))
            run = []
        segments.append(_single(field, *_VARIABLE[kind]))
    if run:
        segments.append(_fixed(run))
    return segments


def _fixed(run: Sequence[tuple[str, str]]) -> _Segment:
    pack = struct.Struct("<" + "".join(_CODES[kind] for _, kind in run)).pack
    wanted = [(field, _ZEROS.get(kind, 0)) for field, kind in run]
    return lambda values: pack(*[values.get(field, zero) for field, zero in wanted])


def _single(field: str, encoder: Encoder, zero: FieldValue) -> _Segment:
    return lambda values: encoder(values.get(field, zero))


LAYOUTS: Final[dict[str, Layout]] = {
    layout.name: layout
    for layout in (
        Layout("TradeEvent", PUMP, _TRADE),
        Layout("CreateEvent", PUMP, _CREATE),
        Layout("CompleteEvent", PUMP, "user:pk mint:pk bonding_curve:pk timestamp:i64 quote_mint:pk"),
        Layout(
            "CompletePumpAmmMigrationEvent",
            PUMP,
            "user:pk mint:pk mint_amount:u64 sol_amount:u64 pool_migration_fee:u64 bonding_curve:pk timestamp:i64 pool:pk "
            "quote_mint:pk",
        ),
        Layout("PostCompleteBuyEvent", PUMP, _POST_COMPLETE_BUY),
        Layout("CollectCreatorFeeEvent", PUMP, "timestamp:i64 creator:pk creator_fee:u64 quote_mint:pk"),
        Layout("SetCreatorEvent", PUMP, "timestamp:i64 mint:pk bonding_curve:pk creator:pk"),
        Layout("ExtendAccountEvent", PUMP, "account:pk user:pk current_size:u64 new_size:u64 timestamp:i64"),
        Layout(
            "SweepBondingCurveFeeEvent",
            PUMP,
            "timestamp:i64 mint:pk bonding_curve:pk quote_mint:pk recipient:pk amount:u64 bucket:u8",
        ),
        Layout(
            "UpdateMayhemVirtualParamsEvent",
            PUMP,
            "timestamp:i64 mint:pk virtual_token_reserves:u64 virtual_sol_reserves:u64 new_virtual_token_reserves:u64 "
            "new_virtual_sol_reserves:u64 real_token_reserves:u64 real_sol_reserves:u64",
        ),
        Layout("BuyEvent", PUMPSWAP, _BUY),
        Layout("SellEvent", PUMPSWAP, _SELL),
        Layout("CreatePoolEvent", PUMPSWAP, _CREATE_POOL),
        Layout(
            "DepositEvent",
            PUMPSWAP,
            "timestamp:i64 lp_token_amount_out:u64 max_base_amount_in:u64 max_quote_amount_in:u64"
            + _LIQUIDITY_TAIL.format(base="base_amount_in", quote="quote_amount_in"),
        ),
        Layout(
            "WithdrawEvent",
            PUMPSWAP,
            "timestamp:i64 lp_token_amount_in:u64 min_base_amount_out:u64 min_quote_amount_out:u64"
            + _LIQUIDITY_TAIL.format(base="base_amount_out", quote="quote_amount_out"),
        ),
        Layout(
            "InitBoostEvent",
            PUMPSWAP,
            "timestamp:i64 mint:pk bonding_curve:pk pool:pk virtual_quote_reserves:i128 real_quote_reserves_after:u64",
        ),
        Layout(
            "SweepPoolFeeEvent",
            PUMPSWAP,
            "timestamp:i64 pool:pk base_mint:pk quote_mint:pk recipient:pk payer:pk amount:u64 bucket:u8",
        ),
        Layout(
            "CollectCoinCreatorFeeEvent",
            PUMPSWAP,
            "timestamp:i64 coin_creator:pk coin_creator_fee:u64 coin_creator_vault_ata:pk coin_creator_token_account:pk",
        ),
    )
}


def encode(event: str, values: Values, *, last: str | None = None) -> bytes:
    """Bytes of the event named *event*, as :meth:`Layout.encode` writes them."""
    return LAYOUTS[event].encode(values, last=last)
