"""A transaction being put together, and as it lies on the chain."""

from __future__ import annotations

import random
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from pumpwatch.simulator import logs
from pumpwatch.simulator.chain import COMPUTE_BUDGET, LOOKUP_TABLE, PUMP_FEES, PUMPSWAP, SPL_2022, SYSTEM
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.logs import Call, Data, Emitted, Step, Text
from pumpwatch.simulator.truth import TradeRow

_BUDGET: Final = Call(COMPUTE_BUDGET, data=b"\x02\x80\x1a\x06\x00")
_PAY: Final = Call(SYSTEM, data=b"\x02\x00\x00\x00")
_GET_FEES: Final = Call(
    PUMP_FEES,
    (Text("Program log: Instruction: GetFees"),),
    units=3302,
    returned="AAAAAAAAAABfAAAAAAAAAB4AAAAAAAAA",
)
_TRANSFER: Final = Call(SPL_2022, (Text("Program log: Instruction: TransferChecked"),), units=2562)


class Notice(NamedTuple):
    """
    One thing that PumpPortal tells about a transaction.

    Attributes:
        row: The trade; of a create the first buy, or None.
        balance: The trader's tokens afterwards.
    """

    kind: Literal["create", "trade", "migrate"]
    coin: Coin
    row: TradeRow | None = None
    balance: int = 0


class Change(NamedTuple):
    """Reserves of a coin that moved without a trade: ``mayhem params``, ``deposit``, ``withdraw``."""

    kind: str
    mint: str


class Loaded(NamedTuple):
    """Account keys from look-up tables."""

    writable: tuple[str, ...]
    readonly: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Transaction:
    """
    A transaction as it lies on the chain; nothing of it changes once it is made and told.

    Attributes:
        number: Counts the run's transactions from 0.
        place: Its place in the slot, from 0.
        err: As RPC shows it; None if it succeeded.
        mentions: Every account key: what ``logsSubscribe`` and ``getSignaturesForAddress`` go by.
        rows: Its trades; empty if it failed.
    """

    number: int
    signature: str
    slot: int
    place: int
    block_time: int
    payer: str
    calls: tuple[Call, ...]
    mentions: frozenset[str]
    rows: tuple[TradeRow, ...]
    notices: tuple[Notice, ...]
    err: dict[str, object] | None = None
    version: Literal["legacy", 0] = "legacy"
    _lines: list[str] = field(default_factory=list)
    _log_limit: int | None = None

    @property
    def lines(self) -> list[str]:
        """Log lines as every node shows them."""
        if not self._lines:
            self._lines.extend(self.rendered())
        return self._lines

    def rendered(self) -> list[str]:
        """The same, and nothing of it is kept."""
        if self._lines:
            return self._lines
        lines = logs.log_lines(self.calls)
        return lines if self._log_limit is None else logs.truncated(lines, self._log_limit)

    def cut_log(self, rng: random.Random) -> list[str]:
        """
        Let the log be too long from one of its events on, for every node and for good; returns what is left.

        Our logs are short: the limit is lowered to just before the event, instead of padding up to 10,000 bytes.
        """
        self._lines.clear()
        lines = self.rendered()
        events = [place for place, line in enumerate(lines) if line.startswith("Program data: ")]
        self._log_limit = sum(map(len, lines[: rng.choice(events)])) + 40
        return self.lines

    def forget_lines(self) -> None:
        """Drop the rendered log, which can be made again: a long history keeps only the calls."""
        self._lines.clear()

    def meta(self, lines: list[str], encoding: str = "json") -> dict[str, object]:
        """``meta`` as ``getTransaction`` and ``transactionSubscribe`` show it, with *lines* as the log."""
        keys = self.keys()
        index = {account: place for place, account in enumerate(keys)}
        inner = logs.inner_instructions(self.calls, index)
        return {
            "err": self.err,
            "status": {"Ok": None} if self.err is None else {"Err": self.err},
            "fee": 5000,
            "preBalances": [1_000_000_000] * len(keys),
            "postBalances": [1_000_000_000] * len(keys),
            "innerInstructions": logs.parsed(inner, keys) if encoding == "jsonParsed" else inner,
            "logMessages": lines,
            "preTokenBalances": [],
            "postTokenBalances": [],
            "rewards": [],
            "loadedAddresses": {"writable": list(self.loaded().writable), "readonly": list(self.loaded().readonly)},
            "computeUnitsConsumed": 90_000,
        }

    def keys(self) -> list[str]:
        """Account keys in the order that all indexes go by: those of the message, the payer first, then the loaded ones."""
        loaded = self.loaded()
        return [*self.static_keys(), *loaded.writable, *loaded.readonly]

    def static_keys(self) -> list[str]:
        """Account keys in the message itself; a program that is called from it must be among them."""
        if self.version == "legacy":
            return [self.payer, *sorted(self.mentions - {self.payer})]
        return [self.payer, *sorted({call.program for call in self.calls})]

    def loaded(self) -> Loaded:
        """Account keys that a version 0 transaction takes from a look-up table."""
        if self.version == "legacy":
            return Loaded((), ())
        rest = sorted(self.mentions.difference(self.static_keys()))
        return Loaded(tuple(rest[::2]), tuple(rest[1::2]))

    def encoded(self, encoding: str) -> object:
        """``transaction`` in the encoding *encoding* (``base64``, ``base58``, ``json``, ``jsonParsed``)."""
        keys = self.keys()
        index = {account: place for place, account in enumerate(keys)}
        static, loaded = self.static_keys(), self.loaded()
        if encoding in {"base64", "base58"}:
            tables = None if self.version == "legacy" else (len(loaded.writable), len(loaded.readonly))
            wire = logs.wire_transaction(self.signature, static, self.calls, index, tables=tables)
            return [b64encode(wire).decode() if encoding == "base64" else logs.base58(wire), encoding]
        message: dict[str, object] = {"recentBlockhash": SYSTEM}
        if encoding == "jsonParsed":
            message["accountKeys"] = [
                {
                    "pubkey": account,
                    "writable": place < 2 or account in loaded.writable,
                    "signer": place == 0,
                    "source": "transaction" if place < len(static) else "lookupTable",
                }
                for place, account in enumerate(keys)
            ]
            message["instructions"] = [
                {"programId": call.program, "accounts": list(call.accounts), "data": logs.base58(call.data), "stackHeight": None}
                for call in self.calls
            ]
        else:
            message["header"] = {"numRequiredSignatures": 1, "numReadonlySignedAccounts": 0, "numReadonlyUnsignedAccounts": 1}
            message["accountKeys"] = static
            message["instructions"] = [
                {
                    "programIdIndex": index[call.program],
                    "accounts": [index[account] for account in call.accounts],
                    "data": logs.base58(call.data),
                    "stackHeight": None,
                }
                for call in self.calls
            ]
        if self.version != "legacy":
            writable, readonly = len(loaded.writable), len(loaded.readonly)
            indexes = {"writableIndexes": [*range(writable)], "readonlyIndexes": [*range(writable, writable + readonly)]}
            message["addressTableLookups"] = [{"accountKey": LOOKUP_TABLE, **indexes}]
        return {"signatures": [self.signature], "message": message}


