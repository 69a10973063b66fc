"""The chain's past as RPC knows it: transactions by signature and by account, and what a coin's accounts held in each slot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from pumpwatch.simulator.coin import Coin, Stage
from pumpwatch.simulator.transaction import Transaction

#: States are kept for so many slots (80 s): longer than any node here lags and than finality takes.
_SLOTS_KEPT: Final = 200


class History:
    """
    The last transactions, oldest first, *most* of them at most.

    By account they are kept for those named by :meth:`index`; others are looked for among all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: deque[Transaction] = deque()
        self._by_signature: dict[str, Transaction] = {}
        self._by_account: dict[str, deque[Transaction]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._all)

    def __reversed__(self) -> Iterator[Transaction]:
        return reversed(self._all)

    def __getitem__(self, place: int) -> Transaction:
        return self._all[place]

    def index(self, accounts: tuple[str, ...]) -> None:
        """From now on, keep the transactions of these accounts at hand."""
        for account in accounts:
            self._by_account.setdefault(account, deque())

    def forget(self, accounts: tuple[str, ...]) -> None:
        """No longer keep them at hand."""
        for account in accounts:
            self._by_account.pop(account, None)

    def append(self, made: Transaction) -> None:
        """Keep *made*; the oldest goes if there are too many."""
        self._all.append(made)
        self._by_signature[made.signature] = made
        for account in made.mentions & self._by_account.keys():
            self._by_account[account].append(made)
        if len(self._all) > self._most:
            gone = self._all.popleft()
            del self._by_signature[gone.signature]
            for account in gone.mentions & self._by_account.keys():
                kept = self._by_account[account]
                if kept and kept[0] is gone:
                    kept.popleft()

    def transaction(self, signature: str) -> Transaction | None:
        """One of them."""
        return self._by_signature.get(signature)

    def of(self, account: str) -> Iterator[Transaction]:
        """Those that mention *account*, newest first."""
        kept = self._by_account.get(account)
        if kept is not None:
            return reversed(kept)
        return (made for made in reversed(self._all) if account in made.mentions)


class Reserves(NamedTuple):
    """What a coin's accounts hold at the end of a slot; names as in :class:`Coin`."""

    slot: int
    stage: Stage
    virtual_token: int
    virtual_quote: int
    real_token: int
    real_quote: int
    base: int
    vault: int
    virtual: int


class Accounts:
    """
    Every coin's reserves over the last slots, and which account is whose.

    A slot's state is final once the market's clock is in a later slot.
    """

    def __init__(self) -> None:
        self._coins: dict[str, Coin] = {}
        self._reserves: dict[str, deque[Reserves]] = {}

    def keep(self, coin: Coin, slot: int) -> None:
        """Note what *coin* holds after a transaction in *slot*."""
        kept = self._reserves.get(coin.mint)
        if kept is None:
            kept = self._reserves[coin.mint] = deque()
        for account in (coin.curve, coin.pool, *coin.vaults):
            self._coins[account] = coin
        if kept and kept[-1].slot == slot:
            kept.pop()
        kept.append(
            Reserves(
                slot,
                coin.stage,
                coin.virtual_token,
                coin.virtual_quote,
                coin.real_token,
                coin.real_quote,
                coin.base,
                coin.vault,
                coin.virtual,
            )
        )
        while len(kept) > 1 and kept[1].slot < slot - _SLOTS_KEPT:
            kept.popleft()

    def forget(self, coin: Coin) -> None:
        """Its accounts are not answered for any more."""
        self._reserves.pop(coin.mint, None)
        for account in (coin.curve, coin.pool, *coin.vaults):
            self._coins.pop(account, None)

    def owner(self, account: str) -> Coin | None:
        """The coin that *account* belongs to."""
        return self._coins.get(account)

    def at(self, coin: Coin, slot: int) -> Reserves | None:
        """What it held at the end of *slot*; None before its creation."""
        for reserves in reversed(self._reserves.get(coin.mint, ())):
            if reserves.slot <= slot:
                return reserves
        return None
