"""
Make and mend ``.venv`` for start.py and test.py. Standard library only; it must parse on Python 3.8, to say that this is too old.

What the environment holds is told by a stamp in it: a hash of the lock, of the project's metadata and of the interpreter. While
the stamp fits nothing is run; the stamp is written last, so that an installation that was cut short is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)

#: The lock that is enough, the one that has the web page as well, and the one with the development tools: each has all of the
#: ones before it, and does for them.
RUN_LOCK = "requirements.lock"
WEB_LOCK = "requirements-web.lock"
DEV_LOCK = "requirements-dev.lock"
_LOCKS = (RUN_LOCK, WEB_LOCK, DEV_LOCK)

_LOCK_FILE = "pumpwatch.lock"
_PARTS_OF_A_VENV = {"bin", "scripts", "lib", "lib64", "include", "share", "pyvenv.cfg", ".gitignore", _LOCK_FILE}


class EnvironmentProblem(Exception):
    """The environment cannot be made. The text is one line for a person."""


def prepare(lock: str, root: Path = ROOT) -> Path:
    """
    See to it that ``.venv`` below *root* has what *lock* pins, and the project itself.

    Returns:
        Its Python.

    Raises:
        EnvironmentProblem: It cannot be, with what to do.

    """
    if sys.version_info < OLDEST_PYTHON:
        raise EnvironmentProblem(_too_old("This Python", "Install a newer one from python.org or your system's packages"))
    venv = root / ".venv"
    if _is_ready(venv, lock, root):
        return _python_of(venv)
    if venv.is_symlink():
        raise EnvironmentProblem(f"{venv} is a link, and what it leads to does not fit: remove it, and run this again.")
    try:
        venv.mkdir(exist_ok=True)
        with _one_at_a_time(venv / _LOCK_FILE):
            if not _is_ready(venv, lock, root):  # another process may have been faster
                _make(venv)
                _install(venv, lock, root)
    except OSError as error:
        raise EnvironmentProblem(f"{error.filename or venv} cannot be written: {error.strerror}.") from error
    return _python_of(venv)


def _too_old(which: str, what_to_do: str) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return f"{which} is {version}, and pumpwatch needs {'.'.join(map(str, OLDEST_PYTHON))} or newer. {what_to_do}."


def _python_of(venv: Path) -> Path:
    """The interpreter, where this system has it; it may be missing."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return venv / folder / name


def _is_ready(venv: Path, lock: str, root: Path) -> bool:
    enough = _LOCKS[_LOCKS.index(lock) :]
    return _python_of(venv).exists() and any(_read(_stamp(venv, each)) == _expected(venv, each, root) for each in enough)


def _stamp(venv: Path, lock: str) -> Path:
    return venv / f"pumpwatch-{lock}.stamp"


def _expected(venv: Path, lock: str, root: Path) -> str:
    """What the stamp of a good environment says. The path is part of it: an environment that was copied does not work."""
    pieces = [str(venv)]
    pieces += [
        _read(path) or "" for path in (root / "scripts" / lock, root / "setup.cfg", root / "pyproject.toml", venv / "pyvenv.cfg")
    ]
    return hashlib.sha256("\0".join(pieces).encode()).hexdigest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _make(venv: Path) -> None:
    """Keep an environment that works, whoever made it; make one where there is none, or only a broken one."""
    python = _python_of(venv)
    version = _output_of(python, "-c", "import sys; print(*sys.version_info[:2])") if (venv / "pyvenv.cfg").exists() else None
    if version is not None:
        if tuple(map(int, version.split())) < OLDEST_PYTHON:
            raise EnvironmentProblem(
                f"The Python in {venv} is {version.strip().replace(' ', '.')}: remove that folder, and run this again."
            )
        if _output_of(python, "-m", "pip", "--version") is None:
            _run(
                python,
                "-m",
                "ensurepip",
                "--upgrade",
                problem=f"pip cannot be put into {venv}: remove that folder, and run this again.",
            )
        return
    foreign = [entry.name for entry in venv.iterdir() if entry.name.lower() not in _PARTS_OF_A_VENV and not _is_stamp(entry)]
    if foreign:
        raise EnvironmentProblem(f"{venv} is no virtual environment (it holds {foreign[0]!r}): move it away, and run this again.")
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise EnvironmentProblem(
                f"This Python has no module {module}: install it (Debian, Ubuntu: apt install python3-venv), and run this again."
            )
    _wipe(venv)
    _say("making .venv and installing into it, once")
    _run(Path(sys.executable), "-m", "venv", str(venv), problem="The virtual environment could not be made; see above.")


def _is_stamp(entry: Path) -> bool:
    return entry.name.startswith("pumpwatch-") and entry.name.endswith(".stamp")


def _wipe(venv: Path) -> None:
    for entry in venv.iterdir():
        if entry.name == _LOCK_FILE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        else:
            entry.unlink()


def _install(venv: Path, lock: str, root: Path) -> None:
    _say(f"installing what scripts/{lock} pins")
    problem = "The installation failed; see above. It needs the package index, once: run this again when it can be reached."
    python = _python_of(venv)
    for stamp in filter(_is_stamp, venv.iterdir()):
        stamp.unlink()
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    _run(python, *pip, "--require-hashes", "-r", str(root / "scripts" / lock), problem=problem)
    # Without its own isolated build environment, which would fetch what no hash pins; setuptools is in the lock.
    _run(python, *pip, "--no-deps", "--no-build-isolation", "-e", str(root), problem=problem)
    _stamp(venv, lock).write_text(_expected(venv, lock, root), encoding="utf-8")


def _run(python: Path, *arguments: str, problem: str) -> None:
    # Standard output belongs to the command that is started in the end.
    try:
        status = subprocess.run([str(python), *arguments], stdout=sys.stderr, env=_environ(), check=False).returncode
    except OSError as error:
        raise EnvironmentProblem(f"{problem} ({error.strerror})") from error
    if status != 0:
        raise EnvironmentProblem(problem)


def _output_of(python: Path, *arguments: str) -> str | None:
    """What Python printed; None when it cannot even run."""
    try:
        ended = subprocess.run([str(python), *arguments], capture_output=True, text=True, env=_environ(), timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def _environ() -> dict[str, str]:
    """Ours without what would make pip or Python look elsewhere than into the environment."""
    environ = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX")
    }
    environ["PIP_USER"] = "0"
    return environ


def _say(text: str) -> None:
    print(f"pumpwatch: {text} ...", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold an operating-system lock on *path*: it ends with the process, however that ends."""
    with path.open("a+", encoding="utf-8") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            while True:
                with contextlib.suppress(OSError):  # it gives up after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
