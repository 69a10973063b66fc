"""From the text of a setting to its value: each reader raises ValueError with the reason, which never repeats a URL."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path, PureWindowsPath
from typing import Any

from pumpwatch.config_endpoint import Endpoint, beyond_host
from pumpwatch.telemetry import visible

Reader = Callable[[str], Any]

#: SQLite's WAL keeps its index in shared memory, which these file systems do not share between machines or processes.
_NETWORK_FILE_SYSTEMS = frozenset(
    ["afpfs", "cifs", "davfs", "fuse.davfs2", "fuse.rclone", "fuse.sshfs", "nfs", "nfs4", "smb", "smb3", "smbfs", "webdav"],
)

_HTTPS_PORT = 443

_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")
_BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def quoted(text: str) -> str:
    """*text* as an error may show it: on one line and short, for it may be a secret in the wrong place."""
    return f"'{visible(text, limit=20)}'"


def closest(word: str, known: list[str], *, similarity: float = 0.6) -> str:
    """A sentence that names what was probably meant, or an empty text."""
    near = get_close_matches(word, known, n=1, cutoff=similarity)
    return f"; did you mean {near[0]}?" if near else ""


def whole(at_least: int, at_most: int) -> Reader:
    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or len(text) > 20:
            raise ValueError(f"{quoted(text)} is not a whole number (digits only: the unit is in the key's name)")
        return int(_in_range(int(text), at_least, at_most))

    return read


def number(at_least: float, at_most: float) -> Reader:
    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            raise ValueError(f"{quoted(text)} is not a number (digits only: the unit is in the key's name)")
        return _in_range(float(text), at_least, at_most)

    return read


def _in_range(value: float, at_least: float, at_most: float) -> float:
    if not at_least <= value <= at_most:
        raise ValueError(f"{value:g} is out of range: from {at_least:g} to {at_most:g}")
    return value


def choice(*names: str) -> Reader:
    def read(text: str) -> str:
        for name in names:
            if text.lower() == name.lower():
                return name
        raise ValueError(f"{quoted(text)} is not one of {', '.join(names)}{closest(text.lower(), list(names))}")

    return read


def yes_or_no(text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise ValueError(f"{quoted(text)} is neither yes nor no (true, false, 1 and 0 will do, too)")
    return value


def addresses(text: str) -> tuple[str, ...]:
    """Solana addresses, separated by commas or line ends; each once, in the order given."""
    found = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not found:
        return ()
    from solders.pubkey import Pubkey  # heavy, and needed only by those who pin something

    for address in found:
        try:
            Pubkey.from_string(address)
        except ValueError:
            raise ValueError(f"{quoted(address)} is no Solana address (32 bytes in base58)") from None
    return tuple(dict.fromkeys(found))


def websocket_url(text: str) -> str:
    """A URL beginning with ``wss://``, or ``ws://`` on loopback."""
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise ValueError("has a user or password before the host, which WebSockets do not send: the key belongs in path or query")
    return _url(text, "wss")


def http_url(text: str) -> str:
    """A URL beginning with ``https://``, or ``http://`` on loopback."""
    return _url(text, "https")


def gateway_urls(text: str) -> tuple[Endpoint, ...]:
    """Hosts as :func:`http_url` takes them, without anything beyond, separated by commas or line ends; at least one."""
    found = tuple(Endpoint.of(http_url(part.strip()).rstrip("/")) for part in re.split(r"[,\n]", text) if part.strip())
    if not found:
        raise ValueError("must name at least one server")
    if any(beyond_host(endpoint.url) for endpoint in found):
        raise ValueError("has a path, query or user in a URL: gateways are named as https://ipfs.io is")
    if any(endpoint.port != _HTTPS_PORT and not endpoint.is_loopback for endpoint in found):
        raise ValueError("has a port in a URL: gateways are asked on port 443")
    return found


def _url(text: str, scheme: str) -> str:
    endpoint = Endpoint.of(text)
    given = endpoint.shown.partition(":")[0]
    if given not in (scheme, scheme.removesuffix("s")):
        raise ValueError(f"must begin with {scheme}://")
    if given != scheme and not endpoint.is_loopback:
        raise ValueError(f"must begin with {scheme}://: without encryption only this machine (loopback) may be asked")
    return text


