"""
Pictures of the web page for the documentation: ``python scripts/screenshots.py`` writes docs/screenshots/*.png.

A demo with faults trades for two minutes, so that there are holes and their repair to be seen. Needs chromium and chromedriver.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser_site import Browser, Dashboard, opened_browser, running_site, wait_for  # noqa: E402 - its place is told above

FOLDER: Final = ROOT / "docs" / "screenshots"
_MARKET_SECONDS: Final = 120.0
_SETTLED_SECONDS: Final = 3.0
_BUSIEST: Final = "const a = await fetch('/api/tokens?order=trades&status=curve&limit=20'); return (await a.json()).tokens"
_HEAD: Final = "document.querySelector('.tokens tbody tr')"

#: Name: path, width, height, dark. ``{mint}`` and ``{wallet}`` are the busiest.
_PICTURES: Final = {
    "tokens": ("/", 1280, 800, True),
    "tokens-light": ("/?tab=graduating", 1280, 800, False),
    "token": ("/token/{mint}", 1280, 1000, True),
    "wallet": ("/wallet/{wallet}", 1280, 800, True),
    "system": ("/system", 1280, 1000, True),
    "phone": ("/", 390, 844, True),
    "phone-token": ("/token/{mint}", 390, 844, False),
}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with opened_browser() as browser, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with running_site(folder, rate=25.0, seed=11) as site:
            for name in ("drop", "lossy", "truncate_logs"):
                site.simulator.fault(name, at_second=site.simulator.seconds + 10, every_seconds=25)
            time.sleep(_MARKET_SECONDS)
            browser.open(site.url)
            mint = next(row["mint"] for row in browser.run(_BUSIEST) if row["symbol"])
            trades = browser.run(f"const a = await fetch('/api/tokens/{mint}/traders'); return (await a.json()).traders")
            for name, (path, width, height, dark) in _PICTURES.items():
                browser.open(site.url + path.format(mint=mint, wallet=trades[0]["wallet"]), width=width, height=height, dark=dark)
                _take(browser, name)
            browser.open(f"{site.url}/token/{mint}", width=1280, height=900, dark=True)
            wait_for(lambda: browser.run("return document.querySelector('[class*=chain]') !== null"), "the chain")
            browser.run("[...document.querySelectorAll('h2')].find((h) => /link by link/.test(h.textContent))?.scrollIntoView()")
            _take(browser, "proof")
        empty = folder / "empty"
        empty.mkdir()
        page = Dashboard({**site.dashboard.environment, "PUMPWATCH_PUMPWATCH_DATABASE": str(empty / "pumpwatch.db")}, empty)
        page.start()
        try:
            browser.open(page.url, dark=True)
            _take(browser, "welcome")
        finally:
            page.stop()
    return 0


def _take(browser: Browser, name: str) -> None:
    time.sleep(_SETTLED_SECONDS)
    path = FOLDER / f"{name}.png"
    browser.driver.save_screenshot(str(path))
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    sys.exit(main())
