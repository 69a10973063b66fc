"""
The page in a real browser, over a real recorder of the simulator. Without a browser these tests are skipped, but never in CI.

One browser serves them all, and one recorder those that only look.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from browser_site import FLAGS, WATCH, Browser, Site, browser_path, running_site
from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = browser_path()
    driver_path = shutil.which("chromedriver")
    if path is None or driver_path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI has no chromium with its chromedriver: .ci/run installs them")
        pytest.skip("chromium and chromedriver are not here")
    options = webdriver.ChromeOptions()
    options.binary_location = path
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.set_page_load_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For those who only look."""
    del browser  # without one nothing is started
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean(browser: Browser) -> Iterator[None]:
    """Every test ends on a page that did nothing wrong."""
    browser.driver.get_log("browser")
    yield
    assert browser.problems() == []
    browser.driver.get("about:blank")