def admission(text: str) -> str:
    """``auto``, ``all``, ``none``, or a glob for the symbols of new tokens."""
    if text.lower() in ("auto", "all", "none"):
        return text.lower()
    if not text or "\n" in text or len(text) > 64:
        raise ValueError("must be auto, all, none, or one pattern for symbols such as *DOG* (64 characters at most)")
    return text


def pattern_or_none(text: str) -> str | None:
    """A glob for names, or nothing."""
    if "\n" in text or len(text) > 64:
        raise ValueError("must be one pattern such as *DOG* (64 characters at most)")
    return text or None


def alert_urls(text: str) -> tuple[str, ...]:
    """URLs of any scheme, separated by line ends or by commas that a blank or the end follows: a URL may hold commas."""
    found = tuple(part.strip() for part in re.split(r",\s+|,$|\n", text) if part.strip())
    if not all(_SCHEME.match(url) for url in found):
        raise ValueError("must begin with a scheme, such as discord:// or mailto://")
    return found


def host_names(text: str) -> tuple[str, ...]:
    """Names of hosts without port, separated by commas or line ends, in lower case."""
    found = [part.strip().lower() for part in re.split(r"[,\n]", text) if part.strip()]
    for name in found:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{quoted(name)} is no name of a host (without https:// and port)")
    return tuple(dict.fromkeys(found))


def host_name(text: str) -> str:
    """One name or address of a host, without port, in lower case."""
    found = host_names(text)
    if len(found) != 1:
        raise ValueError("must be one name or address of a host")
    return found[0]


def secret_or_none(text: str) -> str | None:
    """A secret of printable characters without blanks, or nothing. What is wrong with it is said without showing it."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has blanks or characters beyond ASCII: use letters and digits")
    return text or None


def optional_path(text: str) -> Path | None:
    return from_home(Path(text)) if text else None


def from_home(path: Path) -> Path:
    """
    *path* with the folder that a leading ``~`` or ``~user`` stands for.

    Raises:
        ValueError: There is no such user, or nobody knows the user's folder.

    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        name = path.parts[0]
        raise ValueError(f"must not begin with {quoted(name)}, which stands for no folder here: write the whole path") from error


def database_path(text: str) -> Path:
    if not text or text.startswith((":memory:", "file:", "sqlite:")) or "\n" in text or "\0" in text:
        raise ValueError("must be the path of a file, such as pumpwatch.db")
    if is_network_share(text):
        raise ValueError(
            "lies on a network share, where SQLite's locks and shared memory do not work: name a file on a local disk"
        )
    return from_home(Path(text))


def is_network_share(text: str) -> bool:
    """Whether *text* is a UNC path (two slashes of either kind and a server)."""
    plain = text.replace("/", "\\")
    return (plain.startswith("\\\\") and not plain.startswith(("\\\\?\\", "\\\\.\\"))) or plain.upper().startswith("\\\\?\\UNC\\")


def file_system_problem(path: Path) -> str | None:
    """Why a database at *path*, absolute, would not be safe where it is; None when nothing is known against it."""
    try:
        if path.is_dir():
            return "is a directory: name a file in it"
    except OSError as error:  # up to Python 3.13: what is not permitted
        return f"cannot be reached ({error.strerror}): change the permissions of its folder, or name a file elsewhere"
    kind = _file_system(path)
    if kind is None:
        return None
    return (
        f"lies on a network file system ({kind}), where SQLite's locks and shared memory do not work: name a file on a local disk"
    )


def _file_system(path: Path) -> str | None:
    import psutil  # heavy

    best, kind = -1, None
    resolved = path.resolve()
    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:  # a container without a list of mounts: nothing is known against the path
        return None
    for partition in partitions:
        mount = Path(partition.mountpoint)
        if len(mount.parts) <= best or not resolved.is_relative_to(mount):
            continue
        is_remote = partition.fstype.lower() in _NETWORK_FILE_SYSTEMS or "remote" in partition.opts.split(",")
        best, kind = len(mount.parts), (partition.fstype or "remote") if is_remote else None
    if os.name == "nt" and is_network_share(str(PureWindowsPath(resolved))):
        return "a mapped share"
    return kind
