"""A Solana RPC node over HTTP, as far as looking up a market's past needs it."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pumpwatch.simulator import chain
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.logs import dumps
from pumpwatch.simulator.serving import World
from pumpwatch.simulator.solana import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError
from pumpwatch.simulator.transaction import Transaction

_MOST_BODY_BYTES: Final = 2**22
_MOST_SIGNATURES: Final = 1_000

#: Mainnet's, so that a client which checks it is content; the origin header tells what this really is.
_GENESIS: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
_CURVE_ACCOUNT: Final = bytes.fromhex("17b7f83760d8ac60")

_Method: TypeAlias = Callable[["Node", list[Any]], object]


class Node:
    """Answers JSON-RPC calls from the market's history and present state. Any thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.calls = 0

    def answer(self, body: bytes) -> tuple[int, str]:
        """HTTP status and body for a request body: one call, or a batch of them."""
        try:
            request = json.loads(body)
        except ValueError:
            return 200, dumps(_error_document(None, RpcError(PARSE_ERROR, "Parse error")))
        calls = request if isinstance(request, list) else [request]
        limits = self._world.limits
        if limits is not None and len(calls) > limits.batch:
            return 413, dumps(_error_document(None, RpcError(INVALID_REQUEST, "Batch too large")))
        if not all(self._admitted(call) for call in calls):
            return 429, dumps({"jsonrpc": "2.0", "error": {"code": -32429, "message": "rate limited"}})
        answers = [self._one(call) for call in calls]
        return 200, dumps(answers if isinstance(request, list) else answers[0])

    def _admitted(self, call: Any) -> bool:
        self.calls += 1
        limits = self._world.limits
        if limits is None:
            return True
        method = str(call.get("method")) if isinstance(call, dict) else "?"
        if not self._world.rate.within("", limits.calls):
            return False
        return limits.calls_per_method is None or self._world.rate.within(method, limits.calls_per_method)

    def _one(self, call: Any) -> dict[str, object]:
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            return _error_document(None, RpcError(INVALID_REQUEST, "Invalid request"))
        request_id = call.get("id")
        method = _METHODS.get(call["method"])
        if method is None:
            return _error_document(request_id, RpcError(METHOD_NOT_FOUND, "Method not found"))
        try:
            params = call.get("params") or []
            with self._world.lock:
                return {"jsonrpc": "2.0", "result": method(self, params), "id": request_id}
        except RpcError as error:
            return _error_document(request_id, error)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError):
            return _error_document(request_id, RpcError(INVALID_PARAMS, "Invalid params"))

    def get_health(self, params: list[Any]) -> str:
        """Always well."""
        del params
        return "ok"

    def get_slot(self, params: list[Any]) -> int:
        """The present slot, whatever the commitment."""
        del params
        return self._world.market.clock.slot

    def get_block_height(self, params: list[Any]) -> int:
        """Some blocks less than slots."""
        return self.get_slot(params) - 22_000_000

    def get_version(self, params: list[Any]) -> dict[str, object]:
        """As Agave says it."""
        del params
        return {"solana-core": "3.0.6", "feature-set": 3_604_001_754}

    def get_genesis_hash(self, params: list[Any]) -> str:
        """Mainnet's."""
        del params
        return _GENESIS

    def get_block_time(self, params: list[Any]) -> int | None:
        """Block time of a slot that had a transaction."""
        for transaction in reversed(self._world.market.history):
            if transaction.slot == params[0]:
                return transaction.block_time
        return None

    def get_signatures_for_address(self, params: list[Any]) -> list[dict[str, object]]:
        """Newest first, failed ones included, between ``before`` and ``until``."""
        address = str(params[0])
        chain.key(address)
        options = params[1] if len(params) > 1 and params[1] is not None else {}
        limit = int(options.get("limit", _MOST_SIGNATURES))
        if not 1 <= limit <= _MOST_SIGNATURES:
            raise RpcError(INVALID_PARAMS, f"Invalid limit; max {_MOST_SIGNATURES}")
        if options.get("commitment") == "processed":
            raise RpcError(INVALID_PARAMS, "Method does not support commitment below `confirmed`")
        before, until = options.get("before"), options.get("until")
        found: list[dict[str, object]] = []
        waiting = before is not None
        for transaction in reversed(self._world.market.history):
            if transaction.signature == until or len(found) == limit:
                break
            if waiting:
                waiting = transaction.signature != before
                continue
            if address in transaction.mentions:
                found.append(
                    {
                        "signature": transaction.signature,
                        "slot": transaction.slot,
                        "err": transaction.err,
                        "memo": None,
                        "blockTime": transaction.block_time,
                        "confirmationStatus": "finalized",
                    }
                )
        return found

    def get_transaction(self, params: list[Any]) -> dict[str, object] | None:
        """One transaction, or None where it is not known."""
        options = params[1] if len(params) > 1 else {}
        encoding = options if isinstance(options, str) else options.get("encoding", "json")
        transaction = self._world.market.transaction(str(params[0]))
        return None if transaction is None else _whole(transaction, encoding)

    def get_account_info(self, params: list[Any]) -> dict[str, object]:
        """A curve's account; None for what the simulator does not keep as an account."""
        return self._context(self._account(str(params[0])))

    def get_multiple_accounts(self, params: list[Any]) -> dict[str, object]:
        """Several accounts at one slot, at most 100."""
        addresses = [str(address) for address in params[0]]
        if len(addresses) > 100:
            raise RpcError(INVALID_PARAMS, "Too many inputs provided; max 100")
        return self._context([self._account(address) for address in addresses])

    def _context(self, value: object) -> dict[str, object]:
        return {"context": {"apiVersion": "3.0.6", "slot": self._world.market.clock.slot}, "value": value}

    def _account(self, address: str) -> dict[str, object] | None:
        chain.key(address)
        for coin in self._world.market.coins.values():
            if coin.curve == address:
                data = curve_account(coin)
                return {
                    "data": [b64encode(data).decode(), "base64"],
                    "executable": False,
                    "lamports": 1_941_840 + coin.real_quote * coin.is_sol,
                    "owner": chain.PUMP,
                    "rentEpoch": 2**64 - 1,
                    "space": len(data),
                }
        return None


