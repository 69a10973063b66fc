"""The web page in a real browser, in front of a real recorder of the simulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pumpwatch.cli.demo_worker import Worker, worker_environment
from pumpwatch.simulator.simulator import Simulator

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--lang=en-US"),
)
WAIT_SECONDS = 30.0

#: Counts what the page does wrong by itself, from its first moment on.
WATCH = """
    window.__errors = [];
    addEventListener("error", (event) => window.__errors.push(String(event.message ?? event)));
    addEventListener("unhandledrejection", (event) => window.__errors.push(String(event.reason)));
    addEventListener("securitypolicyviolation", (event) => {
        window.__errors.push(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
    });
"""


def browser_path() -> str | None:
    """Where the browser is; None: there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(slots=True)
class Dashboard:
    """``pumpwatch dashboard`` as a process, over one record."""

    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> None:
        with (self.folder / "dashboard.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pumpwatch", "dashboard", "--port", "0"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().rstrip("/")
        assert self.url.startswith("http://127.0.0.1:"), self.log()

    def log(self) -> str:
        return (self.folder / "dashboard.log").read_text(encoding="utf-8")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()


@dataclass(slots=True)
class Site:
    """A market, its recorder, and the page over it."""

    simulator: Simulator
    worker: Worker
    dashboard: Dashboard
    database: Path

    @property
    def url(self) -> str:
        return self.dashboard.url

    def ask(self, path: str) -> Any:
        """What the API answers, below ``/api/``."""
        with urlopen(f"{self.url}/api/{path}", timeout=10) as answer:
            return json.load(answer)

    def coin(self, kind: str = "plain") -> str:
        """The mint of a coin that was there before the recorder, and trades all the time."""
        return str(self.simulator.market.opening[kind].mint)


@contextmanager
def running_site(folder: Path, *, rate: float = 15.0, seed: int = 7, settings: dict[str, str] | None = None) -> Iterator[Site]:
    """A market that trades, a worker that records it, and the page; ended together."""
    database = folder / "market.db"
    with Simulator(seed=seed, rate=rate, chain_delay_seconds=0.25, database=database) as simulator:
        environment = {**worker_environment(simulator, database, None), **(settings or {})}
        worker = Worker(environment, folder, folder / "worker.log", (), database)
        dashboard = Dashboard(dict(environment), folder)
        worker.start()
        try:
            wait_for(
                lambda: simulator.pumpportal.subscribed_new() and bool(simulator.solana.open_clients()), "a worker that listens"
            )
            simulator.open_market()
            dashboard.start()
            yield Site(simulator, worker, dashboard, database)
        finally:
            simulator.close_market()
            dashboard.stop()
            worker.stop()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """What *condition* gives as soon as that is something; its errors meanwhile are no answer either."""
    ends = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < ends:
        try:
            found = condition()
        except Exception as error:  # noqa: BLE001 - an element may be replaced while it is looked at
            last, found = error, None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}") from last


@dataclass(slots=True)
class Browser:
    """A browser whose pages are watched: see :meth:`problems`."""

    driver: webdriver.Chrome
    asked: list[str] = field(default_factory=list)

    def open(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Open a page in a window of this size."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What the page's own JavaScript gives."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str | None:
        """Of the first such element."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)  # type: ignore[no-any-return]

    def wait(self, script: str, what: str, *arguments: object, seconds: float = WAIT_SECONDS) -> Any:
        """Wait until the script gives something."""
        return wait_for(lambda: self.run(script, *arguments), what, seconds)

    def console(self) -> list[dict[str, Any]]:
        """What the browser noted of the page since the last call."""
        return self.driver.get_log("browser")  # type: ignore[no-untyped-call, no-any-return]

    def leave(self) -> None:
        """Before the server ends: what was wrong until now is told now."""
        assert self.problems() == []
        self.driver.get("about:blank")

    def problems(self) -> list[str]:
        """What the page did wrong since it was opened, and where else than here it asked."""
        found: list[str] = list(self.run("return window.__errors ?? []"))
        found += [entry["message"] for entry in self.console() if entry["level"] in ("SEVERE", "WARNING")]
        asked = self.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        return found + [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None) and not url.startswith("data:")]


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A browser of our own; LookupError: there is none."""
    path, driver_path = browser_path(), shutil.which("chromedriver")
    if path is None or driver_path is None:
        raise LookupError("chromium and chromedriver are not here")
    options = webdriver.ChromeOptions()
    options.binary_location = path
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        driver.set_page_load_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()