class Draft:
    """
    Collects what one transaction does, in execution order, so that event indexes are right by construction.

    Program calls may be wrapped into those of a trading bot (*router*).

    Attributes:
        touched: Coins whose reserves it moves.
    """

    def __init__(self, signature: str, payer: str, *, router: str | None = None) -> None:
        self.signature = signature
        self.payer = payer
        self.rows: list[TradeRow] = []
        self.notices: list[Notice] = []
        self.touched: list[Coin] = []
        self.changes: list[Change] = []
        self.failed: str | None = None
        self._events = 0
        self._calls: list[Call] = [_BUDGET, _BUDGET]
        self._inner: list[Step] = []
        self._router = router

    @property
    def next_index(self) -> int:
        """Index that the next event of our two programs gets."""
        return self._events

    def event(self, program: str, payload: bytes) -> Emitted:
        """An event of one of the two programs, counted."""
        self._events += 1
        return Emitted(program, payload)

    def call(self, program: str, instruction: str, steps: tuple[Step, ...], accounts: tuple[str, ...], *, units: int) -> None:
        """One call of *program* that logs its *instruction*'s name and does *steps*."""
        body = (Text(f"Program log: Instruction: {instruction}"), *steps)
        made = Call(program, body, accounts, units=units)
        (self._calls if self._router is None else self._inner).append(made)

    def raw(self, call: Call) -> None:
        """A call made elsewhere, at top level."""
        self._calls.append(call)

    def finished_calls(self) -> tuple[Call, ...]:
        """All top-level calls; with :attr:`failed` set, the last one fails with it."""
        calls = list(self._calls)
        if self._router is not None:
            calls.append(Call(self._router, tuple(self._inner), data=b"\x07", units=143_000))
        if self.failed is not None:
            last = calls[-1]
            calls[-1] = Call(last.program, last.body, last.accounts, last.data, last.units, self.failed)
        else:
            calls.append(_PAY)
        return tuple(calls)


def trade_steps(emitted: Emitted, *, is_buy: bool) -> tuple[Step, ...]:
    """What a trade does around its event: fees asked, tokens moved, SOL paid."""
    if emitted.program == PUMPSWAP:
        return (_GET_FEES, _TRANSFER, _TRANSFER, emitted)
    return (_GET_FEES, _TRANSFER, *((_PAY,) * 3 if is_buy else ()), emitted)


def foreign_event(program: str, payload: bytes) -> Call:
    """A call of another program that writes *payload* as a data line."""
    return Call(program, (Text("Program log: Instruction: Trade"), Data(payload)), units=31_000)
