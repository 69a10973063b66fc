"""What is done to the machine, as steps that can be shown before they are taken, and the machine itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs

from pumpwatch.errors import StopError
from pumpwatch.files import replace_file
from pumpwatch.telemetry import visible

_CALL_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 1.0


class ServiceProblem(StopError):
    """It was not done, or it is not so."""

    exit_status = 1


class Done(NamedTuple):
    """How a command ended. *status* None: there is no such command."""

    status: int | None
    out: bytes
    err: bytes


def call(command: Sequence[str], stdin: bytes | None, environ: Mapping[str, str]) -> Done:
    """Run *command* to its end."""
    try:
        ended = subprocess.run(  # noqa: S603 - commands of ours, no shell
            list(command), input=stdin or b"", capture_output=True, check=False, timeout=_CALL_SECONDS, env=dict(environ)
        )
    except subprocess.TimeoutExpired:
        return Done(1, b"", f"no end after {_CALL_SECONDS:.0f} s".encode())
    except OSError as error:
        return Done(None, b"", str(error.strerror or error).encode())
    return Done(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    r"""
    What is asked of this machine, and of its user.

    Attributes:
        user: ``DOMAIN\name`` on Windows, else the name.
        uid: None where there are no such numbers.
    """

    platform: str
    home: Path
    user: str
    uid: int | None
    environ: Mapping[str, str]
    scratch: Path
    run: Callable[[Sequence[str], bytes | None, Mapping[str, str]], Done] = call
    wait: Callable[[float], object] = time.sleep

    def ask(self, *command: str, stdin: bytes | None = None) -> Done:
        return self.run(command, stdin, self.environ)

    def has(self, program: str) -> bool:
        return shutil.which(program, path=self.environ.get("PATH")) is not None


def this_machine(environ: Mapping[str, str]) -> Machine:
    """The one that we run on."""
    found = dict(environ)
    uid = os.getuid() if hasattr(os, "getuid") else None
    # Missing in a shell that su or sudo opened; the user's manager is there all the same.
    if sys.platform == "linux" and not found.get("XDG_RUNTIME_DIR") and Path(f"/run/user/{uid}").is_dir():
        found["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
    found["LC_ALL"] = "C"  # what they say is read
    user = found.get("USERNAME") or found.get("USER") or found.get("LOGNAME") or ""
    if sys.platform == "win32" and found.get("USERDOMAIN"):
        user = f"{found['USERDOMAIN']}\\{user}"
    scratch = platformdirs.user_state_path("pumpwatch", appauthor=False)
    return Machine(platform=sys.platform, home=Path.home(), user=user, uid=uid, environ=found, scratch=scratch)


# Steps


@dataclass(frozen=True, slots=True)
class Write:
    """A file with this content. *shown*: as a person reads it."""

    path: Path
    content: bytes
    shown: str

    def text(self) -> str:
        return f"write {shown(self.path)}:\n" + _indented(self.shown)

    def take(self, _machine: Machine) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(self.content)
            replace_file(part, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise ServiceProblem(f"{shown(self.path)} cannot be written ({error.strerror}): nothing was installed") from error


@dataclass(frozen=True, slots=True)
class Delete:
    """No such file any more."""

    path: Path

    def text(self) -> str:
        return f"remove {shown(self.path)}"

    def take(self, _machine: Machine) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ServiceProblem(f"{shown(self.path)} cannot be removed ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class Call:
    """
    A command.

    Attributes:
        stdin: What it reads; *shown*: what a person is told of that.
        may_fail: It only brings about what may be so already.
        attempts: A second apart.
    """

    command: tuple[str, ...]
    stdin: bytes | None = None
    shown: str = ""
    may_fail: bool = False
    attempts: int = 1

    def text(self) -> str:
        line = f"run: {visible(' '.join(self.command), limit=500)}"
        return f"{line}   with\n{_indented(self.shown)}" if self.shown else line

    def take(self, machine: Machine) -> None:
        for attempt in range(1, self.attempts + 1):
            done = machine.ask(*self.command, stdin=self.stdin)
            if done.status == 0 or self.may_fail:
                return
            if attempt < self.attempts:
                machine.wait(_AGAIN_SECONDS)
        raise ServiceProblem(failed(self.command, done))


Step = Write | Delete | Call


def failed(command: Sequence[str], done: Done) -> str:
    """Say of *command* that it failed, and how."""
    if done.status is None:
        return f"{command[0]} is not on this machine: choose another --kind, see `pumpwatch service --help`"
    lines = (done.err or done.out).decode("utf-8", "replace").split("\n")
    said = next((line.strip() for line in lines if line.strip()), f"status {done.status}")
    return f"`{visible(' '.join(command), limit=200)}` failed: {visible(said, limit=300)}"


def _indented(text: str) -> str:
    return "\n".join(f"    {visible(line, limit=2000)}".rstrip() for line in text.rstrip("\n").split("\n"))


def shown(path: Path) -> str:
    """*path* as a terminal may show it."""
    return visible(path, limit=400)
