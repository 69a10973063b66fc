"""Ten pages of one browser, which opens six connections to a server at most: all stay true, and none starves another."""

from __future__ import annotations

import pytest
from browser_site import Browser, Site, wait_for

PAGES = 10
CURSORS = "return document.querySelector('#live')?.dataset.state"
TRADES = "return [...document.querySelectorAll('.tokens td.trades')].reduce((sum, td) => sum + Number(td.textContent), 0)"


@pytest.mark.timeout(180)
def test_ten_pages_are_all_kept_true(browser: Browser, site: Site) -> None:
    driver = browser.driver
    first = driver.current_window_handle
    opened = []
    try:
        for _ in range(PAGES):
            driver.switch_to.new_window("window")
            opened.append(driver.current_window_handle)
            browser.open(site.url, width=1440)
            browser.wait("return document.querySelectorAll('.tokens tbody tr').length > 0", "rows")
        states = []
        for handle in opened:
            driver.switch_to.window(handle)
            states.append(wait_for(lambda: state if (state := browser.run(CURSORS)) in ("live", "polling") else None, "a line"))
            before = browser.run(TRADES)
            browser.wait(f"{TRADES.replace('return ', 'return (')}) !== arguments[0]", "other numbers", before)
        assert states
    finally:
        for handle in opened:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(first)
