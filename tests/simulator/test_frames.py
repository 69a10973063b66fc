"""Our PumpPortal frames have the fields, types and numbers of the real ones."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pumpwatch.simulator import frames
from pumpwatch.simulator.chain import MAYHEM_AGENT
from pumpwatch.simulator.market import Market
from pumpwatch.simulator.transaction import Notice


@pytest.fixture(scope="module")
def told() -> list[tuple[str, Notice, dict[str, Any]]]:
    market = Market(seed=21)
    for number in range(4_000):
        market.next(number / 100)
    rng = random.Random(3)
    return [
        (notice.kind, notice, json.loads(frames.frame_of(item.signature, notice, rng=rng)))
        for item in market.history
        for notice in item.notices
    ]


def real_frames(corpus: Path) -> list[dict[str, Any]]:
    session = (corpus / "pumpportal/session_2026-07-03.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(json.loads(line)["raw"]) for line in session]


def shape(frame: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields in order, numbers being one type: whole ones are integers in real frames too."""
    return [
        (name, "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__)
        for name, value in frame.items()
    ]


def test_creates_are_shaped_like_all_real_ones(corpus: Path, told: list[tuple[str, Notice, dict[str, Any]]]) -> None:
    real = {tuple(shape(frame)) for frame in real_frames(corpus) if frame.get("txType") == "create" and frame["pool"] == "pump"}
    ours = {tuple(shape(frame)) for kind, _, frame in told if kind == "create"}

    assert ours == real


def test_migrations_are_shaped_like_all_real_ones(corpus: Path, told: list[tuple[str, Notice, dict[str, Any]]]) -> None:
    real = {tuple(shape(frame)) for frame in real_frames(corpus) if frame.get("txType") == "migrate"}

    assert {tuple(shape(frame)) for kind, _, frame in told if kind == "migrate"} == real


def test_another_launchpads_creates_are_shaped_like_the_real_one(corpus: Path) -> None:
    real = next(frame for frame in real_frames(corpus) if frame.get("pool") == "bonk")

    assert shape(json.loads(frames.bonk_create_frame(random.Random(1)))) == shape(real)


def test_curve_trades_are_shaped_like_real_ones(corpus: Path, told: list[tuple[str, Notice, dict[str, Any]]]) -> None:
    lines = (corpus / "pumpportal/trades_pool_pump.jsonl").read_text(encoding="utf-8").splitlines()
    real = {tuple(shape(json.loads(line))) for line in lines[:3]}
    ours = {tuple(shape(frame)) for kind, notice, frame in told if kind == "trade" and notice.row and notice.row.venue == "curve"}

    assert ours == real


def test_pool_trades_come_in_both_reported_shapes(told: list[tuple[str, Notice, dict[str, Any]]]) -> None:
    ours = {tuple(frame) for kind, notice, frame in told if kind == "trade" and notice.row and notice.row.venue == "pool"}

    assert ("signature", "mint", "traderPublicKey", "txType", "tokenAmount", "solAmount") in ours
    assert any("solInPool" in names and "vSolInBondingCurve" not in names for names in ours)
    assert len(ours) == 2


def test_computed_numbers_equal_all_real_ones_to_the_last_bit(corpus: Path) -> None:
    compared = 0
    for frame in real_frames(corpus):
        if frame.get("txType") == "create" and frame["pool"] == "pump":
            ours = frames.curve_numbers(1_073_000_000 - frame["initialBuy"])
            assert ours == {name: frame[name] for name in ours}
            assert {type(value) for value in ours.values()} == {type(frame[name]) for name in ours}
            compared += 1
    assert compared == 197


def test_quirks_happen_as_often_as_they_should(told: list[tuple[str, Notice, dict[str, Any]]]) -> None:
    creates = [(notice, frame) for kind, notice, frame in told if kind == "create"]

    assert all(
        frame["mint"] == notice.coin.quote_mint and "name" not in frame for notice, frame in creates if not notice.coin.is_sol
    )
    assert any(frame["bondingCurveKey"] == MAYHEM_AGENT for _, frame in creates)
    assert any(isinstance(frame["initialBuy"], float) for _, frame in creates)
    assert any(isinstance(frame["initialBuy"], int) for _, frame in creates)


@pytest.mark.parametrize(
    "text",
    [
        frames.message(frames.SUBSCRIBED_NEW),
        frames.message(frames.SUBSCRIBED_MIGRATION),
        frames.message(frames.SUBSCRIBED_KEYS),
        frames.message(frames.UNSUBSCRIBED),
        frames.message(frames.UNFUNDED),
        frames.errors(frames.BAD_METHOD),
    ],
)
def test_control_frames_are_the_real_ones(corpus: Path, text: str) -> None:
    known = (corpus / "pumpportal/error_and_notice_frames.jsonl").read_text(encoding="utf-8").splitlines()

    assert json.loads(text) in [json.loads(line) for line in known]
