"""scripts/environment.py, start.py and test.py, without a network: what they run is recorded or replaced."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ON_OLD_PYTHON = ("environment.py", "start.py", "test.py")

needs_posix = pytest.mark.skipif(
    os.name == "nt", reason="the stand-in for Python is a script, which Windows does not run as a program"
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", SCRIPTS / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with locks and scripts, and no environment."""
    (tmp_path / "scripts").mkdir()
    for name in ("requirements.lock", "requirements-web.lock", "requirements-dev.lock"):
        (tmp_path / "scripts" / name).write_text(f"# {name}\n", encoding="utf-8")
    for name in ON_OLD_PYTHON:
        shutil.copy(SCRIPTS / name, tmp_path / "scripts" / name)
    (tmp_path / "setup.cfg").write_text("[metadata]\n", encoding="utf-8")
    return tmp_path


class Commands:
    """Stands in for the runs of Python: notes them, and makes a venv of one empty file."""

    def __init__(self, environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.fail_at: str | None = None
        self.version: str | None = None
        self.has_pip = True
        self._problem = environment.EnvironmentProblem
        self._python_of: Callable[[Path], Path] = environment._python_of
        monkeypatch.setattr(environment, "_run", self._run)
        monkeypatch.setattr(environment, "_output_of", self._output_of)

    def _run(self, python: Path, *arguments: str, problem: str) -> None:
        self.ran.append(" ".join(arguments[1:3] if arguments[1] != "pip" else arguments[1:3] + arguments[-2:]))
        if self.fail_at and self.fail_at in " ".join(arguments):
            raise self._problem(problem)
        if arguments[1] == "venv":
            venv = Path(arguments[2])
            self._python_of(venv).parent.mkdir(parents=True)
            self._python_of(venv).touch()
            (venv / "pyvenv.cfg").write_text("version = 3.11\n", encoding="utf-8")
            self.version = "3 11\n"

    def _output_of(self, python: Path, *arguments: str) -> str | None:
        if "pip" in arguments:
            return "pip" if self.has_pip else None
        return self.version


@pytest.fixture
def commands(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(environment, monkeypatch)


def installed(root: Path, lock: str) -> list[str]:
    return [f"pip install -r {root / 'scripts' / lock}", f"pip install -e {root}"]


@pytest.mark.parametrize("name", ON_OLD_PYTHON)
def test_the_scripts_parse_on_python_3_8_and_need_only_its_library(name: str) -> None:
    tree = ast.parse((SCRIPTS / name).read_text(encoding="utf-8"), feature_version=(3, 8))

    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(module).split(".")[0] for module in imported} <= sys.stdlib_module_names | {"environment"}
    # Annotations are not evaluated there: `X | None` would fail.
    assert "from __future__ import annotations" in (SCRIPTS / name).read_text(encoding="utf-8")


def test_an_old_python_is_told_what_to_install(environment: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.sys, "version_info", (3, 8, 10))

    with pytest.raises(environment.EnvironmentProblem) as caught:
        environment.prepare("requirements.lock", root)

    assert str(caught.value) == (
        "This Python is 3.8, and pumpwatch needs 3.11 or newer. Install a newer one from python.org or your system's packages."
    )
    assert not (root / ".venv").exists()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_the_venv_module_is_told_what_to_install(
    environment: ModuleType, root: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None if name == module else find_spec(name))

    with pytest.raises(environment.EnvironmentProblem, match=rf"no module {module}: install it \(.*apt install python3-venv\)"):
        environment.prepare("requirements.lock", root)


def test_the_first_call_makes_and_installs_the_second_runs_nothing(
    environment: ModuleType, root: Path, commands: Commands
) -> None:
    environment.prepare("requirements.lock", root)
    assert commands.ran == [f"venv {root / '.venv'}", *installed(root, "requirements.lock")]

    commands.ran.clear()
    assert environment.prepare("requirements.lock", root) == environment._python_of(root / ".venv")
    assert commands.ran == []


@pytest.mark.parametrize("changed", ["scripts/requirements.lock", "setup.cfg", ".venv/pyvenv.cfg"])
def test_a_change_of_lock_metadata_or_interpreter_installs_anew(
    environment: ModuleType, root: Path, commands: Commands, changed: str
) -> None:
    environment.prepare("requirements.lock", root)
    commands.ran.clear()
    with (root / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")

    environment.prepare("requirements.lock", root)

    assert commands.ran == installed(root, "requirements.lock")


def test_an_installation_that_was_cut_short_is_done_again(environment: ModuleType, root: Path, commands: Commands) -> None:
    commands.fail_at = "-e"
    with pytest.raises(environment.EnvironmentProblem, match="The installation failed; see above"):
        environment.prepare("requirements.lock", root)

    commands.fail_at = None
    commands.ran.clear()
    environment.prepare("requirements.lock", root)

    assert commands.ran == installed(root, "requirements.lock")


def test_a_failed_change_does_not_leave_the_stamp_of_what_was_before(
    environment: ModuleType, root: Path, commands: Commands
) -> None:
    environment.prepare("requirements.lock", root)
    original = (root / "setup.cfg").read_text(encoding="utf-8")
    (root / "setup.cfg").write_text("# changed\n", encoding="utf-8")
    commands.fail_at = "-e"
    with pytest.raises(environment.EnvironmentProblem):
        environment.prepare("requirements.lock", root)

    (root / "setup.cfg").write_text(original, encoding="utf-8")
    commands.fail_at = None
    commands.ran.clear()
    environment.prepare("requirements.lock", root)

    assert commands.ran == installed(root, "requirements.lock")


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [("-dev", ""), ("-web", ""), ("-dev", "-web")],
)
def test_an_environment_with_more_does_for_less_but_not_the_other_way(
    environment: ModuleType, root: Path, commands: Commands, larger: str, smaller: str
) -> None:
    environment.prepare(f"requirements{larger}.lock", root)
    commands.ran.clear()
    environment.prepare(f"requirements{smaller}.lock", root)
    assert commands.ran == []

    shutil.rmtree(root / ".venv")
    environment.prepare(f"requirements{smaller}.lock", root)
    commands.ran.clear()
    environment.prepare(f"requirements{larger}.lock", root)
    assert commands.ran == installed(root, f"requirements{larger}.lock")


def test_an_environment_that_works_is_kept_whoever_made_it(environment: ModuleType, root: Path, commands: Commands) -> None:
    (root / ".venv" / "own").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").touch()
    commands.version = "3 12\n"
    commands.has_pip = False

    environment.prepare("requirements.lock", root)

    assert (root / ".venv" / "own").exists()
    assert commands.ran == ["ensurepip --upgrade", *installed(root, "requirements.lock")]


def test_a_broken_environment_is_made_anew(environment: ModuleType, root: Path, commands: Commands) -> None:
    environment.prepare("requirements.lock", root)
    environment._python_of(root / ".venv").unlink()
    (root / ".venv" / "lib").mkdir()
    commands.version = None
    commands.ran.clear()

    environment.prepare("requirements.lock", root)

    assert not (root / ".venv" / "lib").exists()
    assert commands.ran[0] == f"venv {root / '.venv'}"


def test_a_folder_that_is_no_environment_is_left_alone(environment: ModuleType, root: Path, commands: Commands) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "diary.txt").touch()

    with pytest.raises(environment.EnvironmentProblem, match=r"is no virtual environment \(it holds 'diary.txt'\): move it away"):
        environment.prepare("requirements.lock", root)

    assert (root / ".venv" / "diary.txt").exists()
    assert commands.ran == []


