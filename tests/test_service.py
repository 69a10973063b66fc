"""What is done to a machine so that it keeps pumpwatch running, and taken back; the machine's programs are stood in for."""

from __future__ import annotations

import plistlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pumpwatch.service import Cron, Kind, Launchd, Systemd, Task, right_kind, usual_kinds
from pumpwatch.service_steps import Call, Delete, Done, Machine, ServiceProblem, Step, Write, this_machine
from pumpwatch.service_text import Service

SERVICE = Service(name="pumpwatch-bots-12345678", directory="/srv/bots", python="/srv/bots/python", config=None)


@dataclass
class Programs:
    """
    The machine's own ones.

    Attributes:
        answers: By the beginning of a command. None as a status: there is no such program.
        calls: Commands so far, as lines.
    """

    answers: dict[str, Done] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def run(self, command: Sequence[str], stdin: bytes | None, _environ: Mapping[str, str]) -> Done:
        line = " ".join(command)
        self.calls.append(line)
        self.read += [] if stdin is None else [stdin]
        for begin, answer in self.answers.items():
            if line.startswith(begin):
                return answer
        return Done(0, b"", b"")


def machine(programs: Programs, home: Path, *, platform: str = "linux", **environ: str) -> Machine:
    return Machine(
        platform=platform,
        home=home,
        user="jo",
        uid=1000,
        environ=environ,
        scratch=home / "scratch",
        run=programs.run,
        wait=programs.waits.append,
    )


def take(steps: list[Step], on: Machine) -> None:
    for step in steps:
        assert step.text()
        step.take(on)


def test_systemd_gets_a_unit_and_starts_it_without_waiting(tmp_path: Path) -> None:
    programs = Programs()
    systemd = Systemd(machine(programs, tmp_path))
    assert systemd.look(SERVICE) is None

    take(systemd.install(SERVICE), systemd.machine)

    unit = tmp_path / ".config" / "systemd" / "user" / "pumpwatch-bots-12345678.service"
    assert "WorkingDirectory=/srv/bots\n" in unit.read_text(encoding="utf-8")
    assert programs.calls == [
        "systemctl --user daemon-reload",
        "systemctl --user enable pumpwatch-bots-12345678.service",
        "systemctl --user restart --no-block pumpwatch-bots-12345678.service",
    ]
    programs.answers["systemctl --user is-active"] = Done(3, b"activating\n", b"")
    assert systemd.look(SERVICE) == (str(unit), "activating")

    take(systemd.remove(SERVICE), systemd.machine)

    assert not unit.exists()
    assert "systemctl --user disable --now pumpwatch-bots-12345678.service" in programs.calls
    assert systemd.look(SERVICE) is None


def test_systemd_says_how_to_run_without_a_login_unless_it_does(tmp_path: Path) -> None:
    programs = Programs({"loginctl": Done(0, b"no\n", b"")})
    systemd = Systemd(machine(programs, tmp_path))

    assert "loginctl enable-linger" in systemd.hints(SERVICE)[0]
    programs.answers["loginctl"] = Done(0, b"yes\n", b"")
    assert "linger" not in " ".join(systemd.hints(SERVICE))


def test_the_user_s_folder_of_settings_may_be_elsewhere(tmp_path: Path) -> None:
    systemd = Systemd(machine(Programs(), tmp_path, XDG_CONFIG_HOME=str(tmp_path / "elsewhere")))

    take(systemd.install(SERVICE), systemd.machine)

    assert list((tmp_path / "elsewhere" / "systemd" / "user").iterdir())


def test_cron_reads_the_crontab_and_writes_it_with_ours_and_without(tmp_path: Path) -> None:
    programs = Programs({"crontab -l": Done(0, b"@daily x\n", b"")})
    cron = Cron(machine(programs, tmp_path))

    take(cron.install(SERVICE), cron.machine)

    [written] = programs.read
    assert written.startswith(b"@daily x\n# pumpwatch: pumpwatch-bots-12345678 /srv/bots\n* * * * * umask 077; cd /srv/bots && ")
    programs.answers["crontab -l"] = Done(0, written, b"")
    assert cron.look(SERVICE) is not None
    take(cron.remove(SERVICE), cron.machine)
    assert programs.read[-1] == b"@daily x\n"


@pytest.mark.parametrize(
    "said", [b"no crontab for jo\n", b"crontab: no crontab for jo\n", b"crontab: can't open 'jo': No such file"]
)
def test_a_user_without_a_crontab_gets_one(tmp_path: Path, said: bytes) -> None:
    programs = Programs({"crontab -l": Done(1, b"", said)})
    cron = Cron(machine(programs, tmp_path))

    take(cron.install(SERVICE), cron.machine)

    assert programs.read[0].startswith(b"# pumpwatch: ")
    assert cron.look(SERVICE) is None


def test_a_crontab_that_cannot_be_read_is_never_written(tmp_path: Path) -> None:
    programs = Programs({"crontab -l": Done(1, b"", b"You (jo) are not allowed to use this program (crontab)\nsee man")})
    cron = Cron(machine(programs, tmp_path))

    with pytest.raises(
        ServiceProblem, match=r"^`crontab -l` failed: You \(jo\) are not allowed to use this program \(crontab\)$"
    ):
        cron.install(SERVICE)
    assert programs.calls == ["crontab -l"]


