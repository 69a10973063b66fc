"""
Inner instructions of a transaction -> payloads of our two programs: the copy of each event that no log limit cuts.

A program repeats each event as a call to itself whose data is a tag and the event's bytes. In a successful transaction only the
program itself can have made such a call (its event authority has to sign). Source: facts/onchain_events.md section 3,
facts/solana_rpc.md section 2.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from pumpwatch.decode.addresses import is_signature, to_signature
from pumpwatch.decode.layouts import TRADING
from pumpwatch.decode.payloads import OUR_PROGRAMS, Payload
from pumpwatch.decode.wire import UnreadableTransaction, Wire, parse_wire
from pumpwatch.errors import DecodeError

#: What the data of a self-CPI starts with, before the event's own discriminator.
SELF_CPI_TAG: Final = bytes.fromhex("e445a52e51cb9a1d")

_BASE58: Final = {letter: value for value, letter in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}

#: Longest base58 text decoded: instruction data has at most 10,240 bytes.
_LONGEST_BASE58: Final = 14_000

#: What the data of an instruction starts with, by Anchor's rule, for those that trade or create.
_TRADING: Final = frozenset(hashlib.sha256(f"global:{name}".encode()).digest()[:8] for name in TRADING)

_NOTHING: Final = msgspec.Raw(b"null")


class UnreadableInstructions(DecodeError):
    """The inner instructions are absent or not in a form we can attribute."""


class Instruction(msgspec.Struct, gc=False):
    """One instruction: ``programId`` in jsonParsed, ``programIdIndex`` elsewhere; no ``data`` where the server parsed."""

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
    instructions: list[Instruction] = []


class _Transaction(msgspec.Struct, gc=False):
    message: _Message
    signatures: list[str] = []


class TransactionBody:
    """
    ``transaction`` as a message or answer has it, in any encoding; taken apart when something of it is asked for, once.

    Args:
        raw: Encodings ``json`` and ``jsonParsed`` are objects, ``base64`` and ``base58`` pairs of text and encoding.
        loaded: ``meta.loadedAddresses``.

    """

    def __init__(self, raw: msgspec.Raw = _NOTHING, loaded: LoadedAddresses | None = None) -> None:
        self._raw = raw
        self._loaded = loaded
        self._keys: list[str] | None = None
        self._instructions: list[tuple[str | int | None, str | bytes | None]] = []
        self._signature = ""

    def signature(self) -> str:
        """
        Return the first signature: what the transaction is known by.

        Raises:
            UnreadableInstructions: If the transaction cannot be read, or has none.

        """
        self._read()
        if not is_signature(self._signature):
            raise UnreadableInstructions("the transaction has no signature")
        return self._signature

    def key(self, index: int | None) -> str:
        """
        Return the account at *index*: the transaction's own come first, then looked-up writable, then read-only ones.

        Raises:
            UnreadableInstructions: If there is none, or the transaction cannot be read.

        """
        keys = self._read()
        if index is None or not 0 <= index < len(keys):
            raise UnreadableInstructions(f"program index {index} of {len(keys)} accounts")
        return keys[index]

    def calls(self) -> list[tuple[str, str | bytes]]:
        """
        Return program and data (text: base58) of the transaction's own instructions, those that the server parsed left out.

        Raises:
            UnreadableInstructions: If the transaction cannot be read.

        """
        self._read()
        return [
            (program if isinstance(program, str) else self.key(program), data)
            for program, data in self._instructions
            if data is not None
        ]

    def _read(self) -> list[str]:
        if self._keys is None:
            try:
                self._keys = self._take_apart()
            except (ValueError, RecursionError, UnreadableTransaction) as error:
                raise UnreadableInstructions(f"unreadable transaction: {error}") from error
        return self._keys

    def _take_apart(self) -> list[str]:
        if bytes(self._raw).lstrip()[:1] == b"[":
            wire = _wire(*msgspec.json.decode(self._raw, type=tuple[str, str]))
            self._signature = to_signature(wire.signature)
            self._instructions = [(call.program_index, call.data) for call in wire.instructions]
            keys = wire.keys
        else:
            transaction = msgspec.json.decode(self._raw, type=_Transaction)
            message = transaction.message
            self._signature = transaction.signatures[0] if transaction.signatures else ""
            self._instructions = [(call.programId or call.programIdIndex, call.data) for call in message.instructions]
            keys = [key if isinstance(key, str) else key.pubkey for key in message.accountKeys]
            if message.accountKeys and isinstance(message.accountKeys[0], _Key):
                return keys  # jsonParsed lists the looked-up ones itself
        return keys if self._loaded is None else keys + self._loaded.writable + self._loaded.readonly


def payloads_of_instructions(sets: Sequence[InstructionSet] | None, body: TransactionBody) -> list[Payload]:
    """
    Return all payloads that our programs repeated to themselves, in order, those of unknown events included.

    Args:
        sets: ``meta.innerInstructions``.
        body: Its accounts are read only where the instructions name their programs by index.

    Raises:
        UnreadableInstructions: If they are absent, or their programs cannot be told.

    """
    if sets is None:
        raise UnreadableInstructions("no inner instructions in the message")
    payloads = []
    for instruction in (one for group in sorted(sets, key=lambda group: group.index) for one in group.instructions):
        program = instruction.programId or body.key(instruction.programIdIndex)
        if program in OUR_PROGRAMS and instruction.data is not None:
            data = decode_base58(instruction.data)
            if data.startswith(SELF_CPI_TAG):
                payloads.append(Payload(program, data[len(SELF_CPI_TAG) :]))
    return payloads


def calls_for_trade(sets: Sequence[InstructionSet] | None, body: TransactionBody) -> bool:
    """
    Whether the transaction, or a program in it, calls one of ours to trade or create.

    Raises:
        UnreadableInstructions: If the programs cannot be told.

    """
    inner = [one for group in sets or () for one in group.instructions if one.data is not None]
    calls = [(one.programId or body.key(one.programIdIndex), one.data or "") for one in inner]
    for program, data in [*body.calls(), *calls]:
        if program in OUR_PROGRAMS:
            start = decode_base58(data) if isinstance(data, str) else data
            if start[:8] in _TRADING:
                return True
    return False


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


def _wire(text: str, encoding: str) -> Wire:
    if encoding == "base64":
        return parse_wire(binascii.a2b_base64(text, strict_mode=True))
    if encoding == "base58":
        return parse_wire(decode_base58(text))
    raise UnreadableInstructions(f"encoding {encoding[:16]!r}")
