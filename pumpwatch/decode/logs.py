"""
Log lines of a transaction -> payloads of our two programs, attributed by the invoke stack.

Any program can write any bytes into a ``Program data:`` line, and programs other than ours use the same discriminators: whose a
line is, only the stack of invocations tells.

Source: facts/onchain_events.md section 3; Agave's log collector and stable log formats.
"""

from __future__ import annotations

import binascii
from typing import Final

from pumpwatch.decode.payloads import OUR_PROGRAMS, Payload
from pumpwatch.errors import DecodeError

_PROGRAM: Final = "Program "
_DATA: Final = "Program data: "
_TEXT: Final = "Program log: "
_TRUNCATED: Final = "Log truncated"


class UnreliableLog(DecodeError):
    """Lines are missing (the validator cut the log at 10,000 bytes) or do not nest: whose a payload is cannot be told."""


def payloads_of_log(lines: list[str]) -> list[Payload]:
    """
    Return all payloads that our programs wrote, in order, those of unknown events included.

    Raises:
        UnreliableLog: If the log was truncated or its invocations do not nest.

    """
    payloads: list[Payload] = []
    stack: list[str] = []
    for line in lines:
        # Text of programs always carries the prefix, so that it cannot imitate the lines below.
        if line.startswith(_TEXT):
            continue
        if line.startswith(_DATA):
            if stack and stack[-1] in OUR_PROGRAMS:
                payloads += _slices(line, stack[-1])
        elif line.startswith(_PROGRAM):
            _follow(line, stack)
        elif line == _TRUNCATED:
            raise UnreliableLog("log truncated")
    if stack:
        raise UnreliableLog(f"the log ends inside {len(stack)} invocations")
    return payloads


def _follow(line: str, stack: list[str]) -> None:
    """Apply a line ``Program <id> ...`` to the *stack* of invocations: one that enters or leaves, or else none of our concern."""
    words = line.split(" ", 3)
    if len(words) < 3:
        return
    action = words[2]
    if action == "invoke" and len(words) == 4:
        if words[3] != f"[{len(stack) + 1}]":
            raise UnreliableLog(f"invocation {words[3][:8]} at depth {len(stack)}")
        stack.append(words[1])
        return
    has_ended = (action == "success" and len(words) == 3) or action in ("failed", "failed:")
    if has_ended and (not stack or stack.pop() != words[1]):
        raise UnreliableLog("a program ends that is not the innermost")


def _slices(line: str, program: str) -> list[Payload]:
    """Decode the base64 slices of a data line, which stand between spaces."""
    payloads = []
    for text in line[len(_DATA) :].split(" "):
        if text:
            try:
                body = binascii.a2b_base64(text, strict_mode=True)
            except ValueError:
                payloads.append(Payload(program, None, text))
            else:
                payloads.append(Payload(program, body))
    return payloads
