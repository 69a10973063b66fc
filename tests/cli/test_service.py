"""``service`` as a person calls it, on a machine with cron: a real crontab program stands in for the system's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pumpwatch.cli.main import main
from pumpwatch.cli.service import service_here
from pumpwatch.storage.lock import WriterLock

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="another kind is right there")

_CRONTAB = """#!/bin/sh
case "$1" in
    -l) if [ -f "$CRONTAB_FILE" ]; then cat "$CRONTAB_FILE"; else echo "no crontab for you" >&2; exit 1; fi ;;
    -) cat > "$CRONTAB_FILE" ;;
esac
"""
_OTHERS = b"MAILTO=\xe4\n@daily mine 100\\%\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pumpwatch is to run; this user has cron and no systemd."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("crontab", _CRONTAB), ("systemctl", "#!/bin/sh\necho offline\nexit 1\n")):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in [name for name in os.environ if name.startswith("PUMPWATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CRONTAB_FILE", str(tmp_path / "crontab"))
    (tmp_path / "crontab").write_bytes(_OTHERS)
    folder = tmp_path / "my bots ä"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def crontab(folder: Path) -> bytes:
    return (folder.parent / "crontab").read_bytes()


def test_install_says_what_it_does_and_does_it_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert crontab(folder) == _OTHERS, "only said"

    assert main(["service", "install"]) == 0
    assert main(["service", "install"]) == 0

    assert capsys.readouterr().out.startswith(said)
    written = crontab(folder)
    assert written.startswith(_OTHERS)
    [mark, job] = written.removeprefix(_OTHERS).decode().splitlines()
    assert mark.startswith("# pumpwatch: pumpwatch-my-bots-")
    assert job.startswith(f"* * * * * umask 077; cd '{folder}' && {sys.executable} -m pumpwatch run --if-not-running >> cron.log")
    assert f"    {job}" in said.splitlines()


def test_remove_takes_out_ours_alone_and_says_when_there_is_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install"]) == 0
    assert main(["service", "remove", "--dry-run"]) == 0
    assert b"# pumpwatch: " in crontab(folder)

    assert main(["service", "remove"]) == 0

    assert crontab(folder) == _OTHERS
    capsys.readouterr()
    assert main(["service", "remove"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_show_is_an_answer_for_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "show"]) == 1
    shown = capsys.readouterr().out
    assert "installed   no" in shown
    assert "* * * * * umask 077; cd '" in shown, "and what would be written"
    assert main(["service", "show", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["installed"] == []

    main(["service", "install"])
    capsys.readouterr()

    assert main(["service", "show"]) == 0
    assert "by cron     your crontab" in capsys.readouterr().out
    assert main(["service", "show", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["installed"] == [{"kind": "cron", "where": "your crontab (crontab -l)", "activity": ""}]
    assert document["worker_problems"] == ["no worker has run here yet"]


def test_a_settings_file_is_named_in_the_line_and_tells_installations_apart(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder.parent / "other"
    other.mkdir()
    for path in (folder, other):
        (path / "pumpwatch.ini").write_text("[pumpwatch]\n", encoding="utf-8")

    assert main(["service", "install"]) == 0
    assert main(["--config", str(other / "pumpwatch.ini"), "service", "install"]) == 0

    assert f"cd {other} && ".encode() in crontab(folder)
    assert f"--config {other}/pumpwatch.ini run".encode() in crontab(folder)
    assert main(["service", "remove", "--dry-run"]) == 0
    assert main(["--config", str(other / "pumpwatch.ini"), "service", "remove"]) == 0
    assert crontab(folder).count(b"# pumpwatch: ") == 1
    assert f"cd '{folder}'".encode() in crontab(folder)


def test_wrong_settings_are_not_installed_and_do_not_hinder_removing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install"]) == 0
    (folder / "pumpwatch.ini").write_text("[pumpwatch]\nnonsense = 1\n", encoding="utf-8")
    capsys.readouterr()

    assert main(["service", "install"]) == 4
    assert main(["service", "show"]) == 0
    assert "the settings are wrong: pumpwatch check" in capsys.readouterr().out
    assert main(["service", "remove"]) == 0
    assert crontab(folder) == _OTHERS


def test_settings_of_this_terminal_and_a_worker_that_runs_are_pointed_out(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIUS_API_KEY", "not-to-be-shown")
    with WriterLock(folder / "pumpwatch.db"):
        assert main(["service", "install", "--dry-run"]) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert "note: HELIUS_API_KEY of this terminal will not be seen by the service: put it into .env" in said
    assert f"note: a worker (pid {os.getpid()}) runs already" in said
    assert "not-to-be-shown" not in said


def test_what_cannot_be_started_is_not_installed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = folder.parent / "python"
    deaf.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    deaf.chmod(0o755)
    monkeypatch.setattr(service_here, "__kwdefaults__", {"executable": str(deaf)})

    assert main(["service", "install"]) == 1

    assert "pip install ." in capsys.readouterr().err
    assert crontab(folder) == _OTHERS


def test_a_kind_that_this_machine_does_not_have_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--kind", "task"]) == 1

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("pumpwatch: schtasks is not on this machine")


def test_pythonw_is_taken_where_there_is_one(folder: Path) -> None:
    for name in ("python.exe", "pythonw.exe"):
        (folder / name).touch()

    assert service_here(None, executable=str(folder / "python.exe")).python == str(folder / "pythonw.exe")
