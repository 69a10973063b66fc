"""What really happened: every trade of a run, to the lamport, kept small enough for millions of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from solders.signature import Signature


class TradeRow(NamedTuple):
    """
    One trade as it is on chain.

    Attributes:
        number: Counts the trades of the run from 0.
        event_index: Position among all event payloads of the two programs in the transaction.
        quote_amount: What moved the reserves, net of fees.
        trader_quote_amount: Paid or received, fees included.
        virtual_token_reserves: AFTER the trade, like all reserves; of a pool, ``virtual_*`` are the effective B' and E',
            ``real_*`` the vaults.
        by_agent: The mayhem agent traded.
    """

    number: int
    signature: str
    event_index: int
    slot: int
    block_time: int
    mint: str
    wallet: str
    is_buy: bool
    venue: Literal["curve", "pool"]
    quote_mint: str
    by_agent: bool
    token_amount: int
    quote_amount: int
    trader_quote_amount: int
    protocol_fee: int
    creator_fee: int
    lp_fee: int
    virtual_token_reserves: int
    virtual_quote_reserves: int
    real_token_reserves: int
    real_quote_reserves: int


_PACKED: Final = struct.Struct("<64sHQqIIIB10Q")
_BUY, _POOL, _AGENT = 1, 2, 4


class Ledger:
    """
    All trades of a run, in the chain's order, 180 bytes each.

    Written by the market's thread only; reading a row that is there is safe from any thread.
    """

    def __init__(self) -> None:
        self._rows = bytearray()
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows) // _PACKED.size

    def append(self, row: TradeRow) -> None:
        """Keep *row*, whose number must be the next one."""
        assert row.number == len(self)
        flags = _BUY * row.is_buy + _POOL * (row.venue == "pool") + _AGENT * row.by_agent
        self._rows += _PACKED.pack(
            bytes(Signature.from_string(row.signature)),
            row.event_index,
            row.slot,
            row.block_time,
            self._name(row.mint),
            self._name(row.wallet),
            self._name(row.quote_mint),
            flags,
            *row[11:],
        )

    def _name(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._names)
            self._names.append(text)
        return number

    def __getitem__(self, number: int) -> TradeRow:
        if not 0 <= number < len(self):
            raise IndexError(number)
        unpacked = _PACKED.unpack_from(self._rows, number * _PACKED.size)
        signature, event_index, slot, block_time, mint, wallet, quote_mint, flags = unpacked[:8]
        return TradeRow(
            number,
            str(Signature.from_bytes(signature)),
            event_index,
            slot,
            block_time,
            self._names[mint],
            self._names[wallet],
            bool(flags & _BUY),
            "pool" if flags & _POOL else "curve",
            self._names[quote_mint],
            bool(flags & _AGENT),
            *unpacked[8:],
        )

    def __iter__(self) -> Iterator[TradeRow]:
        for number in range(len(self)):
            yield self[number]
