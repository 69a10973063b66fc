"""The first minutes of a newcomer: nothing is there, and then everything is, without a reload by hand. And the login."""

from __future__ import annotations

from pathlib import Path

from browser_site import Browser, Dashboard, running_site
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

TOKEN = "a-token-that-nobody-would-guess"


def test_the_page_says_what_is_missing_and_comes_alive_by_itself(browser: Browser, tmp_path: Path) -> None:
    early, market = tmp_path / "early", tmp_path / "market"
    early.mkdir()
    market.mkdir()
    with running_site(market, seed=5) as site:
        page = Dashboard({**site.dashboard.environment, "PUMPWATCH_PUMPWATCH_DATABASE": str(early / "market.db")}, early)
        page.start()
        try:
            for path in ("/", "/system"):
                browser.open(page.url + path)
                browser.wait("return document.querySelectorAll('.welcome li').length >= 5", "the steps")
                text = browser.text(".welcome") or ""
                assert "There is no record yet." in text
                assert "python scripts/start.py demo --dashboard" in text
            browser.open(page.url)
            browser.wait("return document.querySelector('.welcome') !== null", "the welcome")
            browser.console()  # 503 is what it is told, and the browser notes it

            (early / "market.db").symlink_to(site.database)

            browser.wait("return document.querySelectorAll('.tokens tbody tr').length > 0", "tokens", seconds=30)
            browser.leave()
        finally:
            page.stop()


def test_the_token_is_asked_for_once(browser: Browser, tmp_path: Path) -> None:
    with running_site(tmp_path, seed=6, settings={"PUMPWATCH_DASHBOARD_TOKEN": TOKEN}) as site:
        browser.open(f"{site.url}/system")
        assert browser.driver.current_url.endswith("/login")
        field = browser.driver.find_element(By.ID, "token")
        field.send_keys("not-this-one-not-this-one", Keys.ENTER)
        browser.wait("return /not the token/.test(document.querySelector('[role=alert].bad')?.textContent)", "the refusal")
        browser.console()  # the browser notes the 403

        browser.driver.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)

        browser.wait("return document.querySelectorAll('.tokens tbody tr').length > 0", "tokens")
        assert TOKEN not in browser.driver.page_source
        assert browser.run("return document.cookie") == ""
        browser.open(f"{site.url}/system")
        browser.wait("return document.querySelector('.health') !== null", "the page, without asking again")
        browser.leave()
