"""What is shipped: metadata, the settings file and its documentation, the pinned dependencies."""

from __future__ import annotations

import ast
import configparser
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import pumpwatch
from pumpwatch.config_text import ini_text, markdown_tables

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-web.lock", "requirements-dev.lock")

#: Where a name is asked for only by another package and only there, its lock line must carry the marker.
WINDOWS_ONLY = ("colorama", "win32-setctime")
SYSTEMS = {"linux": ("linux", "posix"), "darwin": ("darwin", "posix"), "win32": ("win32", "nt")}


def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def core() -> list[Requirement]:
    return [Requirement(line) for line in lines_of(metadata()["options"]["install_requires"])]


def extra(name: str) -> list[Requirement]:
    return [Requirement(line) for line in lines_of(metadata()["options.extras_require"][name])]


def users_extras() -> dict[str, list[Requirement]]:
    """All but what only developers need."""
    return {name: extra(name) for name in metadata()["options.extras_require"] if name != "dev"}


class Pin:
    def __init__(self, block: str) -> None:
        head, *hashes = [part.strip() for part in block.split("--hash=")]
        self.requirement = Requirement(head)
        self.hashes = hashes
        [specifier] = list(self.requirement.specifier)
        assert specifier.operator == "=="
        self.version = Version(specifier.version)

    def holds_on(self, system: str, python: str) -> bool:
        sys_platform, os_name = SYSTEMS[system]
        environment = {
            "sys_platform": sys_platform,
            "os_name": os_name,
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        marker = self.requirement.marker
        return marker is None or marker.evaluate(environment)


def pins(lock: str) -> dict[str, Pin]:
    text = (ROOT / "scripts" / lock).read_text(encoding="utf-8")
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    found = [Pin(line) for line in lines_of(joined) if not line.startswith("#")]
    return {canonicalize_name(pin.requirement.name): pin for pin in found}


def test_the_version_is_that_of_the_package() -> None:
    assert metadata()["metadata"]["version"] == "attr: pumpwatch.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", pumpwatch.__version__)


def test_pyproject_holds_no_metadata() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert set(content) == {"build-system", "tool"}


def test_every_package_that_is_imported_is_asked_for() -> None:
    asked = {canonicalize_name(requirement.name) for requirement in (*core(), *itertools.chain(*users_extras().values()))}
    distributions = packages_distributions()

    for path in (ROOT / "pumpwatch").rglob("*.py"):
        for name in imported_by(path) - sys.stdlib_module_names - {"pumpwatch"}:
            assert {canonicalize_name(owner) for owner in distributions[name]} & asked, f"{path.name} imports {name}"


def test_development_has_every_extra_of_the_users() -> None:
    for name, asked in users_extras().items():
        assert {str(requirement) for requirement in asked} <= {str(requirement) for requirement in extra("dev")}, name


def imported_by(path: Path) -> set[str]:
    """Top-level names that *path* imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    for block in nodes.copy():
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            nodes = [node for node in nodes if node not in block.body]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("requirements.lock", core()),
        ("requirements-web.lock", [*core(), *extra("web")]),
        ("requirements-dev.lock", [*core(), *extra("dev")]),
    ],
    ids=LOCKS,
)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_every_dependency_is_pinned_within_its_range(lock: str, asked: list[Requirement], system: str, python: str) -> None:
    pinned = pins(lock)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]

    for requirement in [*asked, *map(Requirement, build)]:
        pin = pinned[canonicalize_name(requirement.name)]
        assert pin.version in requirement.specifier, requirement
        assert pin.holds_on(system, python)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_index(lock: str) -> None:
    text = (ROOT / "scripts" / lock).read_text(encoding="utf-8")

    assert "://" not in text
    assert not [
        line for line in text.splitlines() if re.match(r"\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", line)
    ]
    for name, pin in pins(lock).items():
        assert pin.hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in pin.hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_what_only_windows_needs_is_locked_for_windows_alone(lock: str) -> None:
    pinned = pins(lock)

    for name in WINDOWS_ONLY:
        assert pinned[name].holds_on("win32", "3.11")
        assert not pinned[name].holds_on("linux", "3.11")


def test_development_has_what_running_has_in_the_same_version() -> None:
    development = pins("requirements-dev.lock")

    for name, pin in pins("requirements.lock").items():
        assert development[name].version == pin.version
        assert development[name].hashes == pin.hashes


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_installed_here_and_asked_for_by_a_pinned_package_is_pinned_too(lock: str) -> None:
    """The closure: with ``--require-hashes`` pip refuses a dependency that the lock does not name, on any system."""
    pinned = pins(lock)
    for name in pinned:
        try:
            asked = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:
            continue  # of another system
        for requirement in asked:
            if _is_asked_for_anywhere(requirement.marker):
                assert canonicalize_name(requirement.name) in pinned, f"{name} asks for {requirement}"


def _is_asked_for_anywhere(marker: Marker | None) -> bool:
    environments = [
        {
            "sys_platform": system[0],
            "os_name": system[1],
            "python_version": python,
            "python_full_version": f"{python}.0",
            "extra": "",
        }
        for system in SYSTEMS.values()
        for python in ("3.11", "3.14")
    ]
    return marker is None or any(marker.evaluate(environment) for environment in environments)


def test_the_settings_file_at_the_top_is_the_one_init_writes() -> None:
    assert (ROOT / "pumpwatch.ini").read_text(encoding="utf-8") == ini_text(), "run scripts/settings_text.py"


def test_the_documentation_has_every_setting_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert text.endswith(markdown_tables()), "run scripts/settings_text.py"


def test_the_package_ships_its_modules_its_type_marker_and_its_pages_and_nothing_else(tmp_path: Path) -> None:
    program = (
        "import json, sys; from setuptools.config.setupcfg import read_configuration;"
        "options = read_configuration('setup.cfg')['options'];"
        "print(json.dumps([options['packages'], options['package_data'], options['entry_points']]))"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

    packages, data, entry_points = json.loads(ended.stdout)
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "pumpwatch").rglob("*.py")}
    assert set(packages) == folders
    assert data == {"pumpwatch": ["py.typed"], "pumpwatch.dashboard": ["static/*", "static/core/*", "templates/*"]}
    assert entry_points == {"console_scripts": ["pumpwatch = pumpwatch.__main__:start"]}


def test_a_built_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    shutil.copytree(ROOT / "pumpwatch", copy / "pumpwatch", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    program = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(tmp_path)]
    ended = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr

    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if name.startswith("pumpwatch/")}
    # Not with the folder's listing alone: that would find both without the pages.
    some = ("static/core/live.js", "static/base.css", "templates/token.html")
    assert {f"pumpwatch/dashboard/{name}" for name in some} <= packed
    assert packed == {path.relative_to(copy).as_posix() for path in (copy / "pumpwatch").rglob("*") if path.is_file()}


def test_no_lock_names_a_registry_and_no_shipped_file_a_path_of_a_machine() -> None:
    texts = [*(ROOT / "scripts").iterdir(), ROOT / "setup.cfg", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]

    for path in texts:
        if path.is_file():
            # A lock names packages and hashes, never where they come from.
            unwanted = r"://|index-url|find-links" if path.suffix == ".lock" else r"/work/|/root/|/home/"
            raw = path.read_bytes()
            text = raw.decode("utf-16" if raw.startswith(b"\xff\xfe") else "utf-8")  # Windows' Task Scheduler reads only that
            assert not re.search(unwanted, text), path
