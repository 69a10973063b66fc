"""Attribution by the invoke stack, and what tries to deceive it. The lines are made here; real logs are in test_solana.py."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode.addresses import PUMP, PUMP_AMM
from pumpwatch.decode.logs import UnreliableLog, payloads_of_log
from pumpwatch.decode.payloads import Payload

OTHER = "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG"
BODY = bytes.fromhex("bddb7fd34ee661ee") + b"body"
DATA = "Program data: " + base64.b64encode(BODY).decode()
OURS = [Payload(PUMP, BODY)]


def inside(program: str, *lines: str, depth: int = 1) -> list[str]:
    return [f"Program {program} invoke [{depth}]", *lines, f"Program {program} success"]


def test_a_data_line_belongs_to_the_innermost_program() -> None:
    assert payloads_of_log(inside(PUMP, DATA)) == OURS
    assert payloads_of_log(inside(OTHER, *inside(PUMP_AMM, DATA, depth=2))) == [Payload(PUMP_AMM, BODY)]


@pytest.mark.parametrize(
    "lines",
    [
        inside(OTHER, DATA),
        inside(PUMP, *inside(OTHER, DATA, depth=2)),
        inside(OTHER, *inside(PUMP, depth=2), DATA),
        [DATA],
        [*inside(PUMP), DATA],
    ],
    ids=["alone", "called by ours", "after a call to ours", "nobody", "after all"],
)
def test_bytes_of_a_foreign_program_are_never_ours(lines: list[str]) -> None:
    assert payloads_of_log(lines) == []


def test_a_program_is_still_running_after_its_calls() -> None:
    lines = inside(PUMP, *inside(OTHER, depth=2), DATA, *inside(PUMP, depth=2))
    assert payloads_of_log(lines) == OURS


@pytest.mark.parametrize(
    "text",
    [
        f"Program log: Program {PUMP} invoke [2]",
        f"Program log: Program {OTHER} success",
        f"Program log: x\nProgram {PUMP} invoke [2]",
        "Program log: Log truncated",
        "Program log: success",
        "Program log: failed",
        "Program log: invoke [2]",
        "Program log: ",
        f"Program log: {DATA}",
        f"Program return: {OTHER} success",
        f"Program return: {PUMP} AAAA",
        f"Program {PUMP} consumed 2003 of 282511 compute units",
        "Program consumption: 1 units remaining",
        "Program is not deployed",
        "Transfer: insufficient lamports 1, need 2",
        "",
        " ",
        "Program",
        "Program ",
        "Program data:",
        "Program data: ",
        f"Program {PUMP} invoke",
        f"Program {PUMP} invoke [0]",
        f"Program {PUMP} invoke [02]",
        f"Program {PUMP} invoke [٢]",
        f"Program {PUMP} invoke [{'9' * 5000}]",
        f"Program {OTHER} success ",
        f"program {OTHER} success",
        "Log truncated ",
    ],
)
def test_no_other_line_moves_the_stack(text: str) -> None:
    assert payloads_of_log(inside(OTHER, text, DATA)) == []
    assert payloads_of_log(inside(PUMP, text, DATA)) == OURS


@pytest.mark.parametrize(
    "lines",
    [
        [f"Program {PUMP} invoke [2]", f"Program {PUMP} success"],
        inside(PUMP, *inside(OTHER, depth=3)),
        inside(PUMP, *inside(OTHER, depth=1)),
        [f"Program {PUMP} success"],
        [f"Program {PUMP} invoke [1]"],
        [f"Program {PUMP} invoke [1]", f"Program {OTHER} success"],
        [*inside(PUMP), f"Program {PUMP} success"],
        [f"Program {PUMP} invoke [1]", f"Program {OTHER} failed: custom program error: 0x1"],
    ],
    ids=[
        "starts deep",
        "skips a depth",
        "repeats a depth",
        "ends unasked",
        "never ends",
        "ends another",
        "ends twice",
        "fails another",
    ],
)
def test_a_log_that_does_not_nest_is_not_trusted(lines: list[str]) -> None:
    with pytest.raises(UnreliableLog):
        payloads_of_log([*inside(PUMP, DATA), *lines])


def test_a_failed_call_ends_it() -> None:
    failed = [f"Program {OTHER} invoke [2]", f"Program {OTHER} failed: {'long ' * 50}"]
    assert payloads_of_log(inside(PUMP, *failed, DATA)) == OURS


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_truncated_log_is_not_trusted_wherever_it_was_cut(at: int) -> None:
    lines = inside(PUMP, DATA)
    with pytest.raises(UnreliableLog, match="truncated"):
        payloads_of_log([*lines[:at], "Log truncated", *lines[at:]])


def test_one_line_may_hold_several_payloads() -> None:
    first, second = base64.b64encode(b"first").decode(), base64.b64encode(b"second").decode()
    assert payloads_of_log(inside(PUMP, f"Program data: {first} {second}")) == [Payload(PUMP, b"first"), Payload(PUMP, b"second")]
    assert payloads_of_log(inside(PUMP, f"Program data: {first}  {second} ")) == [
        Payload(PUMP, b"first"),
        Payload(PUMP, b"second"),
    ]


@pytest.mark.parametrize("text", ["vdt/007mYe", "####", "AAA=AAA=", "A===", "AAAé", "AAAA\n", "\ud800", "AB=="[:3]])
def test_broken_base64_is_kept_as_text_and_takes_its_place(text: str) -> None:
    payloads = payloads_of_log(inside(PUMP, f"Program data: {text}", DATA))
    assert payloads == [Payload(PUMP, None, text), *OURS]


@given(
    st.lists(
        st.sampled_from(["Program ", PUMP, OTHER, " invoke [1]", " invoke [2]", " success", DATA, "Log truncated", " failed"])
        | st.text()
    )
)
def test_any_lines_give_payloads_or_are_not_trusted(words: list[str]) -> None:
    lines = [a + b + c for a, b, c in zip(words, words[1:], words[2:], strict=False)] + words
    try:
        payloads = payloads_of_log(lines)
    except UnreliableLog:
        return
    assert all(payload.program in (PUMP, PUMP_AMM) for payload in payloads)
