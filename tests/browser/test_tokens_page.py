"""The list of tokens, in a browser."""

from __future__ import annotations

from browser_site import Browser, Site, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROWS = "return document.querySelectorAll('.tokens tbody tr').length"
NAMES = "return [...document.querySelectorAll('.tokens tbody .names a')].map((a) => a.textContent)"
#: Notes every element that is taken out or put in, so that a page that builds itself anew is noticed.
COUNT_NEW_ROWS = """
    window.__new = 0;
    new MutationObserver((records) => {
        for (const record of records) for (const node of record.addedNodes) if (node.nodeName === "TR") window.__new += 1;
    }).observe(document.querySelector(".tokens tbody"), { childList: true });
    document.querySelector(".tokens tbody tr").dataset.mine = "1";
"""


#: The sum of a column.
TRADES = (
    "[...document.querySelectorAll('.tokens td.trades')].reduce((sum, td) => sum + Number(td.textContent.replace(/,/g, '')), 0)"
)
#: The button of the token whose address ends so.
BUTTON = (
    "[...document.querySelectorAll('.tokens tbody tr')].find((tr) => tr.querySelector('a').href.endsWith(arguments[0]))"
    "?.querySelector('.pinning')"
)
WIDE = 1440


def ready(browser: Browser, url: str, *, width: int = WIDE, height: int = 900) -> None:
    browser.open(url, width=width, height=height)
    browser.wait(ROWS, "rows")


def test_tokens_are_listed_with_their_numbers_and_say_that_they_are_simulated(browser: Browser, site: Site) -> None:
    ready(browser, site.url)

    assert "SIMULATED" in (browser.text("#origin") or "")
    assert browser.wait("return document.querySelector('#live').dataset.state === 'live'", "a live line")
    assert browser.wait(
        "return [...document.querySelectorAll('.price .strong')].some((p) => /^0\\.0/.test(p.textContent))", "prices"
    )
    assert browser.wait("return [...document.querySelectorAll('.badge')].some((b) => b.dataset.kind === 'complete')", "a proof")


def test_a_trade_is_seen_without_reload_and_without_building_anew(browser: Browser, site: Site) -> None:
    ready(browser, site.url)
    browser.run(COUNT_NEW_ROWS)
    before = browser.run(f"return {TRADES}")

    browser.wait(f"return {TRADES} > arguments[0] + 20", "20 more trades", before)

    assert browser.run("return document.querySelector('[data-mine]') !== null")
    assert browser.run("return window.__new") < 20  # tokens that are new, and those that were put elsewhere


def test_new_tokens_appear_by_themselves(browser: Browser, site: Site) -> None:
    ready(browser, f"{site.url}/?tab=new&limit=500")
    before = set(browser.run(NAMES))
    first = browser.run("return document.querySelector('.tokens tbody a').href")

    browser.wait(
        "return document.querySelector('.tokens tbody a').href !== arguments[0]", "a newer token on top", first, seconds=40
    )

    assert before <= set(browser.run(NAMES))


def test_the_address_keeps_what_was_chosen(browser: Browser, site: Site) -> None:
    ready(browser, site.url)
    browser.driver.find_element(By.CSS_SELECTOR, "[data-tab=graduating]").click()
    browser.wait("return [...document.querySelectorAll('td.progress progress')].filter((p) => !p.hidden).length > 1", "curves")
    sold = "return [...document.querySelectorAll('td.progress progress')].map((p) => p.value)"
    wait_for(lambda: (found := browser.run(sold)) == sorted(found, reverse=True), "the order of what is sold")
    browser.driver.find_element(By.CSS_SELECTOR, "th.trades button").click()
    browser.wait("return new URLSearchParams(location.search).get('order') === 'trades'", "the order in the address")

    browser.driver.refresh()
    browser.wait(ROWS, "rows")
    assert browser.run("return document.querySelector('[data-tab=graduating]').getAttribute('aria-pressed')") == "true"
    assert browser.run("return document.querySelector('th.trades').getAttribute('aria-sort')") == "descending"
    browser.driver.back()
    browser.wait("return document.querySelector('th.progress').getAttribute('aria-sort') === 'descending'", "what was before")


def test_it_is_searched_as_one_types(browser: Browser, site: Site) -> None:
    ready(browser, site.url)
    name = wait_for(lambda: next((n for n in browser.run(NAMES) if n.isalnum() and n.isascii()), None), "a plain symbol")

    browser.driver.find_element(By.ID, "filter").send_keys(name)

    wait_for(lambda: (found := browser.run(NAMES)) and set(found) == {name}, "that token alone")
    assert f"“{name}”" in (browser.text(".summary") or "")


def test_it_can_be_used_with_the_keyboard_alone(browser: Browser, site: Site) -> None:
    ready(browser, site.url)
    keys = ActionChains(browser.driver)
    keys.send_keys("/").perform()
    assert browser.run("return document.activeElement.id") == "find-text"
    browser.run("document.querySelector('.tokens tbody tr').focus()")
    first = browser.run("return document.activeElement.rowIndex")
    keys.reset_actions()
    ActionChains(browser.driver).send_keys("j").send_keys(Keys.ARROW_DOWN).perform()
    assert browser.run("return document.activeElement.rowIndex") == first + 2

    href = browser.run("return document.activeElement.querySelector('a').href")
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    browser.wait("return location.href === arguments[0]", "the token's page", href)
    browser.wait("return document.querySelector('h1')?.textContent", "its name")


def test_a_token_is_pinned_and_unpinned(browser: Browser, site: Site) -> None:
    ready(browser, f"{site.url}/?tab=new")
    links = "document.querySelectorAll('.tokens tbody tr:has(.pinning[aria-pressed=false]) a')"
    mint = browser.run(f"return {links}[0].href.split('/').at(-1)")
    pressed = f"return {BUTTON}?.getAttribute('aria-pressed') === arguments[1]"

    browser.run(f"{BUTTON}.click()", mint)
    browser.wait(pressed, "the pin", mint, "true")
    browser.driver.refresh()
    browser.wait(pressed, "the pin after a reload", mint, "true")
    browser.run(f"{BUTTON}.click()", mint)
    browser.wait(pressed, "no pin", mint, "false")


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, site: Site) -> None:
    ready(browser, site.url, width=360, height=740)

    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.wait(
        "return document.querySelector('.tokens td.price').getBoundingClientRect().right <= innerWidth", "the price"
    )
    assert browser.run(
        "return [...document.querySelectorAll('.tokens .badge')].every((b) => b.getBoundingClientRect().right <= innerWidth)"
    )
