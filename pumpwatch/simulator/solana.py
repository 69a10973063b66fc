"""A Solana RPC node's WebSocket: logs, transaction and slot subscriptions, with Helius' extension and refusals."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pumpwatch.simulator import chain
from pumpwatch.simulator.deals import UNKNOWN_EVENT
from pumpwatch.simulator.logs import dumps
from pumpwatch.simulator.recorded import addresses_in
from pumpwatch.simulator.serving import Client, FeedServer, World
from pumpwatch.simulator.transaction import Transaction

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602

#: Subscription to everything.
_ALL: Final = "all"
_MOST_ADDRESSES: Final = 50_000

#: How an event that nobody knows begins in a log.
_UNKNOWN: Final = base64.b64encode(UNKNOWN_EVENT).decode()[:10]


class RpcError(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str, data: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def document(self, request_id: object) -> dict[str, object]:
        """The answer that tells it, with its keys in the order that Agave uses."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "error": error, "id": request_id}


def rpc_result(request_id: object, result: object) -> str:
    """A JSON-RPC answer."""
    return dumps({"jsonrpc": "2.0", "id": request_id, "result": result})


def rpc_error(request_id: object, error: RpcError) -> str:
    """A JSON-RPC error."""
    return dumps(error.document(request_id))


@dataclass(frozen=True, slots=True)
class _TransactionFilter:
    include: frozenset[str]
    required: frozenset[str]
    exclude: frozenset[str]
    failed: bool
    encoding: str
    details: str

    def matches(self, transaction: Transaction) -> bool:
        if transaction.err is not None and not self.failed:
            return False
        mentions = transaction.mentions
        if self.include and self.include.isdisjoint(mentions):
            return False
        return self.required <= mentions and self.exclude.isdisjoint(mentions)


@dataclass(slots=True)
class _Subscriptions:
    slots: set[int] = field(default_factory=set)
    logs: dict[str, list[int]] = field(default_factory=dict)
    log_address: dict[int, str] = field(default_factory=dict)
    transactions: dict[int, _TransactionFilter] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        return len(self.slots) + len(self.log_address) + len(self.transactions)


_Method: TypeAlias = Callable[["SolanaServer", Client, _Subscriptions, Any], object]


