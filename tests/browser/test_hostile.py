"""Every page before hostile names, narrow screens, and those who use no mouse."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from browser_site import Browser, Site, wait_for
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from pumpwatch.simulator.names import HOSTILE

STATIC = Path(__file__).resolve().parents[2] / "pumpwatch" / "dashboard" / "static"
SIZES = ((360, 740), (1280, 800))

#: Names of controls and pictures as a screen reader has them.
NAMELESS = """
    const named = (e) => e.getAttribute("aria-label") || e.textContent.trim() || e.title || e.alt || e.placeholder
        || (e.id && document.querySelector(`label[for="${e.id}"]`)) || e.closest("label");
    return [...document.querySelectorAll("button, a[href], input, select, summary, [role=img]")]
        .filter((e) => e.checkVisibility() && !named(e)).map((e) => e.outerHTML.slice(0, 120));
"""
HEADINGS = "return [...document.querySelectorAll('h1, h2, h3, h4')].filter((e) => e.checkVisibility()).map((e) => +e.tagName[1])"
WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def paths(site: Site) -> list[str]:
    """All pages, those of the strangest token and its busiest wallet among them."""
    rows = wait_for(lambda: strange(site), "a token with a hostile name", 90)
    mint = rows[0]["mint"]
    trader = wait_for(lambda: site.ask(f"tokens/{mint}/traders")["traders"], "a trader")[0]["wallet"]
    return ["/", "/?tab=new&limit=500", f"/token/{mint}", f"/wallet/{trader}", "/system", "/login"]


def strange(site: Site) -> list[dict[str, str]]:
    """Tokens whose name is meant to harm, and can be read as it is written; markup first."""
    rows = site.ask("tokens?limit=500")["tokens"]
    found = [row for row in rows if written_in(row) is not None]
    return sorted(found, key=lambda row: "<" not in f"{row['symbol']}{row['name']}")


def written_in(row: dict[str, str]) -> str | None:
    """The name or symbol that is meant to harm."""
    return next(
        (row[key] for key in ("symbol", "name") if row[key] in HOSTILE and row[key].isascii() and len(row[key]) > 4), None
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_page_scrolls_sideways_or_runs_what_a_token_is_called(
    browser: Browser, site: Site, paths: list[str], width: int, height: int
) -> None:
    for path in paths:
        browser.open(site.url + path, width=width, height=height)
        browser.wait("return document.querySelector('main').textContent.trim().length > 40", f"{path} to be filled")

        assert browser.run(WIDE) <= 0, (path, width)
        assert browser.run("return window.pwned ?? null") is None
        assert browser.run("return document.querySelectorAll('main script, main iframe, main img[src^=http]').length") == 0
        assert browser.run(NAMELESS) == [], path
        levels = browser.run(HEADINGS)
        assert levels.count(1) == 1 == levels[0], (path, levels)
        assert all(under - over <= 1 for over, under in itertools.pairwise(levels)), (path, levels)
        assert browser.run("return [...document.querySelectorAll('table')].every((table) => table.caption !== null)"), path
        assert browser.problems() == [], path


def test_a_name_that_is_markup_is_shown_as_it_is_written(browser: Browser, site: Site, paths: list[str]) -> None:
    mint = paths[2].rpartition("/")[2]
    [row] = [row for row in strange(site) if row["mint"] == mint]
    browser.open(site.url + paths[2])
    browser.wait("return document.querySelector('h1') !== null", "its head")

    wanted = "".join(letter if letter.isprintable() else "\ufffd" for letter in written_in(row) or "")[:60]
    browser.wait("return document.querySelector('main').textContent.includes(arguments[0])", "the name, letter by letter", wanted)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\U0001f468\u200d\U0001f4bb", "\U0001f468\u200d\U0001f4bb"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("PE\u200dPE\u200d\U0001f525", "PE\ufffdPE\ufffd\U0001f525"),
        ("\u202eEPEP", "\ufffdEPEP"),
        ("\U0001f525\u200d", "\U0001f525\ufffd"),
    ],
)
def test_signs_that_hide_are_shown_and_joined_emoji_stay_joined(browser: Browser, site: Site, written: str, shown: str) -> None:
    browser.open(f"{site.url}/login")

    script = "const [name] = arguments; return import(`${location.origin}/static/core/format.js`).then((it) => it.visible(name))"
    assert browser.run(script, written) == shown


@pytest.mark.parametrize(("asked", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_for_those_who_asked_for_rest(browser: Browser, site: Site, asked: str, moves: bool) -> None:
    browser.open(site.url)
    browser.wait("return document.querySelectorAll('.tokens tbody tr').length > 5", "tokens")
    media = {"features": [{"name": "prefers-reduced-motion", "value": asked}]}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    marked = "const row = document.querySelector('.tokens tbody tr'); row.classList.add(arguments[0]);"
    names = [browser.run(f"{marked} return getComputedStyle(row).animationName", mark) for mark in ("fresh", "rose", "fell")]

    assert [name != "none" for name in names] == [moves] * 3, names


def test_what_is_served_has_no_inline_script_or_style(site: Site, paths: list[str]) -> None:
    for path in paths:
        with urlopen(site.url + path, timeout=10) as answer:
            html = answer.read().decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)", html), path
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html), path
        assert 'lang="en"' in html


def test_a_link_leads_past_the_head_and_everything_can_be_reached_by_tab(browser: Browser, site: Site) -> None:
    browser.open(site.url)
    browser.wait("return document.querySelectorAll('.tokens tbody tr').length", "rows")
    keys = ActionChains(browser.driver)

    keys.send_keys(Keys.TAB).perform()
    assert browser.run("return document.activeElement.className") == "skip"
    keys.reset_actions()
    keys.send_keys(Keys.ENTER).perform()
    assert browser.run("return document.activeElement.id") == "main"
    reached = set()
    for _ in range(12):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        reached.add(browser.run("return document.activeElement.dataset.tab ?? document.activeElement.id"))
    assert {"all", "new", "graduating", "graduated", "watched", "filter", "limit"} <= reached


@pytest.mark.parametrize("dark", [True, False])
def test_letters_stand_out_from_their_ground(browser: Browser, site: Site, dark: bool) -> None:
    browser.open(f"{site.url}/system", dark=dark)
    browser.wait("return document.querySelector('.health') !== null", "the page")
    colours = browser.run(
        "const style = getComputedStyle(document.documentElement); return Object.fromEntries(arguments[0].map((name) => "
        "[name, style.getPropertyValue(`--${name}`).trim()]))",
        [
            "ground",
            "card",
            "raised",
            "text",
            "soft",
            "accent",
            "down",
            "warn",
            "info",
            "accent-soft",
            "warn-soft",
            "bad-soft",
            "info-soft",
        ],
    )

    pairs = [(letters, ground) for letters in ("text", "soft", "accent", "down", "warn", "info") for ground in ("ground", "card")]
    pairs += [("accent", "accent-soft"), ("warn", "warn-soft"), ("down", "bad-soft"), ("info", "info-soft"), ("soft", "raised")]
    assert [(pair, round(found, 2)) for pair in pairs if (found := contrast(*(colours[name] for name in pair))) < 4.5] == []


def contrast(one: str, other: str) -> float:
    """Of two colours such as ``#0c1110``, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_our_own_modules_never_take_text_for_markup() -> None:
    for path in sorted(STATIC.rglob("*.js")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)", text), path.name
