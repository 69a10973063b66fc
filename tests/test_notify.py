"""What systemd is told: by a real datagram socket in its place."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pumpwatch.notify import Notifier

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no such sockets")


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """The end of the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.settimeout(5)
        receiving.bind(address)
        yield receiving


@pytest.fixture
def path() -> Iterator[str]:
    """A name that is short enough for a socket, wherever the tests run."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "notify ä")


def is_silent(receiving: socket.socket) -> bool:
    receiving.setblocking(False)
    try:
        receiving.recv(100)
    except BlockingIOError:
        return True
    finally:
        receiving.settimeout(5)
    return False


def test_a_manager_hears_of_start_state_and_stop(path: str) -> None:
    with manager(path) as receiving:
        notifier = Notifier({"NOTIFY_SOCKET": path})
        notifier.ready()
        notifier.status("records\n from 2 feeds ä")
        notifier.stopping()

        assert [receiving.recv(100).decode() for _ in range(3)] == ["READY=1", "STATUS=records from 2 feeds ä", "STOPPING=1"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has abstract names")
def test_an_abstract_name_begins_with_a_zero_byte() -> None:
    name = f"pumpwatch-test-{os.getpid()}"
    with manager(f"\0{name}") as receiving:
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()

        assert receiving.recv(100) == b"READY=1"


def test_it_is_alive_twice_as_often_as_is_asked_and_no_more_often(path: str) -> None:
    now = 1000.0
    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    with manager(path) as receiving:
        notifier = Notifier(environ, clock=lambda: now)
        assert notifier.interval_seconds == 5
        for _ in range(11):
            notifier.alive()
            now += 1

        assert [receiving.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert is_silent(receiving)


@pytest.mark.parametrize(
    "asked",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}],
)
def test_nobody_is_told_of_life_who_did_not_ask_this_process(path: str, asked: dict[str, str]) -> None:
    with manager(path) as receiving:
        notifier = Notifier({"NOTIFY_SOCKET": path, **asked})
        notifier.alive()

        assert notifier.interval_seconds is None
        assert is_silent(receiving)


def test_children_inherit_nothing_once_it_is_ready_and_a_second_attempt_to_start_still_can(path: str) -> None:
    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "x"}
    with manager(path) as receiving:
        Notifier(environ)  # of a start that came to nothing
        notifier = Notifier(environ)
        notifier.ready()
        notifier.alive()

        assert environ == {"HOME": "x"}
        assert receiving.recv(100) == b"READY=1"
        assert receiving.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "address", ["", "vsock:2:3", "relative", "/nobody/listens/here", "@nobody-listens-here", "/" + "x" * 500]
)
def test_a_manager_that_is_not_there_is_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"})

    notifier.ready()
    notifier.alive()
    notifier.status("x")
    notifier.stopping()


def test_a_manager_that_does_not_listen_holds_up_nobody(path: str) -> None:
    with manager(path):
        notifier = Notifier({"NOTIFY_SOCKET": path})
        for _ in range(2000):  # far more than its queue takes
            notifier.status("x" * 200)


def test_a_system_without_such_sockets_is_no_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with manager(path) as receiving:
        family = socket.AF_UNIX
        monkeypatch.delattr(socket, "AF_UNIX")
        Notifier({"NOTIFY_SOCKET": path}).ready()
        monkeypatch.setattr(socket, "AF_UNIX", family, raising=False)

        assert is_silent(receiving)
