"""The sources of US dollar prices on loopback, in their real shapes (facts/solana_rpc.md section 7), with their troubles."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from loopback_http import LoopbackHttp

from pumpwatch.decode.addresses import USDC
from pumpwatch.events import WRAPPED_SOL
from pumpwatch.rate_sources import Closes, Spot, public_closes, public_spots


@dataclass(frozen=True)
class Odd:
    """An HTTP answer that is not simply JSON."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    silent_seconds: float = 0.0


#: From path and query to JSON, or an :class:`Odd`.
Answer: TypeAlias = Callable[[str, dict[str, str]], Any]

#: By minute: US dollars of SOL.
Price: TypeAlias = Callable[[int], float | None]


class Sources:
    """
    One server for all; each source below a folder of its name.

    Attributes:
        answers: By source: ``coinbase``, ``jupiter``, ``coingecko``, ``binance``, ``exchange`` (Coinbase's candles). What is
            put there replaces the real shape.
        sol, usdc: What they say; None: it is left out.
        closes: What candles say.
        asked: Source and target of each request.
    """

    def __init__(self) -> None:
        self.now = 1_790_000_000
        self.sol: Any = 150.0
        self.usdc: Any = 0.9998
        self.others: dict[str, Any] = {}
        self.closes: Price = lambda minute: 140.0 + minute % 60 / 100
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self.agents: set[str] = set()
        self.closing = threading.Event()
        self._server = LoopbackHttp(self, _Handler)
        self.url = f"http://{self._server.address}"
        self._server.begin()

    @property
    def spots(self) -> tuple[Spot, ...]:
        return tuple(spot._replace(base=f"{self.url}/{spot.name.split()[0]}") for spot in public_spots())

    @property
    def candles(self) -> tuple[Closes, ...]:
        folders = {"coinbase": "exchange", "binance (USDT)": "binance"}
        return tuple(closes._replace(base=f"{self.url}/{folders[closes.name]}") for closes in public_closes())

    def count(self, source: str) -> int:
        return sum(name == source for name, _ in self.asked)

    def close(self) -> None:
        self.closing.set()
        self._server.end()

    def answer(self, target: str) -> Odd:
        url = urlsplit(target)
        _, source, *rest = url.path.split("/")
        path, query = "/".join(["", *rest]), {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((source, f"{path}?{url.query}"))
        told = self.answers.get(source, self._real)(path, query)
        return told if isinstance(told, Odd) else Odd(json.dumps(told).encode())

    def _real(self, path: str, query: dict[str, str]) -> Any:
        match path.strip("/").split("/"):
            case ["v2", "prices", product, "spot"]:
                base = product.partition("-")[0]
                amount = self.sol if base == "SOL" else self.usdc
                return {"data": {"amount": str(amount), "base": base, "currency": "USD"}}
            case ["price", "v3"]:
                prices = {WRAPPED_SOL: self.sol, USDC: self.usdc, **self.others}
                shape = {"createdAt": "2024-06-05T08:55:25.527Z", "liquidity": 621679197.67, "blockId": 348004023, "decimals": 9}
                return {
                    mint: {**shape, "usdPrice": prices[mint], "priceChange24h": 1.29}
                    for mint in query["ids"].split(",")
                    if prices.get(mint) is not None
                }
            case ["api", "v3", "simple", "price"]:
                prices = {"solana": self.sol, "usd-coin": self.usdc}
                return {name: {"usd": prices[name], "last_updated_at": self.now - 30} for name in query["ids"].split(",")}
            case ["api", "v3", "ticker", "price"]:
                return {"symbol": query["symbol"], "price": f"{self.sol if query['symbol'] == 'SOLUSDT' else self.usdc:.8f}"}
            case ["products", "SOL-USD", "candles"]:
                assert int(query["end"]) - int(query["start"]) < 300 * 60, "rejected by the real one"
                return self.coinbase_candles(int(query["start"]) // 60, int(query["end"]) // 60)
            case ["api", "v3", "klines"]:
                return self.klines(int(query["startTime"]) // 60_000, int(query["endTime"]) // 60_000)
        return Odd(b'{"message":"NotFound"}', status=404)

    def coinbase_candles(self, first: int, last: int) -> Any:
        """The newest first, and some that precede the start, as theirs may."""
        told = [(minute, self.closes(minute)) for minute in range(last, first - 3, -1)]
        return [[minute * 60, usd - 1, usd + 1, usd, usd, 4321.5] for minute, usd in told if usd is not None]

    def klines(self, first: int, last: int) -> Any:
        told = [(minute, self.closes(minute)) for minute in range(first, last + 1)][:1000]
        return [
            [
                minute * 60_000,
                "1.0",
                "2.0",
                "0.5",
                f"{usd:.8f}",
                "148976.1",
                minute * 60_000 + 59_999,
                "2434.1",
                308,
                "1",
                "2",
                "0",
            ]
            for minute, usd in told
            if usd is not None
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackHttp

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.agents.add(self.headers["User-Agent"])
        odd = owner.answer(self.path)
        if owner.closing.wait(odd.silent_seconds):
            return
        headers = {"Content-Type": "application/json", "Content-Length": str(len(odd.body)), **odd.headers}
        head = f"HTTP/1.1 {odd.status} Whatever\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.wfile.write(head.encode() + odd.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
