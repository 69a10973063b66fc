"""The import rule of design.md section 2: each row of modules imports only from rows above it, and itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pumpwatch"

#: A name stands for a module and everything below it, unless that has a name of its own.
ROWS = (
    ("errors", "events"),
    ("market", "figures", "candles", "growth"),
    ("decode",),
    ("continuity", "breaks", "verdict"),
    (
        *("config", "config_endpoint", "config_file", "config_model", "config_text", "config_values"),
        *("config_operations", "config_setting", "config_dashboard"),
        *(
            "backoff",
            "files",
            "scrubbing",
            "log_files",
            "threads",
            "redaction",
            "telemetry",
            "providers",
            "symbols",
            "process",
            "memory",
            "loopback",
            "steady",
            "feeds.wanted",
        ),
    ),
    ("storage",),
    ("read",),
    (
        "watchlist",
        "watched",
        "budget",
        "costs",
        "tariff",
        "commands",
        "status",
        "overview",
        "drift",
        "redecode",
        "retention",
        "sessions",
        "session_writer",
        "shedding",
    ),
    ("feeds",),
    ("vitals",),
    ("backfill",),
    ("writer",),
    (
        "alerts",
        "prices",
        "price_history",
        "price_server",
        "rate_sources",
        "rates",
        "metadata",
        "metadata_uri",
        "safe_fetch",
        "bounded_http",
        "public_addresses",
        "error_reports",
        "metrics",
        "metrics_page",
        "metrics_server",
        "small_server",
    ),
    ("building", "reporting", "supervisor", "measuring", "watchdog", "notify"),
    ("audit", "report", "export", "export_file", "export_parquet", "export_text"),
    ("service", "service_steps", "service_text"),
    ("simulator",),
    ("replay", "replay_files", "replay_stage"),
    ("dashboard",),
    ("cli", "__main__"),
)

#: These turn bytes into meaning, and must not reach for the world.
PURE = (
    "market",
    "figures",
    "candles",
    "decode",
    "continuity",
    "breaks",
    "verdict",
    "rate_sources",
    "rates",
    "vitals",
    "service_text",
    "metrics",
)
WORLD = {
    *(
        "asyncio",
        "http",
        "logging",
        "loguru",
        "os",
        "pathlib",
        "random",
        "requests",
        "selectors",
        "shutil",
        "socket",
        "sqlalchemy",
    ),
    *("sqlite3", "ssl", "subprocess", "threading", "time", "urllib", "websocket", "websockets"),
}

#: What grades the code must not share it.
FORBIDDEN_TO_SIMULATOR = ("decode", "market", "figures", "candles", "continuity", "breaks", "verdict")

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """``pumpwatch/feeds/feed.py`` -> ``feeds.feed``; the package itself is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def row_of(name: str) -> int:
    for number, row in enumerate(ROWS):
        if name in row:
            return number
    if "." in name:
        return row_of(name.rpartition(".")[0])
    raise AssertionError(f"{name} is in no row: give it one")


def imports_of(path: Path) -> Iterator[str]:
    """Every module that *path* imports, wherever it does so; of a ``from`` import also what could be a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Imported modules of the package, named like :func:`name_of`."""
    known = {name_of(module) for module in MODULES} - {""}
    return {name for imported in imports_of(path) if (name := imported.removeprefix("pumpwatch.")) in known and name != imported}


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path)], ids=name_of)
def test_a_module_imports_only_from_the_rows_above_it_and_its_own(path: Path) -> None:
    name = name_of(path)

    for imported in ours(path):
        assert row_of(imported) <= row_of(name), f"{name} imports {imported}"
        if name.startswith("simulator"):
            assert imported.split(".")[0] not in FORBIDDEN_TO_SIMULATOR, f"{name} imports {imported}"
        elif name.startswith("decode"):
            assert not imported.startswith(("config", "telemetry"))


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).split(".")[0] in PURE], ids=name_of)
def test_a_pure_module_imports_no_socket_clock_thread_or_file(path: Path) -> None:
    assert not {imported.split(".")[0] for imported in imports_of(path)} & WORLD


@pytest.mark.parametrize("path", [path for path in MODULES if not name_of(path).startswith("storage")], ids=name_of)
def test_only_storage_speaks_sql(path: Path) -> None:
    name = name_of(path)
    # `check` tells the library's version; the simulator grades and disturbs the file as another program would.
    allowed = {"sqlite3"} if name == "cli.check" else {"sqlite3", "sqlalchemy"} if name.startswith("simulator") else set()

    assert {imported.split(".")[0] for imported in imports_of(path)} & {"sqlalchemy", "sqlite3"} <= allowed


def test_importing_everything_opens_and_starts_nothing(tmp_path: Path) -> None:
    names = [f"pumpwatch.{name_of(path)}" for path in MODULES if name_of(path) not in ("", "__main__")]
    program = f"""
import importlib, os, sys, threading
opened = []
def hook(event, arguments):
    if event.startswith(("socket.", "sqlite3.", "subprocess.")) and event != "socket.__new__":
        opened.append(event)
    if event == "open" and isinstance(arguments[1], str) and arguments[1][:1] in "wax+":
        if not str(arguments[0]).endswith((".pyc", "pyc.tmp")) and "__pycache__" not in str(arguments[0]):
            opened.append(f"open for writing: {{arguments[0]}}")
import requests, sqlalchemy, solders, websocket, websockets.sync.server  # urllib3 tries IPv6 when it is imported
sys.addaudithook(hook)
for name in {names!r}:
    importlib.import_module(name)
assert opened == [], opened
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert os.listdir() == []
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, env=environ()
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ended.stderr == ""


def environ() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
