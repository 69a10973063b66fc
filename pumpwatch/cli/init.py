"""``pumpwatch init``: a commented settings file and a private ``.env``."""

from __future__ import annotations

import os
from pathlib import Path

from pumpwatch.config import CONFIG_FILE, config_file_path
from pumpwatch.config_text import ini_text
from pumpwatch.errors import SettingsError
from pumpwatch.telemetry import visible

DOTENV = """\
# Secrets of pumpwatch: keep this file to yourself, and out of version control.
# NAME=value, one a line. The environment wins over this file. Remove the '#' of what you set.

# PumpPortal: without a key there are new tokens and migrations, but no trades from there. Trades cost 0.01 SOL per 10,000
# messages, taken from the wallet of the key, which must hold 0.02 SOL. Whoever has this key can trade with that wallet.
#PUMPPORTAL_API_KEY=

# Helius: without a key Solana's public endpoints are used, which carry few tokens and may refuse you.
#HELIUS_API_KEY=

# Another Solana provider in place of Helius; URLs with a path or query hold a key, and so belong here.
#PUMPWATCH_HELIUS_WS_URL=
#PUMPWATCH_HELIUS_RPC_URL=

# Where alerts go: docs/operations.md says how each service is written. Several are separated by commas.
#PUMPWATCH_ALERTS_URLS=

# What the web page asks for when it is reached from elsewhere: 20 characters or more.
#PUMPWATCH_DASHBOARD_TOKEN=

# Where defects of pumpwatch are reported (Sentry).
#SENTRY_DSN=
"""


def init(*, config: Path | None, directory: Path) -> int:
    """
    Write what is not there yet, and say so. Returns 0.

    Raises:
        SettingsError: A file cannot be written.

    """
    ini = config_file_path(config, {}, directory) or directory / CONFIG_FILE
    for path, text, mode in ((ini, ini_text(), 0o644), (ini.parent / ".env", DOTENV, 0o600)):
        try:
            is_new = _write_new(path, text, mode)
        except OSError as error:
            raise SettingsError([f"{visible(path, limit=300)} cannot be written: {error.strerror}"]) from error
        print(f"{'wrote' if is_new else 'kept, it was there:'} {visible(path, limit=300)}")
    print("Put your keys into .env, change pumpwatch.ini as you like, then: pumpwatch check")
    return 0


def _write_new(path: Path, text: str, mode: int) -> bool:
    """Whether *path* was written; one that exists is left alone, and never is there a moment in which others could read it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(text)
    return True
