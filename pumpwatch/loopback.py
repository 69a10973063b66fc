"""
Listening for this machine, and who means it: the one place that knows the rules.

A page of the web can have a name of its own resolve to this machine (DNS rebinding): whoever calls us by another name than ours
is refused.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Collection, Sequence
from typing import Final

#: By which names this machine is always called.
OWN_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


def means_us(hosts: Sequence[str], names: Collection[str]) -> bool:
    """Whether a request whose ``Host`` headers are *hosts* (there must be one) calls us by one of *names*, in lower case."""
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return found is not None and found[1].lower() in names


def listen(host: str, port: int, *, waiting: int) -> socket.socket:
    """
    A socket that listens at this address alone, with room for so many who wait to be accepted.

    Raises:
        OSError: The port is taken, or not permitted.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # there, REUSEADDR shares the port
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(waiting)
    except BaseException:
        listener.close()
        raise
    return listener
