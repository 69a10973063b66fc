"""Sockets on which network failures can be made to happen, below the WebSocket protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer


class FaultySocket(socket.socket):
    """
    An accepted connection that can be cut, reset, frozen, or made slow.

    Any thread may order a fault; the connection's own threads meet it at their next read or write.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frozen = False
        self._cut = False
        self._resetting = False
        self._drip_seconds = 0.0
        self._woken = threading.Event()

    def cut(self) -> None:
        """End the stream without a close frame: what was sent before still arrives, then end of file."""
        self._cut = True
        with contextlib.suppress(OSError):
            super().shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End with a TCP reset: what the peer has not read yet may be lost."""
        self._cut = self._resetting = True
        with contextlib.suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            super().shutdown(socket.SHUT_RD)

    def freeze(self) -> None:
        """From now on nothing is sent, and what comes is thrown away: a peer whose network path is gone."""
        self._frozen = True

    def drip(self, seconds: float) -> None:
        """Send one byte every *seconds* from now on."""
        self._drip_seconds = seconds

    def wake(self) -> None:
        """End it for good, whatever it is waiting for."""
        self._woken.set()
        self._cut = True
        with contextlib.suppress(OSError):
            super().shutdown(socket.SHUT_RDWR)

    def shutdown(self, how: int) -> None:
        """As usual; a connection being reset must not say goodbye first."""
        if not self._resetting:
            super().shutdown(how)

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send, or do what the fault says."""
        if self._cut:
            raise BrokenPipeError("the simulator cut this connection")
        if self._frozen:
            return
        if not self._drip_seconds:
            super().sendall(data, flags)
            return
        for byte in bytes(data):
            super().sendall(bytes((byte,)), flags)
            if self._woken.wait(self._drip_seconds):
                raise BrokenPipeError("the simulator stopped")

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive; while frozen, read and forget until the peer gives up."""
        data = super().recv(bufsize, flags)
        while self._frozen and data:
            data = super().recv(bufsize, flags)
        return data


class Listener(socket.socket):
    """A listening socket on loopback whose connections are :class:`FaultySocket`."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.bind(("127.0.0.1", 0))
        self.listen(64)
        self.accepted: set[FaultySocket] = set()

    @property
    def port(self) -> int:
        return int(self.getsockname()[1])

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, and remember the connection until it is closed."""
        plain, address = super().accept()
        made = FaultySocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        made.settimeout(None)
        self.accepted = {old for old in self.accepted if old.fileno() != -1} | {made}
        return made, address
