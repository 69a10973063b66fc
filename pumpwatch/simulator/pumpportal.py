"""PumpPortal's data WebSocket: methods, acknowledgements and refusals as facts/pumpportal.md has them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from pumpwatch.simulator import frames
from pumpwatch.simulator.serving import Client, FeedServer, World
from pumpwatch.simulator.transaction import Notice, Transaction
from pumpwatch.simulator.truth import TradeRow

_MOST_KEYS: Final = 5_000

#: One create in so many is followed by one of another launchpad.
_OTHER_LAUNCHPAD_ONE_IN: Final = 40


@dataclass(slots=True)
class _Subscriptions:
    new_tokens: bool = False
    migrations: bool = False
    mints: set[str] = field(default_factory=set)
    wallets: set[str] = field(default_factory=set)
    is_mute: bool = False

    def wants_trade(self, row: TradeRow) -> bool:
        if self.is_mute:
            return False
        return row.mint in self.mints or row.wallet in self.wallets


class PumpPortalServer(FeedServer):
    """One connection at a time when the simulator plays a provider; trades only for clients with a key."""

    feed = "pumpportal"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._subscriptions: dict[Client, _Subscriptions] = {}
        self._is_funded = True
        self._says_so = True

    def connected(self, client: Client) -> None:
        with self.world.lock:
            self._subscriptions[client] = _Subscriptions()

    def disconnected(self, client: Client) -> None:
        with self.world.lock:
            del self._subscriptions[client]

    def may_connect(self, api_key: str, others: int) -> tuple[int, str] | None:
        del api_key
        limits = self.world.limits
        if limits is not None and limits.one_pumpportal_connection and others:
            return 403, "only one WebSocket connection at a time"
        return None

    def subscribed_new(self) -> bool:
        """Does anybody listen to new tokens?"""
        with self.world.lock:
            return any(held.new_tokens for held in self._subscriptions.values())

    def receive(self, client: Client, text: str) -> None:
        """Answer one request."""
        client.put(self._answer(client, text), data=False)

    def _answer(self, client: Client, text: str) -> str:
        try:
            request = json.loads(text)
            method = request["method"]
            keys = [str(key) for key in request.get("keys", [])]
        except (ValueError, TypeError, KeyError):
            return frames.errors(frames.BAD_METHOD)
        if len(keys) > _MOST_KEYS:
            return frames.errors("Too many keys.")
        with self.world.lock:
            return self._subscribe(client, self._subscriptions[client], method, keys)

    def _subscribe(self, client: Client, held: _Subscriptions, method: object, keys: list[str]) -> str:
        if method in {"subscribeNewToken", "unsubscribeNewToken"}:
            held.new_tokens = method == "subscribeNewToken"
            return frames.message(frames.SUBSCRIBED_NEW if held.new_tokens else frames.UNSUBSCRIBED)
        if method == "subscribeMigration":
            held.migrations = True
            return frames.message(frames.SUBSCRIBED_MIGRATION)
        if method not in {"subscribeTokenTrade", "subscribeAccountTrade", "unsubscribeTokenTrade", "unsubscribeAccountTrade"}:
            return frames.errors(frames.BAD_METHOD)
        if not client.api_key or client.api_key == "unfunded" or (self._says_so and not self._is_funded):
            return frames.message(frames.UNFUNDED)
        target = held.mints if str(method).endswith("TokenTrade") else held.wallets
        if str(method).startswith("unsubscribe"):
            target.difference_update(keys)
            for mint in set(keys) - self.followed() if target is held.mints else ():
                self.world.interest.end(self.feed, mint, len(self.world.market.ledger))
            return frames.message(frames.UNSUBSCRIBED)
        target.update(keys)
        held.is_mute = not self._is_funded
        if target is held.mints:
            for mint in keys:
                self.world.interest.begin(self.feed, mint, len(self.world.market.ledger))
        return frames.message(frames.SUBSCRIBED_KEYS)

    def publish(self, transaction: Transaction) -> None:
        """Tell each notice to whom it concerns; called with the world's lock held."""
        for notice in transaction.notices:
            told = [client for client, held in self._subscriptions.items() if self._concerns(notice, held)]
            if told:
                numbers = () if notice.row is None else (notice.row.number,)
                if notice.kind == "create" and not notice.coin.is_sol:
                    numbers = ()  # quirk A: the frame names the quote's mint and no buy
                text = frames.frame_of(transaction.signature, notice, rng=self.world.rng)
                for client in told:
                    client.put(text, numbers)
                self._perhaps_another_launchpad(notice, told)
            if notice.kind == "create" and notice.row is not None:
                self._first_buy(transaction, notice, notice.row)

    def _concerns(self, notice: Notice, held: _Subscriptions) -> bool:
        if notice.kind == "create":
            return held.new_tokens
        if notice.kind == "migrate":
            return held.migrations
        return notice.row is not None and held.wants_trade(notice.row)

    def _first_buy(self, transaction: Transaction, notice: Notice, row: TradeRow) -> None:
        """A watched creator's first buy comes as a trade too."""
        for client, held in self._subscriptions.items():
            if held.wants_trade(row):
                client.put(
                    frames.frame_of(transaction.signature, notice._replace(kind="trade"), rng=self.world.rng), (row.number,)
                )

    def _perhaps_another_launchpad(self, notice: Notice, told: list[Client]) -> None:
        if notice.kind == "create" and self.world.rng.randrange(_OTHER_LAUNCHPAD_ONE_IN) == 0:
            text = frames.bonk_create_frame(self.world.rng)
            for client in told:
                client.put(text)

    def silence_trades(self) -> int:
        """Let no connection get a trade before it subscribes to some again, as on a dry balance; returns how many fell silent."""
        with self.world.lock:
            silenced = [held for held in self._subscriptions.values() if (held.mints or held.wallets) and not held.is_mute]
            for held in silenced:
                held.is_mute = True
        return len(silenced)

    def run_dry(self, *, says_so: bool) -> None:
        """
        From now on the wallets behind all keys are empty: no paid trade, in subscriptions that are there neither.

        Args:
            says_so: In the middle of the stream, and to whoever subscribes; else everything is acknowledged as ever.

        """
        with self.world.lock:
            self._is_funded, self._says_so = False, says_so
            for client, held in self._subscriptions.items():
                held.is_mute = True
                if says_so and (held.mints or held.wallets):
                    client.put(frames.message(frames.UNFUNDED), data=False)

    def fund(self) -> None:
        """Somebody has paid: who subscribes anew is served."""
        with self.world.lock:
            self._is_funded = True

    def phantom(self, row: TradeRow, curve: str) -> bool:
        """Send a trade that will never be on chain to those who follow its coin; False if nobody does."""
        with self.world.lock:
            told = [client for client, held in self._subscriptions.items() if held.wants_trade(row)]
            for client in told:
                client.put(frames.trade_frame(row, curve, row.token_amount))
        return bool(told)

    def relay(self, text: str) -> int:
        """Send a recorded frame to whom it concerns; returns how many these are."""
        try:
            frame = json.loads(text)
        except ValueError:
            frame = {}
        kind = frame.get("txType")
        reached = 0
        with self.world.lock:
            for client, held in self._subscriptions.items():
                follows = frame.get("mint") in held.mints or frame.get("traderPublicKey") in held.wallets
                if held.new_tokens if kind == "create" else held.migrations if kind == "migrate" else follows:
                    client.put(text)
                    reached += 1
        return reached

    def followed(self) -> set[str]:
        """Mints whose trades somebody asked for."""
        with self.world.lock:
            return set().union(*(held.mints for held in self._subscriptions.values()))
