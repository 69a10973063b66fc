"""``service``: have the machine keep the worker running, over its end, a crash, a restart and months."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pumpwatch import status as status_file
from pumpwatch.cli.output import print_json, print_text
from pumpwatch.config import CONFIG_FILE, Settings, config_file_path, load
from pumpwatch.config_file import CONFIG_NAME, SECRET_NAMES
from pumpwatch.errors import SettingsError, UsageError
from pumpwatch.service import KINDS, Kind, kind_called, right_kind, usual_kinds
from pumpwatch.service_steps import Machine, ServiceProblem, Step, this_machine
from pumpwatch.service_text import Service, name_of, unfit
from pumpwatch.status import StatusUnreadable
from pumpwatch.storage.lock import WriterLock
from pumpwatch.telemetry import visible

_TRIAL_SECONDS: Final = 60.0


def register(commands: Any) -> None:
    """Add ``service`` to the parser's subcommands."""
    service = commands.add_parser("service", help="have this machine keep the worker running: systemd, cron, launchd or a task")
    actions = service.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, function, help_text in (
        ("install", _install, "write what keeps it running, and start it; again: the same anew"),
        ("remove", _remove, "take that out again, and nothing else"),
        ("show", _show, "what is installed, whether it runs, what would be written; 1 if nothing is installed"),
    ):
        action = actions.add_parser(name, help=help_text)
        action.allow_abbrev = False
        action.add_argument("--kind", choices=KINDS, help="rather than the right one for this machine")
        action.set_defaults(function=function, takes_settings=False)
        if name == "show":
            action.add_argument("--json", action="store_true", help="one JSON document on standard output")
        else:
            action.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _install(arguments: argparse.Namespace) -> int:
    machine = this_machine(os.environ)
    service, settings = service_here(arguments.config), _settings(arguments.config)
    if reason := unfit(service):
        raise UsageError(f"{visible(service.directory, limit=300)} {reason}: move pumpwatch to another folder")
    kind = _kind(arguments.kind, machine)
    for line in warnings(settings, os.environ, kind=kind.name):
        print_text(line)
    if not arguments.dry_run:
        _try(service)
    _take(kind.install(service), machine, is_dry=arguments.dry_run)
    if not arguments.dry_run:
        print(f"installed: {service.name} ({kind.name})")
        for line in [*kind.hints(service), "in a minute: pumpwatch status"]:
            print(line)
        for other in usual_kinds(machine):
            if other.name != kind.name and other.look(service) is not None:
                print_text(f"the one of {other.name} is still there too: pumpwatch service remove --kind {other.name}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    machine = this_machine(os.environ)
    service = service_here(arguments.config)
    kinds = [kind_called(arguments.kind, machine)] if arguments.kind else usual_kinds(machine)
    installed = [kind for kind in kinds if kind.look(service) is not None]
    if not installed:
        print(f"nothing is installed for {visible(service.directory, limit=300)}: nothing to remove")
        return 0
    for kind in installed:
        _take(kind.remove(service), machine, is_dry=arguments.dry_run)
        if not arguments.dry_run:
            print(f"removed: {service.name} ({kind.name}); the record and the settings stay")
    pid = None if arguments.dry_run else _worker(_settings_or_none(arguments.config))
    if pid is not None and any(kind.name in ("cron", "task") for kind in installed):
        end = f"taskkill /F /PID {pid}" if machine.platform == "win32" else f"kill -INT {pid}"
        print_text(f"the worker that runs now goes on until it is ended: {end}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    machine = this_machine(os.environ)
    service = service_here(arguments.config)
    settings = _settings_or_none(arguments.config)
    kinds = [kind_called(arguments.kind, machine)] if arguments.kind else usual_kinds(machine)
    found = {kind.name: look for kind in kinds if (look := kind.look(service)) is not None}
    problems = ["the settings are wrong: pumpwatch check"] if settings is None else _worker_problems(settings)
    if arguments.json:
        print_json(
            {
                "name": service.name,
                "directory": service.directory,
                "installed": [{"kind": name, "where": look.where, "activity": look.activity} for name, look in found.items()],
                "worker_problems": problems,
            }
        )
        return 0 if found else 1
    fields = [("name", service.name), ("folder", visible(service.directory, limit=400))]
    fields += [(f"by {name}", look.where + (f" ({look.activity})" if look.activity else "")) for name, look in found.items()]
    fields += [] if found else [("installed", "no")]
    fields += [("worker", visible("; ".join(problems), limit=1000) or "runs and is healthy")]
    for name, value in fields:  # paths are to be copied: not broken into lines
        print(f"{name:<10}  {value}")
    if found:
        for kind in kinds:
            if kind.name in found:
                for line in kind.hints(service):
                    print(line)
        return 0
    kind = _kind(arguments.kind, machine)
    print(f"\n`pumpwatch service install` would, by {kind.name}:")
    _take(kind.install(service), machine, is_dry=True)
    return 1


def _take(steps: list[Step], machine: Machine, *, is_dry: bool) -> None:
    for step in steps:
        print(step.text(), flush=True)
        if not is_dry:
            step.take(machine)


def _kind(named: str | None, machine: Machine) -> Kind:
    return kind_called(named, machine) if named else right_kind(machine)


# This installation


def service_here(config: Path | None, *, executable: str = sys.executable) -> Service:
    """The installation in this folder. Its settings file is what tells it from others, be it there or not."""
    here = Path.cwd()
    file = config_file_path(config, os.environ, here)
    path = Path(os.path.abspath(here / CONFIG_FILE if file is None else file))  # noqa: PTH100 - links are to stay
    python = Path(executable)
    windowed = python.with_name("pythonw.exe")
    if python.name.lower() == "python.exe" and windowed.is_file():
        python = windowed
    return Service(
        name=name_of(path.parent.name, os.path.normcase(path)),
        directory=str(path.parent),
        python=str(python),
        config=None if file is None else str(path),
    )


def warnings(settings: Settings, environ: Mapping[str, str], *, kind: str) -> list[str]:
    """What will not be as the user of this terminal expects, a sentence each."""
    found = []
    only_here = sorted(
        name for name in environ if (name.startswith("PUMPWATCH_") and name != CONFIG_NAME) or name in SECRET_NAMES
    )
    if only_here:
        names = visible(", ".join(only_here), limit=300)
        found.append(f"note: {names} of this terminal will not be seen by the service: put it into .env beside the settings file")
    pid = _worker(settings)
    if pid is not None:
        found.append(f"note: a worker (pid {pid}) runs already; the service takes over when that one ends")
    if settings.pumpwatch.log_file is None and kind != "systemd":
        why = "nobody sees what is printed there" if kind == "task" else "what it prints goes into a file that grows for ever"
        found.append(f"note: set [pumpwatch] log_file, such as pumpwatch.log, which is kept short; without it {why}")
    return found


def _worker(settings: Settings | None) -> int | None:
    return None if settings is None else WriterLock(settings.pumpwatch.database).running_holder()


def _worker_problems(settings: Settings) -> list[str]:
    try:
        return status_file.problems(status_file.read(status_file.path_of(settings.pumpwatch.database)), time.time())
    except StatusUnreadable as error:
        return [str(error)]


def _settings(config: Path | None) -> Settings:
    try:
        return load(config=config, environ=os.environ, directory=Path.cwd())
    except OSError as error:
        raise SettingsError([f"the settings cannot be read: {error.strerror}"]) from error


def _settings_or_none(config: Path | None) -> Settings | None:
    try:
        return _settings(config)
    except SettingsError:
        return None


def _try(service: Service) -> None:
    """
    Start what will be started, once, where it will be started.

    Raises:
        ServiceProblem: It does not start there.

    """
    try:
        ended = subprocess.run(  # noqa: S603 - the interpreter that runs this
            [service.python, "-m", "pumpwatch", "--version"],
            cwd=service.directory,
            capture_output=True,
            check=False,
            timeout=_TRIAL_SECONDS,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceProblem(f"{visible(service.python, limit=300)} cannot be started ({type(error).__name__})") from error
    if ended.returncode != 0:
        raise ServiceProblem(
            f"{visible(service.python, limit=300)} knows no pumpwatch in {visible(service.directory, limit=300)}: "
            "run `pip install .` in pumpwatch's folder first, or use `python scripts/start.py service install`"
        )
