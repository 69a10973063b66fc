"""The simulator: one market, three loopback servers, and everything that can go wrong between them and a client."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pumpwatch.simulator.delivered import Delivered, Feed, Interest
from pumpwatch.simulator.faults import FAULTS, Options, Schedule
from pumpwatch.simulator.frames import bonk_create_frame
from pumpwatch.simulator.limits import PROVIDERS, Rate
from pumpwatch.simulator.market import SLOT_SECONDS, Market, Plan
from pumpwatch.simulator.pumpportal import PumpPortalServer
from pumpwatch.simulator.rpc import RpcServer
from pumpwatch.simulator.serving import FeedServer, World
from pumpwatch.simulator.solana import SolanaServer
from pumpwatch.simulator.transaction import Transaction
from pumpwatch.simulator.truth import TradeRow

_STEP_SECONDS: Final = 0.005
_MOST_AT_ONCE: Final = 400

#: Other launchpads create coins whether or not ours trade: what keeps PumpPortal's new-token feed from falling silent.
_OTHERS_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that was applied."""

    at_seconds: float
    name: str
    text: str


class Simulator:
    """
    A pump.fun on loopback.

    The market trades at *rate* (trades per second) once :meth:`open_market` was called; with rate 0 only :meth:`trade` makes
    trades. Slots and scheduled faults go on by themselves. A context manager; :meth:`stop` is idempotent.

    Args:
        seed: Everything the market does follows from it.
        provider: Enforce that provider's limits (see :data:`PROVIDERS`); None: no limits.
        origin: What the origin header says; None leaves it out, as real servers do.
        chain_delay_seconds: How much later the chain's feed tells a transaction than PumpPortal. RPC knows it, as confirmed, when
            its slot has ended.
        finality_seconds: How much later it is finalized.
        database: The worker's file, for the faults that concern it.
        rpc: False: RPC closes every connection without an answer.

    Attributes:
        phantoms: Trades that PumpPortal told and that are not on chain.
        kill_worker: What the fault ``kill`` calls; None where there is no worker to kill.
        happened: Faults applied so far.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float = 0.0,
        provider: str | None = None,
        origin: str | None = "simulator",
        chain_delay_seconds: float = 0.0,
        finality_seconds: float = 13.0,
        plan: Plan | None = None,
        database: Path | None = None,
        rpc: bool = True,
    ) -> None:
        limits = None if provider is None else PROVIDERS[provider]
        self.rng = random.Random(seed + 1)
        self.market = Market(seed=seed, start_time=int(time.time()), plan=plan)
        self.delivered = Delivered()
        self.interest = Interest()
        self._world = World(
            market=self.market,
            delivered=self.delivered,
            interest=self.interest,
            origin=origin,
            limits=limits,
            rate=Rate(limits.window_seconds if limits else 1.0),
            rng=self.rng,
            finality_slots=math.ceil(finality_seconds / SLOT_SECONDS),
        )
        self.pumpportal = PumpPortalServer(self._world)
        self.solana = SolanaServer(self._world)
        self.rpc = RpcServer(self._world)
        self.rpc.endpoint.trouble.off = not rpc
        self.database = database
        self.kill_worker: Callable[[], None] | None = None
        self.phantoms: list[TradeRow] = []
        self.happened: list[Happened] = []
        self.stopping = threading.Event()
        self.rate = rate
        self._chain_delay_seconds = chain_delay_seconds
        self._schedule = Schedule()
        self._schedule_lock = threading.Lock()
        self._delayed: deque[tuple[float, Transaction]] = deque()
        self._turn = 0
        self._slot = 0
        self._opened_at: float | None = None
        self._was_opened = False
        self._others_at = 0.0
        self._made = 0
        self._began = time.monotonic()
        self._began_wall = time.time()
        self._passed = 0.0
        self._background: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    @property
    def pumpportal_url(self) -> str:
        return self.pumpportal.url

    @property
    def ws_url(self) -> str:
        return self.solana.url

    @property
    def rpc_url(self) -> str:
        return self.rpc.url

    @property
    def seconds(self) -> float:
        """Since this simulator was made, by the chain's clock."""
        return time.monotonic() - self._began + self._passed

    def slot_us(self, slot: int) -> int:
        """When *slot* began, in unix microseconds of the machine's clock (unless time was let pass)."""
        return int((self._began_wall + self.market.seconds_of(slot)) * 1e6)

    def pass_time(self, seconds: float) -> None:
        """Let the chain be so much older at once, without a transaction: what was made is confirmed, or finalized, after it."""
        with self._world.lock:
            self._passed += seconds
            self.market.tick(self.seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers and the clock."""
        self.pumpportal.start()
        self.solana.start()
        self.rpc.start()
        self._thread.start()

    def stop(self) -> None:
        """End everything that was started. Connections are cut, not closed politely."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._thread.join()
        for thread in self._background:
            thread.join()
        self.pumpportal.stop()
        self.solana.stop()
        self.rpc.stop()

    def open_market(self) -> None:
        """Begin to trade at :attr:`rate`."""
        self._made = 0
        self._was_opened = True
        self._opened_at = time.monotonic()

    def close_market(self) -> None:
        """Trade no more; slots go on. What is on its way to the chain's feed still arrives."""
        self._opened_at = None

    def trade(self, trades: int = 1) -> list[TradeRow]:
        """Make transactions until there are at least so many more trades, and return these."""
        made: list[TradeRow] = []
        while len(made) < trades:
            made.extend(self._produce().rows)
        return made

    def traded(self) -> list[TradeRow]:
        """Every trade so far, in the chain's order."""
        with self._world.lock:
            return list(self.market.ledger)

    def server(self, feed: Feed) -> FeedServer:
        """The server of one feed."""
        return self.pumpportal if feed == "pumpportal" else self.solana

    def next_servers(self) -> list[FeedServer]:
        """Both feeds' servers, each time in the other order."""
        self._turn += 1
        servers: list[FeedServer] = [self.pumpportal, self.solana]
        return servers if self._turn % 2 else servers[::-1]

    def fault(
        self,
        name: str,
        *,
        at_trade: int | None = None,
        at_second: float | None = None,
        every_seconds: float | None = None,
        **options: Any,
    ) -> None:
        """
        Make a fault of :data:`FAULTS` happen: at once, or when so many trades or seconds are reached, and again every so often.

        What needs a connection waits for one. *options* are fields of :class:`Options`.

        Raises:
            KeyError: If there is no fault of that name.

        """
        wanted = Options(**options)
        known = FAULTS[name].name
        now = at_trade is None and at_second is None and every_seconds is None
        if now and self._apply(known, wanted) is not None:
            return
        with self._schedule_lock:
            self._schedule.add(known, wanted, at_trade=at_trade, at_second=at_second, every_seconds=every_seconds)

    def no_more_faults(self) -> None:
        """Forget what is scheduled; what lasts, ends by itself."""
        with self._schedule_lock:
            self._schedule.clear()

    def background(self, target: Callable[..., None], *arguments: object) -> None:
        """Run something that :meth:`stop` waits for."""
        thread = threading.Thread(target=target, args=arguments, name=f"simulator {target.__name__}", daemon=True)
        self._background = [running for running in self._background if running.is_alive()] + [thread]
        thread.start()

    def _apply(self, name: str, options: Options) -> str | None:
        text = FAULTS[name].apply(self, options)
        if text is not None:
            self.happened.append(Happened(self.seconds, name, text))
        return text

    def _produce(self) -> Transaction:
        with self._world.lock:
            made = self.market.next(self.seconds)
            self.pumpportal.publish(made)
            if self._chain_delay_seconds:
                self._delayed.append((time.monotonic() + self._chain_delay_seconds, made))
            else:
                self.solana.publish(made)
                made.forget_lines()
            return made

    def _run(self) -> None:
        while not self.stopping.wait(_STEP_SECONDS):
            self.step()

    def step(self) -> None:
        """What is due now: slots, trades, delayed notifications, faults."""
        with self._world.lock:
            slot = self.market.tick(self.seconds)
        if slot != self._slot:
            self._slot = slot
            self.solana.publish_slot(slot)
        self._trade_due()
        if self._was_opened and self.seconds >= self._others_at:
            self._others_at = self.seconds + _OTHERS_SECONDS
            self.pumpportal.relay(bonk_create_frame(self.rng))
        with self._world.lock:
            while self._delayed and self._delayed[0][0] <= time.monotonic():
                transaction = self._delayed.popleft()[1]
                self.solana.publish(transaction)
                transaction.forget_lines()
        with self._schedule_lock:
            self._schedule.due(seconds=self.seconds, trades=len(self.market.ledger), apply=self._apply)

    def _trade_due(self) -> None:
        opened_at = self._opened_at
        if opened_at is None or not self.rate:
            return
        due = int((time.monotonic() - opened_at) * self.rate)
        at_once = 0
        while self._made < due and at_once < _MOST_AT_ONCE:
            self._made += max(len(self._produce().rows), 1)
            at_once += 1
