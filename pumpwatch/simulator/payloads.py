"""Event payloads of what happened to a coin, with every field that the real programs fill in."""

from __future__ import annotations

from typing import Final

from pumpwatch.simulator import arithmetic as sums
from pumpwatch.simulator.chain import FEE_RECIPIENT, SPL_2022, WRAPPED_SOL, ZERO_KEY, key
from pumpwatch.simulator.coin import Coin, Filled
from pumpwatch.simulator.wire import FieldValue, encode

_FEE_RECIPIENT: Final = key(FEE_RECIPIENT)
_TOKEN_2022: Final = key(SPL_2022)


def created(coin: Coin, *, block_time: int) -> bytes:
    """``CreateEvent``: the curve as it starts."""
    values: dict[str, FieldValue] = {
        "name": coin.name,
        "symbol": coin.symbol,
        "uri": coin.uri,
        "mint": key(coin.mint),
        "bonding_curve": key(coin.curve),
        "user": key(coin.creator),
        "creator": key(coin.creator),
        "timestamp": block_time,
        "virtual_token_reserves": coin.virtual_token,
        "virtual_sol_reserves": coin.virtual_quote if coin.is_sol else 0,
        "real_token_reserves": coin.real_token,
        "token_total_supply": coin.supply,
        "token_program": _TOKEN_2022,
        "is_mayhem_mode": coin.is_mayhem,
        "quote_mint": coin.quote_key,
        "virtual_quote_reserves": coin.virtual_quote,
        "creator_fee_bps": sums.CURVE_CREATOR_BPS,
    }
    return encode("CreateEvent", values)


def curve_trade(coin: Coin, wallet: str, filled: Filled, *, block_time: int) -> bytes:
    """``TradeEvent`` of a trade that *coin* has just made."""
    no_fees = filled.quote > 0 and filled.protocol_fee == 0
    values: dict[str, FieldValue] = {
        "mint": key(coin.mint),
        "token_amount": filled.tokens,
        "is_buy": filled.is_buy,
        "user": key(wallet),
        "timestamp": block_time,
        "virtual_token_reserves": coin.virtual_token,
        "real_token_reserves": coin.real_token,
        "fee_recipient": ZERO_KEY if coin.keeps_fees else _FEE_RECIPIENT,
        "fee_basis_points": 0 if no_fees else sums.CURVE_FEE_BPS,
        "fee": filled.protocol_fee,
        "creator": key(coin.creator),
        "creator_fee_basis_points": 0 if no_fees else sums.CURVE_CREATOR_BPS,
        "creator_fee": filled.creator_fee,
        "ix_name": _instruction(coin, filled),
        "mayhem_mode": coin.is_mayhem,
        "buyback_fee_basis_points": 0 if no_fees else sums.BUYBACK_BPS,
        "buyback_fee": filled.buyback,
        "quote_mint": coin.quote_key,
        "quote_amount": filled.quote,
        "virtual_quote_reserves": coin.virtual_quote,
        "real_quote_reserves": coin.real_quote,
        "creator_fee_unclaimed": coin.fees_kept,
    }
    if coin.is_sol:
        values |= {
            "sol_amount": filled.quote,
            "virtual_sol_reserves": coin.virtual_quote,
            "real_sol_reserves": coin.real_quote,
        }
    return encode("TradeEvent", values)


def _instruction(coin: Coin, filled: Filled) -> str:
    if not filled.is_buy:
        return "sell"
    if filled.exact_quote:
        return "buy_exact_quote_in" if coin.keeps_fees or not coin.is_sol else "buy_exact_sol_in"
    return "buy"


def completed(coin: Coin, wallet: str, *, block_time: int) -> bytes:
    """``CompleteEvent``: the curve is sold out."""
    values: dict[str, FieldValue] = {
        "user": key(wallet),
        "mint": key(coin.mint),
        "bonding_curve": key(coin.curve),
        "timestamp": block_time,
        "quote_mint": coin.quote_key,
    }
    return encode("CompleteEvent", values)


def post_complete_bought(coin: Coin, wallet: str, filled: Filled, *, block_time: int) -> bytes:
    """``PostCompleteBuyEvent`` of a buy that *coin* has just made."""
    values: dict[str, FieldValue] = {
        "user": key(wallet),
        "mint": key(coin.mint),
        "bonding_curve": key(coin.curve),
        "quote_mint": coin.quote_key,
        "timestamp": block_time,
        "base_out": filled.tokens,
        "quote_in": filled.quote,
        "fee_basis_points": sums.CURVE_FEE_BPS,
        "fee": filled.protocol_fee,
        "creator_fee_basis_points": sums.CURVE_CREATOR_BPS,
        "creator_fee": filled.creator_fee,
        "buyback_fee": filled.buyback,
        "pool_base_reserves_before": filled.base_before,
        "pool_quote_reserves_before": filled.vault_before,
        "pool_base_reserves_after": coin.base,
        "pool_quote_reserves_after": coin.vault,
    }
    return encode("PostCompleteBuyEvent", values)


def pool_created(coin: Coin, authority: str, *, block_time: int) -> bytes:
    """``CreatePoolEvent`` of the canonical pool."""
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "creator": key(authority),
        "base_mint": key(coin.mint),
        "quote_mint": key(coin.quote_mint),
        "base_mint_decimals": 6,
        "quote_mint_decimals": 9 if coin.quote_mint == WRAPPED_SOL else 6,
        "base_amount_in": coin.base,
        "quote_amount_in": coin.vault,
        "pool_base_amount": coin.base,
        "pool_quote_amount": coin.vault,
        "minimum_liquidity": 100,
        "initial_liquidity": 4_193_388_350_000,
        "lp_token_amount_out": 4_193_388_349_900,
        "pool_bump": 255,
        "pool": key(coin.pool),
        "coin_creator": key(coin.creator),
        "is_mayhem_mode": coin.is_mayhem,
        "creator_fee_bps": sums.POOL_CREATOR_BPS,
    }
    return encode("CreatePoolEvent", values)


