"""The page of one token, in a browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from browser_site import Browser, Site, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

WIDE = 1440
TRADES = "[...document.querySelectorAll('.trades tbody tr')]"
TOP_TRADE = f"return {TRADES}[0]?.textContent"
BEADS = "document.querySelectorAll('.chain li[data-kind=trade]')"
CANDLES = "document.querySelectorAll('.plot .candlesticklayer path, .plot .boxlayer path').length"


def ready(
    browser: Browser, site: Site, mint: str, *, width: int = WIDE, height: int = 1000, dark: bool = True, hash_: str = ""
) -> None:
    wait_for(lambda: site.ask(f"tokens/{mint}")["trades"] > 1, "a token with trades", seconds=40)
    browser.open(f"{site.url}/token/{mint}{hash_}", width=width, height=height, dark=dark)
    browser.wait(f"return {BEADS}.length > 0", "the chain")


def made_here(site: Site) -> str:
    """The mint of a token that was seen from its creation on."""

    def found() -> str | None:
        tokens = site.ask("tokens?order=trades&limit=50&completeness=complete")["tokens"]
        return next((str(one["mint"]) for one in tokens if one["trades"] > 5 and (one["symbol"] or "").isalnum()), None)

    return str(wait_for(found, "a complete token", seconds=60))


def test_it_says_what_the_token_is_and_that_nothing_is_missing(browser: Browser, site: Site) -> None:
    mint = made_here(site)
    ready(browser, site, mint)
    row = site.ask(f"tokens/{mint}")

    assert browser.text("h1") == row["symbol"]
    assert mint in (browser.text(".head .address") or "")
    assert "SIMULATED" in (browser.text("#origin") or "")
    assert browser.text(".price").startswith("0.0")  # type: ignore[union-attr]
    browser.wait("return document.querySelector('#live').dataset.state === 'live'", "a live line")
    browser.wait("return document.querySelector('.proof').dataset.verdict === 'complete'", "the verdict")
    verdict = browser.text(".verdict") or ""
    assert verdict.startswith("Every trade from its creation (")
    assert " to slot " in verdict
    assert browser.run("return document.querySelectorAll('.chain-lane [data-kind=chained]').length") >= 1
    assert browser.run("return document.querySelectorAll('.chain-lane [data-kind=anchor]').length") >= 1
    assert "unbroken run" in browser.run("return document.querySelector('.strip-lanes').getAttribute('aria-label')")
    assert browser.run("return document.title").endswith("· pumpwatch")


@pytest.mark.parametrize("kind", ["plain", "mayhem", "graduated", "usdc"])
def test_each_link_can_be_checked_by_hand(browser: Browser, site: Site, kind: str) -> None:
    ready(browser, site, site.coin(kind))

    sums = browser.run(f"""
        for (const button of document.querySelectorAll('.chain .check')) button.click();
        return [...{BEADS}].map((li) => [li.dataset.link, li.querySelector('.sum').textContent]);
    """)

    chained = [text for link, text in sums if link == "chained"]
    assert chained
    assert [text for text in chained if "✗" in text] == []
    told = [text for text in chained if "✓ equal, to the last unit" in text or "moved without a trade, as the chain told" in text]
    assert len(told) >= len(chained) - 2, "all but the first, and the one that opens its pool"
    assert any("✓ equal, to the last unit" in text for text in chained)


def test_trades_come_by_themselves_and_wait_while_a_mouse_is_over_them(browser: Browser, site: Site) -> None:
    ready(browser, site, site.coin("graduated"))
    browser.run(f"{TRADES}[0].dataset.mine = '1'")
    before = browser.run(TOP_TRADE)
    browser.wait(f"return {TRADES}[0].dataset.mine !== '1'", "a new trade on top", before, seconds=40)
    assert browser.run(f"return {TRADES}.some((row) => row.dataset.mine === '1')"), "rows are kept, not built anew"
    amounts = browser.run(f"return {TRADES}.map((row) => row.querySelector('.amount').textContent)")
    assert "–" not in amounts

    body = browser.driver.find_element(By.CSS_SELECTOR, ".trades tbody")
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", body)
    ActionChains(browser.driver).move_to_element(body.find_element(By.CSS_SELECTOR, "tr:nth-child(3)")).perform()
    browser.run(f"{TRADES}.forEach((row) => delete row.dataset.mine); {TRADES}[0].dataset.mine = '1'")
    counter = browser.wait(
        "const c = document.querySelector('.counter'); return c.hidden ? null : c.textContent", "the counter", seconds=40
    )
    assert "new trade" in counter
    assert browser.run(f"return {TRADES}[0].dataset.mine === '1'")

    ActionChains(browser.driver).move_to_element(browser.driver.find_element(By.CSS_SELECTOR, ".brand")).perform()
    browser.wait("return document.querySelector('.counter').hidden", "no counter")
    browser.wait(f"return {TRADES}[0].dataset.mine !== '1'", "what came meanwhile")


def test_trades_are_chosen_by_side_size_and_wallet(browser: Browser, site: Site) -> None:
    mint = site.coin("graduated")
    ready(browser, site, mint)
    sides = f"return [...new Set({TRADES}.map((row) => row.dataset.side))].join()"

    browser.driver.find_element(By.CSS_SELECTOR, ".filters [data-value=sell]").click()
    browser.wait(f"{sides} === 'sell'", "sales alone")
    browser.driver.find_element(By.CSS_SELECTOR, ".filters [data-value='']").click()
    browser.wait(f"{sides}.length > 4", "both")

    wallet = site.ask(f"tokens/{mint}/traders")["traders"][0]["wallet"]
    field = browser.driver.find_element(By.CSS_SELECTOR, ".filters [type=search]")
    field.send_keys("nonsense" + Keys.ENTER)
    browser.wait("return document.querySelector('.trades .warn').textContent.includes('no address')", "what is wrong")
    field.clear()
    field.send_keys(wallet + Keys.ENTER)
    of_wallet = f"return {TRADES}.length > 0 && {TRADES}.every((row) => row.querySelector('a').title === arguments[0])"
    browser.wait(of_wallet, "its trades alone", wallet)
    field.clear()
    browser.driver.find_element(By.CSS_SELECTOR, ".filters [type=number]").send_keys("1000000" + Keys.ENTER)
    browser.wait("return document.querySelector('.trades .empty').textContent === 'No trade fits the filters.'", "none so large")


@pytest.mark.timeout(150)
def test_older_trades_are_loaded_when_asked_for(browser: Browser, site: Site) -> None:
    site.simulator.trade(1500)

    def found() -> str | None:
        (most,) = site.ask("tokens?order=trades&limit=1")["tokens"]
        return str(most["mint"]) if most["trades"] > 110 else None

    mint = str(wait_for(found, "more trades than one page has", seconds=90))
    ready(browser, site, mint)
    listed = browser.wait(f"return {TRADES}.length >= 80 ? {TRADES}.length : null", "a whole page of them")

    browser.driver.find_element(By.CSS_SELECTOR, ".tape-foot button").click()

    browser.wait(f"return {TRADES}.length > arguments[0]", "older ones", listed)
    rows = browser.run(f"return {TRADES}.map((row) => row.textContent)")
    assert len(rows) <= site.ask(f"tokens/{mint}")["trades"] + 1, "each once"


def test_the_chart_is_drawn_and_follows_under_the_strict_policy(browser: Browser, site: Site) -> None:
    ready(browser, site, site.coin("graduated"), hash_="#1s")
    browser.wait(f"return {CANDLES} > 3", "candles")
    said = browser.text(".chart figcaption") or ""
    assert said.startswith("1-second candles, ")

    browser.wait("return document.querySelector('.chart figcaption').textContent !== arguments[0]", "the next", said, seconds=40)
    browser.driver.find_element(By.CSS_SELECTOR, ".chart [data-value='1m']").click()
    browser.wait("return document.querySelector('.chart figcaption').textContent.startsWith('1-minute')", "minutes")
    browser.driver.find_element(By.CSS_SELECTOR, ".chart [data-value=usd]").click()
    browser.wait("return document.querySelector('.readout').textContent.includes('USD')", "US dollars")
    assert browser.run("return location.hash") == "#1m-usd"

    browser.run("[...document.querySelectorAll('.chart-tools button')].find((one) => one.textContent === 'Log').click()")
    browser.wait("return document.querySelector('.plot').layout.yaxis.type === 'log'", "equal heights for equal changes")
    browser.run("document.querySelector('.plot').focus()")
    ActionChains(browser.driver).send_keys(Keys.ARROW_LEFT).perform()
    browser.wait("return [...document.querySelectorAll('.chart-tools button')].at(-1).hidden === false", "the way back")
    ActionChains(browser.driver).send_keys(Keys.END).perform()
    browser.wait("return [...document.querySelectorAll('.chart-tools button')].at(-1).hidden", "the newest")
    assert browser.run("return document.querySelectorAll('style').length") == 0, "plotly wrote no rules of its own"
    assert browser.run("return document.querySelectorAll('.plot a').length") == 0


def test_traders_are_ordered_and_opened_with_the_keyboard(browser: Browser, site: Site) -> None:
    mint = site.coin()
    ready(browser, site, mint)
    browser.driver.find_element(By.XPATH, "//section[contains(@class, 'traders')]//th//button[text()='Net tokens']").click()
    browser.wait("return document.querySelector('.traders [aria-sort]')?.textContent === 'Net tokens'", "that order")
    best = site.ask(f"tokens/{mint}/traders?order=net&limit=1")["traders"][0]["wallet"]
    browser.wait("return document.querySelector('.traders tbody a').title === arguments[0]", "the largest", best)

    browser.run("document.querySelector('.traders tbody tr').focus()")
    ActionChains(browser.driver).send_keys("j").perform()
    wallet = browser.run("return document.activeElement.querySelector('a').title")
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    browser.wait("return location.pathname === `/wallet/${arguments[0]}`", "the wallet's page", wallet)
    browser.wait("return document.querySelector('h1')?.textContent.startsWith('Wallet')", "its name")


def test_it_is_pinned_and_unpinned(browser: Browser, site: Site) -> None:
    mint = made_here(site)
    ready(browser, site, mint)
    browser.wait("return document.querySelector('.pin').textContent === 'Pin'", "the button")

    browser.run("document.querySelector('.pin').click()")
    browser.wait("return document.querySelector('.pin').textContent === 'Unpin'", "that it is pinned")
    browser.run("document.querySelector('.pin').click()")
    browser.wait("return document.querySelector('.pin').textContent === 'Pin'", "that it is let go")
    assert browser.text(".pinning .said")


def test_a_hostile_name_is_text_and_nothing_else(browser: Browser, site: Site) -> None:
    def found() -> str | None:
        tokens = site.ask("tokens?order=newest&limit=500")["tokens"]
        names = [(one["mint"], (one["symbol"] or "") + (one["name"] or "")) for one in tokens if one["trades"] > 3]
        return next((mint for mint, name in names if any(sign in name for sign in "<{\u202e\x1b") or len(name) > 500), None)

    mint = wait_for(found, "a hostile name", seconds=120)
    row = site.ask(f"tokens/{mint}")
    ready(browser, site, mint, width=360, height=740)

    shown = browser.text("h1") or ""
    assert shown
    assert not set(shown) & set("\u202e\u2066\x1b\u200b\r\n")
    assert browser.run("return document.querySelectorAll('h1 *').length") == 1, f"only the isolating element: {row['symbol']!r}"
    assert browser.run("return document.querySelectorAll('.name *').length") == 0
    assert browser.run("return document.querySelectorAll('main img, main script, main a[href^=\"http\"]').length") == 0
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", ["plain", "graduated", "usdc"])
def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, site: Site, kind: str) -> None:
    ready(browser, site, site.coin(kind), width=360, height=740, dark=False)
    browser.wait("return document.querySelector('.plot .main-svg')", "the chart")

    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return document.querySelector('.trades thead th.state').getBoundingClientRect().right <= innerWidth")
    assert browser.run("return document.querySelector('.chain .check').getBoundingClientRect().right <= innerWidth")


def test_an_unknown_token_is_said_to_be_unknown(browser: Browser, site: Site) -> None:
    browser.open(f"{site.url}/token/{quote('So11111111111111111111111111111111111111113')}")

    browser.wait("return document.querySelector('#page .empty')?.textContent.includes('No token')", "the sentence")
    refused = [one for one in browser.console() if "404" not in one["message"]]
    assert refused == []