def test_an_environment_of_an_old_python_is_not_wiped_but_told(environment: ModuleType, root: Path, commands: Commands) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "pyvenv.cfg").touch()
    commands.version = "3 9\n"

    with pytest.raises(environment.EnvironmentProblem, match=r"is 3\.9: remove that folder"):
        environment.prepare("requirements.lock", root)


def test_a_file_in_the_place_of_the_environment_is_one_line(environment: ModuleType, root: Path, commands: Commands) -> None:
    (root / ".venv").touch()

    with pytest.raises(environment.EnvironmentProblem, match="cannot be written"):
        environment.prepare("requirements.lock", root)


def ready(environment: ModuleType, root: Path, lock: str, python: str) -> None:
    """An environment that counts as ready, whose Python is the script *python*."""
    path = environment._python_of(root / ".venv")
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\n{python}", encoding="utf-8")
    path.chmod(0o755)
    environment._stamp(root / ".venv", lock).write_text(environment._expected(root / ".venv", lock, root), encoding="utf-8")


def run(root: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


@needs_posix
def test_start_passes_arguments_on_and_the_exit_status_back(environment: ModuleType, root: Path) -> None:
    ready(environment, root, "requirements.lock", "import sys; print(sys.argv[1:]); sys.exit(7)")

    ended = run(root, "start.py", "demo", "--seconds", "1")

    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "['-m', 'pumpwatch', 'demo', '--seconds', '1']\n", "")


