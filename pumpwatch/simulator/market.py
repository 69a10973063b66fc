"""The market: the one truth that all servers show and every run is graded against."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pumpwatch.simulator.coin import Coin
from pumpwatch.simulator.deals import Clock, Deals, Kind
from pumpwatch.simulator.history import Accounts, History
from pumpwatch.simulator.logs import programs_of
from pumpwatch.simulator.transaction import Change, Draft, Transaction
from pumpwatch.simulator.truth import Ledger

SLOT_SECONDS: Final = 0.4

#: What RPC shows for a transaction that failed.
_ERR: Final[dict[str, object]] = {"InstructionError": [2, {"Custom": 6002}]}

_COINS_KEPT: Final = 20_000

#: So many transactions take accounts from look-up tables.
_VERSION_0_ONE_IN: Final = 3

#: The opening coins were made so long before the start, and so far apart: all of that is finalized.
_OPENING_SECONDS: Final = 60.0
_BETWEEN_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    How lively the market is: chances for each transaction, the rest are plain trades.

    Attributes:
        active_coins: Coins that are being traded at a time; the oldest goes quiet when a new one comes.
        opening: Coins that exist before the start, one of each kind (see :attr:`Market.opening`).
        history: Transactions that RPC still answers for.
    """

    active_coins: int = 14
    opening: bool = True
    history: int = 50_000
    create: float = 0.02
    failure: float = 0.05
    impostor: float = 0.01
    agent: float = 0.03
    round_trip: float = 0.04
    several: float = 0.12
    hop: float = 0.02
    housekeeping: float = 0.02
    mayhem_params: float = 0.004
    liquidity: float = 0.002
    sweep: float = 0.002
    runner: float = 0.08
    hostile: float = 0.25
    mayhem: float = 0.12
    usdc: float = 0.06
    keeps_fees: float = 0.4


