from __future__ import annotations

import argparse
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loguru import logger

import pumpwatch.cli
from pumpwatch import telemetry
from pumpwatch.cli.main import main
from pumpwatch.config import Settings
from pumpwatch.errors import AlreadyRunning, DatabaseError, SettingsError
from pumpwatch.redaction import Redactor

ROOT = Path(__file__).resolve().parents[2]

Behaviour = Callable[..., int]


@pytest.fixture(autouse=True)
def _clean_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("PUMPWATCH_", "HELIUS_", "PUMPPORTAL_")):
            monkeypatch.delenv(name)
    yield
    logger.remove()
    telemetry._redactor = Redactor()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, telemetry._StandardLogging)]


class Calls:
    """Stands in for the commands of other modules."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.behaviour: Behaviour = lambda: 0

    def worker(self, settings: Settings, **named: Any) -> int:
        self.made.append({"settings": settings, **named})
        return self.behaviour()

    def demo(self, **named: Any) -> int:
        self.made.append(named)
        return self.behaviour()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()

    def module(name: str, **content: Any) -> None:
        fake = ModuleType(f"pumpwatch.cli.{name}")
        vars(fake).update(content)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        monkeypatch.setattr(pumpwatch.cli, name, fake, raising=False)

    module("run", run_worker=calls.worker)
    module("demo", run_demo=calls.demo)
    return calls


def test_without_a_command_the_worker_runs(calls: Calls) -> None:
    assert main([]) == 0

    [call] = calls.made
    assert (call["for_seconds"], call["if_not_running"], call["simulator"]) == (None, False, False)


def test_run_passes_its_options(calls: Calls) -> None:
    assert main(["run", "--for", "2.5", "--if-not-running", "--simulator", "--provider", "public"]) == 0

    [call] = calls.made
    del call["settings"]
    options = {"for_seconds": 2.5, "if_not_running": True, "simulator": True, "provider": "public"}
    assert call == {**options, "record": None}


@pytest.mark.parametrize("arguments", [["--config", "x.ini", "run"], ["run", "--config", "x.ini"], ["--config", "x.ini"]])
def test_config_is_taken_before_and_after_the_command(calls: Calls, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "x.ini").write_text("[watch]\nmax_tokens = 7\n", encoding="utf-8")

    assert main(arguments) == 0

    assert calls.made[0]["settings"].watch.max_tokens == 7


def test_demo_passes_its_options_and_needs_no_settings(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "pumpwatch.ini").write_text("broken", encoding="utf-8")

    assert (
        main(["demo", "--seconds", "5", "--rate", "100", "--faults", "drop, mute", "--provider", "public", "--database", "d.db"])
        == 0
    )

    assert calls.made == [
        {"seconds": 5.0, "rate": 100.0, "faults": ("drop", "mute"), "provider": "public", "database": Path("d.db"), "page": None}
    ]


@pytest.mark.parametrize(
    ("options", "seconds"), [((), 20.0), (("--dashboard",), math.inf), (("--dashboard", "--seconds", "7"), 7.0)]
)
def test_a_demo_lasts_20_seconds_and_with_its_page_until_ctrl_c(calls: Calls, options: tuple[str, ...], seconds: float) -> None:
    assert main(["demo", *options]) == 0

    [made] = calls.made
    assert made["seconds"] == seconds
    assert (made["page"] is None) == ("--dashboard" not in options)


def test_demo_refuses_a_database_that_is_there(calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.db").touch()

    assert main(["demo", "--database", "d.db"]) == 2

    assert capsys.readouterr().err == "pumpwatch: d.db exists already: the demo writes a new file only\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--for", "-1"],
        ["run", "--for", "nan"],
        ["run", "--fo", "1"],
        ["check", "--live", "x"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_status_2(calls: Calls, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 2

    assert "usage: pumpwatch" in capsys.readouterr().err
    assert calls.made == []


def test_help_names_every_command_but_no_hidden_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("run", "demo", "init", "check", "status", "tokens", "token", "trades", "watch"):
        assert f"\n    {command} " in text

    assert main(["run", "--help"]) == 0
    assert "--simulator" not in capsys.readouterr().out


def test_wrong_settings_are_status_4_and_a_line_each(calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pumpwatch.ini").write_text("[watch]\nmax_tokens = x\n[nonsense]\n", encoding="utf-8")

    assert main(["run"]) == 4

    captured = capsys.readouterr()
    assert [line.split(" ")[:2] for line in captured.err.splitlines()] == [
        ["pumpwatch:", "pumpwatch.ini:3:"],
        ["pumpwatch:", "pumpwatch.ini:2:"],
    ]
    assert captured.out == ""


def test_a_folder_that_may_not_be_looked_into_is_status_4_and_a_line(
    calls: Calls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> Settings:
        raise PermissionError(13, "Permission denied", "pumpwatch.ini")

    monkeypatch.setattr("pumpwatch.cli.main.load", refuse)

    assert main([]) == 4
    assert capsys.readouterr() == ("", "pumpwatch: the settings cannot be read: pumpwatch.ini: Permission denied\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [(AlreadyRunning("pid 7 holds it"), 3), (DatabaseError("it is damaged"), 4), (SettingsError(["it is wrong"]), 4)],
)
def test_an_error_for_a_person_is_one_line_and_its_status(
    calls: Calls, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    def behave() -> int:
        raise error

    calls.behaviour = behave

    assert main([]) == status
    assert capsys.readouterr() == ("", f"pumpwatch: {error}\n")


def test_a_defect_is_status_70_a_line_and_a_traceback_without_secrets(
    calls: Calls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIUS_API_KEY", "my-secret-key")

    def behave() -> int:
        raise RuntimeError("at https://mainnet.helius-rpc.com/?api-key=my-secret-key")

    calls.behaviour = behave

    assert main([]) == 70

    errors = capsys.readouterr().err
    assert "CRITICAL run failed" in errors
    assert "in behave" in errors
    assert errors.splitlines()[-1].startswith(
        "pumpwatch: a defect of pumpwatch (RuntimeError: at https://mainnet.helius-rpc.com/[hidden]"
    )
    assert "my-secret-key" not in errors


@pytest.mark.parametrize(("arguments", "status"), [(["run"], 0), (["demo"], 0), (["check"], 1)])
def test_ctrl_c_is_quiet_and_done_only_where_it_is_how_one_ends(
    calls: Calls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int
) -> None:
    def behave(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    calls.behaviour = behave
    monkeypatch.setattr("pumpwatch.cli.check.check", behave)

    assert main(arguments) == status
    assert capsys.readouterr() == ("", "")


def test_a_log_file_that_cannot_be_opened_is_a_wrong_setting(
    calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "pumpwatch.ini").write_text("[pumpwatch]\nlog_file = folder\n", encoding="utf-8")

    assert main([]) == 4

    assert "log_file cannot be opened" in capsys.readouterr().err


def test_only_the_worker_writes_the_log_file(calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pumpwatch.ini").write_text("[pumpwatch]\nlog_file = x.log\nlog_level = debug\n", encoding="utf-8")

    main(["status"])
    assert not (tmp_path / "x.log").exists()

    def behave() -> int:
        logger.debug("running")
        return 0

    calls.behaviour = behave
    assert main(["run"]) == 0
    assert "DEBUG    running" in (tmp_path / "x.log").read_text(encoding="utf-8")


def process(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-m", "pumpwatch", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=50, encoding="utf-8"
    )


INTERRUPT = """
import signal
import sys


