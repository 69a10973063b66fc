"""Payloads of our two programs as they are kept when a version cannot read them. Written here, with no code of the decoder."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from solders.pubkey import Pubkey
from storage_samples import MINT, SIGNATURE, WALLET
from transaction_samples import base58

from pumpwatch.events import Rejected

PUMP = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
PUMP_AMM = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"
POOL = "7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5"


def trade_payload(*, mint: str = MINT, number: int = 0) -> bytes:
    """A TradeEvent of 129 bytes: the buy of :func:`tests.storage_samples.chain_trade`."""
    head = (
        bytes.fromhex("bddb7fd34ee661ee")
        + bytes(Pubkey.from_string(mint))
        + struct.pack("<QQ?", 987_654_320, 34_199_203_154_141, True)
    )
    reserves = (30_987_654_320 + number, 1_038_800_796_845_859, 987_654_320, 758_900_796_845_859)
    return head + bytes(Pubkey.from_string(WALLET)) + struct.pack("<qQQQQ", 1_757_806_310, *reserves)


def init_boost_payload(pool: str = POOL) -> bytes:
    keys = bytes(64) + bytes(Pubkey.from_string(pool))
    return (
        bytes.fromhex("ae7c4af90451f611")
        + struct.pack("<q", 1_790_000_000)
        + keys
        + (7).to_bytes(16, "little")
        + struct.pack("<Q", 5)
    )


def kept(
    body: bytes, *, signature: str = SIGNATURE, index: int = 0, program: str = PUMP, kind: str = "unknown event"
) -> Rejected:
    raw = f"{program} {index} {base64.b64encode(body).decode()}".encode()
    return Rejected(kind=kind, reason="an older version", raw=raw, ours=True, signature=signature, slot=366_647_528)


def kept_transaction(*bodies: bytes, signature: str = SIGNATURE, **changes: Any) -> Rejected:
    """A whole answer to ``getTransaction`` that could not be understood."""
    calls = [{"programIdIndex": 0, "data": base58(bytes.fromhex("e445a52e51cb9a1d") + body)} for body in bodies]
    result = {
        "slot": 366_647_528,
        "blockTime": 1_757_806_310,
        "transaction": {"signatures": [signature], "message": {"accountKeys": [PUMP]}},
        "meta": {"err": None, "innerInstructions": [{"index": 0, "instructions": calls}], "logMessages": None},
        **changes,
    }
    raw = json.dumps(result).encode()
    return Rejected(kind="unreadable transaction", reason="an older version", raw=raw, ours=True, signature=signature)
