"""What the chain's accounts show of tokens: the state in which the chain of their trades must end."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from loguru import logger

from pumpwatch.backfill.rpc import Rpc, RpcFailed
from pumpwatch.decode.accounts import SYSVAR_CLOCK, PoolAccount, clock, curve_state, pool_state, token_balance
from pumpwatch.decode.addresses import bonding_curve, canonical_pool
from pumpwatch.errors import DecodeError
from pumpwatch.events import LARGEST_INTEGER, WRAPPED_SOL, Anchor, Venue

#: In one ``getMultipleAccounts``; one of them is the clock. Source: facts/solana_rpc.md.
MOST_ACCOUNTS: Final = 100
ACCOUNTS_OF_TOKENS: Final = MOST_ACCOUNTS - 1

#: Pools whose vaults are remembered: more than can be watched.
_REMEMBERED: Final = 10_000


class Target(NamedTuple):
    """A token's curve; or, from its migration on, its canonical pool, which its quote is needed for."""

    mint: str
    venue: Venue = "curve"
    quote_mint: str = WRAPPED_SOL


class _Context(msgspec.Struct):
    slot: int


class _Account(msgspec.Struct):
    data: tuple[str, str]


class _Answer(msgspec.Struct):
    context: _Context
    value: list[_Account | None]


class _Read(NamedTuple):
    """Accounts at one slot; *block_time* is the chain's clock then, in unix seconds."""

    slot: int
    block_time: int | None
    data: dict[str, bytes | None]


class _Asked(NamedTuple):
    """Of one reading: what it showed, the targets that have no account, and those whose curve has migrated."""

    anchors: list[Anchor]
    missing: list[Target]
    migrated: list[Target]


