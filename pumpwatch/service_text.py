"""
PURE: what keeps pumpwatch running, as each system wants it written: a crontab's line, a systemd unit, a launchd agent, a task.

All of them start ``run --if-not-running``: while a worker records, or a refused key says wait, that ends at once, in silence.
"""

from __future__ import annotations

import hashlib
import plistlib
import re
import shlex
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

#: cron's own limit of a command (cron.h of the one by Vixie).
CRON_LONGEST: Final = 999

_RUN: Final = ("run", "--if-not-running")
_SLUG_LENGTH: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    One installation to be kept running.

    Attributes:
        name: Of this machine's services, tasks and agents; no other installation has it.
        directory: Where it runs, absolute.
        python: The interpreter, absolute.
        config: The settings file, absolute; None: there is none.
    """

    name: str
    directory: str
    python: str
    config: str | None

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the interpreter."""
        return ("-m", "pumpwatch", *(() if self.config is None else ("--config", self.config)), *_RUN)


def name_of(folder: str, identity: str) -> str:
    """``pumpwatch-main-3f2a9c1d``: the folder's name for people, and what tells it from every other (*identity*, a path)."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:_SLUG_LENGTH].rstrip("-")
    digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:8]
    return "-".join(part for part in ("pumpwatch", slug.removeprefix("pumpwatch").strip("-"), digest) if part)


def unfit(service: Service) -> str | None:
    """Why these paths can stand in no such text, as the end of a sentence; None: they can."""
    for path in (service.directory, service.python, service.config or ""):
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
            return "holds a control character"
        if path.endswith(("\\", " ")):
            return "ends with a blank or a backslash"
    return None


# cron


def cron_block(service: Service) -> str:
    """
    Two lines: a mark by which they are found again, and the job.

    cron takes ``%`` for the end of the command, in quotes too.
    """
    python = shlex.join((service.python, *service.arguments))
    job = f"umask 077; cd {shlex.quote(service.directory)} && {python} >> cron.log 2>&1".replace("%", "\\%")
    return f"{_cron_mark(service.name)} {service.directory}\n* * * * * {job}\n"


def with_cron_block(crontab: bytes, service: Service) -> bytes:
    """*crontab* with our block as its end; every other line is as it was."""
    rest = without_cron_block(crontab, service.name)
    if rest and not rest.endswith(b"\n"):
        rest += b"\n"
    return rest + cron_block(service).encode(errors="surrogateescape")


def without_cron_block(crontab: bytes, name: str) -> bytes:
    """*crontab* without our block: the mark, and the line behind it if that is a job of ours."""
    mark = _cron_mark(name).encode()
    kept: list[bytes] = []
    is_behind_mark = False
    for line in crontab.splitlines(keepends=True):
        is_mark = line.split(b" ")[:3] == mark.split(b" ") or line.rstrip(b"\r\n") == mark
        if not is_mark and not (is_behind_mark and b"-m pumpwatch" in line and not line.startswith(b"#")):
            kept.append(line)
        is_behind_mark = is_mark
    return b"".join(kept)


def has_cron_block(crontab: bytes, name: str) -> bool:
    return without_cron_block(crontab, name) != crontab


def _cron_mark(name: str) -> str:
    return f"# pumpwatch: {name}"


# systemd


def systemd_unit(service: Service) -> str:
    """
    For a user's own manager, which may neither mount nor change users: hardening is what works there.

    It asks for a sign of life twice in WatchdogSec, and takes its time to start: an update of a large file has no upper bound.
    """
    # No quotation mark and no backslash may stand in a program's own path.
    env = ["/usr/bin/env"] if set(service.python) & set("\"'\\") else []
    words = [*env, service.python, *service.arguments]
    command = " ".join([_quoted(words[0]), *(_systemd_word(word) for word in words[1:])])
    directory = service.directory.replace("%", "%%")
    return f"""\
# Written by `pumpwatch service install`.
[Unit]
Description=pumpwatch in {directory}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
WorkingDirectory={directory}
ExecStart={command}
Restart=always
RestartSec=10
# Wrong usage, wrong settings: a person must act.
RestartPreventExitStatus=2 4
WatchdogSec=120
TimeoutStartSec=infinity
TimeoutStopSec=20
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def _quoted(path: str) -> str:
    """As systemd reads a program: specifiers are expanded in it, variables are not."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _systemd_word(word: str) -> str:
    if re.fullmatch(r"[\w./-]+", word, re.ASCII):
        return word
    return _quoted(word).replace("$", "$$")


# launchd


def launchd_agent(service: Service) -> bytes:
    """A property list. What it prints goes where cron's would."""
    return plistlib.dumps(
        {
            "Label": service.name,
            "ProgramArguments": [service.python, *service.arguments],
            "WorkingDirectory": service.directory,
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 30,
            "ExitTimeOut": 20,
            "Umask": 0o077,
            "StandardOutPath": f"{service.directory}/launchd.log",
            "StandardErrorPath": f"{service.directory}/launchd.log",
        },
        sort_keys=False,
    )


# Task Scheduler


def task(service: Service, *, user: str) -> str:
    r"""
    A task of *user* (``DOMAIN\name``): when they log on, and every minute from then on.

    By itself the scheduler ends a task after three days, and with the power cable; schtasks has no options against that. Beside
    one that runs it starts another, as cron does: that ends at once, or replaces a worker that stands still. It is not hidden:
    a hidden one need not be stopped when that is asked for ([MS-TSCH] 3.2.5.4.12), others are, with all that run of them.
    """
    arguments = " ".join(_windows_word(word) for word in service.arguments)
    return f"""\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Keeps pumpwatch running in {escape(service.directory)}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>{escape(user)}</UserId>
    </LogonTrigger>
    <TimeTrigger>
      <Repetition>
        <Interval>PT1M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2025-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{escape(user)}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>Parallel</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <IdleSettings>
      <StopOnIdleEnd>false</StopOnIdleEnd>
      <RestartOnIdle>false</RestartOnIdle>
    </IdleSettings>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{escape(service.python)}</Command>
      <Arguments>{escape(arguments)}</Arguments>
      <WorkingDirectory>{escape(service.directory)}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def task_file(service: Service, *, user: str) -> bytes:
    """The task as a file that schtasks reads: in UTF-16, as its first line says."""
    return ("\ufeff" + task(service, user=user).replace("\n", "\r\n")).encode("utf-16-le")


def _windows_word(word: str) -> str:
    """No name of a file holds a quotation mark there, and ours end with no backslash."""
    return word if re.fullmatch(r"[\w.-]+", word, re.ASCII) else f'"{word}"'
