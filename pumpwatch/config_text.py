"""The shipped ``pumpwatch.ini`` and the table of ``docs/settings.md``, written from the settings themselves."""

from __future__ import annotations

import textwrap

from pumpwatch.config_file import variable_name
from pumpwatch.config_model import SECTIONS, keys_of

_INI_WIDTH = 110

_INI_HEAD = """\
# Settings of pumpwatch. Every key is here with its default, commented out: remove the '#' of what you change.
# Any key can also be set in .env beside this file, or in the environment, which wins: [watch] mints is PUMPWATCH_WATCH_MINTS.
# Keys and passwords never stand here, only there. Lists take commas or indented lines; comments need a line of their own.
"""

_SECTION_HEADS = {
    "pumpwatch": "Where the record goes, and what is logged.",
    "pumpportal": "PumpPortal's feed: new tokens and migrations for nothing, trades with a key.",
    "helius": "The chain's feed: Helius, or any Solana RPC endpoint in its place.",
    "watch": "Which tokens are recorded.",
    "budget": "What may be spent. At the limit paid subscriptions end, free ones go on.",
    "connection": "How connections are kept.",
    "writer": "How the record is written.",
    "backfill": "How gaps are filled and the record is proven, over HTTP.",
    "prices": "What is known of US dollars.",
    "metadata": "The files behind tokens' uris. Each fetch tells somebody your address and which token you watch.",
    "alerts": "What somebody should hear of. Rules that are 0, no or empty are off; market rules all begin so.",
    "metrics": "Numbers for Prometheus, Grafana, Datadog and the like.",
    "dashboard": "The web page: `pumpwatch dashboard`.",
    "retention": "How long single trades are kept, and what gives way when the disk fills up.",
}


def ini_text() -> str:
    """``pumpwatch.ini``: every key with its meaning and default, commented out."""
    parts = [_INI_HEAD]
    for section in SECTIONS:
        parts.append(f"\n[{section}]\n# {_SECTION_HEADS[section]}\n")
        for key in keys_of(section):
            meaning = textwrap.fill(key.meaning, _INI_WIDTH, initial_indent="# ", subsequent_indent="# ")
            parts.append(f"\n{meaning}\n#{key.name} = {key.default}".rstrip() + "\n")
    return "".join(parts)


def markdown_tables() -> str:
    """One table for each section: key, variable, default, meaning."""
    parts = []
    for section in SECTIONS:
        parts.append(f"\n## `[{section}]`\n\n{_SECTION_HEADS[section]}\n\n| key | default | meaning |\n|---|---|---|\n")
        for key in keys_of(section):
            default = f"`{key.default}`" if key.default else "(empty)"
            meaning = key.meaning.replace("|", "\\|").replace("*", "\\*")
            parts.append(f"| `{key.name}`<br>`{variable_name(section, key.name)}` | {default} | {meaning} |\n")
    return "".join(parts)
