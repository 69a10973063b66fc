"""How the recorder is, in a browser."""

from __future__ import annotations

from pathlib import Path

from browser_site import Browser, Site, running_site, wait_for


def test_it_says_that_the_recorder_is_healthy_and_what_each_feed_does(browser: Browser, site: Site) -> None:
    browser.open(f"{site.url}/system")

    browser.wait("return document.querySelector('.health')?.dataset.healthy === 'true'", "a healthy recorder")
    feeds = browser.run("return [...document.querySelectorAll('.feed')].map((feed) => [feed.dataset.state, feed.textContent])")
    assert [state for state, _ in feeds] == ["connected", "connected"]
    assert feeds[0][1].startswith("pumpportal")
    assert browser.run("return document.querySelectorAll('.scores tbody tr').length") == 3
    assert "simulator" in (browser.text("main") or "")


def test_a_link_keeps_the_focus_while_its_figures_change(browser: Browser, site: Site) -> None:
    browser.open(f"{site.url}/system")
    browser.wait("return document.querySelector('.dearest a') !== null", "what was dearest")
    browser.run("document.querySelector('.dearest a').focus(); performance.clearResourceTimings()")

    asked = "return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/api/system')).length >= 2"
    browser.wait(asked, "figures that were asked for anew", seconds=30)

    assert browser.run("return document.activeElement.matches('.dearest a')")


def test_what_happens_to_a_feed_is_seen_as_it_happens(browser: Browser, tmp_path: Path) -> None:
    with running_site(tmp_path, seed=3) as site:
        browser.open(f"{site.url}/system")
        browser.wait("return document.querySelector('.health')?.dataset.healthy === 'true'", "a healthy recorder")

        site.simulator.fault("refuse")
        site.simulator.fault("drop")

        browser.wait("return document.querySelector('.health').dataset.healthy === 'false'", "that it is not healthy")
        assert "is " in (browser.text(".problems") or "")
        browser.wait("return document.querySelector('.timeline .away') !== null", "the interruption on the line", seconds=30)
        browser.wait(
            "return document.querySelector('.health').dataset.healthy === 'true'", "that it is healthy again", seconds=30
        )
        browser.wait("return /closed by/.test(document.querySelector('main').textContent)", "the repair", seconds=30)
        browser.leave()


def test_a_worker_that_is_gone_is_told(browser: Browser, tmp_path: Path) -> None:
    with running_site(tmp_path, seed=4) as site:
        browser.open(site.url)
        browser.wait("return document.querySelectorAll('.tokens tbody tr').length", "tokens")
        site.worker.stop()
        browser.open(f"{site.url}/system")
        browser.wait("return /worker is stopped/.test(document.querySelector('.problems')?.textContent)", "that it is stopped")

        browser.open(site.url)
        browser.wait("return /No worker runs/.test(document.querySelector('.hint')?.textContent)", "the hint on the list")
        wait_for(lambda: browser.run("return !document.querySelector('.hint').hidden"), "the hint")
        browser.leave()
