"""Messages that no server should send, and some day one does. None of them is a trade."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from typing import Final

from pumpwatch.simulator import chain
from pumpwatch.simulator.logs import base58, dumps

_ANY_SHAPE: Final = (
    "",
    "{",
    "null",
    "[]",
    "0",
    '"text"',
    "{}",
    '{"message":5}',
    '{"errors":["a","b"]}',
    "[" * 3_000 + "]" * 3_000,
    '{"a":' * 600 + "1" + "}" * 600,
    '{"jsonrpc":"2.0","id":999999,"result":"nobody asked"}',
    "\ufeff{}",
)

#: Bytes that are not UTF-8, as a text frame: the protocol forbids them, the client must outlive them.
BAD_UTF8: Final = b"\x81\x06\xff\xfe\xed\xa0\x80{"


def pumpportal_poison(rng: random.Random) -> list[str]:
    """Broken, absurd and hostile PumpPortal frames."""
    fine: dict[str, object] = {
        "signature": base58(rng.randbytes(64)),
        "mint": chain.address(rng.randbytes(32)),
        "traderPublicKey": chain.address(rng.randbytes(32)),
        "txType": "buy",
        "tokenAmount": 5.5,
        "solAmount": 0.1,
        "pool": "pump",
    }
    spoiled: list[dict[str, object]] = [
        {"tokenAmount": -1},
        {"tokenAmount": 1e300},
        {"tokenAmount": "5"},
        {"tokenAmount": None},
        {"tokenAmount": 10**40},
        {"tokenAmount": True},
        {"mint": "not base58 0OIl"},
        {"mint": 7},
        {"mint": "\x00"},
        {"signature": ""},
        {"signature": "../../etc/passwd"},
        {"traderPublicKey": {"$ne": 1}},
        {"txType": "burn"},
        {"txType": ["buy"]},
    ]
    texts = [dumps(fine | change) for change in spoiled]
    texts.append(dumps({**fine, "tokenAmount": 0}).replace('"tokenAmount":0', '"tokenAmount":NaN'))
    texts.append(dumps({**fine, "tokenAmount": 0}).replace('"tokenAmount":0', '"tokenAmount":1e999'))
    texts.append(json.dumps({**fine, "mint": "\ud800"}))
    texts.append(dumps({name: value for name, value in fine.items() if name != "tokenAmount"}))
    texts.append(dumps(fine)[:-9])
    return [*_ANY_SHAPE, *texts]


def solana_poison(rng: random.Random, subscription: int) -> list[str]:
    """Notifications with broken shapes, broken logs, and broken events of our own programs."""
    trade = bytes.fromhex("bddb7fd34ee661ee")
    payloads = [
        b64encode(trade).decode(),
        b64encode(trade + rng.randbytes(40)).decode(),
        b64encode(trade + rng.randbytes(48) + b"\xae" + rng.randbytes(400)).decode(),
        b64encode(trade + bytes(40) + b"\xff" * 16 + b"\x01" + bytes(32)).decode(),
        "not*base64",
        "",
        "====",
        b64encode(rng.randbytes(3)).decode(),
    ]
    logs: list[object] = [
        [f"Program {chain.PUMP} invoke [1]", f"Program data: {payload}", f"Program {chain.PUMP} success"] for payload in payloads
    ]
    logs += [
        [f"Program {chain.PUMP} invoke [7]", f"Program data: {payloads[1]}"],
        [f"Program {chain.PUMP} success"],
        ["Program log: Program data: " + payloads[1]],
        [],
        None,
        "text",
        [5, None],
    ]
    texts = [
        dumps(
            {
                "jsonrpc": "2.0",
                "method": "logsNotification",
                "params": {
                    "subscription": subscription,
                    "result": {
                        "context": {"slot": 5},
                        "value": {"signature": base58(rng.randbytes(64)), "err": None, "logs": log},
                    },
                },
            }
        )
        for log in logs
    ]
    texts += [
        '{"jsonrpc":"2.0","method":"logsNotification"}',
        '{"jsonrpc":"2.0","method":"logsNotification","params":{"subscription":"x","result":{}}}',
        '{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":"x"},"subscription":0}}',
        '{"jsonrpc":"2.0","method":"transactionNotification","params":{"subscription":1,"result":{"transaction":null}}}',
        '{"jsonrpc":"2.0","method":"noSuchNotification","params":{}}',
        '{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error"}}',
        '{"jsonrpc":"2.0","method":"logsNotification","params":{"subscription":99999999999999999999999999,"result":null}}',
    ]
    return [*_ANY_SHAPE, *texts]
