"""Provider profiles."""

from __future__ import annotations

import pytest

from pumpwatch import providers
from pumpwatch.providers import provider_named, provider_of


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.mainnet-beta.solana.com", providers.PUBLIC_MAINNET),
        ("mainnet.helius-rpc.com", providers.HELIUS_FREE),
        ("beta.helius-rpc.com", providers.HELIUS_FREE),
        ("pumpportal.fun", providers.PUMPPORTAL),
        ("rpc.example.org", providers.UNKNOWN),
        ("evilhelius-rpc.com", providers.UNKNOWN),
        ("helius-rpc.com.example.org", providers.UNKNOWN),
    ],
)
def test_the_host_decides(host: str, expected: providers.Provider) -> None:
    assert expected == provider_of(host, is_loopback=False)


def test_loopback_has_no_limits() -> None:
    profile = provider_of("127.0.0.1", is_loopback=True)

    assert profile.calls_per_second is profile.subscriptions_per_connection is profile.watchable_tokens is None
    assert not profile.metered


def test_a_plan_that_has_transactions_is_a_paid_one() -> None:
    assert provider_of("mainnet.helius-rpc.com", is_loopback=False, has_transaction_subscribe=True) == providers.HELIUS_PAID


def test_an_unknown_provider_is_treated_like_the_public_one() -> None:
    limits = {field: getattr(providers.UNKNOWN, field) for field in providers.Provider.__dataclass_fields__ if field != "name"}

    assert limits == {field: getattr(providers.PUBLIC_MAINNET, field) for field in limits}


@pytest.mark.parametrize("name", providers.NAMES)
def test_every_profile_has_its_name(name: str) -> None:
    assert provider_named(name).name == name


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        provider_named("nobody")


@pytest.mark.parametrize(
    ("provider", "transactions", "others"),
    [
        (providers.HELIUS_PAID, 100, 10),
        (providers.HELIUS_FREE, 10, 10),
        (providers.PUBLIC_MAINNET, 1, 1),
        (providers.LOOPBACK, 100, 10),
    ],
)
def test_how_many_calls_one_request_may_hold(provider: providers.Provider, transactions: int, others: int) -> None:
    assert provider.largest_batch("getTransaction") == transactions
    assert provider.largest_batch("getSignaturesForAddress") == others
    assert provider.largest_batch("getTransactionsForAddress") == 1