class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            signal.raise_signal(signal.SIGINT)


sys.meta_path.insert(0, Interrupts())
"""


@pytest.mark.parametrize(
    ("module", "arguments", "status"),
    [
        (module, arguments, status)
        for own, arguments, status in (
            ("run", [], 0),
            ("run", ["--config", "x.ini"], 0),
            ("run", ["run"], 0),
            ("watch", ["watch", "add", "x"], 1),
            ("look", ["status"], 1),
        )
        for module in ("pumpwatch.cli.main", f"pumpwatch.cli.{own}")
    ],
)
def test_ctrl_c_while_the_program_is_being_loaded_is_as_quiet_as_later(
    tmp_path: Path, module: str, arguments: list[str], status: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT.format(module=module), encoding="utf-8")
    (tmp_path / "x.ini").touch()

    ended = process(*arguments, cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))

    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")


def test_the_version_is_told_without_reading_settings(tmp_path: Path) -> None:
    (tmp_path / "pumpwatch.ini").write_text("broken", encoding="utf-8")

    ended = process("--version", cwd=tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"pumpwatch {pumpwatch.__version__}\n", "")


def test_a_console_of_another_code_page_gets_escapes_not_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "狗"
    folder.mkdir()

    ended = process("init", cwd=folder, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert ended.returncode == 0, ended.stderr
    assert r"\u72d7" in ended.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["--help", "init", "status --help"])
def test_a_reader_that_has_enough_is_no_error(tmp_path: Path, command: str, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    script = f'set -o pipefail; "{sys.executable}" -m pumpwatch {command} | true'

    ended = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=50
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "command", ["run", "check", "status", "tokens", "token", "candles", "trades", "wallet", "top", "watch", "db"]
)
def test_no_command_needs_what_only_another_one_needs(tmp_path: Path, command: str) -> None:
    program = f"import sys; from pumpwatch.cli.main import build_parser; build_parser('{command}'); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert not {"requests", "websocket", "websockets", "rich", "flask", "pyarrow"} & set(ended.stdout.split())


def test_every_command_has_a_function_and_takes_config() -> None:
    from pumpwatch.cli.main import build_parser

    parser = build_parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for command in commands.choices.values():
        assert any("--config" in action.option_strings for action in command._actions)