class SolanaServer(FeedServer):
    """Subscriptions deliver what they cover, one notification for each that matches."""

    feed = "helius"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._subscriptions: dict[Client, _Subscriptions] = {}
        # Ids of real servers are u64 and may exceed what a float holds.
        self._ids = itertools.count(2**53 + 13_117_691)
        self.truncate_next = 0

    def connected(self, client: Client) -> None:
        with self.world.lock:
            self._subscriptions[client] = _Subscriptions()

    def disconnected(self, client: Client) -> None:
        with self.world.lock:
            del self._subscriptions[client]

    def may_connect(self, api_key: str, others: int) -> tuple[int, str] | None:
        limits = self.world.limits
        if limits is None:
            return None
        if limits.needs_key and not api_key:
            return 401, "Invalid API Key"
        return (429, "too many connections") if others >= limits.connections else None

    def receive(self, client: Client, text: str) -> None:
        """Answer one request."""
        try:
            request = json.loads(text)
        except ValueError:
            client.put(rpc_error(None, RpcError(PARSE_ERROR, "Parse error")), data=False)
            return
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            client.put(rpc_error(None, RpcError(INVALID_REQUEST, "Invalid request")), data=False)
            return
        request_id = request.get("id")
        method = _METHODS.get(request["method"])
        if method is None:
            client.put(rpc_error(request_id, RpcError(METHOD_NOT_FOUND, "Method not found")), data=False)
            return
        try:
            # The answer goes out before any notification of the new subscription.
            with self.world.lock:
                result = method(self, client, self._subscriptions[client], request.get("params"))
                client.put(rpc_result(request_id, result), data=False)
        except RpcError as error:
            client.put(rpc_error(request_id, error), data=False)

    def _new_id(self, held: _Subscriptions) -> int:
        limits = self.world.limits
        if limits is not None and held.count >= limits.subscriptions:
            raise RpcError(INVALID_REQUEST, "Too many subscriptions on this connection")
        return next(self._ids)

    def slot_subscribe(self, client: Client, held: _Subscriptions, params: Any) -> int:
        """Every slot from now on."""
        del client
        if params:
            raise RpcError(INVALID_PARAMS, "Invalid parameters: No parameters were expected")
        made = self._new_id(held)
        held.slots.add(made)
        return made

    def logs_subscribe(self, client: Client, held: _Subscriptions, params: Any) -> int:
        """Logs of transactions that mention one address, or of all."""
        del client
        wanted = params[0] if isinstance(params, list) and params else None
        if wanted in ("all", "allWithVotes"):
            address = _ALL
        else:
            mentions = wanted.get("mentions") if isinstance(wanted, dict) else None
            if not isinstance(mentions, list) or not mentions:
                raise RpcError(INVALID_PARAMS, "Invalid params: expected a filter")
            if len(mentions) > 1:
                raise RpcError(INVALID_PARAMS, "Invalid Request: Only 1 address supported")
            address = _checked_address(mentions[0])
        _checked_commitment(params[1] if len(params) > 1 else None)
        made = self._new_id(held)
        held.logs.setdefault(address, []).append(made)
        held.log_address[made] = address
        self._interested((address,))
        return made

    def transaction_subscribe(self, client: Client, held: _Subscriptions, params: Any) -> int:
        """Whole transactions by account filters (Helius)."""
        del client
        limits = self.world.limits
        if limits is not None and not limits.transaction_subscribe:
            if limits.needs_key:
                raise RpcError(INVALID_REQUEST, "transactionSubscribe is not available on the free plan")
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        if not isinstance(params, list) or not params or not isinstance(params[0], dict):
            raise RpcError(INVALID_PARAMS, "Invalid params")
        options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
        _checked_commitment(options)
        details = options.get("transactionDetails", "full")
        if details in {"full", "accounts"} and "maxSupportedTransactionVersion" not in options:
            raise RpcError(INVALID_PARAMS, "maxSupportedTransactionVersion is required")
        lists = [params[0].get(name) or [] for name in ("accountInclude", "accountRequired", "accountExclude")]
        if any(len(addresses) > _MOST_ADDRESSES for addresses in lists):
            raise RpcError(INVALID_PARAMS, "Invalid params: too many addresses")
        include, required, exclude = (frozenset(_checked_address(address) for address in addresses) for addresses in lists)
        made = self._new_id(held)
        held.transactions[made] = _TransactionFilter(
            include, required, exclude, params[0].get("failed") is not False, str(options.get("encoding", "base64")), str(details)
        )
        self._interested(include | required)
        return made

    def slot_unsubscribe(self, client: Client, held: _Subscriptions, params: Any) -> bool:
        """Slots no more."""
        del client
        held.slots.remove(_held_id(params, held.slots))
        return True

    def logs_unsubscribe(self, client: Client, held: _Subscriptions, params: Any) -> bool:
        """No more logs of that subscription."""
        del client
        gone = _held_id(params, held.log_address)
        address = held.log_address.pop(gone)
        held.logs[address].remove(gone)
        if not held.logs[address]:
            del held.logs[address]
        self._uninterested()
        return True

    def transaction_unsubscribe(self, client: Client, held: _Subscriptions, params: Any) -> bool:
        """No more transactions of that subscription."""
        del client
        del held.transactions[_held_id(params, held.transactions)]
        self._uninterested()
        return True

    def _interested(self, addresses: tuple[str, ...] | frozenset[str]) -> None:
        """Note which coins are asked for from now on."""
        market = self.world.market
        everything = not addresses or not {_ALL, chain.PUMP}.isdisjoint(addresses)
        for coin in market.coins.values():
            if everything or not {coin.mint, coin.curve, coin.pool}.isdisjoint(addresses):
                self.world.interest.begin(self.feed, coin.mint, len(market.ledger))

    def _uninterested(self) -> None:
        """End the interest in coins that no subscription of anybody covers any more."""
        asked: set[str] = set()
        for held in self._subscriptions.values():
            asked.update(held.logs)
            for wanted in held.transactions.values():
                asked.update(wanted.include, wanted.required)
        if not {_ALL, chain.PUMP}.isdisjoint(asked):
            return
        market = self.world.market
        for coin in market.coins.values():
            if asked.isdisjoint((coin.mint, coin.curve, coin.pool)):
                self.world.interest.end(self.feed, coin.mint, len(market.ledger))

    def publish_slot(self, slot: int) -> None:
        """Tell the new slot."""
        with self.world.lock:
            for client, held in self._subscriptions.items():
                for made in held.slots - held.dead:
                    result = {"parent": slot - 1, "root": slot - 32, "slot": slot}
                    notification = {"method": "slotNotification", "params": {"result": result, "subscription": made}}
                    client.put(dumps({"jsonrpc": "2.0", **notification}))

    def publish(self, transaction: Transaction) -> None:
        """Send what the subscriptions cover; called with the world's lock held."""
        value: str | None = None
        lines = transaction.lines
        # A transaction with an event that nobody knows can never be shown to be whole: its gap would stay, rightly, by chance.
        is_known = not any(_UNKNOWN in line for line in lines)
        cut = self.truncate_next > 0 and bool(transaction.rows) and is_known and self._concerns_anybody(transaction)
        if cut:
            self.truncate_next -= 1
            lines = transaction.cut_log(self.world.rng)
        for client, held in self._subscriptions.items():
            matched = held.logs.keys() & (transaction.mentions | {_ALL})
            for address in matched:
                if value is None:
                    value = dumps({"signature": transaction.signature, "err": transaction.err, "logs": lines})
                numbers = () if cut else self._covered(transaction, matched)
                for made in held.logs[address]:
                    if made not in held.dead:
                        client.put(_logs_notification(made, transaction.slot, value), numbers)
            for made, wanted in held.transactions.items():
                if made not in held.dead and wanted.matches(transaction):
                    numbers = self._covered(transaction, wanted.include | wanted.required)
                    client.put(_transaction_notification(made, transaction, wanted, lines), numbers)

    def _concerns_anybody(self, transaction: Transaction) -> bool:
        addresses = transaction.mentions | {_ALL}
        return any(
            held.logs.keys() & addresses or any(wanted.matches(transaction) for wanted in held.transactions.values())
            for held in self._subscriptions.values()
        )

    def _covered(self, transaction: Transaction, asked: frozenset[str] | set[str]) -> tuple[int, ...]:
        """Trades of the transaction that somebody asked for: those of other coins in it come along, and are not counted."""
        if not asked or not asked.isdisjoint((_ALL, chain.PUMP, chain.PUMPSWAP)):
            for row in transaction.rows:
                self.world.interest.begin(self.feed, row.mint, row.number)
            return tuple(row.number for row in transaction.rows)
        coins = self.world.market.coins
        covered = []
        for row in transaction.rows:
            coin = coins.get(row.mint)
            places = (row.wallet, row.mint) if coin is None else (row.wallet, row.mint, coin.curve, coin.pool)
            if not asked.isdisjoint(places):
                covered.append(row.number)
        return tuple(covered)

    def relay(self, text: str) -> int:
        """Send a recorded ``logsNotification`` under each log subscription that it concerns; returns how many these are."""
        message = json.loads(text)
        logs = message["params"]["result"]["value"]["logs"]
        concerned = addresses_in(logs) | {_ALL}
        reached = 0
        with self.world.lock:
            for client, held in self._subscriptions.items():
                for address in held.logs.keys() & concerned:
                    for made in held.logs[address]:
                        message["params"]["subscription"] = made
                        client.put(dumps(message))
                        reached += 1
        return reached

    def some_subscription(self, client: Client) -> int:
        """Id of one of the client's log subscriptions, 0 if it has none."""
        with self.world.lock:
            held = self._subscriptions.get(client)
            return next(iter(held.log_address), 0) if held is not None else 0

    def silence_some(self, one_in: int) -> int:
        """Let one subscription in *one_in* deliver nothing more (slots go on); returns how many died."""
        died = 0
        with self.world.lock:
            for held in self._subscriptions.values():
                for place, made in enumerate([*held.log_address, *held.transactions]):
                    if place % one_in == 0 and made not in held.dead:
                        held.dead.add(made)
                        died += 1
        return died


