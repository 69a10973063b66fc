"""``backfill``: fetch a token's whole history, or fill all open gaps, now. The work is loaded when it is asked for."""

from __future__ import annotations

import argparse
from typing import Any

from pumpwatch.config import Settings


def register(commands: Any) -> None:
    """Add ``backfill`` to the parser's subcommands."""
    backfill = commands.add_parser(
        "backfill", help="fetch a token's whole history, or fill all open gaps, now; with the running worker, or without one"
    )
    what = backfill.add_mutually_exclusive_group(required=True)
    what.add_argument("mint", nargs="?", metavar="MINT", help="the token: its curve, and its pool once it has graduated")
    what.add_argument("--gaps", action="store_true", help="all gaps that are open")
    backfill.add_argument("--json", action="store_true", help="one JSON document on standard output")
    # For the simulator: it may play a provider with its limits.
    backfill.add_argument("--provider", help=argparse.SUPPRESS)
    backfill.set_defaults(function=_backfill)


def _backfill(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.backfilling import backfill

    return backfill(settings, mint=arguments.mint, as_json=arguments.json, provider=arguments.provider)
