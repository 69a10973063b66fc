"""
Have this machine keep pumpwatch running: what is to be done for each kind of it.

Nothing needs root, nothing asks. Four kinds: ``systemd`` (the user's own manager), ``cron``, ``launchd`` and ``task`` (Windows).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pumpwatch import service_text as texts
from pumpwatch.service_steps import Call, Delete, Machine, ServiceProblem, Step, Write, failed, shown
from pumpwatch.service_text import Service
from pumpwatch.telemetry import visible

#: What systemd's user manager says of itself when it is there.
_MANAGER_STATES: Final = ("running", "degraded", "starting", "initializing", "maintenance")


class Found(NamedTuple):
    """
    What is installed of one kind.

    Attributes:
        where: It is written.
        activity: What the system says of it; empty: it cannot say.
    """

    where: str
    activity: str = ""


class Kind(Protocol):
    """One way to be kept running."""

    @property
    def name(self) -> str: ...

    def install(self, service: Service) -> list[Step]: ...
    def remove(self, service: Service) -> list[Step]: ...
    def look(self, service: Service) -> Found | None: ...
    def hints(self, service: Service, /) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Systemd:
    """A unit of the user's own manager."""

    machine: Machine
    name: str = field(default="systemd", init=False)

    def install(self, service: Service) -> list[Step]:
        unit = texts.systemd_unit(service)
        return [
            Write(self._path(service), unit.encode(errors="surrogateescape"), unit),
            self._call("daemon-reload"),
            self._call("enable", self._unit(service)),
            # Started or started anew; not waited for, as it may have to wait for the database.
            self._call("restart", "--no-block", self._unit(service)),
        ]

    def remove(self, service: Service) -> list[Step]:
        return [
            self._call("disable", "--now", self._unit(service), may_fail=True),
            Delete(self._path(service)),
            self._call("daemon-reload", may_fail=True),
            self._call("reset-failed", self._unit(service), may_fail=True),
        ]

    def look(self, service: Service) -> Found | None:
        if not self._path(service).is_file():
            return None
        done = self.machine.ask("systemctl", "--user", "is-active", self._unit(service))
        said = done.out.decode("utf-8", "replace").strip()
        return Found(shown(self._path(service)), said or "unknown: there is no manager of this user")

    def hints(self, service: Service) -> list[str]:
        unit = self._unit(service)
        hints = [f"its log: journalctl --user --unit {unit} --follow", f"more of it: systemctl --user status {unit}"]
        lingers = self.machine.ask(
            "loginctl", "show-user", self.machine.user or str(self.machine.uid), "--property=Linger", "--value"
        )
        if lingers.out.strip() != b"yes":
            hints.insert(
                0,
                "it ends when you log out; to have it run without a login, from the start of the machine on, "
                "run once: loginctl enable-linger",
            )
        return hints

    def is_here(self) -> bool:
        said = self.machine.ask("systemctl", "--user", "is-system-running").out.decode("utf-8", "replace").strip()
        return said in _MANAGER_STATES

    def _call(self, *arguments: str, may_fail: bool = False) -> Call:
        return Call(("systemctl", "--user", *arguments), may_fail=may_fail)

    def _unit(self, service: Service) -> str:
        return f"{service.name}.service"

    def _path(self, service: Service) -> Path:
        config = self.machine.environ.get("XDG_CONFIG_HOME") or str(self.machine.home / ".config")
        return Path(config) / "systemd" / "user" / self._unit(service)


@dataclass(frozen=True, slots=True)
class Cron:
    """Two lines of the user's crontab. Every other line stays as it is."""

    machine: Machine
    name: str = field(default="cron", init=False)

    def install(self, service: Service) -> list[Step]:
        block = texts.cron_block(service)
        job = block.splitlines()[-1]
        if len(job.encode(errors="surrogateescape")) > texts.CRON_LONGEST:
            raise ServiceProblem("the line is too long for cron: move pumpwatch into a folder with a shorter path")
        crontab = texts.with_cron_block(self._crontab(), service)
        return [Call(("crontab", "-"), stdin=crontab, shown=f"(your other lines, as they are)\n{block}")]

    def remove(self, service: Service) -> list[Step]:
        crontab = self._crontab()
        rest = texts.without_cron_block(crontab, service.name)
        if rest == crontab:
            return []
        return [Call(("crontab", "-"), stdin=rest, shown=f"(your other lines, as they are; without {service.name})")]

    def look(self, service: Service) -> Found | None:
        try:
            is_there = texts.has_cron_block(self._crontab(), service.name)
        except ServiceProblem:
            return None
        return Found("your crontab (crontab -l)") if is_there else None

    def hints(self, service: Service) -> list[str]:
        log = visible(Path(service.directory) / "cron.log", limit=300)
        return [f"it starts within a minute, if this machine's cron runs; its log: {log}"]

    def is_here(self) -> bool:
        return self.machine.has("crontab")

    def _crontab(self) -> bytes:
        done = self.machine.ask("crontab", "-l")
        if done.status == 0:
            return done.out
        said = done.err.decode("utf-8", "replace").lower()
        if done.status is not None and ("no crontab" in said or "can't open" in said):
            return b""
        raise ServiceProblem(failed(("crontab", "-l"), done))


