"""
Run part of the tests as if this were Windows: what only POSIX has is hidden from pumpwatch, and from it alone.

    python scripts/portable.py                       (the portable part of the tests)
    python scripts/portable.py -m pumpwatch ARGS     (the program)

For the modules of the package the names below do not exist, and the platform is Windows, but in those few modules that speak to
Windows itself. Libraries and tests see the machine as it is.
"""

from __future__ import annotations

import builtins
import importlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Modules that no Windows has.
MODULES: Final = _words("_posixsubprocess crypt fcntl grp nis posix pty pwd readline resource spwd syslog termios tty")

#: Names that the modules of the same name have elsewhere only.
NAMES: Final[Mapping[str, frozenset[str]]] = {
    "os": _words("""
        O_ASYNC O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC chown chroot confstr ctermid fchdir fchmod
        fchown fork forkpty fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority
        getresgid getresuid getsid getuid initgroups killpg lchown lockf mkfifo mknod nice openpty posix_fadvise
        posix_fallocate pread preadv pwrite pwritev sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid
        setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setsid setuid splice statvfs sync sysconf
        tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 writev
    """),
    "signal": _words("""
        SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN
        SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH alarm getitimer pause pthread_kill pthread_sigmask setitimer
        siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
    """),
    "socket": _words("AF_UNIX MSG_DONTWAIT MSG_NOSIGNAL SCM_RIGHTS SO_PEERCRED SO_REUSEPORT TCP_USER_TIMEOUT"),
    "select": _words("epoll kqueue poll"),
    "time": _words("clock_gettime tzset"),
}

#: They ask Windows for what this machine cannot answer: what they do there is tested there.
SPEAKS_TO_WINDOWS: Final = _words("pumpwatch.cli.demo pumpwatch.cli.keys pumpwatch.service pumpwatch.small_server")

#: What is tested with them hidden: what meets files, processes, consoles, sockets and threads.
TESTS: Final = (
    "tests/cli/test_check.py",
    "tests/cli/test_follow.py",
    "tests/cli/test_init.py",
    "tests/cli/test_look.py",
    "tests/cli/test_main.py",
    "tests/cli/test_run.py",
    "tests/cli/test_trades.py",
    "tests/cli/test_watch.py",
    "tests/feeds/test_connection.py",
    "tests/feeds/test_opens.py",
    "tests/storage/test_intake.py",
    "tests/storage/test_lock.py",
    "tests/storage/test_spill.py",
    "tests/storage/test_store.py",
    "tests/test_commands.py",
    "tests/test_config.py",
    "tests/test_export.py",
    "tests/test_held_files.py",
    "tests/test_read.py",
    "tests/test_service.py",
    "tests/test_sessions.py",
    "tests/test_status.py",
    "tests/test_telemetry.py",
    "tests/test_watchdog.py",
    "tests/test_watchlist.py",
    "tests/test_writer.py",
)

#: Of these, what tests a POSIX branch.
ELSEWHERE: Final = (
    "tests/cli/test_check.py::test_secrets_that_others_can_read_and_mistyped_names_are_told",
    "tests/cli/test_follow.py::test_a_reader_that_is_gone_ends_it_even_when_nothing_is_new",
)


class _Without(ModuleType):
    """A module as it is on Windows."""

    def __init__(self, real: ModuleType, hidden: frozenset[str], changed: Mapping[str, object]) -> None:
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(_real=real, _hidden=hidden, _changed=changed)

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on Windows")
        return self._changed[name] if name in self._changed else getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)  # what a test puts in its place

    def __delattr__(self, name: str) -> None:
        delattr(self._real, name)


def hide() -> None:
    """From here on, for every module of pumpwatch that is imported."""
    ordinary = builtins.__import__
    changed: dict[str, dict[str, object]] = {"os": {"name": "nt"}, "sys": {"platform": "win32"}}
    stand_ins = {
        name: _Without(importlib.import_module(name), NAMES.get(name, frozenset()), changed.get(name, {}))
        for name in {*NAMES, *changed}
    }

    def import_as_on_windows(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - as it is called
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        importer = str((globals or {}).get("__name__", ""))
        if not importer.startswith("pumpwatch") or importer in SPEAKS_TO_WINDOWS:
            return ordinary(name, globals, locals, fromlist, level)
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        return stand_ins[name] if name in stand_ins else ordinary(name, globals, locals, fromlist, level)

    builtins.__import__ = import_as_on_windows


def main(arguments: list[str]) -> int:
    """Run what the command line names; returns its exit status."""
    sys.path.insert(0, str(ROOT))
    hide()
    if arguments[:1] == ["-m"]:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    import pytest

    return int(pytest.main(["-p", "no:cacheprovider", *(arguments or _portable())]))


def _portable() -> list[str]:
    return ["-q", *TESTS, *(f"--deselect={test}" for test in ELSEWHERE)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
