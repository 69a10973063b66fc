"""The load of the benchmark: prebuilt WebSocket frames of trades, and a process of its own that sends them."""

from __future__ import annotations

import base64
import json
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import websockets.sync.server
from solders.pubkey import Pubkey
from solders.signature import Signature

#: Tokens trade for a while, then others do: so many at a time, so many trades each, as on a launchpad.
TOKENS_AT_ONCE = 50
TRADES_PER_TOKEN = 500
WALLETS = 100_000

PUMP = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"
FEES = "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ"
SPL_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
FIRST_SLOT = 430_000_000
CHUNK_FRAMES = 100

_TRADE_EVENT = struct.Struct("<8s32sQQ?32sqQQQQ32sQQ32sQQ?QQQqI3s?QQQQI32sQQQQQQ")
_DISCRIMINATOR = bytes.fromhex("bddb7fd34ee661ee")
_LOGS_BEFORE = [
    "Program ComputeBudget111111111111111111111111111111 invoke [1]",
    "Program ComputeBudget111111111111111111111111111111 success",
    "Program ComputeBudget111111111111111111111111111111 invoke [1]",
    "Program ComputeBudget111111111111111111111111111111 success",
    f"Program {PUMP} invoke [1]",
    "Program log: Instruction: Buy",
    f"Program {FEES} invoke [2]",
    "Program log: Instruction: GetFees",
    f"Program {FEES} consumed 3136 of 186086 compute units",
    f"Program return: {FEES} AAAAAAAAAABfAAAAAAAAAB4AAAAAAAAA",
    f"Program {FEES} success",
    f"Program {SPL_2022} invoke [2]",
    "Program log: Instruction: TransferChecked",
    f"Program {SPL_2022} consumed 2475 of 171341 compute units",
    f"Program {SPL_2022} success",
    "Program 11111111111111111111111111111111 invoke [2]",
    "Program 11111111111111111111111111111111 success",
]
_LOGS_AFTER = [
    f"Program {PUMP} invoke [2]",
    f"Program {PUMP} consumed 2113 of 104003 compute units",
    f"Program {PUMP} success",
    f"Program {PUMP} consumed 86654 of 186086 compute units",
    f"Program {PUMP} success",
]


