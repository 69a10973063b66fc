"""The real worker under a service manager that it has to notify: a datagram socket stands in for systemd's."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from real_worker import EVERYTHING, RealWorker

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no such sockets")


def test_a_worker_tells_its_manager_when_it_is_ready_that_it_lives_and_when_it_stops(worker: RealWorker) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(Path(folder) / "notify")
        manager.bind(path)
        manager.settimeout(20)

        worker.start(settings={**EVERYTHING, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"})

        heard = [manager.recv(100) for _ in range(3)]
        assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        assert worker.stop() == 0, worker.log
        manager.settimeout(1)
        while (last := manager.recv(100)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"


@pytest.mark.skipif("sys.platform == 'win32'")
def test_a_worker_that_stands_still_tells_its_manager_nothing(worker: RealWorker) -> None:
    import signal

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(Path(folder) / "notify")
        manager.bind(path)
        manager.settimeout(20)
        worker.start(settings={**EVERYTHING, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"})
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"

        os.kill(worker.process.pid, signal.SIGSTOP)
        manager.settimeout(3)

        assert heard_until_silence(manager) <= 1, "what was under way, and then silence: longer than systemd would bear"


def heard_until_silence(manager: socket.socket) -> int:
    """How many messages come before none does."""
    for heard in range(100):
        try:
            manager.recv(100)
        except TimeoutError:
            return heard
    pytest.fail("there is no end of it")
