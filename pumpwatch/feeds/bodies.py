"""PURE. Requests to a Solana WebSocket as JSON. Source: facts/solana_rpc.md section 2."""

from __future__ import annotations

import msgspec

from pumpwatch.feeds.subscriptions import Request, Target


def body_of(request: Request, *, commitment: str, highest_version: int) -> str:
    """Return *request* as one message. *highest_version*: of the transactions that we can read, 0 or 1."""
    body: dict[str, object] = {"jsonrpc": "2.0", "id": request.request_id, "method": request.method}
    if request.subscription is not None:
        body["params"] = [request.subscription]
    elif request.target.kind == "logs":
        body["params"] = [{"mentions": list(request.target.addresses)}, {"commitment": commitment}]
    elif request.target.kind == "transactions":
        body["params"] = [
            {"accountInclude": _listed(request.target), "vote": False, "failed": False},
            {
                "commitment": commitment,
                "encoding": "base64",
                "transactionDetails": "full",
                "showRewards": False,
                "maxSupportedTransactionVersion": highest_version,
            },
        ]
    return msgspec.json.encode(body).decode()


def _listed(target: Target) -> list[str]:
    """The addresses, in another order for the next generation: a server may take requests that are alike for the same one."""
    return sorted(target.addresses, reverse=target.generation % 2 == 1)
