"""A transaction as a tree of program calls, and what RPC shows of it: log lines, inner instructions, account keys."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from solders.signature import Signature

from pumpwatch.simulator.chain import LOOKUP_TABLE, PUMP, PUMP_AUTHORITY, PUMPSWAP_AUTHORITY, key

#: Before the event's bytes in an instruction that a program sends to itself.
SELF_CPI: Final = bytes.fromhex("e445a52e51cb9a1d")

#: Agave keeps at most so many bytes of log text of a transaction; a line that would cross the limit is left out.
LOG_LIMIT_BYTES: Final = 10_000
TRUNCATED: Final = "Log truncated"


@dataclass(frozen=True, slots=True)
class Data:
    """One ``Program data:`` line alone, as other programs write them."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Emitted:
    """One event of pump or PumpSwap: the data line, and the same bytes as an instruction of the program to itself."""

    program: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Text:
    """One log line, whole."""

    line: str


@dataclass(frozen=True, slots=True)
class Call:
    """
    One invocation of a program.

    Attributes:
        units: Compute units; 0 for built-in programs, which do not say.
        failed: What the log says behind ``failed: ``; None if it succeeded.
        data: The instruction's bytes.
        returned: Its return data as base64.
    """

    program: str
    body: tuple[Step, ...] = ()
    accounts: tuple[str, ...] = ()
    data: bytes = b"\x01"
    units: int = 0
    failed: str | None = None
    returned: str | None = None

    def events(self) -> Iterator[Emitted]:
        """Events of our two programs in it, in the order of the log."""
        for step in self.body:
            if isinstance(step, Call):
                yield from step.events()
            elif isinstance(step, Emitted):
                yield step


Step: TypeAlias = "Call | Emitted | Data | Text"


def log_lines(calls: tuple[Call, ...], *, budget_units: int = 400_000) -> list[str]:
    """Log of a transaction as an RPC node shows it."""
    lines: list[str] = []
    for call in calls:
        _call_lines(call, 1, budget_units, lines)
    return lines


def _call_lines(call: Call, depth: int, budget: int, lines: list[str]) -> None:
    program = call.program
    lines.append(f"Program {program} invoke [{depth}]")
    for step in call.body:
        if isinstance(step, Call):
            _call_lines(step, depth + 1, budget - 30_000, lines)
        elif isinstance(step, Emitted):
            lines.append("Program data: " + b64encode(step.payload).decode())
            lines.append(f"Program {step.program} invoke [{depth + 1}]")
            lines.append(f"Program {step.program} consumed 2125 of {max(budget - 60_000, 2_125)} compute units")
            lines.append(f"Program {step.program} success")
        elif isinstance(step, Data):
            lines.append("Program data: " + b64encode(step.payload).decode())
        else:
            lines.append(step.line)
    if call.units:
        lines.append(f"Program {program} consumed {call.units} of {max(budget, call.units)} compute units")
    if call.returned is not None:
        lines.append(f"Program return: {program} {call.returned}")
    lines.append(f"Program {program} success" if call.failed is None else f"Program {program} failed: {call.failed}")


def truncated(lines: list[str], limit_bytes: int = LOG_LIMIT_BYTES) -> list[str]:
    """
    *lines* as Agave's collector cuts them: a line that would cross the limit is dropped, ``Log truncated`` stands once, later
    shorter lines may still follow.
    """
    kept: list[str] = []
    used = 0
    marked = False
    for line in lines:
        if used + len(line) < limit_bytes:
            kept.append(line)
            used += len(line)
        elif not marked:
            kept.append(TRUNCATED)
            marked = True
    return kept


def programs_of(calls: tuple[Call, ...]) -> Iterator[str]:
    """Every account and program that the calls name, with repetitions."""
    for call in calls:
        yield call.program
        yield from call.accounts
        for step in call.body:
            if isinstance(step, Call):
                yield from programs_of((step,))
            elif isinstance(step, Emitted):
                yield step.program
                yield _authority(step.program)


