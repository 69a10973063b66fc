"""Every system's own reader of such texts gets back the paths that were put in, whatever is in them."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pumpwatch import service_text as texts
from pumpwatch.service_text import Service

#: What a folder may be called, and what each of the texts has a meaning of its own for.
ODD = ["plain", "two words", "100% %20 %h", 'it\'s "quoted"', "$HOME ${x} `x` !", "ä ö 日本 🚀", "#hash ?*[a]", "a\\b", "-m", "~"]

NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def service(folder: Path | str, *, python: str = sys.executable, name: str = "pumpwatch-x-00000000") -> Service:
    return Service(name=name, directory=str(folder), python=python, config=f"{folder}/pumpwatch.ini")


def what_cron_runs(block: str) -> str:
    """As cron reads a line: an escaped ``%`` is one, any other would end the command."""
    [_, line] = block.splitlines()
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace("\\%", "")
    return command.replace("\\%", "%")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no cron")
@pytest.mark.parametrize("name", ODD)
def test_cron_runs_the_right_program_in_the_right_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "python"
    program.write_text('#!/bin/sh\npwd\nfor word in "$@"; do printf "%s\\n" "$word"; done\n', encoding="utf-8")
    program.chmod(0o755)

    block = texts.cron_block(service(folder, python=str(program)))
    subprocess.run(["/bin/sh", "-c", f"umask 022\n{what_cron_runs(block)}"], check=True, cwd="/")

    assert (folder / "cron.log").stat().st_mode & 0o777 == 0o600
    printed = (folder / "cron.log").read_text(encoding="utf-8").splitlines()
    assert printed == [str(folder), "-m", "pumpwatch", "--config", f"{folder}/pumpwatch.ini", "run", "--if-not-running"]


CRONTABS = [
    b"",
    b"# mine\nMAILTO=me\n\n0 5 * * 1 tar -zcf /var/x.tgz\\%1 /home/\n",
    b"\t* * * * * odd\r\n\xff\xfe not utf-8 \xe4\n\n\n",
    b"# pumpwatch: something of mine\n* * * * * cd /elsewhere && python -m pumpwatch run\n",
]


@pytest.mark.parametrize("crontab", CRONTABS)
def test_a_crontab_keeps_every_other_byte(crontab: bytes) -> None:
    ours = service("/srv/pump ä")

    installed = texts.with_cron_block(crontab, ours)

    assert installed == crontab + texts.cron_block(ours).encode()
    assert texts.has_cron_block(installed, ours.name)
    assert not texts.has_cron_block(crontab, ours.name)
    assert texts.with_cron_block(installed, ours) == installed, "installed twice is installed once"
    assert texts.without_cron_block(installed, ours.name) == crontab


def test_a_crontab_without_a_last_line_end_gets_one() -> None:
    assert texts.with_cron_block(b"@daily x", service("/p")).startswith(b"@daily x\n# pumpwatch: ")


def test_two_installations_in_one_crontab_are_told_apart() -> None:
    one, other = service("/one", name="pumpwatch-one-1"), service("/one/more", name="pumpwatch-one-11")
    both = texts.with_cron_block(texts.with_cron_block(b"@daily x\n", one), other)

    assert texts.without_cron_block(both, one.name) == b"@daily x\n" + texts.cron_block(other).encode()
    assert texts.without_cron_block(both, other.name) == b"@daily x\n" + texts.cron_block(one).encode()


def test_a_mark_whose_job_is_gone_takes_no_other_line_along() -> None:
    ours = service("/p")
    mark = texts.cron_block(ours).splitlines()[0].encode()

    assert texts.without_cron_block(mark + b"\n@daily backup\n", ours.name) == b"@daily backup\n"
    assert texts.without_cron_block(mark, ours.name) == b""


@pytest.mark.parametrize("name", ODD)
def test_a_task_is_what_the_scheduler_needs(name: str) -> None:
    odd = Service(name="x", directory=f"C:\\{name}", python=f"C:\\{name}\\pythonw.exe", config=f"C:\\{name}\\pumpwatch.ini")

    task = ET.fromstring(texts.task_file(odd, user="MACHINE\\Jö & co"))

    def of(path: str) -> str:
        found = task.find("/".join(NAMESPACE + part for part in path.split("/")))
        assert found is not None, path
        return found.text or ""

    assert of("Actions/Exec/Command") == odd.python
    assert of("Actions/Exec/WorkingDirectory") == odd.directory
    assert of("Actions/Exec/Arguments") == f'-m pumpwatch --config "{odd.config}" run --if-not-running'
    assert of("Settings/ExecutionTimeLimit") == "PT0S", "else it ends after three days"
    assert of("Settings/DisallowStartIfOnBatteries") == of("Settings/StopIfGoingOnBatteries") == "false"
    assert of("Settings/MultipleInstancesPolicy") == "Parallel"
    assert task.find(f".//{NAMESPACE}RestartOnFailure") is None, "what cannot start is started every minute anyway"
    assert of("Settings/Hidden") == "false", "a hidden one is not stopped by `schtasks /End`"
    assert of("Settings/StartWhenAvailable") == "true"
    assert of("Triggers/TimeTrigger/Repetition/Interval") == "PT1M"
    assert of("Triggers/LogonTrigger/UserId") == of("Principals/Principal/UserId") == "MACHINE\\Jö & co"
    assert of("Principals/Principal/RunLevel") == "LeastPrivilege"


@pytest.mark.parametrize("name", ODD)
def test_a_launchd_agent_is_kept_alive_with_these_very_paths(name: str) -> None:
    agent = plistlib.loads(texts.launchd_agent(service(f"/p/{name}", python="/p/python")))

    assert agent["ProgramArguments"][:5] == ["/p/python", "-m", "pumpwatch", "--config", f"/p/{name}/pumpwatch.ini"]
    assert agent["WorkingDirectory"] == f"/p/{name}"
    assert agent["KeepAlive"] is agent["RunAtLoad"] is True
    assert agent["ThrottleInterval"] >= 10


def test_a_unit_lets_systemd_watch_it() -> None:
    unit = texts.systemd_unit(service("/p"))

    for line in ("Type=notify", "NotifyAccess=main", "WatchdogSec=120", "Restart=always", "RestartPreventExitStatus=2 4"):
        assert f"\n{line}\n" in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
@pytest.mark.parametrize("name", ODD)
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    unit = tmp_path / "pumpwatch-x.service"
    unit.write_text(texts.systemd_unit(service(folder, python=str(folder / "python"))), encoding="utf-8")

    verified = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )

    assert (verified.returncode, verified.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("bots", "pumpwatch-bots-"),
        ("pumpwatch", "pumpwatch-"),
        ("pumpwatch-2", "pumpwatch-2-"),
        ("日本", "pumpwatch-"),
        ("My Bots! (new)", "pumpwatch-my-bots-new-"),
        ("x" * 80, f"pumpwatch-{'x' * 20}-"),
    ],
)
def test_a_name_is_made_for_people_and_is_like_no_other(folder: str, name: str) -> None:
    made = texts.name_of(folder, f"/srv/{folder}/pumpwatch.ini")

    assert made[:-8] == name
    assert made != texts.name_of(folder, f"/home/{folder}/pumpwatch.ini")


@pytest.mark.parametrize("folder", ["/a\nb", "/a\x1b", "/a ", "/a\\"])
def test_a_path_that_would_end_a_line_is_refused(folder: str) -> None:
    assert texts.unfit(service(folder)) is not None
    assert texts.unfit(service("/a b/ä")) is None


def test_the_ready_files_are_what_is_installed() -> None:
    import service_files

    for name, content in service_files.contents().items():
        there = (service_files.FOLDER / name).read_bytes()
        if not name.endswith(".xml"):
            there = there.replace(b"\r\n", b"\n")  # as git may hand them out on Windows
        assert there == content, "python scripts/service_files.py"
