"""Promises of ``audit``: what is proven, what is missing, and an exit status that says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from audit_samples import FIRST_SLOT, Token, record, without

from pumpwatch.cli import audit
from pumpwatch.cli.main import main
from pumpwatch.events import SpellEnded, SpellStarted, Trade
from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "record.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUMPWATCH_PUMPWATCH_DATABASE", str(path))
    return path


@pytest.fixture
def audited(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*line: str) -> tuple[int, str]:
        status = main(["audit", *line])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


def test_a_whole_record_is_proven(path: Path, audited: Callable[..., tuple[int, str]]) -> None:
    token = Token(1)
    record(path, token.watched, token.created, *token.trades, token.anchor())

    status, said = audited()

    assert status == 0
    assert said == (
        f"CAT {token.mint}\n"
        f"  8 trades, 7 links, 0 breaks, slots {FIRST_SLOT + 10} to {FIRST_SLOT + 80}\n"
        "  helius 8, alone 8, late 1.5 s (95 %: 1.5 s)\n"
        f"  complete, proven to slot {FIRST_SLOT + 85}\n"
        "1 token: 1 complete; 8 trades, 7 links, 0 holes, 0 gaps open: PROVEN\n"
    )


def test_a_hole_is_told_with_its_size_and_by_the_exit_status(path: Path, audited: Callable[..., tuple[int, str]]) -> None:
    token, whole = Token(1), Token(2)
    for one, trades in ((token, without(token.trades, {2})), (whole, whole.trades)):
        record(path, one.watched, one.created, *trades, one.anchor())

    status, said = audited()

    assert status == 1
    lost = token.trades[2]
    sign = -1 if lost.is_buy else 1
    assert f"  curve slots {FIRST_SLOT + 20} to {FIRST_SLOT + 40}: missing\n" in said
    assert (
        f"    net {sign * lost.token_amount / 1e6} tokens, {-sign * (lost.quote_amount or 0) / 1e9} SOL; one trade would fit\n"
        in said
    )
    assert f"  1 hole, proven to slot {FIRST_SLOT + 19}\n    trades are missing after slot {FIRST_SLOT + 20}\n" in said
    assert "2 tokens: 1 with holes, 1 complete; " in said
    assert "1 hole, 1 gap open: NOT PROVEN\n" in said
    assert audited(whole.mint[:12])[0] == 0
    assert audited(token.mint)[0] == 1


def test_where_nothing_can_be_proven_the_status_is_1(path: Path, audited: Callable[..., tuple[int, str]]) -> None:
    assert audited()[0] == 4  # there is no database
    token = Token(1)
    record(path, token.watched, token.created, *token.trades)

    status, said = audited()

    assert status == 1
    assert "unproven\n    the chain's account was not seen yet" in said
    assert audited("nonsense")[0] == 1


def test_all_of_it_as_json(path: Path, audited: Callable[..., tuple[int, str]]) -> None:
    token = Token(1)
    record(path, token.watched, token.created, *without(token.trades, {2}), token.anchor())

    status, said = audited("--json")
    document = json.loads(said)

    assert (status, document["proven"], document["gaps_open"]) == (1, False, 1)
    (found,) = document["tokens"]
    assert (found["mint"], found["holes"], found["completeness"], found["is_watched"]) == (token.mint, 1, "holes", True)
    assert found["missing"][0]["fits_one_trade"] is True
    assert found["sources"]["helius"]["trades"] == 7


def test_no_longer_watched_is_said_with_its_times(path: Path, audited: Callable[..., tuple[int, str]]) -> None:
    token = Token(1)
    ended = SpellEnded(kind="token", address=token.mint, reason="idle", at_us=token.watched.at_us + 10**9)
    record(path, token.watched, token.created, *token.trades, token.anchor(), ended)

    status, said = audited()

    assert status == 0
    assert "  complete from 20" in said
    assert "UTC, not watched now" in said


def ask(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands ask this chain."""
    monkeypatch.setenv("PUMPWATCH_HELIUS_RPC_URL", simulator.rpc_url)
    monkeypatch.setenv("PUMPWATCH_HELIUS_WS_URL", simulator.ws_url)


def as_last_trade(coin: Coin) -> Trade:
    """A trade that left *coin* as it is now."""
    token = Token(1).trades[0]
    return Trade(
        signature=token.signature,
        mint=coin.mint,
        wallet=token.wallet,
        is_buy=True,
        venue="curve",
        token_amount=5,
        quote_amount=1,
        quote_mint=coin.quote_mint,
        virtual_token_reserves=coin.virtual_token,
        virtual_quote_reserves=coin.virtual_quote,
        real_token_reserves=coin.real_token,
        real_quote_reserves=coin.real_quote,
        event_index=0,
        slot=1,
        block_time=Token(1).trades[0].block_time,
    )


def test_the_chain_is_asked_whether_the_record_ends_where_it_does(
    path: Path, audited: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_QUIET_SECONDS", 0.0)
    with Simulator(seed=11) as simulator:
        ask(simulator, monkeypatch)
        coin = simulator.market.opening["plain"]
        watched = SpellStarted(kind="token", address=coin.mint, reason="asked", at_us=Token(1).watched.at_us)
        record(path, watched, as_last_trade(coin))
        # Offline nothing shows where the chain ends.
        assert audited()[0] == 1

        status, said = audited("--chain")

        assert status == 0
        assert "  chain: the account is in the state that the last recorded trade left\n" in said
        assert "1 token: 1 since;" in said

        path.unlink()
        record(path, watched, msgspec.structs.replace(as_last_trade(coin), real_quote_reserves=coin.real_quote + 1))
        status, said = audited("--chain")

        assert status == 1
        assert "  chain: the account is in a state that no recorded trade left\n" in said


def test_a_token_that_the_chain_does_not_know_and_a_chain_that_does_not_answer(
    path: Path, audited: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Token(1)
    record(path, token.watched, token.created, *token.trades, token.anchor())
    with Simulator(seed=11) as simulator:
        ask(simulator, monkeypatch)
        assert "  chain: there is no such account\n" in audited("--chain", token.mint)[1]

    status, said = audited("--chain")

    assert status == 1
    assert "the chain cannot be asked" in said