def curve_account(coin: Coin) -> bytes:
    """The BondingCurve account of 151 bytes; its reserves are zero once the coin has graduated."""
    on_curve = coin.stage != "pool"
    reserves = (coin.virtual_token, coin.virtual_quote, coin.real_token, coin.real_quote)
    return b"".join(
        (
            _CURVE_ACCOUNT,
            *((reserve if on_curve else 0).to_bytes(8, "little") for reserve in reserves),
            coin.supply.to_bytes(8, "little"),
            bytes((coin.stage != "curve",)),
            chain.key(coin.creator),
            bytes((coin.is_mayhem, 0)),
            coin.quote_key,
            bytes(36),
        )
    )


def _whole(transaction: Transaction, encoding: str) -> dict[str, object]:
    result: dict[str, object] = {
        "slot": transaction.slot,
        "blockTime": transaction.block_time,
        "version": "legacy",
        "transaction": transaction.encoded(encoding),
        "meta": transaction.meta(list(transaction.lines), encoding),
    }
    transaction.forget_lines()
    return result


def _error_document(request_id: object, error: RpcError) -> dict[str, object]:
    return {"jsonrpc": "2.0", "error": {"code": error.code, "message": error.message}, "id": request_id}


_METHODS: Final[dict[str, _Method]] = {
    "getHealth": Node.get_health,
    "getSlot": Node.get_slot,
    "getBlockHeight": Node.get_block_height,
    "getVersion": Node.get_version,
    "getGenesisHash": Node.get_genesis_hash,
    "getBlockTime": Node.get_block_time,
    "getSignaturesForAddress": Node.get_signatures_for_address,
    "getTransaction": Node.get_transaction,
    "getAccountInfo": Node.get_account_info,
    "getMultipleAccounts": Node.get_multiple_accounts,
}


class _Handler(BaseHTTPRequestHandler):
    """One HTTP connection."""

    protocol_version = "HTTP/1.1"
    server: _Http

    def do_POST(self) -> None:
        """Answer one JSON-RPC request."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST_BODY_BYTES))
        world = self.server.world
        key = parse_qs(urlsplit(self.path).query).get("api-key", [""])[0]
        if world.limits is not None and world.limits.needs_key and not key:
            status, text = 401, dumps({"jsonrpc": "2.0", "error": {"code": -32401, "message": "Invalid API Key"}})
        else:
            status, text = self.server.node.answer(body)
        payload = text.encode()
        self.send_response(status)
        for name, value in world.headers.items():
            self.send_header(name, value)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, world: World, node: Node) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world = world
        self.node = node
        self.open_sockets: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open_sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class RpcServer:
    """The HTTP side of the simulated node."""

    def __init__(self, world: World) -> None:
        self.node = Node(world)
        self._server = _Http(world, self.node)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="simulator rpc", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """End all connections, kept-alive ones too."""
        self._server.shutdown()
        for open_socket in list(self._server.open_sockets):
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()
        self._thread.join()
