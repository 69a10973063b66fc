"""The page of one wallet, in a browser."""

from __future__ import annotations

from typing import Any

from browser_site import Browser, Site, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROWS = "[...document.querySelectorAll('.positions tbody tr')]"


def busy_wallet(site: Site) -> str:
    """One that traded more than one token."""
    mint = site.coin()

    def found() -> str | None:
        for order in ("volume", "last"):
            for trader in site.ask(f"tokens/{mint}/traders?limit=100&order={order}")["traders"]:
                wallet = trader["wallet"]
                if len(site.ask(f"wallets/{wallet}")["positions"]) > 2:
                    return str(wallet)
        return None

    return str(wait_for(found, "a wallet with some positions", seconds=60))


def ready(browser: Browser, site: Site, wallet: str, *, width: int = 1440, height: int = 1000) -> Any:
    browser.open(f"{site.url}/wallet/{wallet}", width=width, height=height, dark=True)
    browser.wait(f"return {ROWS}.length > 0 && document.querySelectorAll('.wallet-trades tbody tr').length > 0", "its trades")
    return site.ask(f"wallets/{wallet}")


def test_it_says_what_a_wallet_did(browser: Browser, site: Site) -> None:
    wallet = busy_wallet(site)
    told = ready(browser, site, wallet)

    assert browser.text(".address") == wallet
    assert "not watched" in (browser.text(".chips") or "")
    assert "SIMULATED" in (browser.text("#origin") or "")
    totals = browser.run("return [...document.querySelectorAll('.total h2')].map((h2) => h2.textContent)")
    assert len(totals) == len(told["totals"])
    assert "In SOL" in totals
    assert browser.run(f"return {ROWS}.length") >= len(told["positions"])
    assert browser.run(f"return {ROWS}.every((row) => row.querySelector('.badge').textContent)")


def test_positions_are_ordered_by_what_is_chosen(browser: Browser, site: Site) -> None:
    ready(browser, site, busy_wallet(site))
    head = browser.driver.find_element(By.XPATH, "//section[contains(@class, 'positions')]//th//button[text()='Buys / sells']")
    counts = f"{ROWS}.map((row) => row.cells[6].textContent.split(' / ').reduce((sum, one) => sum + Number(one), 0))"

    head.click()
    browser.wait("return document.querySelector('.positions [aria-sort=descending]')?.textContent === 'Buys / sells'", "the head")
    wait_for(lambda: (found := browser.run(f"return {counts}")) == sorted(found, reverse=True), "the most first")
    head.click()
    wait_for(lambda: (found := browser.run(f"return {counts}")) == sorted(found), "the fewest first")


def test_a_position_leads_to_its_token_by_keyboard(browser: Browser, site: Site) -> None:
    ready(browser, site, busy_wallet(site))
    browser.run(f"{ROWS}[0].focus()")
    ActionChains(browser.driver).send_keys(Keys.ARROW_DOWN).perform()
    href = browser.run("return document.activeElement.querySelector('a').href")
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()

    browser.wait("return location.href === arguments[0]", "the token's page", href)
    browser.wait("return document.querySelector('.proof') !== null", "its proof")


def test_its_trades_come_by_themselves(browser: Browser, site: Site) -> None:
    traders = site.ask(f"tokens/{site.coin('mayhem')}/traders?order=last&limit=5")["traders"]
    agent = max(traders, key=lambda one: one["buys"] + one["sells"])["wallet"]
    ready(browser, site, agent)
    before = browser.run("return document.querySelectorAll('.wallet-trades tbody tr').length")

    browser.wait(
        "return document.querySelectorAll('.wallet-trades tbody tr').length > arguments[0]", "a trade more", before, seconds=60
    )


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, site: Site) -> None:
    ready(browser, site, busy_wallet(site), width=360, height=740)

    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return document.querySelector('.total dd').getBoundingClientRect().right <= innerWidth")


def test_a_wallet_that_was_never_seen_is_said_to_be(browser: Browser, site: Site) -> None:
    browser.open(f"{site.url}/wallet/So11111111111111111111111111111111111111113")

    assert browser.wait("return document.querySelector('#page .empty')?.textContent", "the sentence")
    assert [one for one in browser.console() if "404" not in one["message"]] == []