class Market:
    """
    Makes transactions, all from one seed: the same seed and times give the same transactions.

    One thread calls :meth:`next`. Memory is bounded except for the ledger (180 bytes a trade).

    Attributes:
        opening: Coins that exist from the start, by kind: ``plain``, ``runner`` (close to completion), ``mayhem``, ``usdc``,
            ``graduated``.
        changes: Reserves that moved without a trade, each with the number of the next trade.
    """

    def __init__(
        self, *, seed: int = 1, start_slot: int = 454_000_000, start_time: int = 1_791_000_000, plan: Plan | None = None
    ):
        self._rng = random.Random(seed)
        self.plan = plan or Plan()
        self.ledger = Ledger()
        self.clock = Clock(start_slot, start_time)
        self.accounts = Accounts()
        self.changes: list[tuple[int, Change]] = []
        self._deals = Deals(self._rng, self.ledger, self.clock)
        self.upgrade = self._deals.upgrade
        self._start_slot = start_slot
        self._start_time = start_time
        self._number = 0
        self._place = 0
        self.coins: dict[str, Coin] = {}
        self._active: list[Coin] = []
        self._due: deque[tuple[int, Coin]] = deque()
        self._bundle: list[Coin] = []
        self.history = History(self.plan.history)
        self.opening: dict[str, Coin] = {}
        if self.plan.opening:
            self._open()
        self.tick(0.0)

    @property
    def wallets(self) -> list[str]:
        """The traders' addresses."""
        return self._deals.wallets

    def transaction(self, signature: str) -> Transaction | None:
        """A transaction of the kept history."""
        return self.history.transaction(signature)

    def time_of(self, slot: int) -> int:
        """The chain's clock in *slot*, unix seconds: all of its transactions show it."""
        return self._start_time + math.floor(self.seconds_of(slot))

    def seconds_of(self, slot: int) -> float:
        """When *slot* begins, in seconds after the start."""
        return (slot - self._start_slot) * SLOT_SECONDS

    def next(self, at_seconds: float) -> Transaction:
        """The next transaction, *at_seconds* after the start; times must not go backwards."""
        self.tick(at_seconds)
        return self._commit(self._next_draft())

    def tick(self, at_seconds: float) -> int:
        """Move the chain's clock, and return the slot."""
        slot = self._start_slot + math.floor(at_seconds / SLOT_SECONDS)
        if slot > self.clock.slot:
            self.clock.slot = slot
            self.clock.block_time = self.time_of(slot)
            self._place = 0
        return self.clock.slot

    def _commit(self, draft: Draft) -> Transaction:
        calls = draft.finished_calls()
        failed = draft.failed is not None
        made = Transaction(
            number=self._number,
            signature=draft.signature,
            slot=self.clock.slot,
            place=self._place,
            block_time=self.clock.block_time,
            payer=draft.payer,
            calls=calls,
            mentions=frozenset(programs_of(calls)) | {draft.payer},
            rows=tuple(draft.rows),
            notices=tuple(draft.notices),
            err=_ERR if failed else None,
            version=0 if self._number % _VERSION_0_ONE_IN == 0 else "legacy",
        )
        self._number += 1
        self._place += 1
        for row in made.rows:
            self.ledger.append(row)
        for notice in made.notices:
            if notice.kind == "create":
                self._introduce(notice.coin)
        for coin in draft.touched:
            self.accounts.keep(coin, made.slot)
        self.changes += [(len(self.ledger), change) for change in draft.changes]
        self.history.append(made)
        for notice in made.notices:
            coin = notice.coin
            if coin.stage == "complete" and not any(waiting is coin for _, waiting in self._due):
                self._due.append((self._number + self._rng.randrange(4, 20), coin))
        return made

    def _introduce(self, coin: Coin) -> None:
        self.coins[coin.mint] = coin
        self.history.index((coin.mint, coin.curve, coin.pool))
        self._active.append(coin)
        kept = {id(opened) for opened in self.opening.values()}
        for old in self._active[:-1]:
            if len(self._active) <= self.plan.active_coins:
                break
            if id(old) not in kept and old.stage != "complete":
                self._active.remove(old)
                old.holders.clear()
        if len(self.coins) > _COINS_KEPT:
            gone = self.coins.pop(next(iter(self.coins)))
            self.history.forget((gone.mint, gone.curve, gone.pool))
            self.accounts.forget(gone)

    def _next_draft(self) -> Draft:
        if self._due and self._due[0][0] <= self._number:
            return self._deals.migration(self._due.popleft()[1])
        if self._bundle:
            return self._deals.trade(self._bundle.pop(), push=0.02)
        tradable = [coin for coin in self._active if coin.stage != "complete"]
        if len(tradable) < 3 or self._rng.random() < self.plan.create:
            return self._launch()
        return self._on(self._popular(tradable))

    def _popular(self, coins: list[Coin]) -> Coin:
        """Newer coins draw more trades."""
        return coins[max(self._rng.randrange(len(coins)), self._rng.randrange(len(coins)))]

    def _launch(self) -> Draft:
        rng, plan = self._rng, self.plan
        drawn = rng.random()
        draft = self._deals.launch(
            kind="mayhem" if drawn < plan.mayhem else "usdc" if drawn < plan.mayhem + plan.usdc else "plain",
            hostile=rng.random() < plan.hostile,
            keeps_fees=rng.random() < plan.keeps_fees,
            first_buy=rng.random() < 0.85,
        )
        coin = draft.notices[0].coin
        coin.runner = rng.random() < plan.runner and not coin.is_mayhem and coin.is_sol
        if rng.random() < 0.4:
            self._bundle = [coin] * rng.randrange(1, 5)
        return draft

    def _on(self, coin: Coin) -> Draft:
        """Something that happens to *coin*: mostly a plain trade."""
        plan, deals = self.plan, self._deals
        drawn = self._rng.random()
        for chance, happening in (
            (plan.failure, deals.failure),
            (plan.impostor, deals.impostor),
            (plan.round_trip, deals.round_trip),
            (plan.several, self._several),
            (plan.hop, self._hop),
            (plan.housekeeping, deals.housekeeping),
            (plan.agent, self._agent),
            (plan.mayhem_params, self._mayhem_params),
            (plan.liquidity, self._liquidity),
            (plan.sweep, self._sweep),
        ):
            if drawn < chance:
                return happening(coin) or deals.trade(coin)
            drawn -= chance
        return deals.trade(coin)

    def _several(self, coin: Coin) -> Draft:
        wallets = [self._deals.wallet() for _ in range(self._rng.randrange(2, 5))]
        return self._deals.trade(coin, wallets=wallets if self._rng.random() < 0.5 else wallets[:1] * len(wallets))

    def _hop(self, coin: Coin) -> Draft | None:
        other = self._rng.choice(self._active)
        return None if other is coin else self._deals.hop(coin, other)

    def _one_of(self, wanted: Callable[[Coin], bool]) -> Coin | None:
        coins = [coin for coin in self._active if wanted(coin)]
        return self._rng.choice(coins) if coins else None

    def _agent(self, coin: Coin | None) -> Draft | None:
        coin = self._one_of(lambda other: other.is_mayhem and other.stage == "curve")
        return None if coin is None else self._deals.agent(coin)

    def _mayhem_params(self, coin: Coin | None) -> Draft | None:
        coin = self._one_of(lambda other: other.is_mayhem and other.stage == "curve")
        return None if coin is None else self._deals.mayhem_params(coin)

    def _liquidity(self, coin: Coin | None) -> Draft | None:
        kept = {id(opened) for opened in self.opening.values()}
        coin = self._one_of(lambda other: other.stage == "pool" and id(other) not in kept)
        return None if coin is None else self._deals.liquidity(coin)

    def _sweep(self, coin: Coin | None) -> Draft | None:
        coin = self._one_of(lambda other: other.stage == "pool" and other.pool_kept > 0)
        return None if coin is None else self._deals.sweep(coin)

    def _open(self) -> None:
        """Coins that are there before anybody looks; their transactions are on chain and in the history."""
        self.clock.slot -= math.ceil(_OPENING_SECONDS / SLOT_SECONDS)
        self.clock.block_time = self.time_of(self.clock.slot)
        kinds: dict[str, Kind] = {"plain": "plain", "runner": "plain", "mayhem": "mayhem", "usdc": "usdc", "graduated": "plain"}
        for place, (kind, launched) in enumerate(kinds.items()):
            self.tick(place * _BETWEEN_SECONDS - _OPENING_SECONDS)
            made = self._commit(
                self._deals.launch(
                    kind=launched,
                    hostile=False,
                    keeps_fees=kind == "runner",
                    first_buy=True,
                )
            )
            coin = made.notices[0].coin
            self.opening[kind] = coin
            coin.runner = kind in {"runner", "graduated"}
            enough = coin.real_token // (6 if kind == "runner" else 1)
            while kind == "graduated" and coin.stage == "curve":
                self._commit(self._deals.trade(coin, push=0.2))
            while kind == "runner" and coin.real_token > enough:
                self._commit(self._deals.trade(coin, push=0.05))
            if kind == "graduated":
                self._due.clear()
                self._commit(self._deals.migration(coin))
                coin.runner = False
