"""
What goes into a bug report: how pumpwatch is set up and how it is, without secrets, trades or the user's addresses.

Every text goes through one :class:`~pumpwatch.scrubbing.Scrubber`; one in which a secret is found after that is left out.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from pumpwatch import __version__
from pumpwatch.config import Endpoint, Settings
from pumpwatch.config_endpoint import secret_parts
from pumpwatch.config_file import SECRET_NAMES
from pumpwatch.config_model import SECTIONS
from pumpwatch.errors import DatabaseError, TransientError
from pumpwatch.files import free_bytes, size_of
from pumpwatch.scrubbing import PUBLIC_HOSTS, Scrubber
from pumpwatch.storage.diagnosis import Diagnosis, library_version, open_diagnosis
from pumpwatch.telemetry import visible

#: Of the log, at most.
MOST_LOG_BYTES: Final = 4_000_000
_LONGEST_LINE: Final = 4000

_ASSIGNMENT: Final = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][\w-]*)\s*[=:]\s*(.*?)\s*$", re.MULTILINE)
_LOOKS_SECRET: Final = re.compile(r"(key|secret|token|password|passwd|dsn|urls?)$", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"\b[1-9A-HJ-NP-Za-km-z]{32,44}\b")
_DISTRIBUTION_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*")

_NEIGHBOURS: Final = ("", "-wal", "-shm", ".spill", ".lock", ".pid", ".status.json")


def found_secrets(settings: Settings | None, environ: Mapping[str, str], files: Iterable[Path]) -> set[str]:
    """All that may be one: what the settings say, what looks so in the environment and in *files*, right or wrong as they are."""
    found = set(() if settings is None else settings.secrets)
    for url in () if settings is None else settings.alerts.urls:
        found |= _parts(url)
    for name, value in (*environ.items(), *_assignments(files)):
        is_ours = name.upper() in SECRET_NAMES or (name.upper().startswith("PUMPWATCH_") and "://" in value)
        if is_ours or _LOOKS_SECRET.search(name):
            found |= _parts(value) or {value.strip("'\"")}
    return found


def _parts(value: str) -> set[str]:
    """Of the URLs in *value*: all but the host, and where an alert service is named, that too: it is a token there."""
    found: set[str] = set()
    for url in re.split(r"[\s,'\"]+", value):
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            if parts.netloc:
                found |= set(secret_parts(url)[1:])
            if parts.netloc and parts.scheme not in PUBLIC_HOSTS:
                found |= {parts.netloc, *re.split(r"[:@]", parts.netloc)}
    return found


def _assignments(files: Iterable[Path]) -> list[tuple[str, str]]:
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            found += _ASSIGNMENT.findall(path.read_text(encoding="utf-8-sig", errors="replace"))
    return found


def found_addresses(settings: Settings | None, environ: Mapping[str, str], files: Iterable[Path]) -> set[str]:
    """Of the watch list, as the settings have it."""
    found = set() if settings is None else {*settings.watch.mints, *settings.watch.wallets}
    for name, value in (*environ.items(), *_assignments(files)):
        if re.search(r"(mints|wallets)$", name, re.IGNORECASE):
            found |= set(_ADDRESS.findall(value))
    return found


def versions() -> dict[str, Any]:
    """Of pumpwatch, Python, SQLite, the system, and of every distribution that pumpwatch asks for."""
    installed = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("pumpwatch") or ():
            name = _DISTRIBUTION_NAME.match(line)
            if name is not None:
                with contextlib.suppress(metadata.PackageNotFoundError):
                    installed[name[0]] = metadata.version(name[0])
    return {
        "pumpwatch": __version__,
        "python": sys.version,
        "sqlite": library_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "encoding": {"files": sys.getfilesystemencoding(), "output": getattr(sys.stdout, "encoding", None)},
        "distributions": dict(sorted(installed.items())),
    }


def settings_told(settings: Settings, *, with_watchlist: bool) -> dict[str, Any]:
    """Every setting; of URLs the host alone, of alert URLs the scheme, of the watch list how many."""
    told: dict[str, Any] = {}
    for section in SECTIONS:
        values = getattr(settings, section)
        told[section] = {field.name: _told(getattr(values, field.name)) for field in fields(values)}
    told["alerts"]["urls"] = [f"{url.partition('://')[0]}://[hidden]" for url in settings.alerts.urls]
    if not with_watchlist:
        told["watch"]["mints"] = f"{len(settings.watch.mints)} addresses"
        told["watch"]["wallets"] = f"{len(settings.watch.wallets)} addresses"
    return {"file": str(settings.config_file), "sentry": settings.sentry_dsn is not None, **told}


def _told(value: object) -> object:
    if isinstance(value, Endpoint):
        return value.shown
    if isinstance(value, tuple):
        return [_told(one) for one in value]
    return value if isinstance(value, (int, float, str, type(None))) else str(value)


def log_told(path: Path | None, *, lines: int) -> str:
    """The last *lines* of the log, the older file before the newer."""
    if path is None:
        return "no [pumpwatch] log_file is set: the log went to standard error\n"
    found: list[str] = []
    left = MOST_LOG_BYTES
    for file in (path, path.with_name(f"{path.name}.1")):
        if len(found) >= lines or left <= 0:
            break
        with contextlib.suppress(OSError), file.open("rb") as log:
            size = log.seek(0, io.SEEK_END)
            log.seek(max(0, size - left))
            raw = log.read(left)
            left -= len(raw)
            found = raw.decode("utf-8", "replace").splitlines() + found
    return "".join(f"{visible(line, limit=_LONGEST_LINE)}\n" for line in found[-lines:]) or f"nothing is in {path}\n"


def files_told(database: Path) -> dict[str, Any]:
    """What lies on the disk."""
    sizes = {f"{database.name}{end}": size_of(database.with_name(database.name + end)) for end in _NEIGHBOURS}
    return {"database": str(database), "bytes": sizes, "disk_free_bytes": free_bytes(database)}


def database_told(path: Path, look: Callable[[Diagnosis], object]) -> object:
    """What *look* finds in the database, or why it finds nothing."""
    try:
        with open_diagnosis(path) as diagnosis:
            return look(diagnosis)
    except (DatabaseError, TransientError) as error:
        return f"cannot be read: {error}"


def as_text(document: object) -> str:
    """JSON for people and programs."""
    return json.dumps(msgspec.to_builtins(document, str_keys=True), indent=2, ensure_ascii=False, default=str) + "\n"


def scrubbed(texts: Mapping[str, str], scrubber: Scrubber) -> dict[str, str]:
    """*texts* as they may leave the machine."""
    clean = {name: scrubber.clean(text) for name, text in texts.items()}
    return {
        name: "left out: a secret could not be taken out of it\n" if scrubber.holds_a_secret(text) else text
        for name, text in clean.items()
    }


def packed(texts: Mapping[str, str]) -> bytes:
    """A zip archive of *texts*."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text.encode("utf-8", "backslashreplace"))
    return target.getvalue()


def readme(about: Sequence[tuple[str, str]]) -> str:
    """What is inside, for whoever opens it."""
    lines = "".join(f"{name:<16} {what}\n" for name, what in about)
    head = f"A report of pumpwatch {__version__}, made by its user for a defect."
    return f"{head} Secrets, paths of URLs and trades are not in it.\n\n{lines}"