def boosted(coin: Coin, *, block_time: int) -> bytes:
    """``InitBoostEvent``: the pool got its virtual quote reserve."""
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "mint": key(coin.mint),
        "bonding_curve": key(coin.curve),
        "pool": key(coin.pool),
        "virtual_quote_reserves": coin.virtual,
        "real_quote_reserves_after": coin.vault,
    }
    return encode("InitBoostEvent", values)


def migrated(coin: Coin, wallet: str, *, block_time: int) -> bytes:
    """``CompletePumpAmmMigrationEvent``."""
    values: dict[str, FieldValue] = {
        "user": key(wallet),
        "mint": key(coin.mint),
        "mint_amount": coin.base,
        "sol_amount": coin.vault,
        "pool_migration_fee": sums.MIGRATION_FEE,
        "bonding_curve": key(coin.curve),
        "timestamp": block_time,
        "pool": key(coin.pool),
        "quote_mint": coin.quote_key,
    }
    return encode("CompletePumpAmmMigrationEvent", values)


def pool_trade(coin: Coin, wallet: str, filled: Filled, *, block_time: int) -> bytes:
    """``BuyEvent`` or ``SellEvent`` of a trade that *coin*'s pool has just made; its reserves are those BEFORE the trade."""
    paid = filled.trader_quote
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "pool_base_token_reserves": filled.base_before,
        "pool_quote_token_reserves": filled.vault_before,
        "user_base_token_reserves": coin.holders.get(wallet, 0),
        "user_quote_token_reserves": paid,
        "lp_fee_basis_points": sums.POOL_LP_BPS,
        "lp_fee": filled.lp_fee,
        "protocol_fee_basis_points": sums.POOL_PROTOCOL_BPS,
        "protocol_fee": filled.protocol_fee,
        "pool": key(coin.pool),
        "user": key(wallet),
        "protocol_fee_recipient": ZERO_KEY if coin.keeps_fees else _FEE_RECIPIENT,
        "coin_creator": key(coin.creator),
        "coin_creator_fee_basis_points": sums.POOL_CREATOR_BPS,
        "coin_creator_fee": filled.creator_fee,
        "buyback_fee_basis_points": sums.BUYBACK_BPS,
        "buyback_fee": filled.buyback,
        "virtual_quote_reserves": filled.virtual_before,
        "base_supply": coin.supply,
        "creator_fee_unclaimed": coin.fees_kept,
    }
    if not filled.is_buy:
        values |= {
            "base_amount_in": filled.tokens,
            "quote_amount_out": filled.quote,
            "quote_amount_out_without_lp_fee": filled.quote - filled.lp_fee,
            "user_quote_amount_out": paid,
        }
        return encode("SellEvent", values)
    values |= {
        "base_amount_out": filled.tokens,
        "max_quote_amount_in": paid,
        "quote_amount_in_with_lp_fee": filled.quote + filled.lp_fee,
        "quote_amount_in": paid if filled.exact_quote else filled.quote,
        "user_quote_amount_in": filled.quote if filled.exact_quote else paid,
        "track_volume": True,
        "ix_name": "buy_exact_quote_in" if filled.exact_quote else "buy",
    }
    return encode("BuyEvent", values)


def mayhem_params(coin: Coin, before: tuple[int, int], *, block_time: int) -> bytes:
    """``UpdateMayhemVirtualParamsEvent``: *before* are the virtual reserves (token, quote) that *coin* had until now."""
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "mint": key(coin.mint),
        "virtual_token_reserves": before[0],
        "virtual_sol_reserves": before[1],
        "new_virtual_token_reserves": coin.virtual_token,
        "new_virtual_sol_reserves": coin.virtual_quote,
        "real_token_reserves": coin.real_token,
        "real_sol_reserves": coin.real_quote,
    }
    return encode("UpdateMayhemVirtualParamsEvent", values)


def liquidity(coin: Coin, wallet: str, moved: tuple[int, int], *, is_deposit: bool, block_time: int) -> bytes:
    """``DepositEvent`` or ``WithdrawEvent`` of *moved* tokens and quote; the pool's reserves in it are those BEFORE."""
    sign = 1 if is_deposit else -1
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "pool_base_token_reserves": coin.base - sign * moved[0],
        "pool_quote_token_reserves": coin.vault - sign * moved[1],
        "base_amount_in" if is_deposit else "base_amount_out": moved[0],
        "quote_amount_in" if is_deposit else "quote_amount_out": moved[1],
        "lp_mint_supply": 4_193_388_350_000,
        "pool": key(coin.pool),
        "user": key(wallet),
    }
    return encode("DepositEvent" if is_deposit else "WithdrawEvent", values)


def pool_swept(coin: Coin, payer: str, amount: int, *, block_time: int) -> bytes:
    """``SweepPoolFeeEvent``: kept fees went from the pool's vault to their recipient."""
    values: dict[str, FieldValue] = {
        "timestamp": block_time,
        "pool": key(coin.pool),
        "base_mint": key(coin.mint),
        "quote_mint": key(coin.quote_mint),
        "recipient": _FEE_RECIPIENT,
        "payer": key(payer),
        "amount": amount,
    }
    return encode("SweepPoolFeeEvent", values)
