"""
What a Solana RPC node knows and answers: the market's past and its accounts, by commitment, with a real node's errors.

Slot S is in the context of an answer once the market's clock is past it: the state is that after every transaction of slots up to
S and none of later ones. Source: facts/solana_rpc.md sections 4 and 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pumpwatch.simulator import account_data, chain
from pumpwatch.simulator.serving import World
from pumpwatch.simulator.solana import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from pumpwatch.simulator.transaction import Transaction

_MOST_SIGNATURES: Final = 1_000
_MOST_ACCOUNTS: Final = 100
_MOST_STATUSES: Final = 256
_MOST_WHOLE: Final = 100

_BLOCK_NOT_AVAILABLE: Final = -32004
_VERSION_NOT_SUPPORTED: Final = -32015
_MIN_CONTEXT_SLOT: Final = -32016

#: Of a status without ``searchTransactionHistory``.
_RECENT_SLOTS: Final = 150

#: Mainnet's, so that a client which checks it is content; the origin header tells what this really is.
_GENESIS: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"

#: A lagging node leaves one row in so many out of a list, as long as it is not finalized.
_SKIPPED_ONE_IN: Final = 4


@dataclass(slots=True)
class Lag:
    """
    Some of the nodes behind the endpoint lag: each request meets one of these or a good one.

    Attributes:
        until: ``time.monotonic`` at which all have caught up.
        slots: How far they are behind.
        share: Of the requests that meet one.
    """

    until: float = 0.0
    slots: int = 0
    share: float = 0.7


class Node:
    """Answers JSON-RPC methods. Any thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lag = Lag()

    def answer(self, method: str, params: list[Any]) -> object:
        """
        Return the result of a call.

        Raises:
            RpcError: As the node says it; other errors of reading *params* are the caller's invalid parameters.

        """
        wanted = _METHODS.get(method)
        if wanted is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        lagging = time.monotonic() < self.lag.until and self._world.rng.random() < self.lag.share
        view = View(self._world, self.lag.slots if lagging else 0)
        return wanted(view, params)


