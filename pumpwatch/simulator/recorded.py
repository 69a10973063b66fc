"""Whom a recorded log concerns: recorded notifications carry no account keys, so these are read off the log."""

from __future__ import annotations

from base64 import b64decode

from pumpwatch.simulator import chain
from pumpwatch.simulator.wire import LAYOUTS


def addresses_in(lines: list[str]) -> set[str]:
    """What a recorded log concerns: programs it names, and mint, curve and canonical pool of each TradeEvent and CreateEvent."""
    found: set[str] = set()
    for line in lines:
        words = line.split(" ")
        if line.startswith("Program data: "):
            found |= _coin_addresses(b64decode(words[2]))
        elif line.startswith("Program ") and words[1] not in {"log:", "return:"}:
            found.add(words[1])
    return found


def _coin_addresses(payload: bytes) -> set[str]:
    if payload[:8] == LAYOUTS["TradeEvent"].discriminator and len(payload) >= 40:
        start = 8
    elif payload[:8] == LAYOUTS["CreateEvent"].discriminator:
        start = 8
        for _ in range(3):
            start += 4 + int.from_bytes(payload[start : start + 4], "little")
    else:
        return set()
    mint = chain.address(payload[start : start + 32])
    return {mint, chain.bonding_curve(mint), chain.canonical_pool(mint)}
