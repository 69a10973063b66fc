"""Ten pages of one browser, which opens six connections to a server at most: all stay true, and none starves another."""

from __future__ import annotations

import pytest
from browser_site import Browser, Site

PAGES = 10
#: As many as live.js lets stream: the others ask.
STREAMS = 3
STATE = "const state = document.querySelector('#live')?.dataset.state; return ['live', 'polling'].includes(state) ? state : null"
TRADES = (
    "[...document.querySelectorAll('.tokens td.trades')].reduce((sum, td) => sum + Number(td.textContent.replace(/,/g, '')), 0)"
)


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
            states.append(browser.wait(STATE, "a line"))
            before = browser.run(f"return {TRADES}")
            assert before > 0
            browser.wait(f"return {TRADES} > arguments[0]", "more trades", before)
        assert states.count("live") <= STREAMS
    finally:
        for handle in opened:
            driver.switch_to.window(handle)
            driver.close()
        driver.switch_to.window(first)