def test_a_line_that_cron_would_cut_is_refused(tmp_path: Path) -> None:
    deep = Service(name="x", directory="/" + "d" * 400, python="/" + "d" * 600, config=None)

    with pytest.raises(ServiceProblem, match="too long for cron"):
        Cron(machine(Programs(), tmp_path)).install(deep)


def test_launchd_gets_an_agent_and_waits_for_the_one_before_to_end(tmp_path: Path) -> None:
    programs = Programs({"launchctl bootout": Done(3, b"", b"No such process")})
    launchd = Launchd(machine(programs, tmp_path, platform="darwin"))
    path = tmp_path / "Library" / "LaunchAgents" / "pumpwatch-bots-12345678.plist"
    steps = launchd.install(SERVICE)

    take(steps, launchd.machine)

    assert plistlib.loads(path.read_bytes())["Label"] == SERVICE.name
    assert programs.calls[-1] == f"launchctl bootstrap gui/1000 {path}"
    programs.answers["launchctl bootstrap"] = Done(5, b"", b"Bootstrap failed: 5: Input/output error")
    with pytest.raises(ServiceProblem, match="Bootstrap failed: 5"):
        take(steps, launchd.machine)
    assert len(programs.waits) > 5
    programs.answers["launchctl print"] = Done(0, b"gui/1000/x = {\n\tstate = running\n\tpid = 7\n}", b"")
    assert launchd.look(SERVICE) == (str(path), "running")

    take(launchd.remove(SERVICE), launchd.machine)

    assert not path.exists()


def test_windows_gets_a_task_from_a_file_in_its_own_encoding(tmp_path: Path) -> None:
    programs = Programs()
    task = Task(machine(programs, tmp_path, platform="win32"))
    steps = task.install(SERVICE)
    [write] = [step for step in steps if isinstance(step, Write)]

    take(steps, task.machine)

    assert write.content[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert write.content.decode("utf-16").startswith('<?xml version="1.0" encoding="UTF-16"?>\r\n')
    assert programs.calls[0] == f"schtasks /Create /F /TN pumpwatch-bots-12345678 /XML {write.path}"
    assert not write.path.exists(), "it is needed for a moment only"
    programs.answers["schtasks /Query"] = Done(
        0,
        b'"\\pumpwatch-bots-12345678","21.09.2026 10:00:00","Wird ausgef\x81hrt"\r\n' * 2,
        b"",  # a line for each trigger
    )
    found = task.look(SERVICE)
    assert found is not None
    assert found.activity.startswith("Wird ausgef")
    programs.answers["schtasks /Query"] = Done(1, b"", b"ERROR: The system cannot find the file specified.")
    assert task.look(SERVICE) is None


@pytest.mark.parametrize(
    ("platform", "systemd", "crontab", "kind"),
    [
        ("win32", "", False, Task),
        ("darwin", "", True, Launchd),
        ("linux", "running", True, Systemd),
        ("linux", "degraded", False, Systemd),
        ("linux", "offline", True, Cron),
        ("linux", "", True, Cron),
        ("freebsd14", "", True, Cron),
    ],
)
def test_the_right_kind_for_a_machine(tmp_path: Path, platform: str, systemd: str, crontab: bool, kind: type[Kind]) -> None:
    (tmp_path / "crontab").touch(mode=0o755)
    (tmp_path / "crontab.exe").touch(mode=0o755)
    programs = Programs({"systemctl": Done(0 if systemd else None, systemd.encode(), b"")})

    right = right_kind(machine(programs, tmp_path, platform=platform, PATH=str(tmp_path) if crontab else ""))

    assert isinstance(right, kind)


def test_a_machine_with_neither_is_told_what_to_have_run(tmp_path: Path) -> None:
    with pytest.raises(ServiceProblem, match=r"run --if-not-running` in this folder every minute$"):
        right_kind(machine(Programs({"systemctl": Done(1, b"offline\n", b"")}), tmp_path, PATH=""))


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    on = machine(Programs({"schtasks": Done(None, b"", b"")}), tmp_path)

    with pytest.raises(ServiceProblem, match=r"^schtasks is not on this machine: choose another --kind"):
        Call(("schtasks", "/Query")).take(on)


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    on = machine(Programs(), tmp_path)

    with pytest.raises(ServiceProblem, match="cannot be written"):
        Write(tmp_path / "here" / "unit", b"x", "x").take(on)
    (tmp_path / "unit").mkdir()
    with pytest.raises(ServiceProblem, match="cannot be written"):
        Write(tmp_path / "unit", b"x", "x").take(on)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "unit"]
    Delete(tmp_path / "not there").take(on)


def test_what_is_shown_of_a_step_acts_on_no_terminal() -> None:
    for step in (Write(Path("/x\x1b[2J"), b"", "\x1b[2J"), Delete(Path("/\x1b[2J")), Call(("x", "\x1b[2J"), shown="\x1b[2J")):
        assert "\x1b" not in step.text()


def test_this_machine_is_one() -> None:
    here = this_machine({"HOME": "x"})

    assert here.environ["LC_ALL"] == "C"
    assert here.ask("pumpwatch-has-no-such-program").status is None
    assert usual_kinds(here)
