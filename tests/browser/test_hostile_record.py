"""A record full of markup that would run if any page took text for markup; no name of the simulator's market would."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from browser_site import Browser, Dashboard, Site, wait_for

RUNS = "<img src=x onerror='window.pwned=1'><svg onload='window.pwned=1'></svg>"
LINK = "javascript:window.pwned=1"
LONG = "x" * 10_000


def test_markup_of_a_record_is_text_on_every_page(browser: Browser, site: Site, tmp_path: Path) -> None:
    mint = site.coin()
    trader = wait_for(lambda: site.ask(f"tokens/{mint}/traders")["traders"], "a trader")[0]["wallet"]
    copy = tmp_path / "hostile.db"
    with closing(sqlite3.connect(site.database)) as record, closing(sqlite3.connect(copy)) as hostile:
        record.backup(hostile)
        hostile.execute("UPDATE tokens SET symbol = ?, name = ?, uri = ?", (RUNS, RUNS + LONG, LINK))
        hostile.execute(
            "INSERT OR REPLACE INTO metadata (token_id, fetched_at_us, source, name, description, website, twitter, image) "
            "SELECT id, 1, ?, ?, ?, ?, ?, ? FROM tokens",
            (RUNS, RUNS, RUNS + LONG, LINK, LINK, LINK),
        )
        hostile.execute("UPDATE gaps SET detail = ?, reason = ?", (RUNS, RUNS))
        hostile.commit()
    page = Dashboard({**site.dashboard.environment, "PUMPWATCH_PUMPWATCH_DATABASE": str(copy)}, tmp_path)
    page.start()
    try:
        for path in ("/", f"/token/{mint}", f"/wallet/{trader}", "/system"):
            browser.open(page.url + path, width=360, height=740)
            browser.wait("return document.querySelector('main').textContent.includes('<img src=x')", f"the text on {path}")

            assert browser.run("return window.pwned ?? null") is None
            assert browser.run("return document.querySelectorAll('main img, main [onload], main [href^=javascript]').length") == 0
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), path
            assert browser.problems() == [], path
        browser.leave()
    finally:
        page.stop()
