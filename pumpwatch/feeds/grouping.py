"""Many addresses in few ``transactionSubscribe``s: additional ones for what is new, merged now and then."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from pumpwatch.feeds.subscriptions import Target

#: Addresses in one ``accountInclude``. Source: facts/solana_rpc.md section 2.
MOST_ADDRESSES: Final = 50_000

#: More subscriptions than this are merged into one.
MOST_GROUPS: Final = 4

#: What is watched no longer costs bytes until the next merge: at most this many addresses, or as many as are wanted.
MOST_STALE: Final = 16

_SECONDS_BETWEEN_MERGES: Final = 10.0


class Grouping:
    """
    Which ``transactionSubscribe``s to hold so that all wanted addresses are covered at every moment.

    A merged group replaces the others only when the server has confirmed it: what is new comes before what is old goes.
    """

    def __init__(self) -> None:
        self._groups: list[Target] = []
        self._merged: list[Target] = []
        self._next_merge_at = 0.0
        self._generation = 0
        self._is_renewing = False

    def renew(self) -> None:
        """At the next merge, which is due, replace even what is alike: it is confirmed, and does not deliver."""
        self._is_renewing = True

    def holds(self, address: str, is_confirmed: Callable[[Target], bool]) -> bool:
        """Whether a confirmed group has *address*."""
        return any(address in group.addresses and is_confirmed(group) for group in (*self._groups, *self._merged))

    def targets(self, addresses: frozenset[str], now: float, is_confirmed: Callable[[Target], bool]) -> list[Target]:
        """The groups to hold now (monotonic seconds)."""
        if self._merged and all(is_confirmed(target) for target in self._merged):
            covered = _union(self._merged)
            self._groups = self._merged + [group for group in self._groups if (group.addresses & addresses) - covered]
            self._merged = []
        elif now >= self._next_merge_at:
            self._merged = []  # refused, or never answered: another try, with what is wanted by now
        covered = _union(self._groups)
        self._groups += _split(addresses - covered, self._generation)
        stale = len(covered - addresses)
        is_untidy = len(self._groups) > MOST_GROUPS + len(addresses) // MOST_ADDRESSES or stale > max(MOST_STALE, len(addresses))
        if (is_untidy or self._is_renewing) and not self._merged and now >= self._next_merge_at:
            self._next_merge_at = now + _SECONDS_BETWEEN_MERGES
            self._generation += self._is_renewing
            self._is_renewing = False
            self._merged = _split(addresses, self._generation)
            if not self._merged:  # nothing is wanted any more
                self._groups = []
        return list(dict.fromkeys(self._groups + self._merged))


def _split(addresses: frozenset[str], generation: int) -> list[Target]:
    ordered = iter(sorted(addresses))
    groups = []
    while chunk := frozenset(itertools.islice(ordered, MOST_ADDRESSES)):
        groups.append(Target("transactions", chunk, generation))
    return groups


def _union(targets: list[Target]) -> frozenset[str]:
    return frozenset().union(*(target.addresses for target in targets))
