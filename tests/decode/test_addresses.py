from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pumpwatch.decode.addresses import USDC, bonding_curve, canonical_pool, is_address, is_signature, to_address
from pumpwatch.events import WRAPPED_SOL

MINT = "8Y3RkHg21Gj1VBXJi7pcay4qeRqRrY3juZaBac64pump"
CURVE = "DMFahXyBj2uuRg42yGvoWmkM2XB7MoK7CJwzUCERrRyj"


def test_a_bonding_curve_is_derived_as_the_program_does() -> None:
    assert bonding_curve(MINT) == CURVE


def test_every_curve_account_of_the_capture_is_derived_from_a_mint_of_the_same_day(corpus: Path) -> None:
    accounts = json.loads((corpus / "onchain/curve_accounts_2026-07-04.json").read_text(encoding="utf-8"))
    addresses = {word for word in json.dumps(accounts).split('"') if is_address(word)}
    frames = (corpus / "pumpportal/session_2026-07-03.jsonl").read_text(encoding="utf-8").splitlines()
    mints = {json.loads(json.loads(line)["raw"]).get("mint", "") for line in frames}
    assert len(addresses & {bonding_curve(mint) for mint in mints if mint}) == 17


def test_a_canonical_pool_is_derived_as_the_migration_does() -> None:
    assert canonical_pool("ELJFma9JzJfLWbc2fBSXPMAExayXoTr2LUNJLbPpump") == "GnpU6c7H9CbPrbb9cUkQMxgz6DZV41h8XbU4pLh4C27e"


def test_a_pool_depends_on_what_its_token_is_paid_with() -> None:
    assert canonical_pool(MINT, USDC) != canonical_pool(MINT, WRAPPED_SOL) == canonical_pool(MINT)


@pytest.mark.parametrize(
    "text", ["", "x", MINT[:-2], MINT + "1", MINT.replace("8", "0"), "é" * 44, "\ud800", MINT + " ", "1" * 33]
)
def test_what_is_not_32_bytes_in_base58_is_no_address(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(ValueError):
        bonding_curve(text)


def test_addresses_of_all_lengths_are_addresses() -> None:
    assert all(is_address(text) for text in (MINT, "1" * 32, to_address(b"\xff" * 32), to_address(bytes(31) + b"\x01")))


def test_signatures_are_64_bytes_in_base58(corpus: Path) -> None:
    with (corpus / "trades/HkutG4exp1CxzGaDggWwMgPtQ2hXP2Sesde7WGVcpump.csv").open(encoding="utf-8", newline="") as file:
        signatures = {row["transaction_signature"] for row in csv.DictReader(file)}
    assert len(signatures) == 313
    assert all(map(is_signature, signatures))


@pytest.mark.parametrize("text", ["", MINT, "5" * 100, "0" * 88, "\ud800"])
def test_other_texts_are_no_signatures(text: str) -> None:
    assert not is_signature(text)
