"""The thread that serves ``/metrics`` and ``/health`` on the loopback of this machine, where ``[metrics] port`` is set."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from loguru import logger

from pumpwatch.metrics import Family, families
from pumpwatch.small_server import ADDRESSES, Answer, Request, SmallServer
from pumpwatch.telemetry import visible
from pumpwatch.threads import WorkerThread
from pumpwatch.vitals import Vitals

if TYPE_CHECKING:
    from pumpwatch.metrics_page import MetricsPage

#: What is to be done where the library is missing; `check` says it as well.
MISSING_EXTRA: Final = 'there is no /metrics without the package prometheus-client: pip install "pumpwatch[metrics]"'

_TURN_SECONDS: Final = 0.25
_TRY_AGAIN_SECONDS: Final = 60.0

#: Measurements come every 2 s; none for so long, and what takes them hangs.
_STALE_SECONDS: Final = 30.0


class MetricsServer(WorkerThread):
    """
    Serves what it was shown last. Nothing that a client does, and no port that is taken, ends it or holds up anybody else.

    Args:
        port: Of ``[metrics]``; 0: any free one (for tests).
        hosts: Of ``[metrics]``.
        health: What is wrong now, a sentence each; empty when all is well. Quick, and does not raise.

    """

    def __init__(self, *, port: int, health: Callable[[], Sequence[str]], hosts: Sequence[str] = ()) -> None:
        super().__init__("metrics")
        self._health = health
        self._vitals: Vitals | None = None
        self._page: MetricsPage | None = None
        self._server = SmallServer(port=port, hosts=hosts, answer={"/metrics": self._metrics, "/health": self._tell_health})
        self._is_waiting = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    @property
    def is_open(self) -> bool:
        """Somebody can connect."""
        return self._server.is_open

    def take(self, vitals: Vitals) -> None:
        """Serve these from now on. From any thread, at once."""
        self._vitals = vitals

    def work(self) -> None:
        self._page = self._make_page()
        try:
            while not self.stopping.is_set():
                self.pulse.beat()
                if self._server.is_open or self._open():
                    self._server.turn(_TURN_SECONDS)
                else:
                    self.pulse.beat(_TRY_AGAIN_SECONDS)
                    self.stopping.wait(_TRY_AGAIN_SECONDS)
        finally:
            self._server.close()

    def _make_page(self) -> MetricsPage | None:
        try:
            from pumpwatch.metrics_page import MetricsPage
        except ImportError:
            logger.error("{}; /health is served", MISSING_EXTRA)  # recording matters more: no reason to end
            return None
        return MetricsPage(self._families)

    def _open(self) -> bool:
        try:
            self._server.open()
        except OSError as error:
            if not self._is_waiting:
                logger.error(
                    "[metrics] port {} cannot be used ({}): no /metrics and no /health; trying again every minute",
                    self.port,
                    error.strerror or error,
                )
            self._is_waiting = True
            return False
        self._is_waiting = False
        logger.info("/metrics and /health are served on port {} of {}", self.port, ADDRESSES[0])
        return True

    # Answers

    def _metrics(self, request: Request) -> Answer:
        if self._page is None:
            return Answer(503, f"{MISSING_EXTRA}\n".encode())
        if self._vitals is None:
            return Answer(503, b"nothing has been measured yet\n")
        return Answer(200, *self._page.render(request.field("accept")))

    def _families(self) -> Iterable[Family]:
        vitals = self._vitals
        return () if vitals is None else families(vitals, now=time.time(), problems=len(self._problems()))

    def _tell_health(self, _request: Request) -> Answer:
        problems = self._problems()
        told = {"healthy": not problems, "problems": [visible(problem, limit=500) for problem in problems]}
        return Answer(503 if problems else 200, json.dumps(told).encode() + b"\n", "application/json")

    def _problems(self) -> list[str]:
        problems = list(self._health())
        age = None if self._vitals is None else time.time() - self._vitals.at
        if age is not None and abs(age) > _STALE_SECONDS:
            problems.append(f"nothing has been measured for {age:.0f} s: the worker hangs, or the clock was set")
        return problems
