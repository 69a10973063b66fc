"""No name that only POSIX has is used on a path that Windows takes: by the syntax tree, not by a search for text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from portable import MODULES, NAMES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "pumpwatch").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])

#: Beyond what does not exist there: what does, and means something else.
ELSEWHERE = {
    **NAMES,
    "os": NAMES["os"] | {"chmod", "kill", "execv", "execve", "getppid", "umask"},
    "asyncio": frozenset(("open_unix_connection", "start_unix_server")),
}
METHODS = {"add_signal_handler", "chmod", "lchmod"}
FOLDERS = ("/dev/", "/tmp", "/proc/", "/etc/", "/run/", "/var/", "/usr/", "/bin/", "/home/")

#: Texts for systems that have such folders; and a folder that is asked whether it is there.
TEXTS = {("pumpwatch/service_text.py", "/usr/bin/env"), ("pumpwatch/process.py", "/proc/")}


class Finder(ast.NodeVisitor):
    """
    Collects uses that nothing guards.

    A guard is what asks for the system or for the name: the ``if`` (or conditional expression) around it, one before it in the
    same block that leaves the block, or a ``try`` that catches the absence.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._guards = 0

    def visit(self, node: ast.AST) -> None:
        if not self._guards:
            self.found += [f"line {getattr(node, 'lineno', '?')}: {name}" for name in named(node)]
        for _, value in ast.iter_fields(node):
            if isinstance(value, list):
                self._visit_block(node, value)
            elif isinstance(value, ast.AST):
                self._visit_guarded(value, is_guarded=is_guard(node))

    def _visit_block(self, parent: ast.AST, block: list[object]) -> None:
        is_left = False
        for child in block:
            if isinstance(child, ast.AST) and not is_docstring(child):
                self._visit_guarded(child, is_guarded=is_left or is_guard(parent))
                is_left = is_left or (isinstance(child, ast.If) and is_guard(child) and leaves(child.body))

    def _visit_guarded(self, node: ast.AST, *, is_guarded: bool) -> None:
        self._guards += is_guarded
        self.visit(node)
        self._guards -= is_guarded


def named(node: ast.AST) -> Iterator[str]:
    """What *node* itself names that Windows does not have."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        if node.module.partition(".")[0] in MODULES:
            yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name in ELSEWHERE.get(node.module, ()))
    elif isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.attr in ELSEWHERE.get(node.value.id, ()):
            yield f"{node.value.id}.{node.attr}"
        elif node.attr in METHODS:
            yield f".{node.attr}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(FOLDERS):
        yield node.value


def is_guard(node: ast.AST) -> bool:
    if isinstance(node, (ast.If, ast.IfExp)):
        return asks(node.test)
    if isinstance(node, ast.BoolOp):
        return any(asks(value) for value in node.values)
    if isinstance(node, ast.Try):
        caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type is not None)
        return "ImportError" in caught or "ModuleNotFoundError" in caught or "AttributeError" in caught
    return False


def asks(test: ast.expr) -> bool:
    text = ast.unparse(test)
    return any(question in text for question in ("os.name", "sys.platform", "machine.platform", "hasattr("))


def leaves(block: list[ast.stmt]) -> bool:
    return isinstance(block[-1], (ast.Return, ast.Raise, ast.Continue, ast.Expr)) and (
        not isinstance(block[-1], ast.Expr) or "execv" in ast.unparse(block[-1])
    )


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def found_in(source: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_only_posix_has_is_used_without_asking(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    allowed = [text for file, text in TEXTS if file == name]

    assert [use for use in found_in(path.read_text(encoding="utf-8")) if not any(text in use for text in allowed)] == []


@pytest.mark.parametrize(
    "bad",
    [
        "import fcntl",
        "from termios import tcgetattr",
        "from os import getuid",
        "import os\nos.getuid()",
        "import signal\nx = [signal.SIGHUP]",
        "import socket\ndef f():\n    return socket.socket(socket.AF_UNIX)",
        "import os\nif os.getuid() == 0:\n    pass",
        "import sys, os\nif x:\n    pass\nelse:\n    os.fork()",
        "open('/dev/null')",
        "path.chmod(0o600)",
        "import sys, os\ndef f():\n    if sys.platform == 'win32':\n        print()\n    os.fork()",
        "import os\ntry:\n    os.fork()\nexcept OSError:\n    pass",
    ],
)
def test_what_is_not_guarded_is_found(bad: str) -> None:
    assert found_in(bad)


@pytest.mark.parametrize(
    "good",
    [
        "import os\nif os.name != 'nt':\n    os.getuid()",
        "import os\nuid = os.getuid() if hasattr(os, 'getuid') else None",
        "import os\nx = hasattr(os, 'getuid') and os.getuid()",
        "import sys\nif sys.platform == 'win32':\n    pass\nelse:\n    import fcntl",
        "import sys\ndef f():\n    if sys.platform == 'win32':\n        return\n    import fcntl",
        "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None",
        '"""/dev/null is mentioned."""',
    ],
)
def test_what_is_guarded_is_not(good: str) -> None:
    assert found_in(good) == []