class _Trades:
    """Made-up trades in the amounts and reserves of real ones, each with a signature of its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._wallets = [self._random.randbytes(32) for _ in range(WALLETS)]
        self._tokens = [self._new_token() for _ in range(TOKENS_AT_ONCE)]

    def _new_token(self) -> list[object]:
        return [self._random.randbytes(32), 1_073_000_000_000_000, 30_000_000_000, TRADES_PER_TOKEN]

    def next(self) -> tuple[bytes, bytes, bytes, int, int, int, int]:
        """signature, mint, wallet, token_amount, quote_amount, virtual_token and virtual_quote reserves of a buy."""
        rng = self._random
        place = rng.randrange(TOKENS_AT_ONCE)
        token = self._tokens[place]
        mint, tokens, quote, left = token
        assert isinstance(mint, bytes)
        assert isinstance(tokens, int)
        assert isinstance(quote, int)
        assert isinstance(left, int)
        bought = rng.randrange(1, tokens // 1000)
        paid = quote * bought // (tokens - bought) + 1
        token[1:] = [tokens - bought, quote + paid, left - 1]
        if left == 1:
            self._tokens[place] = self._new_token()
        wallet = self._wallets[int(WALLETS * rng.random() ** 2)]
        return rng.randbytes(64), mint, wallet, bought, paid, tokens - bought, quote + paid


def pumpportal_frames(count: int, seed: int) -> Iterator[bytes]:
    """Buys as PumpPortal tells them, about 520 bytes each."""
    trades = _Trades(seed)
    for _ in range(count):
        signature, mint, wallet, bought, paid, tokens, _quote = trades.next()
        shown = tokens / 1e6
        sol = 32_190_000_000 / shown
        message = {
            "signature": str(Signature(signature)),
            "mint": str(Pubkey(mint)),
            "traderPublicKey": str(Pubkey(wallet)),
            "txType": "buy",
            "tokenAmount": bought / 1e6,
            "solAmount": paid / 1e9,
            "newTokenBalance": bought / 1e6,
            "bondingCurveKey": "B8b9eismEq7HFU8dhgongN354P6FfhWp81ghvdB8r5yL",
            "vTokensInBondingCurve": shown,
            "vSolInBondingCurve": sol,
            "marketCapSol": sol / shown * 1e9,
            "pool": "pump",
        }
        yield _frame(json.dumps(message, separators=(",", ":")).encode())


def logs_frames(count: int, seed: int) -> Iterator[bytes]:
    """The same buys as ``logsNotification`` of one TradeEvent each, about 2 kB, with a slot every 100."""
    trades = _Trades(seed)
    head = '{"jsonrpc":"2.0","method":"logsNotification","params":{"subscription":1,"result":{"context":{"slot":'
    before, after = (json.dumps(lines)[1:-1] for lines in (_LOGS_BEFORE, _LOGS_AFTER))
    for number in range(count):
        slot = FIRST_SLOT + number // 100
        if number % 100 == 0:
            slots = f'{{"parent":{slot - 1},"root":{slot - 32},"slot":{slot}}}'
            yield _frame(
                f'{{"jsonrpc":"2.0","method":"slotNotification","params":{{"result":{slots},"subscription":0}}}}'.encode()
            )
        signature, mint, wallet, bought, paid, tokens, quote = trades.next()
        payload = _trade_event(mint, wallet, bought, paid, tokens, quote, slot)
        data = base64.b64encode(payload).decode()
        yield _frame(
            f'{head}{slot}}},"value":{{"signature":"{Signature(signature)}","err":null,'
            f'"logs":[{before},"Program data: {data}",{after}]}}}}}}}}'.encode()
        )


def _trade_event(mint: bytes, wallet: bytes, bought: int, paid: int, tokens: int, quote: int, slot: int) -> bytes:
    fee, creator_fee = -(-paid * 95 // 10_000), -(-paid * 30 // 10_000)
    real_quote, real_tokens = quote - 30_000_000_000, tokens - 279_900_000_000_000
    at = 1_783_000_000 + slot - FIRST_SLOT
    zero = bytes(32)
    return _TRADE_EVENT.pack(
        *(_DISCRIMINATOR, mint, paid, bought, True, wallet, at, quote, tokens, real_quote, real_tokens, wallet, 95, fee),
        *(mint, 30, creator_fee, False, 0, 0, 0, 0, 3, b"buy", False, 0, 0, 5000, fee // 2, 0, zero),
        *(paid, quote, real_quote, 0, 0, 0),
    )


def _frame(payload: bytes) -> bytes:
    """One unmasked text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + payload


FRAMES: dict[str, Callable[[int, int], Iterator[bytes]]] = {"pumpportal": pumpportal_frames, "logs": logs_frames}


def blast(kind: str, count: int, rate: float, seed: int) -> None:
    """
    Serve *count* prebuilt frames to the first client that subscribes, at *rate* frames a second (0 = as fast as it takes them).

    Speaks with the benchmark over standard output and input: the port, ``ready``, then (after ``go``) ``sent SECONDS``.
    """
    frames = list(FRAMES[kind](count, seed))
    step = CHUNK_FRAMES if not rate else max(1, round(rate / 500))
    chunks = [b"".join(frames[start : start + step]) for start in range(0, len(frames), step)]
    del frames

    def handle(connection: websockets.sync.server.ServerConnection) -> None:
        for text in connection:
            request = json.loads(text)
            if "jsonrpc" in request:
                connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request["id"]}))
            if chunks:
                print("ready", flush=True)
                sys.stdin.readline()
                _send(connection, chunks, step / rate if rate else 0.0)
                chunks.clear()

    def name_origin(_connection: object, _request: object, response: websockets.Response) -> None:
        response.headers["X-Pumpwatch-Origin"] = "simulator"

    with websockets.sync.server.serve(
        handle, "127.0.0.1", 0, process_response=name_origin, ping_interval=None, compression=None
    ) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


def _send(connection: websockets.sync.server.ServerConnection, chunks: list[bytes], pause_seconds: float) -> None:
    """Past the library, which would copy and frame each message again: only the client's speed counts."""
    began = time.perf_counter()
    for number, chunk in enumerate(chunks):
        late = began + number * pause_seconds - time.perf_counter()
        if late > 0:
            time.sleep(late)
        with connection.protocol_mutex:
            connection.socket.sendall(chunk)
    print(f"sent {time.perf_counter() - began:.3f}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    blast(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
