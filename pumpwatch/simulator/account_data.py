"""
The bytes of accounts: bonding curve, pool, its token accounts, and the chain's clock.

Sources: facts/onchain_events.md section 4, facts/idl/pump_amm.json (``Pool``), the token programs' ``Account``, sysvar ``Clock``.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Final

from pumpwatch.simulator import chain
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.history import Reserves

_CURVE: Final = bytes.fromhex("17b7f83760d8ac60")
_POOL: Final = bytes.fromhex("f19a6d0411b16dbc")

#: What Token-2022 writes behind the 165 bytes: the kind of account, and the extension ImmutableOwner (7), which is empty.
_TOKEN_2022_TAIL: Final = b"\x02\x07\x00\x00\x00"

_SLOTS_PER_EPOCH: Final = 432_000


def curve_account(coin: Coin, held: Coin | Reserves) -> bytes:
    """The BondingCurve account of 151 bytes; its reserves are zero once the coin has graduated."""
    on_curve = held.stage != "pool"
    reserves = (held.virtual_token, held.virtual_quote, held.real_token, held.real_quote)
    return b"".join(
        (
            _CURVE,
            *((reserve if on_curve else 0).to_bytes(8, "little") for reserve in reserves),
            coin.supply.to_bytes(8, "little"),
            bytes((held.stage != "curve",)),
            chain.key(coin.creator),
            bytes((coin.is_mayhem, 0)),
            coin.quote_key,
            bytes(36),
        )
    )


def pool_account(coin: Coin, held: Coin | Reserves) -> bytes:
    """The Pool account of 271 bytes; the vaults' addresses are at 139 and 171, the virtual quote reserve at 245."""
    base_vault, quote_vault = coin.vaults
    return b"".join(
        (
            _POOL,
            struct.pack("<BH", 255, 0),
            chain.key(coin.creator),
            chain.key(coin.mint),
            chain.key(coin.quote_mint),
            bytes(32),
            chain.key(base_vault),
            chain.key(quote_vault),
            struct.pack("<Q", 4_193_388_349_900),
            chain.key(coin.creator),
            bytes((coin.is_mayhem, 0)),
            held.virtual.to_bytes(16, "little", signed=True),
            (30).to_bytes(8, "little") + bytes(2),
        )
    )


def token_account(mint: str, owner: str, amount: int, *, is_2022: bool) -> bytes:
    """A token account of 165 bytes, the amount at 64; Token-2022 adds 5."""
    fields = (chain.key(mint), chain.key(owner), amount.to_bytes(8, "little"), bytes(36), b"\x01", bytes(56))
    return b"".join(fields) + (_TOKEN_2022_TAIL if is_2022 else b"")


def clock_account(slot: int, unix_time: int) -> bytes:
    """The sysvar Clock as it is in *slot*."""
    epoch = slot // _SLOTS_PER_EPOCH
    return struct.pack("<QqQQq", slot, unix_time - slot % _SLOTS_PER_EPOCH * 2 // 5, epoch, epoch + 1, unix_time)


def shown(data: bytes, owner: str, *, lamports: int) -> dict[str, object]:
    """An account as ``getAccountInfo`` shows it in the encoding ``base64``."""
    return {
        "data": [b64encode(data).decode(), "base64"],
        "executable": False,
        "lamports": lamports,
        "owner": owner,
        "rentEpoch": 2**64 - 1,
        "space": len(data),
    }
