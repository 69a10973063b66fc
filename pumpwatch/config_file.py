"""From the settings file, ``.env`` and the environment to raw texts that remember where they stood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from pumpwatch.config_values import closest, quoted

#: Secrets, and the only names under which they are taken: from the environment or ``.env``, never from the settings file.
SECRET_NAMES = ("PUMPPORTAL_API_KEY", "HELIUS_API_KEY", "SENTRY_DSN")

#: Names the settings file; it cannot stand in ``.env``, which is looked for beside that file.
CONFIG_NAME = "PUMPWATCH_CONFIG"
_PREFIX = "PUMPWATCH_"

_SECTION = re.compile(r"\[([^\]]*)\]")
_ENTRY = re.compile(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)", re.DOTALL)
_LOOKS_SECRET = re.compile(r"(^|[_-])(key|apikey|dsn|secret|password|passwd|token)$")
_NOT_UTF8 = "is not UTF-8 text (PowerShell's '>' writes UTF-16): save it again as UTF-8"


@dataclass(frozen=True, slots=True)
class RawValue:
    """
    A setting as it was written.

    Attributes:
        where: ``file:line: [section] key`` or the name of the variable: what an error begins with.
        is_private: It stood in the environment or in ``.env``, where secrets may stand.
    """

    text: str
    where: str
    is_private: bool


@dataclass(slots=True)
class RawSettings:
    """Everything that was found, later sources over earlier ones, with every problem on the way."""

    known: Mapping[str, tuple[str, ...]]
    values: dict[tuple[str, str], RawValue] = field(default_factory=dict)
    secrets: dict[str, RawValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def read_ini(self, path: Path) -> None:
        """
        Take every key of the settings file.

        Not configparser: it has no line numbers for values, gives up at the first duplicate, and takes mistyped keys silently.
        """
        text = self._text_of(path)
        if text is None:
            return
        section: str | None = None
        seen: dict[tuple[str, str], int] = {}
        for line_number, line in _logical_lines(text):
            where = f"{path.name}:{line_number}"
            if header := _SECTION.fullmatch(line):
                section = self._section(header[1].strip().lower(), where)
            elif not (entry := _ENTRY.fullmatch(line)):
                self.problems.append(f"{where}: neither '[section]' nor 'key = value'")
            elif section is None:
                self.problems.append(f"{where}: a key before the first [section]")
            elif section:
                self._take_entry(section, entry[1].lower(), entry[2], where, seen, line_number)

    def _section(self, name: str, where: str) -> str:
        """*name*, or an empty text for an unknown section, whose keys are then passed over."""
        if name in self.known:
            return name
        self.problems.append(f"{where}: no section is called {quoted(name)}{closest(name, list(self.known))}")
        return ""

    def _take_entry(
        self, section: str, key: str, text: str, where: str, seen: dict[tuple[str, str], int], line_number: int
    ) -> None:
        first = seen.setdefault((section, key), line_number)
        if first != line_number:
            self.problems.append(f"{where}: [{section}] {key} stands in line {first} already")
        elif key in self.known[section]:
            self.values[section, key] = RawValue(text, f"{where}: [{section}] {key}", is_private=False)
        elif _LOOKS_SECRET.search(key) and not closest(key, list(self.known[section]), similarity=0.8):
            name = f"{section.upper()}_API_KEY"
            place = f"as {name}=..." if name in SECRET_NAMES else "under the name that .env has for it"
            self.problems.append(f"{where}: [{section}] {key} looks like a secret: put it into .env beside this file, {place}")
        else:
            self.problems.append(f"{where}: [{section}] has no key {quoted(key)}{closest(key, list(self.known[section]))}")

    def read_dotenv(self, path: Path) -> None:
        """Take ``.env``: no interpolation, and a broken line is a problem, not a warning that the key is lost with."""
        text = self._text_of(path)
        if text is None:
            return
        for binding in parse_stream(StringIO(text)):
            where = f"{path.name}:{binding.original.line}"
            if binding.error or (binding.key and binding.value is None):
                # The text of the line is not shown: it is where keys stand.
                self.problems.append(f"{where}: not NAME=value (is a quote not closed?)")
            elif binding.key == CONFIG_NAME:
                self.problems.append(
                    f"{where}: {CONFIG_NAME} has no effect here, .env lies beside the file it names: set it outside"
                )
            elif binding.key:
                self._take_variable(binding.key, binding.value or "", f"{where}: {binding.key}")

    def read_environment(self, environ: Mapping[str, str]) -> None:
        """Take the environment, which wins."""
        for name in sorted(environ):
            if name.upper() != CONFIG_NAME:
                self._take_variable(name, environ[name], name)

    def _take_variable(self, name: str, text: str, where: str) -> None:
        name = name.upper()  # Windows knows no case here
        if name in SECRET_NAMES:
            self.secrets[name] = RawValue(text.strip(), where, is_private=True)
        elif name.startswith(_PREFIX):
            names = {variable_name(section, key): (section, key) for section, keys in self.known.items() for key in keys}
            if name in names:
                self.values[names[name]] = RawValue(text.strip(), where, is_private=True)
            else:
                self.problems.append(f"{where} is no setting{closest(name, list(names))}")

    def _text_of(self, path: Path) -> str | None:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            self.problems.append(f"{path.name} {_NOT_UTF8}")
            return None
        except OSError as error:
            self.problems.append(f"{path.name} cannot be read: {error.strerror}")
            return None
        if "\0" in text:
            self.problems.append(f"{path.name} {_NOT_UTF8}")
            return None
        return text


def variable_name(section: str, key: str) -> str:
    """The environment variable of a key."""
    return f"{_PREFIX}{section}_{key}".upper()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without comments, an indented line joined to the one before it."""
    start, joined = 0, ""
    for line_number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content[0] in "#;":
            continue
        if line[0] in " \t" and joined and not joined.startswith("["):
            joined += f"\n{content}"
            continue
        if joined:
            yield start, joined
        start, joined = line_number, content
    if joined:
        yield start, joined
