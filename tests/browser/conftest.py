"""
The page in a real browser, over a real recorder of the simulator. Without a browser these tests are skipped, but never in CI.

One browser serves them all, and one recorder those that only look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_site import Browser, Site, opened_browser, running_site

FOLDER = Path(__file__).parent


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with opened_browser() as found:
            yield found
    except LookupError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}: .ci/run installs them")
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For those who only look."""
    del browser  # without one nothing is started
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean(browser: Browser) -> Iterator[None]:
    """Every test ends on a page that did nothing wrong."""
    browser.console()
    yield
    assert browser.problems() == []
    browser.driver.get("about:blank")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine takes its time: what hangs is still found, only later."""
    for item in items:
        if item.path.parent == FOLDER and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(150))