class View:
    """One node as it stands behind one request: *behind* slots late."""

    def __init__(self, world: World, behind: int) -> None:
        self._world = world
        self._market = world.market
        self._behind = behind

    def slot(self, commitment: str) -> int:
        """The newest slot of which all is known at that commitment."""
        finished = self._market.clock.slot - 1 - self._behind
        return finished - self._world.finality_slots if commitment == "finalized" else finished

    def _context(self, options: dict[str, Any], *, processed: bool = True) -> int:
        """
        The slot that an answer is of.

        Raises:
            RpcError: Commitment unknown or not supported, or the node has not reached ``minContextSlot``.

        """
        commitment = options.get("commitment", "finalized")
        if commitment not in {"processed", "confirmed", "finalized"}:
            raise RpcError(INVALID_PARAMS, f"Invalid params: unknown variant `{commitment}`")
        if commitment == "processed" and not processed:
            raise RpcError(INVALID_PARAMS, "Method does not support commitment below `confirmed`")
        slot = self.slot(commitment)
        least = options.get("minContextSlot")
        if least is not None and int(least) > slot:
            raise RpcError(_MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", {"contextSlot": slot})
        return slot

    def get_health(self, params: list[Any]) -> str:
        """Always well."""
        del params
        return "ok"

    def get_version(self, params: list[Any]) -> dict[str, object]:
        """As Agave says it."""
        del params
        return {"solana-core": "3.0.6", "feature-set": 3_604_001_754}

    def get_genesis_hash(self, params: list[Any]) -> str:
        """Mainnet's."""
        del params
        return _GENESIS

    def get_slot(self, params: list[Any]) -> int:
        """The newest slot at a commitment."""
        return self._context(_options(params, 0))

    def get_block_height(self, params: list[Any]) -> int:
        """Some blocks less than slots."""
        return self.get_slot(params) - 22_000_000

    def get_block_time(self, params: list[Any]) -> int:
        """The chain's clock in a slot."""
        if not 0 < int(params[0]) <= self.slot("confirmed"):
            raise RpcError(_BLOCK_NOT_AVAILABLE, f"Block not available for slot {params[0]}")
        return self._market.time_of(int(params[0]))

    def get_signatures_for_address(self, params: list[Any]) -> list[dict[str, object]]:
        """Newest first, failed ones included, between ``before`` and ``until``."""
        options = _options(params, 1)
        limit = int(options.get("limit", _MOST_SIGNATURES))
        if not 1 <= limit <= _MOST_SIGNATURES:
            raise RpcError(INVALID_PARAMS, f"Invalid limit; max {_MOST_SIGNATURES}")
        slot = self._context(options, processed=False)
        final = self.slot("finalized")
        before, until = options.get("before"), options.get("until")
        found: list[dict[str, object]] = []
        waiting = before is not None
        for made in self._known(str(params[0]), slot):
            if made.signature == until or len(found) == limit:
                break
            if waiting:
                waiting = made.signature != before
            elif not self._skips(made, final):
                found.append(_row(made, final))
        return found

    def _known(self, account: str, slot: int) -> Iterator[Transaction]:
        """Transactions that mention *account*, up to *slot*, newest first."""
        chain.key(account)
        return (made for made in self._market.history.of(account) if made.slot <= slot)

    def _skips(self, made: Transaction, final: int) -> bool:
        return bool(self._behind) and made.slot > final and made.number % _SKIPPED_ONE_IN == 0

    def get_transactions_for_address(self, params: list[Any]) -> dict[str, object]:
        """Whole transactions, or signatures, of an account, in either order, by filters (Helius)."""
        limits = self._world.limits
        if limits is not None and not limits.transactions_for_address:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        options = _options(params, 1)
        whole = options.get("transactionDetails", "signatures") == "full"
        most = _MOST_WHOLE if whole else _MOST_SIGNATURES
        limit = int(options.get("limit", most))
        if not 1 <= limit <= most:
            raise RpcError(INVALID_PARAMS, f"Invalid limit; max {most}")
        slot = self._context(options, processed=False)
        final = self.slot("finalized")
        known = [made for made in self._known(str(params[0]), slot) if _passes(made, options.get("filters") or {})]
        if options.get("sortOrder", "desc") == "asc":
            known.reverse()
        if "maxSupportedTransactionVersion" not in options:
            known = [made for made in known if made.version == "legacy"]  # silently, as facts/solana_rpc.md section 5 has it
        token = options.get("paginationToken")
        if token is not None:
            places = [f"{made.slot}:{made.place}" for made in known]
            known = known[places.index(str(token)) + 1 :]
        page = known[:limit]
        rows = [_whole(made, options.get("encoding", "json")) if whole else _row(made, final) for made in page]
        data = [{**row, "transactionIndex": made.place} for row, made in zip(rows, page, strict=True)]
        return {"data": data, "paginationToken": f"{page[-1].slot}:{page[-1].place}" if len(known) > limit else None}

    def get_transaction(self, params: list[Any]) -> dict[str, object] | None:
        """One transaction, or None where it is not known at that commitment."""
        options = {"encoding": params[1]} if len(params) > 1 and isinstance(params[1], str) else _options(params, 1)
        slot = self._context(options, processed=False)
        made = self._market.transaction(str(params[0]))
        if made is None or made.slot > slot:
            return None
        highest = options.get("maxSupportedTransactionVersion")
        if made.version != "legacy" and (highest is None or int(highest) < made.version):
            raise RpcError(
                _VERSION_NOT_SUPPORTED,
                f"Transaction version ({made.version}) is not supported by the requesting client. Please try the request again "
                'with the following configuration parameter: "maxSupportedTransactionVersion": ' + str(made.version),
            )
        return _whole(made, str(options.get("encoding", "json")))

    def get_signature_statuses(self, params: list[Any]) -> dict[str, object]:
        """What became of transactions; None where none is known."""
        signatures = [str(signature) for signature in params[0]]
        if len(signatures) > _MOST_STATUSES:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {_MOST_STATUSES}")
        slot, final = self.slot("processed"), self.slot("finalized")
        oldest = 0 if _options(params, 1).get("searchTransactionHistory") else slot - _RECENT_SLOTS
        found = [self._market.transaction(signature) for signature in signatures]
        value = [None if made is None or not oldest <= made.slot <= slot else _status(made, slot, final) for made in found]
        return _answered(slot, value)

    def get_account_info(self, params: list[Any]) -> dict[str, object]:
        """One account; None where there is none."""
        slot = self._context(_options(params, 1))
        return _answered(slot, self._account(str(params[0]), slot))

    def get_multiple_accounts(self, params: list[Any]) -> dict[str, object]:
        """Several accounts at one slot."""
        addresses = [str(address) for address in params[0]]
        if len(addresses) > _MOST_ACCOUNTS:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {_MOST_ACCOUNTS}")
        slot = self._context(_options(params, 1))
        return _answered(slot, [self._account(address, slot) for address in addresses])

    def _account(self, address: str, slot: int) -> dict[str, object] | None:
        chain.key(address)
        if address == chain.CLOCK:
            data = account_data.clock_account(slot, self._market.time_of(slot))
            return account_data.shown(data, chain.SYSVAR, lamports=1_169_280)
        coin = self._market.accounts.owner(address)
        held = None if coin is None else self._market.accounts.at(coin, slot)
        if coin is None or held is None:
            return None
        if address == coin.curve:
            data = account_data.curve_account(coin, held)
            return account_data.shown(data, chain.PUMP, lamports=1_941_840 + held.real_quote * coin.is_sol)
        if held.stage != "pool":
            return None
        if address == coin.pool:
            return account_data.shown(account_data.pool_account(coin, held), chain.PUMPSWAP, lamports=2_777_040)
        if address == coin.vaults[0]:
            data = account_data.token_account(coin.mint, coin.pool, held.base, is_2022=True)
            return account_data.shown(data, chain.SPL_2022, lamports=2_074_080)
        data = account_data.token_account(coin.quote_mint, coin.pool, held.vault, is_2022=False)
        return account_data.shown(data, chain.SPL, lamports=2_039_280 + held.vault * coin.is_sol)


def _options(params: list[Any], place: int) -> dict[str, Any]:
    options = params[place] if len(params) > place and params[place] is not None else {}
    if not isinstance(options, dict):
        raise RpcError(INVALID_PARAMS, "Invalid params: expected an object")
    return options


def _answered(slot: int, value: object) -> dict[str, object]:
    return {"context": {"apiVersion": "3.0.6", "slot": slot}, "value": value}


def _row(made: Transaction, final: int) -> dict[str, object]:
    return {
        "signature": made.signature,
        "slot": made.slot,
        "err": made.err,
        "memo": None,
        "blockTime": made.block_time,
        "confirmationStatus": "finalized" if made.slot <= final else "confirmed",
    }


def _status(made: Transaction, slot: int, final: int) -> dict[str, object]:
    finalized = made.slot <= final
    return {
        "slot": made.slot,
        "confirmations": None if finalized else slot - made.slot,
        "err": made.err,
        "status": {"Ok": None} if made.err is None else {"Err": made.err},
        "confirmationStatus": "finalized" if finalized else "confirmed",
    }


def _whole(made: Transaction, encoding: str) -> dict[str, object]:
    return {
        "slot": made.slot,
        "blockTime": made.block_time,
        "version": made.version,
        "transaction": made.encoded(encoding),
        "meta": made.meta(made.rendered(), encoding),
    }


def _passes(made: Transaction, filters: dict[str, Any]) -> bool:
    status = filters.get("status", "any")
    if status != "any" and (status == "succeeded") is not (made.err is None):
        return False
    return _within(made.slot, filters.get("slot") or {}) and _within(made.block_time, filters.get("blockTime") or {})


def _within(value: int, bounds: dict[str, int]) -> bool:
    return (
        bounds.get("gte", value) <= value <= bounds.get("lte", value)
        and bounds.get("gt", value - 1) < value < bounds.get("lt", value + 1)
        and bounds.get("eq", value) == value
    )


_Method: TypeAlias = Callable[[View, list[Any]], object]

_METHODS: Final[dict[str, _Method]] = {
    "getHealth": View.get_health,
    "getSlot": View.get_slot,
    "getBlockHeight": View.get_block_height,
    "getVersion": View.get_version,
    "getGenesisHash": View.get_genesis_hash,
    "getBlockTime": View.get_block_time,
    "getSignaturesForAddress": View.get_signatures_for_address,
    "getSignatureStatuses": View.get_signature_statuses,
    "getTransaction": View.get_transaction,
    "getTransactionsForAddress": View.get_transactions_for_address,
    "getAccountInfo": View.get_account_info,
    "getMultipleAccounts": View.get_multiple_accounts,
}