def _authority(program: str) -> str:
    return PUMP_AUTHORITY if program == PUMP else PUMPSWAP_AUTHORITY


def inner_instructions(calls: tuple[Call, ...], index: dict[str, int]) -> list[dict[str, object]]:
    """``meta.innerInstructions`` in the ``json`` encoding; *index* gives the place of each account key."""
    groups: list[dict[str, object]] = []
    for position, call in enumerate(calls):
        flat: list[dict[str, object]] = []
        _flatten(call, 2, index, flat)
        if flat:
            groups.append({"index": position, "instructions": flat})
    return groups


def _flatten(call: Call, height: int, index: dict[str, int], flat: list[dict[str, object]]) -> None:
    for step in call.body:
        if isinstance(step, Call):
            accounts = [index[account] for account in step.accounts]
            flat.append(
                {"programIdIndex": index[step.program], "accounts": accounts, "data": base58(step.data), "stackHeight": height}
            )
            _flatten(step, height + 1, index, flat)
        elif isinstance(step, Emitted):
            flat.append(
                {
                    "programIdIndex": index[step.program],
                    "accounts": [index[_authority(step.program)]],
                    "data": base58(SELF_CPI + step.payload),
                    "stackHeight": height,
                }
            )


def parsed(groups: list[dict[str, object]], keys: list[str]) -> list[dict[str, object]]:
    """Inner instructions in the ``jsonParsed`` encoding: addresses instead of places."""
    result: list[dict[str, object]] = []
    for group in groups:
        instructions = group["instructions"]
        assert isinstance(instructions, list)
        named = [
            {
                "programId": keys[item["programIdIndex"]],
                "accounts": [keys[place] for place in item["accounts"]],
                "data": item["data"],
                "stackHeight": item["stackHeight"],
            }
            for item in instructions
        ]
        result.append({"index": group["index"], "instructions": named})
    return result


_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TEN_DIGITS: Final = 58**10


def base58(raw: bytes) -> str:
    """Base58 of bytes of any length, leading zeros kept."""
    number = int.from_bytes(raw, "big")
    groups = []
    while number:
        number, group = divmod(number, _TEN_DIGITS)  # ten digits at a time: long division of long numbers is what costs
        groups.append(group)
    digits = []
    for group in groups:
        for _ in range(10):
            group, digit = divmod(group, 58)
            digits.append(_ALPHABET[digit])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits)).lstrip("1")


def wire_transaction(
    signature: str, keys: list[str], calls: tuple[Call, ...], index: dict[str, int], *, tables: tuple[int, int] | None = None
) -> bytes:
    """
    The signed transaction as bytes, one signer, which is the first of *keys*.

    Args:
        index: Place of each account, *keys* first, then what is loaded from a table.
        tables: For version 0: how many accounts are loaded, writable and read-only; None makes a legacy transaction.

    """
    version = b"" if tables is None else b"\x80"
    parts = [b"\x01", bytes(Signature.from_string(signature)), version, bytes((1, 0, 1)), _short(len(keys))]
    parts.extend(key(account) for account in keys)
    parts.append(bytes(32))
    parts.append(_short(len(calls)))
    for call in calls:
        accounts = bytes(index[account] for account in call.accounts)
        parts.append(bytes((index[call.program],)) + _short(len(accounts)) + accounts + _short(len(call.data)) + call.data)
    if tables is not None:
        writable, readonly = tables
        places = (bytes(range(writable)), bytes(range(writable, writable + readonly)))
        parts += [b"\x01", key(LOOKUP_TABLE), *(_short(len(several)) + several for several in places)]
    return b"".join(parts)


def _short(number: int) -> bytes:
    """Solana's compact-u16."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def dumps(document: object) -> str:
    """JSON as the servers write it: no spaces, text as it is."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
