"""
What the benchmark measures us against: the plainest recorder that could be written with the same packages.

websocket-client, json, struct and sqlite3.executemany into the same tables and indexes under the same PRAGMAs, in one thread.
No identity, no merging, nothing set aside: a repeated message ends it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import struct
import sys
import time
from pathlib import Path

import websocket
from solders.pubkey import Pubkey

from pumpwatch.storage.schema import MIGRATIONS
from pumpwatch.storage.statements import INSERT_TRADE

_BATCH = 1000
_FIELDS = struct.Struct("<32sQQ?32sqQQQQ32sQQ32sQQ")


class Floor:
    """Messages of one feed to rows, committed a thousand at a time."""

    def __init__(self, path: Path, kind: str, count: int) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=1000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("PRAGMA journal_size_limit=67108864")
        self._db.execute("PRAGMA cache_size=-16384")
        self._db.execute("PRAGMA foreign_keys=ON")
        for statement in MIGRATIONS[0]:
            self._db.execute(statement)
        self._row = self._of_pumpportal if kind == "pumpportal" else self._of_logs
        self._left = count
        self._rows: list[tuple[object, ...]] = []
        self._tokens: dict[str, int] = {}
        self._wallets: dict[str, int] = {}
        self._new_tokens: list[tuple[int, str, int]] = []
        self._new_wallets: list[tuple[int, str]] = []

    def on_message(self, app: websocket.WebSocketApp, message: bytes) -> None:
        """One message: a row, and with the thousandth a commit."""
        row = self._row(message, time.time_ns() // 1000)
        if row is None:
            return
        self._rows.append(row)
        self._left -= 1
        if len(self._rows) == _BATCH or not self._left:
            self._commit()
        if not self._left:
            app.close()

    def _commit(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO tokens (id, mint, first_seen_us) VALUES (?, ?, ?)", self._new_tokens)
        self._db.executemany("INSERT INTO wallets (id, address) VALUES (?, ?)", self._new_wallets)
        self._db.executemany(INSERT_TRADE, self._rows)
        self._db.execute("COMMIT")
        for rows in (self._new_tokens, self._new_wallets, self._rows):
            rows.clear()

    def _token(self, mint: str, now_us: int) -> int:
        number = self._tokens.get(mint)
        if number is None:
            self._tokens[mint] = number = len(self._tokens) + 1
            self._new_tokens.append((number, mint, now_us))
        return number

    def _wallet(self, address: str) -> int:
        number = self._wallets.get(address)
        if number is None:
            self._wallets[address] = number = len(self._wallets) + 1
            self._new_wallets.append((number, address))
        return number

    def _of_pumpportal(self, message: bytes, now_us: int) -> tuple[object, ...] | None:
        trade = json.loads(message)
        if "txType" not in trade:
            return None
        tokens = round(trade["vTokensInBondingCurve"] * 1e6)
        known = (round(trade["tokenAmount"] * 1e6), round(trade["solAmount"] * 1e9))
        unknown = (None,) * 4
        return (
            *(None, self._wallet(trade["traderPublicKey"]), None, 0, int(trade["txType"] == "buy"), 0, 0, None, None, *known),
            *(None, *unknown, tokens, None, None, None, None, tokens, now_us, None, None),
            *(self._token(trade["mint"], now_us), trade["signature"]),
        )

    def _of_logs(self, message: bytes, now_us: int) -> tuple[object, ...] | None:
        notification = json.loads(message)
        if notification.get("method") != "logsNotification":
            return None
        result = notification["params"]["result"]
        slot = result["context"]["slot"]
        for line in result["value"]["logs"]:
            if line.startswith("Program data: vdt/007mYe"):
                fields = _FIELDS.unpack_from(base64.b64decode(line[14:]), 8)
                mint, paid, bought, is_buy, user, at, quote, tokens, real_quote, real_tokens, _, _, fee, _, _, creator_fee = (
                    fields
                )
                key = b"\0" + slot.to_bytes(8, "big") + (quote * tokens).to_bytes(16, "big")
                total = paid + fee + creator_fee if is_buy else paid - fee - creator_fee
                return (
                    *(None, self._wallet(str(Pubkey(user))), 0, 1, int(is_buy), 0, 0, slot, at, bought, paid, total, 1, fee),
                    *(creator_fee, None, tokens, quote, real_tokens, real_quote, key, None, None, now_us, None),
                    *(self._token(str(Pubkey(mint)), now_us), result["value"]["signature"]),
                )
        return None


def main(path: Path, kind: str, count: int, url: str) -> None:
    """Record *count* trades of *kind* from *url* into a new file."""
    floor = Floor(path, kind, count)
    ask = {"method": "subscribeNewToken"} if kind == "pumpportal" else {"jsonrpc": "2.0", "id": 1, "method": "logsSubscribe"}
    app = websocket.WebSocketApp(url, on_open=lambda app: app.send(json.dumps(ask)), on_message=floor.on_message)
    app.run_forever(skip_utf8_validation=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
