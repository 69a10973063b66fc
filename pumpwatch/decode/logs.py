"""
Log lines of a transaction -> payloads of our two programs, attributed by the invoke stack.

Any program can write any bytes into a ``Program data:`` line, and programs other than ours use the same discriminators: whose a
line is, only the stack of invocations tells.

Source: facts/onchain_events.md section 3; Agave's log collector and stable log formats.
"""

from __future__ import annotations

import binascii
from itertools import pairwise
from typing import Final

from pumpwatch.decode.layouts import TRADING
from pumpwatch.decode.payloads import OUR_PROGRAMS, Payload
from pumpwatch.errors import DecodeError

_DATA: Final = "Program data: "
#: Lines with text of programs, or with what they returned: the prefix is always there, so that they cannot imitate other lines.
_NEUTRAL_STARTS: Final = ("Program log: ", "Program return: ")
_CONSUMED: Final = " compute units"
_TRUNCATED: Final = "Log truncated"

#: Lines that enter or leave a program are at most this long (a program id has 44 characters), and much the same few all day.
_SHORT: Final = 100
_REMEMBERED: Final = 4096

#: How depths are written. The runtime's limit is 5 (9 in newer versions); a deeper one would be no invocation we know.
_DEPTHS: Final = {f"[{depth}]": depth for depth in range(1, 65)}

_NEUTRAL: Final = (-1, "")

#: What Anchor writes first in a call that trades or creates.
_CALLS_FOR_TRADE: Final = frozenset(f"Program log: Instruction: {name.title().replace('_', '')}" for name in TRADING)
_OUR_INVOCATIONS: Final = tuple(f"Program {program} invoke [" for program in sorted(OUR_PROGRAMS))

_steps: Final[dict[str, tuple[int, str]]] = {}


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
    for line, step in zip(lines, map(_steps.get, lines), strict=True):  # looked up by map: no call for each line
        if step is None:
            if line.startswith(_NEUTRAL_STARTS) or line.endswith(_CONSUMED):
                continue
            if line.startswith(_DATA):
                if stack and stack[-1] in OUR_PROGRAMS:
                    payloads += _slices(line, stack[-1])
                continue
            step = _learned_step(line)
        depth, program = step
        if depth > 0:
            stack.append(program)
            if depth != len(stack):
                raise UnreliableLog(f"an invocation at depth {depth} from {len(stack) - 1}")
        elif depth == 0:
            if not stack or stack.pop() != program:
                raise UnreliableLog("a program ends that is not the innermost")
        elif line == _TRUNCATED:
            raise UnreliableLog("log truncated")
    if stack:
        raise UnreliableLog(f"the log ends inside {len(stack)} invocations")
    return payloads


def calls_for_trade(lines: list[str]) -> bool:
    """Whether one of our programs was called to trade or create, as far as the log says."""
    return any(line in _CALLS_FOR_TRADE and before.startswith(_OUR_INVOCATIONS) for before, line in pairwise(lines))


def _learned_step(line: str) -> tuple[int, str]:
    """What :func:`_step` says, remembered if the line enters or leaves a program. Two threads may do so at once."""
    step = _step(line)
    if step[0] >= 0 and len(line) <= _SHORT:
        if len(_steps) >= _REMEMBERED:
            _steps.clear()
        _steps[line] = step
    return step


def _step(line: str) -> tuple[int, str]:
    """Return the depth at which *line* enters a program, 0 where one ends, negative for any other line; and the program."""
    words = line.split(" ", 3)
    if len(words) < 3 or words[0] != "Program":
        return _NEUTRAL
    _, program, action = words[:3]
    if action == "invoke" and len(words) == 4:
        depth = _DEPTHS.get(words[3])
        return _NEUTRAL if depth is None else (depth, program)
    if (action == "success" and len(words) == 3) or action in ("failed", "failed:"):
        return 0, program
    return _NEUTRAL


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
