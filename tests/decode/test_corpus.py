"""The totals over all chain data of the corpus, as its README counts them; what belongs to one module is in its own test."""

from __future__ import annotations

import base64
import json
from collections import Counter as Tally
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from pumpwatch.decode import layouts
from pumpwatch.decode.addresses import PUMP
from pumpwatch.decode.borsh import Reader
from pumpwatch.decode.layouts import NOT_RECORDED, Layout, discriminator
from pumpwatch.decode.logs import payloads_of_log
from pumpwatch.decode.payloads import OUR_PROGRAMS
from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import Trade

NAMES = {layout.discriminator: layout.name for layout in vars(layouts).values() if isinstance(layout, Layout)} | {
    discriminator(name): name for names in NOT_RECORDED.values() for name in names
}


@pytest.fixture(scope="module")
def frames(corpus: Path) -> list[tuple[float, dict[str, Any]]]:
    """The real notifications of 2026-07-04, each with the recorder's clock."""
    lines = [
        json.loads(line) for line in (corpus / "helius/logs_subscribe_2026-07-04.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [(line["t_wall"], json.loads(line["raw"])) for line in lines[1:]]


def value(frame: dict[str, Any]) -> dict[str, Any]:
    return dict(frame["params"]["result"]["value"])


def succeeded(frames: list[tuple[float, dict[str, Any]]]) -> list[list[str]]:
    return [value(frame)["logs"] for _, frame in frames if value(frame)["err"] is None]


def test_the_corpus_holds_196_events_of_our_programs(corpus: Path, frames: list[tuple[float, dict[str, Any]]]) -> None:
    bodies = [payload.body for lines in succeeded(frames) for payload in payloads_of_log(lines)]
    single = [json.loads(line) for line in (corpus / "onchain/events.jsonl").read_text(encoding="utf-8").splitlines()]
    bodies += [base64.b64decode(e["b64"]) if "b64" in e else bytes.fromhex(e["hex"])[8:] for e in single]
    for transaction in read(corpus, "onchain/completing_txs_2026-10-09.json")["txs"]:
        bodies += [base64.b64decode(line[14:]) for line in transaction["program_data_lines"]]
    logs = [fixture["logs"] for fixture in read(corpus, "onchain/mayhem_and_cashback_logs_2026-07-18.json")["fixtures"]]
    pools = ("pumpswap_buy_v1_2026-10.json", "pumpswap_sell_v2_2026-10-08.json")
    logs += [read(corpus, f"onchain/{file}")["meta"]["logMessages"] for file in pools]
    logs.append(read(corpus, "onchain/block_subscribe_tx.json")["tx"]["meta"]["logMessages"])
    notification = read(corpus, "helius/transaction_notification_2024-11.json")
    logs.append(notification["params"]["result"]["transaction"]["meta"]["logMessages"])
    logs.append(read(corpus, "onchain/foreign_moonshot_tx.json")["logMessages"])
    bodies += [payload.body for lines in logs for payload in payloads_of_log(lines)]
    assert len(bodies) == 196 == len(set(bodies))
    assert Tally(NAMES[(body or b"")[:8]] for body in bodies) == {
        "TradeEvent": 136,
        "CreateEvent": 21,
        "SellEvent": 7,
        "CompleteEvent": 7,
        "BuyEvent": 5,
        "CreatePoolEvent": 4,
        "PostCompleteBuyEvent": 4,
        "ExtendAccountEvent": 4,
        "MigrateBondingCurveCreatorEvent": 2,
        "DistributeCreatorFeesEvent": 2,
        "CompletePumpAmmMigrationEvent": 1,
        "InitBoostEvent": 1,
        "DepositEvent": 1,
        "WithdrawEvent": 1,
    }


def read(corpus: Path, file: str) -> Any:
    return json.loads((corpus / file).read_text(encoding="utf-8"))


def test_data_lines_of_other_programs_are_left_alone(frames: list[tuple[float, dict[str, Any]]]) -> None:
    """139 payloads in 137 data lines of the session, 19 of them not ours (one line may hold several)."""
    logs = [value(frame)["logs"] for _, frame in frames]
    slices = [line.split(" ")[2:] for log in logs for line in log if line.startswith("Program data: ")]
    assert (len(slices), sum(map(len, slices)), sum(len(payloads_of_log(log)) for log in logs)) == (137, 139, 120)


def test_the_logs_of_failed_transactions_nest_too(frames: list[tuple[float, dict[str, Any]]]) -> None:
    assert sum(len(payloads_of_log(value(frame)["logs"])) for _, frame in frames if value(frame)["err"] is not None) == 0
    assert max(sum(map(len, value(frame)["logs"])) for _, frame in frames) == 9777


def test_the_fields_we_skip_lie_where_the_table_says(frames: list[tuple[float, dict[str, Any]]]) -> None:
    every = Reader(layouts.TRADE.fields, frozenset(name for name, _ in layouts.TRADE.fields), required=0)
    names: Tally[object] = Tally()
    mayhem = shareholders = 0
    for log in succeeded(frames):
        for program, body, _ in payloads_of_log(log):
            if program == PUMP and body is not None and body.startswith(layouts.TRADE.discriminator):
                values, surplus = every.read(body)
                found = {name: value for (name, _), value in zip(layouts.TRADE.fields, values, strict=False)}
                assert surplus == 0
                names[found["ix_name"]] += 1
                mayhem += found["mayhem_mode"] is True
                shareholders += found["shareholders"] != b""
                assert found["fee"] == -(-int(found["quote_amount"]) * found["fee_basis_points"] // 10_000)  # type: ignore[call-overload]
                assert found["quote_amount"] == found["sol_amount"]
    assert names == {b"buy": 46, b"sell": 39, b"buy_exact_sol_in": 4, b"buy_exact_quote_in": 4}
    assert (mayhem, shareholders) == (8, 1)


def test_the_trades_of_the_session_arrived_seconds_after_their_block(frames: list[tuple[float, dict[str, Any]]]) -> None:
    delays = []
    for received, frame in frames:
        message = decode_message(json.dumps(frame).encode(), {})
        assert isinstance(message, Notified)
        delays += [received - (event.block_time or 0) for event in message.events if isinstance(event, Trade)]
    assert [round(delay, 2) for delay in (min(delays), median(delays), max(delays))] == [1.49, 2.9, 3.49]


def test_our_programs_are_the_two_of_the_fact_sheet() -> None:
    assert {"6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P", "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"} == OUR_PROGRAMS
