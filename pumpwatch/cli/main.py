"""Parse the command line, run the command, and turn whatever ends it into one line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from loguru import logger

from pumpwatch import __version__, error_reports
from pumpwatch.cli.numbers import count_to
from pumpwatch.config import Settings, load
from pumpwatch.errors import SettingsError, StopError, UsageError
from pumpwatch.files import private_files
from pumpwatch.telemetry import set_up_logging, visible

#: The end of these commands by Ctrl-C is what was asked for; of the others it means that there is no answer.
_UNTIL_STOPPED = ("run", "demo")
_DEFECT = 70
_DEMO_SECONDS = 20.0

#: What these write is meant for others as well: programs that read an export, the system's own service manager.
_FOR_OTHERS: Final = ("export", "init", "service")

#: Of raw messages: 16 TiB.
_MOST_MEGABYTES: Final = 16 * 1024 * 1024

#: Where the other commands live. Each module is loaded only when its command is named: it brings what it prints tables with.
_MODULES: Final = {
    "status": "look",
    "tokens": "tokens",
    "token": "token",
    "candles": "candles",
    "trades": "trades",
    "wallet": "wallet",
    "top": "top",
    "export": "export",
    "replay": "replay",
    "audit": "audit",
    "backfill": "backfill",
    "dashboard": "dashboard",
    "watch": "watch",
    "alerts": "alerts",
    "db": "db",
    "report": "report",
    "service": "service",
}
_HERE: Final = ("run", "demo", "init", "check")


def program() -> NoReturn:
    """The process ``pumpwatch``: exit with the status of :func:`main`."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    raise SystemExit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status of design.md section 6; raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a console of another code page shows escapes, and goes on
    status = _guarded(sys.argv[1:] if argv is None else argv)
    error_reports.finish()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a closed pipe can be handled
    except BrokenPipeError:
        _give_up_stdout()
    return status


def _guarded(argv: Sequence[str]) -> int:
    # Until the line is parsed, which loads modules.
    command = argv[0] if argv and not argv[0].startswith("-") else "run"
    try:
        arguments = _parse(argv)
        command = arguments.command
        with contextlib.nullcontext() if command in _FOR_OTHERS else private_files():
            return _run(arguments)
    except SystemExit as ended:  # argparse, after --help, --version or a usage error
        return int(ended.code or 0)
    except KeyboardInterrupt:
        return 0 if command in _UNTIL_STOPPED else 1
    except BrokenPipeError:
        _give_up_stdout()
        return 0
    except StopError as error:
        _say(error)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the thread of the command ends here
        logger.opt(exception=error).critical("{} failed", visible(command))
        _say(f"a defect of pumpwatch ({type(error).__name__}: {visible(error, limit=200)}); the log above has the traceback")
        return _DEFECT


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = build_parser(_command_in(argv))
    arguments = parser.parse_args(argv)
    return parser.parse_args([*argv, "run"]) if arguments.command is None else arguments


def _command_in(argv: Sequence[str]) -> str | None:
    """The command that a line names, if it is clear before it is parsed."""
    words = iter(argv)
    for word in words:
        if word == "--config":
            next(words, None)
        elif word in ("-h", "--help"):
            return None
        elif not word.startswith("-"):
            return word if word in _MODULES or word in _HERE else None
    return "run"


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """
    Return the parser of all commands, or of those of this module and *only* that one.

    Each sets ``function`` to what runs it: called with the settings and the arguments, or with the arguments alone where it sets
    ``takes_settings`` to False.
    """
    parser = argparse.ArgumentParser(
        prog="pumpwatch",
        description="Records the pump.fun trades of the tokens you watch into one SQLite file, and every gap in them. "
        "Without a command it runs the worker.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pumpwatch {__version__}")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings file (default: pumpwatch.ini here, if there is one)"
    )
    parser.set_defaults(takes_settings=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_run(commands)
    _add_demo(commands)
    init = commands.add_parser("init", help="write a commented pumpwatch.ini and a private .env here; overwrites nothing")
    init.set_defaults(function=_init, takes_settings=False)
    check = commands.add_parser(
        "check", help="check settings, keys, database, clock, endpoints and cost: what is wrong, what to do"
    )
    check.add_argument(
        "--live", type=seconds, metavar="SECONDS", help="also record one busy token for real, and compare with the chain"
    )
    check.add_argument("--json", action="store_true", help="one JSON document on standard output")
    check.set_defaults(function=_check, takes_settings=False)
    for name in dict.fromkeys(_MODULES.values() if only is None else [_MODULES[only]] if only in _MODULES else ()):
        importlib.import_module(f"pumpwatch.cli.{name}").register(commands)
    for command in commands.choices.values():
        command.allow_abbrev = False
        # Given after the command, it is as good; suppressed, so that it does not wipe out the one before it.
        command.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="the settings file")
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="record (the default)")
    run.add_argument("--for", dest="for_seconds", type=seconds, metavar="SECONDS", help="stop by itself after so long")
    run.add_argument(
        "--if-not-running", action="store_true", help="say nothing and end with 0 when a worker runs already (for cron)"
    )
    run.add_argument("--record", type=Path, metavar="DIR", help="also keep every raw message, packed, in files for `replay`")
    run.add_argument(
        "--record-megabytes",
        type=count_to(_MOST_MEGABYTES),
        default=4096,
        metavar="N",
        help="of all these files; the oldest go (default: 4096)",
    )
    # For `demo`: the endpoints are its simulator's, which may play a provider with its limits.
    run.add_argument("--simulator", action="store_true", help=argparse.SUPPRESS)
    run.add_argument("--provider", help=argparse.SUPPRESS)
    run.set_defaults(function=_run_worker)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser("demo", help="record the built-in simulator: no key, no network, a new file")
    demo.add_argument("--seconds", type=seconds, metavar="N", help="how long (default: 20; with --dashboard until Ctrl-C)")
    demo.add_argument("--rate", type=seconds, default=20.0, metavar="TRADES", help="trades per second (default: 20)")
    demo.add_argument("--faults", default="", metavar="NAME,...", help="what goes wrong on the way: drop, mute, garbage, ...")
    demo.add_argument("--provider", metavar="NAME", help="play the limits of a real provider")
    demo.add_argument("--database", type=Path, metavar="FILE", help="a new file for the record (default: one in this folder)")
    demo.add_argument("--dashboard", action="store_true", help="show it in a web page meanwhile")
    demo.add_argument(
        "--open",
        action=argparse.BooleanOptionalAction,
        help="open that page in a browser (default: where there is a terminal and a screen)",
    )
    demo.set_defaults(function=_demo, takes_settings=False)