@dataclass(frozen=True, slots=True)
class Launchd:
    """An agent of the user who is logged on."""

    machine: Machine
    name: str = field(default="launchd", init=False)

    def install(self, service: Service) -> list[Step]:
        agent = texts.launchd_agent(service)
        return [
            Write(self._path(service), agent, agent.decode().expandtabs(2)),
            Call(("launchctl", "bootout", self._target(service)), may_fail=True),
            Call(("launchctl", "enable", self._target(service)), may_fail=True),
            # While the one before is still ending, this fails.
            Call(("launchctl", "bootstrap", self._domain, str(self._path(service))), attempts=15),
        ]

    def remove(self, service: Service) -> list[Step]:
        return [Call(("launchctl", "bootout", self._target(service)), may_fail=True), Delete(self._path(service))]

    def look(self, service: Service) -> Found | None:
        if not self._path(service).is_file():
            return None
        done = self.machine.ask("launchctl", "print", self._target(service))
        lines = (line.strip() for line in done.out.decode("utf-8", "replace").splitlines())
        state = next((line.removeprefix("state = ") for line in lines if line.startswith("state = ")), "not loaded")
        return Found(shown(self._path(service)), visible(state))

    def hints(self, service: Service) -> list[str]:
        log = visible(Path(service.directory) / "launchd.log", limit=300)
        return [f"its log: {log}", "it runs while you are logged on, and while the Mac does not sleep"]

    @property
    def _domain(self) -> str:
        return f"gui/{self.machine.uid}"

    def _target(self, service: Service) -> str:
        return f"{self._domain}/{service.name}"

    def _path(self, service: Service) -> Path:
        return self.machine.home / "Library" / "LaunchAgents" / f"{service.name}.plist"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of Windows' Task Scheduler."""

    machine: Machine
    name: str = field(default="task", init=False)

    def install(self, service: Service) -> list[Step]:
        user, path = self.machine.user, self.machine.scratch / f"{service.name}.xml"
        return [
            Write(path, texts.task_file(service, user=user), texts.task(service, user=user)),
            Call(("schtasks", "/Create", "/F", "/TN", service.name, "/XML", str(path))),
            Delete(path),
            Call(("schtasks", "/Run", "/TN", service.name), may_fail=True),
        ]

    def remove(self, service: Service) -> list[Step]:
        return [
            Call(("schtasks", "/End", "/TN", service.name), may_fail=True),
            Call(("schtasks", "/Delete", "/F", "/TN", service.name)),
        ]

    def look(self, service: Service) -> Found | None:
        done = self.machine.ask("schtasks", "/Query", "/FO", "CSV", "/NH", "/TN", service.name)
        if done.status != 0:
            return None
        # Its words are in the language of the system: the last field is the state.
        state = done.out.decode("mbcs" if sys.platform == "win32" else "utf-8", "replace").strip().rpartition(",")[2]
        return Found(f"Task Scheduler, {service.name}", visible(state.strip('"')))

    def hints(self, _service: Service) -> list[str]:
        return [
            "it runs while you are logged on (a locked screen is no matter), and while the machine does not sleep",
        ]


_KINDS: Final[Mapping[str, Callable[[Machine], Kind]]] = {
    "systemd": Systemd,
    "cron": Cron,
    "launchd": Launchd,
    "task": Task,
}
KINDS: Final = tuple(_KINDS)


def kind_called(name: str, machine: Machine) -> Kind:
    return _KINDS[name](machine)


def right_kind(machine: Machine) -> Kind:
    """
    The one for this machine.

    Raises:
        ServiceProblem: It has none of them.

    """
    if machine.platform == "win32":
        return Task(machine)
    if machine.platform == "darwin":
        return Launchd(machine)
    if (systemd := Systemd(machine)).is_here():
        return systemd
    if (cron := Cron(machine)).is_here():
        return cron
    raise ServiceProblem(
        "this machine has neither a systemd of yours nor cron: have whatever it has run "
        "`python -m pumpwatch run --if-not-running` in this folder every minute"
    )


def usual_kinds(machine: Machine) -> list[Kind]:
    """Those that may be installed on a machine of this kind."""
    if machine.platform == "win32":
        return [Task(machine)]
    cron = Cron(machine)
    first: Kind = Launchd(machine) if machine.platform == "darwin" else Systemd(machine)
    return [first, *([cron] if cron.is_here() else [])]
