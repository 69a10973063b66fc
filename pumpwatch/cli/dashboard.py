"""``dashboard``: the web page."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import secrets
import webbrowser
from typing import Any, Final

from loguru import logger

from pumpwatch.cli.numbers import count_to
from pumpwatch.cli.signals import stop_signals
from pumpwatch.config import Settings
from pumpwatch.config_dashboard import SHORTEST_TOKEN
from pumpwatch.errors import SettingsError, UsageError
from pumpwatch.telemetry import visible

_MOST_PORT: Final = 65_535


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("dashboard", help="the web page: see the market and the proof in a browser, until Ctrl-C")
    command.add_argument("--host", metavar="ADDRESS", help="where to listen (default: [dashboard] host, 127.0.0.1)")
    command.add_argument(
        "--port", type=count_to(_MOST_PORT, least=0), metavar="N", help="the port; 0 = any free one (default: [dashboard] port)"
    )
    command.add_argument("--open", action="store_true", help="also open it in this machine's browser")
    command.set_defaults(function=show_dashboard)


def need_packages() -> None:
    """
    See that what the page needs is installed.

    Raises:
        UsageError: It is not.

    """
    if any(importlib.util.find_spec(name) is None for name in ("flask", "waitress", "plotly")):
        raise UsageError('the web page needs Flask, waitress and plotly: pip install "pumpwatch[web]"')


def show_dashboard(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0 when it is stopped.

    Raises:
        SettingsError: Others could reach it, and there is no token.
        UsageError: The packages are not installed, or the address cannot be listened on.

    """
    need_packages()
    from pumpwatch.dashboard.app import create_app
    from pumpwatch.dashboard.context import Context
    from pumpwatch.dashboard.live import Live
    from pumpwatch.dashboard.server import Server

    settings = _with_address(settings, arguments.host)
    dashboard = settings.dashboard
    live = Live(settings.pumpwatch.database)
    app = create_app(Context(settings=settings, live=live, action_token=secrets.token_urlsafe(24)))
    server = Server(app, host=dashboard.host, port=dashboard.port if arguments.port is None else arguments.port)
    with stop_signals() as signals:
        live.start()
        print(server.url, flush=True)
        logger.info("the web page is at {} and shows {}; Ctrl-C ends it", server.url, settings.pumpwatch.database)
        if arguments.open:
            webbrowser.open(server.url)
        server.serve(until=signals.requested, streams=live)
    return 0


def _with_address(settings: Settings, host: str | None) -> Settings:
    """
    The settings with where to listen.

    Raises:
        SettingsError: Others could reach it, and there is no token.

    """
    if host is not None:
        settings = dataclasses.replace(settings, dashboard=dataclasses.replace(settings.dashboard, host=host.lower()))
    if settings.dashboard.is_for_all and settings.dashboard.token is None:
        shown = visible(settings.dashboard.host, limit=60)
        token = f"a token of {SHORTEST_TOKEN} characters or more into .env, as PUMPWATCH_DASHBOARD_TOKEN=..."
        raise SettingsError([f"[dashboard] host is {shown}, which others can reach: put {token}, and TLS in front of it"])
    return settings
