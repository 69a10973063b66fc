"""
Inner instructions of a transaction -> payloads of our two programs: the copy of each event that no log limit cuts.

A program repeats each event as a call to itself whose data is a tag and the event's bytes. In a successful transaction only the
program itself can have made such a call (its event authority has to sign). Source: facts/onchain_events.md section 3,
facts/solana_rpc.md section 2.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from pumpwatch.decode.addresses import to_address
from pumpwatch.decode.payloads import OUR_PROGRAMS, Payload
from pumpwatch.errors import DecodeError

#: What the data of a self-CPI starts with, before the event's own discriminator.
SELF_CPI_TAG: Final = bytes.fromhex("e445a52e51cb9a1d")

_BASE58: Final = {letter: value for value, letter in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}

#: Longest base58 text decoded: instruction data has at most 10,240 bytes.
_LONGEST_BASE58: Final = 14_000


class UnreadableInstructions(DecodeError):
    """The inner instructions are absent or not in a form we can attribute."""


class Instruction(msgspec.Struct, gc=False):
    """One inner instruction: ``programId`` in jsonParsed, ``programIdIndex`` elsewhere; no ``data`` where the server parsed."""

    programId: str | None = None  # noqa: N815 (spelled as in the message)
    programIdIndex: int | None = None  # noqa: N815
    data: str | None = None


class InstructionSet(msgspec.Struct, gc=False):
    """The calls made below one instruction of the transaction, in order of execution."""

    index: int
    instructions: list[Instruction]


class LoadedAddresses(msgspec.Struct, gc=False):
    """Accounts that a version 0 transaction takes from look-up tables."""

    writable: list[str] = []
    readonly: list[str] = []


class _Key(msgspec.Struct, gc=False):
    pubkey: str


class _Message(msgspec.Struct, gc=False):
    accountKeys: list[str | _Key]  # noqa: N815


class _Transaction(msgspec.Struct, gc=False):
    message: _Message


def payloads_of_instructions(
    sets: Sequence[InstructionSet] | None, transaction: msgspec.Raw, loaded: LoadedAddresses | None
) -> list[Payload]:
    """
    Return all payloads that our programs repeated to themselves, in order, those of unknown events included.

    Args:
        sets: ``meta.innerInstructions``.
        transaction: ``transaction`` as the message has it, in any encoding.
        loaded: ``meta.loadedAddresses``.

    Raises:
        UnreadableInstructions: If they are absent, or their programs cannot be told.

    """
    if sets is None:
        raise UnreadableInstructions("no inner instructions in the message")
    keys: list[str] | None = None
    payloads = []
    for instruction in (one for group in sorted(sets, key=lambda group: group.index) for one in group.instructions):
        program = instruction.programId
        if program is None:
            if keys is None:
                keys = _account_keys(transaction, loaded)
            program = _key_at(keys, instruction.programIdIndex)
        if program in OUR_PROGRAMS and instruction.data is not None:
            data = decode_base58(instruction.data)
            if data.startswith(SELF_CPI_TAG):
                payloads.append(Payload(program, data[len(SELF_CPI_TAG) :]))
    return payloads


def decode_base58(text: str) -> bytes:
    """
    Decode base58 of any length.

    Raises:
        UnreadableInstructions: If *text* is not base58, or longer than instruction data can be.

    """
    if len(text) > _LONGEST_BASE58:
        raise UnreadableInstructions(f"{len(text)} characters of base58")
    number = 0
    try:
        for letter in text:
            number = number * 58 + _BASE58[letter]
    except KeyError:
        raise UnreadableInstructions("instruction data is not base58") from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _key_at(keys: list[str], index: int | None) -> str:
    if index is None or not 0 <= index < len(keys):
        raise UnreadableInstructions(f"program index {index} of {len(keys)} accounts")
    return keys[index]


def _account_keys(transaction: msgspec.Raw, loaded: LoadedAddresses | None) -> list[str]:
    """Return all accounts of a transaction in the order of its indexes: its own, then looked-up writable, then read-only ones."""
    try:
        if bytes(transaction).lstrip()[:1] == b"[":
            keys = _static_keys(_wire_bytes(*msgspec.json.decode(transaction, type=tuple[str, str])))
        else:
            message = msgspec.json.decode(transaction, type=_Transaction).message
            keys = [key if isinstance(key, str) else key.pubkey for key in message.accountKeys]
            if message.accountKeys and isinstance(message.accountKeys[0], _Key):
                return keys  # jsonParsed lists the looked-up ones itself
    except (ValueError, RecursionError) as error:
        raise UnreadableInstructions(f"unreadable transaction: {error}") from error
    return keys if loaded is None else keys + loaded.writable + loaded.readonly


def _wire_bytes(text: str, encoding: str) -> bytes:
    if encoding == "base64":
        return binascii.a2b_base64(text, strict_mode=True)
    if encoding == "base58":
        return decode_base58(text)
    raise UnreadableInstructions(f"encoding {encoding[:16]!r}")


def _static_keys(wire: bytes) -> list[str]:
    """Return the accounts listed in a serialized legacy or version 0 transaction."""
    signatures, start = _compact_u16(wire, 0)
    start += 64 * signatures
    if wire[start : start + 1] >= b"\x80":
        if wire[start] != 0x80:
            raise UnreadableInstructions(f"transaction version {wire[start] & 0x7F}")
        start += 1
    count, start = _compact_u16(wire, start + 3)
    if start + 32 * count > len(wire):
        raise UnreadableInstructions("the transaction ends inside its accounts")
    return [to_address(wire[at : at + 32]) for at in range(start, start + 32 * count, 32)]


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
    raise UnreadableInstructions("the transaction ends inside a length")
