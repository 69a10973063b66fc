"""The watch list itself: who is on it, why and since when. Each coming and going is a spell, recorded or kept until it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from loguru import logger

from pumpwatch.commands import Answer
from pumpwatch.config import WatchSettings
from pumpwatch.decode.addresses import QUOTE_DECIMALS, is_address
from pumpwatch.errors import SettingsError
from pumpwatch.events import WRAPPED_SOL, Delivery, SpellEnded, SpellStarted
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.telemetry import visible

Kind: TypeAlias = Literal["token", "wallet"]
KINDS: Final[tuple[Kind, ...]] = ("token", "wallet")

MOST_WALLETS: Final = 100

#: Why tokens are on the list that nobody pinned: the first to leave first.
_UNPINNED: Final = ("admitted", "wallet")

_KEYS: Final[Mapping[Kind, str]] = {"token": "mints", "wallet": "wallets"}


@dataclass(slots=True)
class Watch:
    """
    One token on the list.

    Attributes:
        reason: ``pinned`` (settings), ``asked`` (``watch add``), ``wallet`` (a watched wallet traded it) or ``admitted``.
        pool_too: Its canonical pool is watched beside its curve: it has graduated, or may have while nobody looked.
        quote_mint: What it trades against; None until the chain told.
        last_trade_us: Written by whichever feed thread sees the trade; 0 before the first.
    """

    reason: str
    since_us: int
    pool_too: bool
    quote_mint: str | None = None
    last_trade_us: int = 0

    @property
    def active_us(self) -> int:
        return max(self.since_us, self.last_trade_us)


class Watched:
    """
    The list. One thread at a time changes it; others may look a token up in :attr:`tokens`.

    Args:
        most: Places for tokens, pinned ones included. Those that the settings pin stay, however many.
        spells: Those open in the database: the list as it was.
        quote_mints: Token -> quote, for those among them that do not trade against SOL.
        suspended: Tokens that a person asked for, given up for lack of money.

    Attributes:
        suspended: They come back when there is room.

    Raises:
        SettingsError: A pinned mint or wallet is not an address.

    """

    def __init__(
        self,
        settings: WatchSettings,
        *,
        most: int,
        spells: Iterable[SpellStarted] = (),
        quote_mints: Mapping[str, str] | None = None,
        suspended: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._pinned: Mapping[Kind, tuple[str, ...]] = {"token": settings.mints, "wallet": settings.wallets}
        _check_addresses(self._pinned)
        self._most = most
        self.tokens: dict[str, Watch] = {}
        self.wallets: dict[str, str] = {}
        self.suspended: dict[str, None] = dict.fromkeys(suspended)
        self._unrecorded: deque[Delivery] = deque()
        for spell in spells:
            if spell.kind == "wallet":
                self.wallets[spell.address] = spell.reason
            else:
                # It may have graduated since: a pool that does not exist yet costs one subscription and no message.
                quote_mint = (quote_mints or {}).get(spell.address)
                self.tokens[spell.address] = Watch(spell.reason, spell.at_us, pool_too=True, quote_mint=quote_mint)

    def settle(self, now_us: int) -> None:
        """Bring the list as it was in line with the settings: start what they pin, end what they no longer want."""
        unwanted = {"pinned"}
        if self._settings.admit == "none":
            unwanted.add("admitted")
        if not self._settings.wallets and "asked" not in self.wallets.values():
            unwanted.add("wallet")
        for kind in KINDS:
            for address in list(self.tokens if kind == "token" else self.wallets):
                if self.reason(kind, address) in unwanted and address not in self._pinned[kind]:
                    self.end(kind, address, "unpinned", now_us)
            for address in self._pinned[kind]:
                if self.reason(kind, address) is None:
                    self.start(kind, address, "pinned", now_us, pool_too=True)
                elif kind == "token":
                    self.tokens[address].reason = "pinned"  # its spell goes on
        if len(self.tokens) > self._most:
            logger.warning("watch list: {} tokens are on it, {} are allowed", len(self.tokens), self._most)

    def add(self, kind: Kind, address: str, now_us: int) -> Answer:
        """Pin *address* because a person asked."""
        if not is_address(address):
            return Answer(ok=False, text=f"{visible(address)} is not a Solana address (32 bytes in base58)")
        if kind == "token" and address in QUOTE_DECIMALS:
            return Answer(ok=False, text=f"{address} is what tokens trade against, not a pump.fun token")
        if address in self._pinned[kind]:
            return Answer(ok=True, text=f"{kind} {address} is pinned by the settings already")
        reason = self.reason(kind, address)
        if reason == "asked":
            return Answer(ok=True, text=f"{kind} {address} is pinned already")
        if (problem := self._no_place_for(kind)) is not None:
            return Answer(ok=False, text=problem)
        if kind == "token" and reason is not None:
            self._go_on(address, "asked", now_us)
        else:
            if kind == "token":
                self._make_room(now_us)
            self.start(kind, address, "asked", now_us, pool_too=True)
        return Answer(ok=True, text=f"watching {kind} {address}")

    def bring(self, mint: str, quote_mint: str | None, now_us: int, *, places: int, lacking: str = "limit") -> bool:
        """
        Put the token on the list that a watched wallet trades, in the place of an admitted one if there is no other.

        False: there is no place among *places*, which may be fewer than the list allows: *lacking* says for lack of what.
        """
        if self.reason("token", mint) == "admitted":
            self._go_on(mint, "wallet", now_us)
            return True
        if len(self.tokens) >= min(places, self._most):
            admitted = [other for other, watch in self.unpinned() if watch.reason == "admitted"]
            if not (places and admitted):
                return False
            self.end("token", admitted[0], lacking, now_us)
        # It may have graduated before it was on the list.
        self.start("token", mint, "wallet", now_us, pool_too=True, quote_mint=quote_mint)
        return True

    def _go_on(self, mint: str, reason: str, now_us: int) -> None:
        """Watch a token for another reason: a new spell, so that a restart knows."""
        before = self.tokens[mint]
        now_us = max(now_us, before.since_us + 1)
        self.end("token", mint, reason, now_us)
        self.start("token", mint, reason, now_us, pool_too=True, quote_mint=before.quote_mint)
        self.tokens[mint].last_trade_us = before.last_trade_us

    def remove(self, kind: Kind, address: str, now_us: int) -> Answer:
        """Let *address* go because a person asked."""
        if address in self._pinned[kind]:
            return Answer(ok=False, text=f"{kind} {address} is pinned by the settings: take it out of [watch] {_KEYS[kind]}")
        if kind == "token" and address in self.suspended:
            # A spell of no length says for the next start that it shall not come back.
            self.start(kind, address, "asked", now_us, pool_too=True)
        if self.reason(kind, address) is None:
            return Answer(ok=False, text=f"{kind} {visible(address)} is not watched")
        self.end(kind, address, "asked", now_us)
        return Answer(ok=True, text=f"no longer watching {kind} {address}")

    def start(self, kind: Kind, address: str, reason: str, at_us: int, *, pool_too: bool, quote_mint: str | None = None) -> None:
        """Put *address* on the list."""
        if kind == "wallet":
            self.wallets[address] = reason
        else:
            self.tokens[address] = Watch(reason, at_us, pool_too, quote_mint)
            self.suspended.pop(address, None)
        self._put(SpellStarted(kind=kind, address=address, reason=reason, at_us=at_us))

    def end(self, kind: Kind, address: str, reason: str, at_us: int) -> None:
        """Take *address* off the list."""
        if kind == "wallet":
            del self.wallets[address]
        else:
            del self.tokens[address]
        self._put(SpellEnded(kind=kind, address=address, reason=reason, at_us=at_us))

    def reason(self, kind: Kind, address: str) -> str | None:
        """Why it is watched; None if it is not."""
        if kind == "wallet":
            return self.wallets.get(address)
        watch = self.tokens.get(address)
        return watch.reason if watch is not None else None

    def unpinned(self) -> list[tuple[str, Watch]]:
        """The tokens that nobody pinned: admitted ones, then those that wallets brought, the longest quiet first."""
        found = [(mint, watch) for mint, watch in self.tokens.items() if watch.reason in _UNPINNED]
        return sorted(found, key=lambda item: (_UNPINNED.index(item[1].reason), item[1].active_us))

    def asked(self) -> list[str]:
        """The tokens that a person asked for by `watch add`, the longest quiet first."""
        found = [(watch.active_us, mint) for mint, watch in self.tokens.items() if watch.reason == "asked"]
        return [mint for _, mint in sorted(found)]

    def suspend(self, mint: str, reason: str, now_us: int) -> None:
        """Give a token up that a person asked for, until there is room."""
        self.end("token", mint, reason, now_us)
        self.suspended[mint] = None

    def take_back(self, now_us: int) -> str | None:
        """Watch the first of *suspended* again, from now on; None: there is none."""
        mint = next(iter(self.suspended), None)
        if mint is not None:
            self.start("token", mint, "asked", now_us, pool_too=True)
        return mint

    def step_clock(self, by_us: int) -> None:
        """The clock was set: move what was measured by it."""
        for watch in self.tokens.values():
            watch.since_us += by_us
            if watch.last_trade_us:
                watch.last_trade_us += by_us

    def wanted(self) -> Wanted:
        """The snapshot for the feeds."""
        tokens = self.tokens.items()
        return Wanted(
            mints=frozenset(self.tokens),
            pinned=frozenset(mint for mint, watch in tokens if watch.reason not in _UNPINNED),
            asked=frozenset(mint for mint, watch in tokens if watch.reason == "asked"),
            brought=frozenset(mint for mint, watch in tokens if watch.reason == "wallet"),
            completed=frozenset(mint for mint, watch in tokens if watch.pool_too),
            wallets=frozenset(self.wallets),
            quote_mints={mint: watch.quote_mint for mint, watch in tokens if watch.quote_mint not in (None, WRAPPED_SOL)},
        )

    def unrecorded(self) -> list[Delivery]:
        """Spells that nobody has taken yet, in order."""
        return list(self._unrecorded)

    def flush(self, record: Callable[[Delivery], bool]) -> None:
        """Offer them to *record*, in order, until it says False: not now."""
        while self._unrecorded and record(self._unrecorded[0]):
            self._unrecorded.popleft()

    def _put(self, event: SpellStarted | SpellEnded) -> None:
        self._unrecorded.append(Delivery(source="pumpwatch", received_at_us=event.at_us, events=(event,)))

    def _no_place_for(self, kind: Kind) -> str | None:
        """Why one more cannot be pinned; None if it can."""
        if kind == "wallet":
            pins, most, then = len(self.wallets), MOST_WALLETS, "remove one first"
        else:
            pins = len(self.tokens) - len(self.unpinned())
            most, then = self._most, "remove one first, or raise [watch] max_tokens"
        return f"the list is full: {pins} {kind}s are pinned and {most} allowed; {then}" if pins >= most else None

    def _make_room(self, now_us: int) -> None:
        """A person's wish takes the place of the longest quiet token that nobody pinned, if there is no other."""
        if len(self.tokens) >= self._most:
            for mint, _ in self.unpinned()[:1]:
                self.end("token", mint, "limit", now_us)


def _check_addresses(pinned: Mapping[Kind, tuple[str, ...]]) -> None:
    problems = [
        f"[watch] {_KEYS[kind]}: {visible(address)} is not a Solana address (32 bytes in base58)"
        for kind, addresses in pinned.items()
        for address in addresses
        if not is_address(address)
    ]
    if problems:
        raise SettingsError(problems)
