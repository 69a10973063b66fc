"""A hole in a token's record, from its appearance to its repair, as the page shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from browser_site import Browser, Site, running_site, wait_for

VERDICT = "return document.querySelector('.proof')?.dataset.verdict"


@pytest.fixture
def troubled(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A market of its own, as trouble is made in it."""
    with running_site(tmp_path_factory.mktemp("troubled"), rate=12.0, seed=11) as running:
        yield running
        assert browser.problems() == []
        browser.driver.get("about:blank")  # before its server is gone


def lose(site: Site, mint: str) -> None:
    """Neither feed tells the next trade of *mint*; the one after it is told."""
    troubles = [site.simulator.server(feed).trouble for feed in ("pumpportal", "helius")]
    for trouble in troubles:
        trouble.lost_one_in = 1
        trouble.lost_until = time.monotonic() + 30
    before = trades_of(site, mint)
    wait_for(lambda: trades_of(site, mint) > before, "a trade that is lost")
    time.sleep(0.5)  # what the chain's feed tells later is lost as well
    for trouble in troubles:
        trouble.lost_until = 0.0


def trades_of(site: Site, mint: str) -> int:
    return sum(row.mint == mint for row in site.simulator.traded())


@pytest.mark.timeout(240)
def test_a_hole_is_seen_when_it_appears_and_again_when_it_is_repaired(browser: Browser, troubled: Site) -> None:
    site = troubled
    mint = site.coin()
    wait_for(lambda: site.ask(f"tokens/{mint}")["completeness"] == "since", "a record without holes", seconds=60)
    browser.open(f"{site.url}/token/{mint}", width=1440, height=1000, dark=True)
    browser.wait(f"{VERDICT} === 'since'", "that nothing is missing")
    browser.wait("return document.querySelector('.plot .main-svg')", "the chart")

    site.simulator.rpc.endpoint.trouble.off = True
    lose(site, mint)

    browser.wait(f"{VERDICT} === 'holes'", "the verdict", seconds=40)
    hole = browser.wait("return document.querySelector('.chain li[data-kind=hole]')?.textContent", "the hole", seconds=20)
    assert "trades are missing" in hole
    assert " tokens " in hole
    assert " SOL " in hole
    assert browser.wait("return document.querySelector('.beads [data-kind=hole]') !== null", "a broken string of beads")
    assert browser.wait("return document.querySelector('.chain-lane [data-kind=hole]') !== null", "the hole in its life")
    gap = browser.wait("return document.querySelector('.gaps [data-state=open]')?.textContent", "the gap")
    assert "Two trades did not chain" in gap
    browser.wait("return document.querySelectorAll('.plot .shapelayer path').length > 1", "the shade on the chart", seconds=20)
    browser.run("document.querySelector('.titled button').click()")
    browser.wait("return document.activeElement.dataset.kind === 'hole'", "the hole in sight")

    site.simulator.rpc.endpoint.trouble.off = False

    news = browser.wait("return document.querySelector('.news').textContent", "the news", seconds=60)
    assert news.startswith("Repaired: ")
    browser.wait(f"{VERDICT} === 'since'", "that nothing is missing again", seconds=60)
    browser.wait("return document.querySelectorAll('.chain li[data-kind=hole], .beads [data-kind=hole]').length === 0", "no hole")
    fetched = browser.wait(
        "return [...document.querySelectorAll('.chain li[data-mark=fetched]')].map((li) => li.dataset.link)", "fetched trades"
    )
    assert set(fetched) == {"chained"}
    assert browser.run("return document.querySelector('.chain [data-mark=fetched] .chip').hidden") is False
    assert "fetched" in browser.wait("return document.querySelector('.gaps [data-state=closed]')?.textContent", "the story")
    browser.wait(
        "return document.querySelectorAll('.trades .sources b:last-child.had').length > 0", "the fetched trade on the tape"
    )