def _logs_notification(made: int, slot: int, value: str) -> str:
    return (
        f'{{"jsonrpc":"2.0","method":"logsNotification","params":{{"subscription":{made},'
        f'"result":{{"context":{{"slot":{slot}}},"value":{value}}}}}}}'
    )


def _transaction_notification(made: int, transaction: Transaction, wanted: _TransactionFilter, lines: list[str]) -> str:
    result: dict[str, object] = {}
    if wanted.details == "full":
        encoded = transaction.encoded(wanted.encoding)
        result["transaction"] = {
            "transaction": encoded,
            "meta": transaction.meta(lines, wanted.encoding),
            "version": transaction.version,
        }
    result |= {"signature": transaction.signature, "slot": transaction.slot, "transactionIndex": transaction.place}
    params = {"subscription": made, "result": result}
    return dumps({"jsonrpc": "2.0", "method": "transactionNotification", "params": params})


def _checked_address(value: object) -> str:
    try:
        chain.key(str(value))
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, "Invalid Request: Invalid pubkey provided") from error
    return str(value)


def _checked_commitment(options: object) -> None:
    commitment = options.get("commitment", "finalized") if isinstance(options, dict) else "finalized"
    if commitment not in {"processed", "confirmed", "finalized"}:
        raise RpcError(INVALID_PARAMS, f"Invalid params: unknown variant `{commitment}`")


def _held_id(params: Any, held: set[int] | dict[int, Any]) -> int:
    wanted = params[0] if isinstance(params, list) and len(params) == 1 else None
    if not isinstance(wanted, int) or wanted not in held:
        raise RpcError(INVALID_PARAMS, "Invalid subscription id.")
    return wanted


_METHODS: Final[dict[str, _Method]] = {
    "slotSubscribe": SolanaServer.slot_subscribe,
    "slotUnsubscribe": SolanaServer.slot_unsubscribe,
    "logsSubscribe": SolanaServer.logs_subscribe,
    "logsUnsubscribe": SolanaServer.logs_unsubscribe,
    "transactionSubscribe": SolanaServer.transaction_subscribe,
    "transactionUnsubscribe": SolanaServer.transaction_unsubscribe,
}
