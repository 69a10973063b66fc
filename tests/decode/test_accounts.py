"""The curve accounts are real (2026-07-04); those of pools, tokens and the clock are written here by their layouts."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from pumpwatch.decode.accounts import (
    Clock,
    CurveAccount,
    UnreadableAccount,
    clock,
    curve_state,
    pool_state,
    token_balance,
)
from pumpwatch.decode.addresses import USDC, bonding_curve, canonical_pool
from pumpwatch.errors import DecodeError
from pumpwatch.events import WRAPPED_SOL

MINT = "HkutG4exp1CxzGaDggWwMgPtQ2hXP2Sesde7WGVcpump"
VAULTS = (bytes([7]) * 32, bytes([8]) * 32)


def key(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


@pytest.fixture(scope="module")
def real(corpus: Path) -> list[tuple[str, bytes]]:
    rows = json.loads((corpus / "onchain/curve_accounts_2026-07-04.json").read_text(encoding="utf-8"))
    return [(row["pubkey"], base64.b64decode(row["data_b64"])) for row in rows]


def curve(data: bytes) -> CurveAccount:
    account = curve_state(data)
    assert account is not None
    return account


def test_the_real_curves_are_read_at_both_their_sizes(real: list[tuple[str, bytes]]) -> None:
    accounts = [curve(data) for _, data in real]
    assert Tally(len(data) for _, data in real) == {151: 9, 115: 8}
    assert sum(account.is_mayhem_mode for account in accounts) == 4
    assert [account.is_migrated for account in accounts].count(True) == 1
    assert {account.quote_mint for account in accounts} == {WRAPPED_SOL}
    assert {account.token_total_supply for account in accounts if not account.is_mayhem_mode} == {10**15}


def test_an_ordinary_real_curve_keeps_its_two_differences(real: list[tuple[str, bytes]]) -> None:
    for _, data in real:
        account = curve(data)
        if account.is_mayhem_mode or account.is_migrated:
            continue
        assert account.virtual_token_reserves - account.real_token_reserves == 279_900_000_000_000
        assert account.virtual_quote_reserves - account.real_quote_reserves == 30_000_000_000


def test_the_real_curves_are_accounts_of_mints_seen(real: list[tuple[str, bytes]], corpus: Path) -> None:
    lines = (corpus / "pumpportal/session_2026-07-03.jsonl").read_text(encoding="utf-8").splitlines()
    messages: list[dict[str, Any]] = [json.loads(json.loads(line)["raw"]) for line in lines]
    derived = {bonding_curve(message["mint"]) for message in messages if message.get("pool") == "pump"}
    assert {address for address, _ in real} <= derived


@pytest.mark.parametrize("size", [49, 81, 82, 83, 115, 124, 151, 4096])
def test_what_a_curve_of_another_size_lacks_is_zero(real: list[tuple[str, bytes]], size: int) -> None:
    whole = next(data for _, data in real if curve(data).is_mayhem_mode)
    account = curve(whole.ljust(size, b"\0")[:size])
    assert account.virtual_quote_reserves == curve(whole).virtual_quote_reserves
    assert account.is_mayhem_mode == (size > 81)
    assert account.quote_mint == WRAPPED_SOL


def test_a_curve_in_another_quote_names_it(real: list[tuple[str, bytes]]) -> None:
    data = real[0][1]
    assert curve(data[:83] + key(USDC) + data[115:]).quote_mint == USDC


def test_an_account_without_data_is_no_curve() -> None:
    assert curve_state(b"") is None


@pytest.mark.parametrize(
    ("read", "data", "reason"),
    [
        (curve_state, b"\x17\xb7\xf8", "no bonding curve: 3 bytes"),
        (curve_state, bytes(151), "no bonding curve: 151 bytes that begin with 0000000000000000"),
        (curve_state, bytes.fromhex("17b7f83760d8ac60") + bytes(40), "a bonding curve of 48 bytes: cut short"),
        (curve_state, bytes.fromhex("17b7f83760d8ac60") + b"\xff" * 143, "a number of 18446744073709551615"),
        (pool_state, bytes.fromhex("17b7f83760d8ac60") + bytes(300), "no pool"),
        (pool_state, bytes.fromhex("f19a6d0411b16dbc") + bytes(194), "a pool of 202 bytes: cut short"),
        (pool_state, b"", "no pool: 0 bytes that begin with nothing"),
        (token_balance, bytes(164), "164 bytes are no token account in use"),
        (token_balance, bytes(165), "165 bytes are no token account in use"),
        (clock, bytes(39), "39 bytes are no clock"),
        (clock, b"\xff" * 40, "a number of"),
    ],
)
def test_what_is_no_such_account_is_refused_with_its_reason(read: Callable[[bytes], object], data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableAccount, match=reason):
        read(data)


def pool_bytes(virtual_quote: int = 17_584_505_288, quote_mint: str = WRAPPED_SOL) -> bytes:
    head = struct.pack("<BH", 254, 0) + bytes(32) + key(MINT) + key(quote_mint) + bytes(32)
    tail = struct.pack("<Q", 5) + bytes(32) + b"\x01\x00" + virtual_quote.to_bytes(16, "little", signed=True)
    return bytes.fromhex("f19a6d0411b16dbc") + head + b"".join(VAULTS) + tail + struct.pack("<Q??", 30, False, True)


def test_a_pool_names_its_mints_and_vaults() -> None:
    pool = pool_state(pool_bytes())
    assert (pool.base_mint, pool.quote_mint, pool.index) == (MINT, WRAPPED_SOL, 0)
    assert (key(pool.base_vault), key(pool.quote_vault)) == VAULTS
    assert (pool.is_mayhem_mode, pool.is_cashback_coin) == (True, False)
    assert pool.is_canonical(canonical_pool(MINT))
    assert not pool.is_canonical(canonical_pool(MINT, USDC))
    assert pool_state(pool_bytes(quote_mint=USDC)).is_canonical(canonical_pool(MINT, USDC))


@pytest.mark.parametrize("virtual_quote", [0, 17_584_505_288, -3_000_000_000])
def test_the_effective_quote_reserve_is_the_vault_and_a_signed_number(virtual_quote: int) -> None:
    assert pool_state(pool_bytes(virtual_quote)).effective_quote_reserves(9_000_000_000) == 9_000_000_000 + virtual_quote


def test_a_negative_effective_reserve_cannot_be() -> None:
    with pytest.raises(UnreadableAccount):
        pool_state(pool_bytes(-2)).effective_quote_reserves(1)


def test_an_older_pool_has_no_virtual_reserve() -> None:
    assert pool_state(pool_bytes()[:211]).virtual_quote_reserves == 0
    assert pool_state(pool_bytes()[:245]).virtual_quote_reserves == 0
    assert pool_state(pool_bytes() + bytes(100)) == pool_state(pool_bytes())


@pytest.mark.parametrize("size", [165, 170, 400])
def test_a_token_account_tells_its_balance(size: int) -> None:
    data = (key(MINT) + bytes(32) + struct.pack("<Q", 206_900_000_000_000)).ljust(108, b"\0") + b"\x01"
    data = data.ljust(size, b"\0")
    assert token_balance(data) == token_balance(data, mint=MINT) == 206_900_000_000_000
    with pytest.raises(UnreadableAccount, match="not of"):
        token_balance(data, mint=USDC)


def test_the_clock_tells_slot_and_time() -> None:
    data = struct.pack("<QqQQq", 454_483_570, 1_791_000_000, 1_052, 1_053, 1_791_446_119)
    assert clock(data) == Clock(slot=454_483_570, unix_timestamp=1_791_446_119)


@given(st.sampled_from([curve_state, pool_state, token_balance, clock]), st.binary(max_size=400), st.booleans())
def test_any_bytes_are_read_or_refused(read: Callable[[bytes], object], data: bytes, is_known: bool) -> None:
    known: dict[Callable[[bytes], object], str] = {curve_state: "17b7f83760d8ac60", pool_state: "f19a6d0411b16dbc"}
    with contextlib.suppress(DecodeError):
        read(bytes.fromhex(known.get(read, "") if is_known else "") + data)
