"""
A serialized transaction (what ``base64`` and ``base58`` encodings carry) -> accounts, instructions, first signature.

Versions legacy, 0 and 1. Source: Solana's documentation of the transaction formats; SIMD-0385 for version 1, which begins with
its version byte, has no look-up tables and ends with the signatures.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pumpwatch.decode.addresses import to_address
from pumpwatch.errors import DecodeError

_SIGNATURE_BYTES: Final = 64
_KEY_BYTES: Final = 32
_HEADER_BYTES: Final = 3
_VERSION_0: Final = 0x80
_VERSION_1: Final = 0x81

#: Version 1: header, then the mask of configuration values (u32), then what the blockhash is called there.
_V1_MASK_AT: Final = 1 + _HEADER_BYTES
_V1_COUNTS_AT: Final = _V1_MASK_AT + 4 + _KEY_BYTES
_V1_INSTRUCTION_HEADER_BYTES: Final = 4


class UnreadableTransaction(DecodeError):
    """It ends inside a part, or is of a version that we do not know."""


class Called(NamedTuple):
    """One instruction of the transaction itself: index of its program among the accounts, and its data."""

    program_index: int
    data: bytes


class Wire(NamedTuple):
    """
    What is needed of a serialized transaction.

    Attributes:
        signature: The first one, 64 bytes: what the transaction is known by.
        keys: The accounts that it lists itself, those from look-up tables not among them.
    """

    signature: bytes
    keys: list[str]
    instructions: list[Called]


def parse_wire(wire: bytes) -> Wire:
    """
    Take a serialized transaction apart.

    Raises:
        UnreadableTransaction: If it is cut short, or of an unknown version.

    """
    return _parse_version_1(wire) if wire[:1] == bytes([_VERSION_1]) else _parse_older(wire)


def _parse_older(wire: bytes) -> Wire:
    signatures, start = _compact_u16(wire, 0)
    signature = _cut(wire, start, _SIGNATURE_BYTES, "signatures") if signatures else b""
    start += _SIGNATURE_BYTES * signatures
    if wire[start : start + 1] >= bytes([_VERSION_0]):
        if wire[start] != _VERSION_0:
            raise UnreadableTransaction(f"transaction version {wire[start] & 0x7F} behind signatures")
        start += 1
    count, start = _compact_u16(wire, start + _HEADER_BYTES)
    keys = _keys(wire, start, count)
    start += _KEY_BYTES * count + _KEY_BYTES  # and the blockhash
    count, start = _compact_u16(wire, start)
    instructions = []
    for _ in range(count):
        program = _cut(wire, start, 1, "instructions")[0]
        accounts, start = _compact_u16(wire, start + 1)
        size, start = _compact_u16(wire, start + accounts)
        instructions.append(Called(program, _cut(wire, start, size, "instructions")))
        start += size
    return Wire(signature, keys, instructions)


def _parse_version_1(wire: bytes) -> Wire:
    signatures = _cut(wire, 1, _HEADER_BYTES, "header")[0]
    mask = int.from_bytes(_cut(wire, _V1_MASK_AT, 4, "header"), "little")
    calls, accounts = _cut(wire, _V1_COUNTS_AT, 2, "header")
    keys = _keys(wire, _V1_COUNTS_AT + 2, accounts)
    headers_at = _V1_COUNTS_AT + 2 + _KEY_BYTES * accounts + 4 * mask.bit_count()
    headers = _cut(wire, headers_at, _V1_INSTRUCTION_HEADER_BYTES * calls, "instructions")
    start = headers_at + len(headers)
    instructions = []
    for at in range(0, len(headers), _V1_INSTRUCTION_HEADER_BYTES):
        program, named, size = headers[at], headers[at + 1], int.from_bytes(headers[at + 2 : at + 4], "little")
        instructions.append(Called(program, _cut(wire, start + named, size, "instructions")))
        start += named + size
    signature = _cut(wire, start, _SIGNATURE_BYTES * signatures, "signatures")[:_SIGNATURE_BYTES]
    return Wire(signature, keys, instructions)


def _keys(wire: bytes, start: int, count: int) -> list[str]:
    keys = _cut(wire, start, _KEY_BYTES * count, "accounts")
    return [to_address(keys[at : at + _KEY_BYTES]) for at in range(0, len(keys), _KEY_BYTES)]


def _cut(wire: bytes, start: int, size: int, part: str) -> bytes:
    if start + size > len(wire):
        raise UnreadableTransaction(f"the transaction ends inside its {part}")
    return wire[start : start + size]


def _compact_u16(wire: bytes, start: int) -> tuple[int, int]:
    """Read Solana's variable-length u16 and return it with the position after it."""
    value = 0
    for place in range(3):
        if start + place >= len(wire):
            break
        byte = wire[start + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise UnreadableTransaction("the transaction ends inside a length")