@needs_posix
@pytest.mark.parametrize("arguments", [("dashboard", "--port", "0"), ("demo", "--dashboard"), ("--config", "a.ini", "dashboard")])
def test_who_wants_the_web_page_gets_what_it_needs(environment: ModuleType, root: Path, arguments: tuple[str, ...]) -> None:
    ready(environment, root, "requirements-web.lock", "import sys; print(len(sys.argv))")

    assert run(root, "start.py", *arguments).stdout == f"{3 + len(arguments)}\n"
    environment._stamp(root / ".venv", "requirements-web.lock").rename(environment._stamp(root / ".venv", "requirements.lock"))
    (root / "scripts" / "requirements-web.lock").write_text("nothing-that-exists==1 --hash=sha256:00\n", encoding="utf-8")
    ended = run(root, "start.py", *arguments)
    assert "installing what scripts/requirements-web.lock pins" in ended.stderr


@needs_posix
def test_ctrl_c_reaches_the_program_which_ends_in_its_own_way(environment: ModuleType, root: Path) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(3))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    ready(environment, root, "requirements.lock", program)
    command = [sys.executable, str(root / "scripts" / "start.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=50)

    assert (process.returncode, errors) == (3, "")


def test_start_says_a_problem_in_one_line(root: Path) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "diary.txt").touch()

    ended = run(root, "start.py")

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("pumpwatch: ")


@needs_posix
@pytest.mark.parametrize(("failing", "status"), [("mypy", 1), ("pytest", 1), ("nothing", 0)])
def test_test_runs_every_step_and_fails_if_any_does(environment: ModuleType, root: Path, failing: str, status: int) -> None:
    ready(
        environment, root, "requirements-dev.lock", f"import sys; print('RAN', *sys.argv[2:]); sys.exit('{failing}' in sys.argv)"
    )

    ended = run(root, "test.py", "tests/decode", "-x")

    assert ended.returncode == status
    ran = [line for line in ended.stdout.splitlines() if line.startswith("RAN")]
    assert ran == ["RAN ruff format --check .", "RAN ruff check .", "RAN mypy", "RAN pytest tests/decode -x", "RAN"]
    assert ended.stdout.count("FAILED") == status
    assert ended.stdout.splitlines()[-5].startswith("format   ok")


def test_ci_runs_the_same_script() -> None:
    text = (SCRIPTS.parent / ".ci" / "run").read_text(encoding="utf-8")

    assert "scripts/test.py" in text
    if os.name != "nt":
        assert os.access(SCRIPTS.parent / ".ci" / "run", os.X_OK)
