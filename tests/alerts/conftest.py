"""What tests of alerts share."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="session", autouse=True)
def resolver() -> None:
    """The library that sends looks names up in threads of its own, which stay: begun before any test looks for forgotten ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from apprise.utils import http

        http._DNS_POOL.submit(lambda: None).result(10)
