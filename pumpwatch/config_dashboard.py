"""The settings of the web page."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Final

from pumpwatch.config_setting import Setting
from pumpwatch.config_values import host_name, host_names, secret_or_none, whole

#: Shorter ones can be guessed.
SHORTEST_TOKEN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """
    Attributes:
        token: Who does not know it gets nothing; None: this machine's own users need none. Never to be shown.
    """

    host: Annotated[
        str,
        Setting(
            host_name,
            "The address on which `pumpwatch dashboard` listens. Beyond this machine it asks for token, and belongs behind TLS.",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Setting(whole(0, 65_535), "The port; 0 = any free one.")] = 8790
    hosts: Annotated[
        tuple[str, ...],
        Setting(
            host_names,
            "Names beside localhost that a browser may call this machine by, by commas: others get 403 (DNS rebinding).",
            default="",
        ),
    ] = ()
    token: Annotated[
        str | None,
        Setting(
            secret_or_none,
            f"What a browser must show to see anything, {SHORTEST_TOKEN} characters or more; empty = nothing, on this machine. "
            "A secret: into .env, as PUMPWATCH_DASHBOARD_TOKEN.",
            default="",
        ),
    ] = field(default=None, repr=False)

    @property
    def is_for_all(self) -> bool:
        """Whether others than this machine can reach it."""
        return not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host*, a name or an address (IPv6 with or without its brackets)."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
