"""Sessions captured on the real network, played over real sockets into a real worker process, and read back with plain SQL."""

from __future__ import annotations

import base64
import csv
import json
import struct
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from real_worker import EVERYTHING, RealWorker, logs_subscribed, until

from pumpwatch.simulator.player import (
    HistoricTrade,
    Player,
    Recorded,
    logs_notifications,
    pumpportal_frames,
    read_session,
    read_trades,
)
from pumpwatch.simulator.simulator import Simulator

WRAPPED_SOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
PUMP = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"

#: Nothing of the market disturbs a played session, however long its pauses.
PATIENT = {"PUMPWATCH_CONNECTION_PUMPPORTAL_IDLE_SECONDS": "60", "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "60"}
NOTHING_WATCHED = {"PUMPWATCH_WATCH_ADMIT": "none", "PUMPWATCH_WATCH_MINTS": ""}


def test_the_pumpportal_session_of_2026_07_03(worker: RealWorker, simulator: Simulator, corpus: Path) -> None:
    path = corpus / "pumpportal/session_2026-07-03.jsonl"
    frames = [json.loads(json.loads(line)["raw"], parse_float=Decimal) for line in path.read_text(encoding="utf-8").splitlines()]
    creates = [frame for frame in frames if frame.get("txType") == "create" and frame["pool"] == "pump" and frame["mint"] != USDC]
    buys = [frame for frame in creates if frame["initialBuy"]]
    worker.start(settings={**NOTHING_WATCHED, **PATIENT})
    until(lambda: simulator.pumpportal.subscribed_new() and simulator.solana.open_clients())

    assert Player(simulator).play("pumpportal", read_session(path)) == 205
    until(lambda: worker.count("rejected") == 10 and worker.count() == 167 and migrated(worker) == 7)
    assert worker.stop() == 0

    assert (len(creates), len(buys)) == (187, 167)
    assert worker.ask("SELECT count(*) FROM tokens WHERE created_signature IS NOT NULL") == [(187,)]
    assert worker.ask("SELECT kind, count(*) FROM rejected GROUP BY kind") == [("quote mint as mint", 10)]
    assert dict(worker.ask("SELECT kind, count FROM counts")) == {"other launchpad: bonk": 1, "quote mint as mint": 10}
    assert worker.ask("SELECT count(*) FROM tokens WHERE mint = ?", USDC) == [(0,)]
    assert not {frame["mint"] for frame in frames if frame.get("pool") == "bonk"} & {
        mint for (mint,) in worker.ask("SELECT mint FROM tokens")
    }
    assert {frame["signature"] for frame in frames if frame.get("txType") == "migrate"} == {
        signature for (signature,) in worker.ask("SELECT migrated_signature FROM tokens WHERE migrated_signature IS NOT NULL")
    }
    columns = "signature, mint, wallet, side, venue, token_amount, quote_amount, virtual_token_reserves"
    recorded = worker.ask(f"SELECT {columns} FROM trade_log")
    assert sorted(recorded) == sorted(first_buy(frame) for frame in buys)
    unknown = "event_index, slot, block_time, virtual_quote_reserves, real_token_reserves, chain_key, price"
    assert set(worker.ask(f"SELECT sources, confirmed, {unknown} FROM trade_log")) == {("pumpportal", 0, *[None] * 7)}
    named = {frame["mint"]: (frame["symbol"], frame["name"], frame["uri"], frame["traderPublicKey"]) for frame in creates}
    board = worker.ask(
        "SELECT tokens.mint, symbol, name, uri, address FROM tokens JOIN wallets ON developer_id = wallets.id "
        "WHERE created_signature IS NOT NULL"
    )
    assert {mint: tuple(rest) for mint, *rest in board} == named


def migrated(worker: RealWorker) -> int:
    rows = worker.ask("SELECT count(*) FROM tokens WHERE migrated_signature IS NOT NULL")
    return int(rows[0][0]) if rows else 0


def first_buy(frame: dict[str, Any]) -> tuple[object, ...]:
    """What a create frame says of its creator's first buy, in base units, from the exact decimal digits of the frame."""
    return (
        frame["signature"],
        frame["mint"],
        frame["traderPublicKey"],
        "buy",
        "curve",
        base_units(frame["initialBuy"], 6),
        base_units(frame["solAmount"], 9),
        base_units(frame["vTokensInBondingCurve"], 6),
    )


def base_units(amount: Decimal | int, places: int) -> int:
    return round(Decimal(amount).scaleb(places))


def test_the_helius_session_of_2026_07_04(worker: RealWorker, simulator: Simulator, corpus: Path) -> None:
    path = corpus / "helius/logs_subscribe_2026-07-04.jsonl"
    trades, creates = decoded_independently(path)
    worker.start(settings={**NOTHING_WATCHED, **PATIENT, "PUMPWATCH_HELIUS_SCOPE": "all"})
    until(lambda: logs_subscribed(simulator) == 2, what="both programs")

    Player(simulator).play("helius", read_session(path))
    until(lambda: worker.count() == 93)
    assert worker.stop() == 0

    assert (len(trades), len(creates)) == (93, 19)
    columns = (
        "signature, slot, mint, quote_amount, token_amount, side, wallet, block_time, virtual_quote_reserves, "
        "virtual_token_reserves, real_quote_reserves, real_token_reserves, protocol_fee, creator_fee, trader_quote_amount, "
        "quote_mint"
    )
    assert sorted(worker.ask(f"SELECT {columns} FROM trade_log")) == sorted(trades)
    assert set(worker.ask("SELECT venue, sources, confirmed FROM trade_log")) == {("curve", "helius", 1)}
    stored = worker.ask(
        "SELECT created_signature, created_slot, mint, name, symbol, uri, address, bonding_curve, created_at FROM tokens "
        "JOIN wallets ON wallets.id = developer_id WHERE created_slot IS NOT NULL"
    )
    assert sorted(stored) == sorted(creates)
    assert worker.count("rejected") == worker.count("unread") == 0


def decoded_independently(path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """TradeEvents and CreateEvents of the session, by the offsets of the fact sheet and nothing of the package."""
    trades, creates = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        message = json.loads(json.loads(line)["raw"])
        if message.get("method") != "logsNotification":
            continue
        result = message["params"]["result"]
        if result["value"]["err"] is not None:
            continue
        place = (result["value"]["signature"], result["context"]["slot"])
        for payload in own_payloads(result["value"]["logs"]):
            if payload[:8].hex() == "bddb7fd34ee661ee":
                trades.append((*place, *trade_fields(payload)))
            elif payload[:8].hex() == "1b72a94ddeeb6376":
                creates.append((*place, *create_fields(payload)))
    return trades, creates


def own_payloads(logs: list[str]) -> list[bytes]:
    stack: list[str] = []
    found = []
    for line in logs:
        words = line.split(" ")
        if line.startswith("Program data: "):
            found += [base64.b64decode(word) for word in words[2:] if stack[-1] == PUMP]
        elif words[0] == "Program" and words[2:3] == ["invoke"]:
            stack.append(words[1])
        elif words[0] == "Program" and words[2:3] and words[2].rstrip(":") in ("success", "failed"):
            stack.pop()
    return found


def trade_fields(payload: bytes) -> tuple[object, ...]:
    quote_amount, token_amount, is_buy = struct.unpack_from("<QQ?", payload, 40)
    block_time, virtual_quote, virtual_token, real_quote, real_token = struct.unpack_from("<qQQQQ", payload, 89)
    (fee,) = struct.unpack_from("<Q", payload, 169)
    (creator_fee,) = struct.unpack_from("<Q", payload, 217)
    (name_length,) = struct.unpack_from("<I", payload, 258)
    (cashback,) = struct.unpack_from("<Q", payload, 271 + name_length)  # on cashback coins, in the place of the creator fee
    (shareholders,) = struct.unpack_from("<I", payload, 295 + name_length)
    quote_mint = payload[299 + name_length + 34 * shareholders :][:32]
    assert quote_mint == bytes(32)
    wallet, side = base58(payload[57:89]), "buy" if is_buy else "sell"
    reserves = (virtual_quote, virtual_token, real_quote, real_token)
    all_fees = fee + creator_fee + cashback
    fees = (fee, creator_fee, quote_amount + all_fees if is_buy else quote_amount - all_fees)
    return (base58(payload[8:40]), quote_amount, token_amount, side, wallet, block_time, *reserves, *fees, WRAPPED_SOL)


def create_fields(payload: bytes) -> tuple[object, ...]:
    at, texts = 8, []
    for _ in range(3):
        (length,) = struct.unpack_from("<I", payload, at)
        texts.append(payload[at + 4 : at + 4 + length].decode())
        at += 4 + length
    mint, curve, user = (base58(payload[at + 32 * place :][:32]) for place in range(3))
    (created_at,) = struct.unpack_from("<q", payload, at + 128)
    name, symbol, uri = texts
    return mint, name, symbol, uri, user, curve, created_at


def base58(raw: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


@pytest.fixture
def history(corpus: Path) -> list[HistoricTrade]:
    """1,499 real consecutive trades of three coins, from their first."""
    found = []
    for path in sorted((corpus / "trades").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += read_trades(csv.DictReader(file))
    return found


def test_1499_real_trades_through_both_protocols_are_each_one_row(
    worker: RealWorker, simulator: Simulator, history: list[HistoricTrade]
) -> None:
    mints = sorted({trade.row.mint for trade in history})
    worker.start(settings={**EVERYTHING, **PATIENT, "PUMPWATCH_WATCH_MINTS": ",".join(mints)})
    until(
        lambda: logs_subscribed(simulator) == 6 and simulator.pumpportal.followed() == set(mints),
        what="curves and pools of three coins",
    )
    frames = [Recorded(0, text) for text in pumpportal_frames(history)]
    notifications = [Recorded(0, text) for text in logs_notifications(history)]

    # Half of the trades are told by PumpPortal first, half by the chain; then all of it once more.
    player = Player(simulator)
    player.play("pumpportal", frames[: len(frames) // 2])
    until(lambda: worker.count() == len(frames) // 2, what="the first half")
    player.play("helius", notifications)
    player.play("pumpportal", frames)
    player.play("helius", notifications)
    both = "SELECT count(*) FROM trade_log WHERE sources = 'pumpportal,helius' AND confirmed"
    until(lambda: worker.ask(both) == [(1499,)], what="1,499 trades of both")
    assert worker.stop() == 0

    columns = (
        "signature, event_index, slot, block_time, mint, wallet, side, token_amount, quote_amount, trader_quote_amount, "
        "protocol_fee, creator_fee, virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves"
    )
    expected = Counter(
        (
            *(row.signature, row.event_index, row.slot, row.block_time, row.mint, row.wallet, "buy" if row.is_buy else "sell"),
            *(row.token_amount, row.quote_amount, row.trader_quote_amount, row.protocol_fee, row.creator_fee),
            *(row.virtual_token_reserves, row.virtual_quote_reserves, row.real_token_reserves, row.real_quote_reserves),
        )
        for row in (trade.row for trade in history)
    )
    assert Counter(worker.ask(f"SELECT {columns} FROM trade_log")) == expected
    assert worker.count("rejected") == 0
    chains: dict[str, list[tuple[int, int]]] = defaultdict(lambda: [(1_073_000_000_000_000, 30_000_000_000)])
    for mint, side, tokens, quote, *after in worker.ask(
        "SELECT mint, side, token_amount, quote_amount, virtual_token_reserves, virtual_quote_reserves FROM trade_log "
        "ORDER BY mint, chain_key"
    ):
        sign = 1 if side == "buy" else -1
        before_tokens, before_quote = chains[mint][-1]
        assert (before_tokens - sign * tokens, before_quote + sign * quote) == tuple(after)
        chains[mint].append((after[0], after[1]))
    assert sorted(len(chain) - 1 for chain in chains.values()) == [499, 500, 500]
    board = worker.ask("SELECT mint, trades, buys, sells FROM token_board WHERE trades")
    assert sum(buys for _, _, buys, _ in board) == 772
    assert sum(sells for _, _, _, sells in board) == 727