class Snapshots:
    """
    Reads the accounts of tokens, many in one call, each with the chain's clock at the same slot. One thread, that of *rpc*.

    A curve is one account; a pool three, which are read in one call, as they belong together: itself and its two vaults.

    Args:
        clock: Unix time in seconds.

    Attributes:
        migrated: Tokens that were seen to have left their curve, whatever the record knows of it, and what their pool's quote is.
    """

    def __init__(self, rpc: Rpc, *, clock: Callable[[], float] = time.time) -> None:
        self.migrated: dict[str, str] = {}
        self._rpc = rpc
        self._clock = clock
        #: Pool -> its base and quote vault, which never change.
        self._vaults: dict[str, tuple[str, str]] = {}
        self._said: set[str] = set()

    def take(self, targets: Iterable[Target], *, min_context_slot: int | None = None) -> Iterator[Anchor]:
        """
        Read the accounts of *targets* at confirmed, call by call.

        A curve that has migrated gives the anchor of its pool. What is not there is asked for again at finalized, before
        ``exists`` is False. What cannot be read gives none, and is said once.

        Raises:
            RpcBehind: The node has not reached *min_context_slot*.
            RpcFailed: See :meth:`Rpc.call`; what was read before was given.

        """
        wanted, missing = list(dict.fromkeys(targets)), []
        while wanted:
            migrated: list[Target] = []
            for asked in self._ask(wanted, "confirmed", min_context_slot):
                yield from asked.anchors
                missing += asked.missing
                migrated += asked.migrated
            wanted = migrated
        for asked in self._ask(missing, "finalized", None):
            yield from asked.anchors

    def pools(self, addresses: Sequence[str]) -> dict[str, PoolAccount | None]:
        """
        Read pools, at most :data:`ACCOUNTS_OF_TOKENS`; None where there is none, or something else.

        Raises:
            RpcFailed: See :meth:`Rpc.call`.

        """
        found: dict[str, PoolAccount | None] = {}
        for address, data in self._read(addresses, "confirmed", None).data.items():
            try:
                found[address] = None if data is None else pool_state(data)
            except DecodeError:
                found[address] = None
        return found

    def _ask(self, targets: Sequence[Target], commitment: str, min_context_slot: int | None) -> Iterator[_Asked]:
        self._learn_vaults(targets, commitment)
        for some in _calls([(target, self._accounts(target)) for target in targets]):
            addresses = [address for _, accounts in some for address in accounts]
            asked_at_us = int(self._clock() * 1_000_000)
            read = self._read(addresses, commitment, min_context_slot)
            yield self._judged([target for target, _ in some], read, commitment, asked_at_us)

    def _judged(self, targets: Iterable[Target], read: _Read, commitment: str, asked_at_us: int) -> _Asked:
        asked = _Asked([], [], [])
        for target in targets:
            try:
                state = self._state(target, read)
            except DecodeError as error:
                self._say(target.mint, f"its {target.venue} cannot be read: {error}")
                continue
            if state is None and commitment != "finalized":
                asked.missing.append(target)
            elif state is not None and "quote_mint" in state:
                self._note_migrated(target.mint, state["quote_mint"])
                asked.migrated.append(Target(target.mint, "pool", state["quote_mint"]))
            else:
                asked.anchors.append(
                    Anchor(
                        mint=target.mint,
                        venue=target.venue,
                        slot=read.slot,
                        asked_at_us=asked_at_us,
                        commitment=commitment,
                        block_time=read.block_time,
                        exists=state is not None,
                        **(state or {}),
                    )
                )
        return asked

    def _note_migrated(self, mint: str, quote_mint: str) -> None:
        if len(self.migrated) >= _REMEMBERED:
            del self.migrated[next(iter(self.migrated))]
        self.migrated[mint] = quote_mint

    def _state(self, target: Target, read: _Read) -> dict[str, Any] | None:
        """The fields of an anchor; None: no account; the quote alone: a curve that has migrated."""
        data = [read.data[address] for address in self._accounts(target)]
        if target.venue == "curve":
            curve = curve_state(data[0]) if data[0] is not None else None
            if curve is None:
                return None
            if curve.is_migrated:
                return {"quote_mint": target.quote_mint if curve.quote_mint == WRAPPED_SOL else curve.quote_mint}
            return {
                "is_complete": curve.is_complete,
                "virtual_token_reserves": curve.virtual_token_reserves,
                "virtual_quote_reserves": curve.virtual_quote_reserves,
                "real_token_reserves": curve.real_token_reserves,
                "real_quote_reserves": curve.real_quote_reserves,
            }
        if data[0] is None:
            return None
        pool = pool_state(data[0])
        if len(data) != 3 or data[1] is None or data[2] is None:
            raise DecodeError("the vaults of its pool are not known")
        base, quote = token_balance(data[1], mint=target.mint), token_balance(data[2], mint=pool.quote_mint)
        return {
            "virtual_token_reserves": base,
            "virtual_quote_reserves": pool.effective_quote_reserves(quote),
            "real_token_reserves": base,
            "real_quote_reserves": quote,
        }

    def _accounts(self, target: Target) -> tuple[str, ...]:
        if target.venue == "curve":
            return (bonding_curve(target.mint),)
        pool = canonical_pool(target.mint, target.quote_mint)
        return (pool, *self._vaults.get(pool, ()))

    def _learn_vaults(self, targets: Iterable[Target], commitment: str) -> None:
        pools = {canonical_pool(target.mint, target.quote_mint) for target in targets if target.venue == "pool"}
        unknown = sorted(pools - self._vaults.keys())
        for start in range(0, len(unknown), ACCOUNTS_OF_TOKENS):
            read = self._read(unknown[start : start + ACCOUNTS_OF_TOKENS], commitment, None)
            for address, data in read.data.items():
                if data is None:
                    continue
                try:
                    pool = pool_state(data)
                except DecodeError as error:
                    self._say(address, f"not a pool: {error}")
                else:
                    if len(self._vaults) >= _REMEMBERED:
                        self._vaults.pop(next(iter(self._vaults)))
                    self._vaults[address] = (pool.base_vault, pool.quote_vault)

    def _read(self, addresses: Sequence[str], commitment: str, min_context_slot: int | None) -> _Read:
        options: dict[str, object] = {"encoding": "base64", "commitment": commitment}
        if min_context_slot is not None:
            options["minContextSlot"] = min_context_slot
        wanted = [SYSVAR_CLOCK, *addresses]
        try:
            answer = msgspec.json.decode(self._rpc.raw("getMultipleAccounts", [wanted, options]), type=_Answer)
            data = [None if account is None else base64.b64decode(account.data[0], validate=True) for account in answer.value]
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise RpcFailed("getMultipleAccounts: the answer has not the shape that was expected") from error
        if len(data) != len(wanted) or not 0 <= answer.context.slot <= LARGEST_INTEGER:
            raise RpcFailed("getMultipleAccounts: not as many accounts as were asked for, or no slot")
        try:
            block_time = None if data[0] is None else clock(data[0]).unix_timestamp
        except DecodeError as error:
            raise RpcFailed(f"getMultipleAccounts: {error}") from error
        return _Read(answer.context.slot, block_time, dict(zip(addresses, data[1:], strict=True)))

    def _say(self, subject: str, text: str) -> None:
        if subject not in self._said:
            self._said.add(subject)
            logger.warning("{}: {}: its record cannot be proven", subject, text)


def _calls(targets: Iterable[tuple[Target, tuple[str, ...]]]) -> Iterator[list[tuple[Target, tuple[str, ...]]]]:
    """As many in one call as it takes, the accounts of one target never in two."""
    some: list[tuple[Target, tuple[str, ...]]] = []
    size = 0
    for target, accounts in targets:
        if size + len(accounts) > ACCOUNTS_OF_TOKENS:
            yield some
            some, size = [], 0
        some.append((target, accounts))
        size += len(accounts)
    if some:
        yield some