def seconds(text: str) -> float:
    """A positive, finite number, for argparse."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def _run(arguments: argparse.Namespace) -> int:
    # Before the settings are known: what goes wrong with them must not be printed by a default of the logging library.
    set_up_logging(level="WARNING", log_file=None, secrets=())
    if not arguments.takes_settings:
        return int(arguments.function(arguments))
    try:
        settings = load(config=arguments.config, environ=os.environ, directory=Path.cwd())
    except OSError as error:  # up to Python 3.13: looking for a file in a folder that is not permitted
        raise SettingsError([f"the settings cannot be read: {error.filename or 'this folder'}: {error.strerror}"]) from error
    set_up_logging(level="WARNING", log_file=None, secrets=settings.secrets)
    return int(arguments.function(settings, arguments))


def _run_worker(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.run import run_worker
    from pumpwatch.session_writer import Recording

    try:
        set_up_logging(
            level=settings.pumpwatch.log_level,
            log_file=settings.pumpwatch.log_file,
            log_files=settings.pumpwatch.log_files,
            as_json=settings.pumpwatch.log_format == "json",
            secrets=settings.secrets,
        )
    except OSError as error:
        raise SettingsError([f"[pumpwatch] log_file cannot be opened: {error.strerror}"]) from error
    error_reports.start(settings.sentry_dsn)
    return run_worker(
        settings,
        for_seconds=arguments.for_seconds,
        if_not_running=arguments.if_not_running,
        simulator=arguments.simulator,
        provider=arguments.provider,
        record=None if arguments.record is None else Recording(arguments.record, arguments.record_megabytes),
    )


def _demo(arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.demo import run_demo
    from pumpwatch.cli.demo_page import Page

    faults = tuple(name.strip() for name in arguments.faults.split(",") if name.strip())
    if arguments.database is not None and arguments.database.exists():
        raise UsageError(f"{visible(arguments.database, limit=200)} exists already: the demo writes a new file only")
    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal must not leave the worker and the page behind
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), signal.default_int_handler)
    for_seconds = arguments.seconds
    if for_seconds is None:
        for_seconds = math.inf if arguments.dashboard else _DEMO_SECONDS
    return run_demo(
        seconds=for_seconds,
        rate=arguments.rate,
        faults=faults,
        provider=arguments.provider,
        database=arguments.database,
        page=Page(opens=arguments.open) if arguments.dashboard else None,
    )


def _init(arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.init import init

    return init(config=arguments.config, directory=Path.cwd())


def _check(arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.check import check

    return check(
        config=arguments.config,
        environ=os.environ,
        directory=Path.cwd(),
        live_seconds=arguments.live,
        as_json=arguments.json,
    )


def _say(message: object) -> None:
    if sys.stderr is not None:
        for line in str(message).splitlines():
            print(f"pumpwatch: {visible(line, limit=1000)}", file=sys.stderr)


def _give_up_stdout() -> None:
    """The reader of our output (``head``) has enough. Python would complain once more at exit, when it flushes."""
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123 - os.devnull is no path of a file
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """In place of Python's own hook, which prints to standard error what a log line would have redacted."""
    logger.opt(exception=(kind, error, traceback)).critical("uncaught")


def _log_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        name = ended.thread.name if ended.thread is not None else "a thread"
        logger.opt(exception=ended.exc_value).critical("{} ended by an error", name)
