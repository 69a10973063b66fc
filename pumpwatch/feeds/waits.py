"""The waits that are not a matter of taste, in one place so that tests and the simulator can have short ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """
    How long a feed keeps quiet after what; all in seconds.

    Attributes:
        refused_seconds: Between attempts after 401, 403 or a close for policy.
        banned_seconds: After the first, the second, and every further sign of a ban.
        unanswered_opens: So many opens without a message are such a sign.
        opens_per_hour: Most connections to PumpPortal in an hour.
        exhausted_seconds: Between attempts when the plan is used up.
        unfunded_seconds: Between attempts to subscribe to what a wallet with too little money cannot pay.
        acknowledged_within_seconds: A request unanswered for longer has failed.
        retry_first_seconds: Before a failed request is sent again; doubles each time.
        retry_longest_seconds: The longest such wait.
        gap_settles_within_seconds: The end of a gap waits at most so long for the acknowledgement of a request that was sent.
        mute_seconds: How much two feeds may be apart; see :class:`pumpwatch.feeds.unheard.Unheard`.
        resubscribe_seconds: Between two new subscriptions to what is confirmed and brings nothing.
        place_seconds: Between attempts to become the one connection of this user to a host.
        tick_seconds: Between two looks of the watchdog and of the sender.
    """

    refused_seconds: float = 300.0
    banned_seconds: tuple[float, ...] = (600.0, 1800.0, 3600.0)
    unanswered_opens: int = 3
    opens_per_hour: int = 60
    exhausted_seconds: float = 3600.0
    unfunded_seconds: float = 600.0
    acknowledged_within_seconds: float = 10.0
    retry_first_seconds: float = 2.0
    retry_longest_seconds: float = 600.0
    gap_settles_within_seconds: float = 10.0
    mute_seconds: float = 15.0
    resubscribe_seconds: float = 30.0
    place_seconds: float = 5.0
    tick_seconds: float = 0.1


#: For a server on this machine: nobody is hammered, and a demo has no five minutes.
LOOPBACK_WAITS: Final = Waits(
    refused_seconds=2.0,
    banned_seconds=(2.0,),
    opens_per_hour=1_000_000,
    exhausted_seconds=5.0,
    unfunded_seconds=5.0,
    retry_first_seconds=0.5,
    retry_longest_seconds=5.0,
    mute_seconds=4.0,
    resubscribe_seconds=5.0,
    place_seconds=0.5,
)
