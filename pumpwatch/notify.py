"""
What systemd is told by a service of ``Type=notify``: started, still alive, stopping.

The protocol is one datagram of ``NAME=value`` lines to the socket that NOTIFY_SOCKET names (sd_notify(3)). Where nobody asked
for it, and on systems without such sockets, nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

#: What a child of ours must not inherit: it would speak in our name.
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """
    Tells the service manager. No method raises or waits; from any thread.

    Args:
        environ: Where the manager says what it wants. :meth:`ready` takes that out, so that children do not inherit it.
        clock: Monotonic seconds.

    Attributes:
        interval_seconds: How often :meth:`alive` sends something at most: half of what the manager bears. None: it does not ask.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._address = _address(self._environ.get("NOTIFY_SOCKET", ""))
        self._alive_at: float | None = None
        self.interval_seconds = _interval_seconds(self._environ)

    def ready(self) -> None:
        """All parts have started."""
        for name in _VARIABLES:
            self._environ.pop(name, None)
        self._send("READY=1")

    def alive(self) -> None:
        """All is well. To be called more often than :attr:`interval_seconds`: what is not due yet is not sent."""
        if self.interval_seconds is None:
            return
        now = self._clock()
        if self._alive_at is None or now - self._alive_at >= self.interval_seconds:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None or not hasattr(socket, "AF_UNIX"):
            return
        # A new socket each time: the manager may have been started anew, with another one under the same name.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(0)
            sending.sendto(message.encode(errors="replace"), self._address)


def _address(named: str) -> bytes | None:
    """The socket's address; None: there is none of this kind. A leading ``@`` is an abstract name."""
    if not named.startswith(("/", "@")):
        return None
    raw = os.fsencode(named)
    return b"\0" + raw[1:] if named.startswith("@") else raw


def _interval_seconds(environ: MutableMapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
