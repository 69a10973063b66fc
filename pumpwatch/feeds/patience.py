"""How long a feed keeps quiet before it asks a server again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pumpwatch.backoff import Backoff, held
from pumpwatch.config import ConnectionSettings, Endpoint
from pumpwatch.feeds.opens import Opens, state_folder
from pumpwatch.feeds.outcome import Ending
from pumpwatch.feeds.state import State
from pumpwatch.feeds.waits import LOOPBACK_WAITS, Waits


@dataclass(frozen=True, slots=True)
class Quiet:
    """Be in *state* for so long, because of *reason*."""

    state: State
    seconds: float
    reason: str


class Patience:
    """
    Backoff, the memory of the server, and the place of this user: what stands between two connections.

    For the feed's thread, but for :meth:`spoken_to`.

    Args:
        key_name: The setting that holds the key, for the sentence that says it is wrong.
        is_polite: Opens are counted, limited and locked: the server bans.
        waits: None = as they must be, and short ones for loopback.
        plays_provider: The server on loopback plays a real provider: it is treated, and remembered, like one.
        folder: Where the memory is kept; None = this user's state folder.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        key_name: str,
        is_polite: bool,
        connection: ConnectionSettings,
        waits: Waits | None,
        plays_provider: bool,
        folder: Path | None,
    ) -> None:
        is_exempt = endpoint.is_loopback and not plays_provider
        self.waits = waits or (LOOPBACK_WAITS if is_exempt else Waits())
        self.opens = Opens(endpoint, folder=None if is_exempt else folder or state_folder(), waits=self.waits)
        self._endpoint = endpoint
        self._key_name = key_name
        self._is_polite = is_polite
        self._healthy_after_seconds = connection.healthy_after_seconds
        self._backoff = Backoff(
            first_seconds=connection.backoff_first_seconds, longest_seconds=connection.backoff_longest_seconds
        )

    def before_open(self) -> Quiet | None:
        """What must be waited for now; None = open. Also what a process before this one has promised."""
        if self._is_polite and not self.opens.take_place():
            host = self._endpoint.host
            reason = f"another pumpwatch of this user is connected to {host}, which allows one connection"
            return Quiet("waiting", self.waits.place_seconds, reason)
        stored = self.opens.wait_before_next()
        if stored is None:
            return None
        return Quiet(stored.state, max(0.0, stored.until - time.time()), stored.reason)

    def opening(self) -> None:
        """A connection is about to be opened."""
        if self._is_polite:
            self.opens.note_open()

    def spoken_to(self) -> None:
        """The server has sent a message. From any thread."""
        self.opens.note_message()

    def closed(self, *, reached: bool, connected_seconds: float, had_data: bool) -> None:
        """
        A connection, or an attempt, has ended.

        Args:
            reached: False = the server has not noticed: no network, no such name.

        """
        if self._is_polite and not reached:
            self.opens.take_back_open()
        if held(connected_seconds=connected_seconds, had_data=had_data, healthy_after_seconds=self._healthy_after_seconds):
            self._backoff.reset()

    def after(self, ending: Ending) -> Quiet:
        """What to be, and for how long, before the next attempt."""
        match ending.kind:
            case "refused":
                reason = self._refusal(ending)
                self.opens.note_refusal("refused", self.waits.refused_seconds, reason)
                return Quiet("refused", self.waits.refused_seconds, reason)
            case "wrong origin":
                return Quiet("refused", self.waits.refused_seconds, ending.reason)
            case "exhausted":
                reason = f"the plan behind {self._key_name} is used up: buy credits, or wait for next month ({ending.reason})"
                self.opens.note_refusal("exhausted", self.waits.exhausted_seconds, reason)
                return Quiet("exhausted", self.waits.exhausted_seconds, reason)
            case "unwelcome" if self._is_polite:
                self.opens.note_unwelcome(ending.reason)
                return self.before_open() or Quiet("waiting", self._backoff.next_seconds(), ending.reason)
            case "unwelcome" | "slow down":
                return Quiet("waiting", self._backoff.slowed_seconds(ending.retry_after_seconds), ending.reason)
            case _:
                return Quiet("waiting", self._backoff.next_seconds(), ending.reason)

    def _refusal(self, ending: Ending) -> str:
        if self._endpoint.has_key:
            return f"{self._endpoint.shown} refuses the key in {self._key_name}: put a valid one into .env ({ending.reason})"
        return f"{self._endpoint.shown} refuses this computer's address: wait, or use a key ({ending.reason})"
