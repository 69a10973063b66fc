"""``alerts``: what somebody should have heard of; ``alerts test``: does it reach them."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.numbers import count_to
from pumpwatch.cli.output import AnswerIsNo, Column
from pumpwatch.config import Settings
from pumpwatch.errors import UsageError
from pumpwatch.storage.alerts import AlertRow, alerts_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.telemetry import visible

_MOST: Final = 10_000
_TEST: Final = "this is a test: alerts of pumpwatch arrive here"

_COLUMNS: Final = (
    *(Column("WHEN", 8), Column("RULE", 18), Column("SUBJECT", 12), Column("LASTED", 8), Column("SENT", 7)),
    Column("WHAT", 40),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    alerts = commands.add_parser("alerts", help="the last alerts; `alerts test` sends one")
    alerts.add_argument("action", nargs="?", choices=["test"], help="send one to all of PUMPWATCH_ALERTS_URLS, now")
    alerts.add_argument("--open", action="store_true", help="only those that still last")
    kind = alerts.add_mutually_exclusive_group()
    kind.add_argument("--market", action="store_true", help="only those about the market")
    kind.add_argument("--operational", action="store_true", help="only those about the recorder")
    alerts.add_argument("--rule", metavar="NAME", help="only those of one rule: 'feed down', ...")
    alerts.add_argument("--limit", type=count_to(_MOST), default=20, metavar="N", help="at most so many (default: 20)")
    alerts.add_argument("--json", action="store_true", help="one JSON document on standard output")
    alerts.set_defaults(function=show_alerts)


def show_alerts(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status of ``alerts test``: 1 if one was not sent."""
    if arguments.action == "test":
        return _test(settings, as_json=arguments.json)
    is_market = True if arguments.market else False if arguments.operational else None
    with open_reader(settings.pumpwatch.database) as reader:
        found = alerts_of(reader, limit=arguments.limit, only_open=arguments.open, is_market=is_market, rule=arguments.rule)
    if arguments.json:
        output.print_json(found)
        return 0
    if not found:
        print("no alerts" if settings.alerts.enabled else "no alerts: [alerts] enabled = no")
        return 0
    now = time.time()
    output.print_table(_COLUMNS, [_cells(alert, now) for alert in found])
    for alert in found:
        output.print_text(f"{alert.rule}: {visible(alert.text, limit=600)}")
    return 0


def _cells(alert: AlertRow, now: float) -> tuple[object, ...]:
    if alert.resolved_at_us is None:
        lasted = "lasts"
    elif alert.resolved_at_us == alert.raised_at_us:
        lasted = "-"
    else:
        lasted = output.ago((alert.resolved_at_us - alert.raised_at_us) / 1e6)
    when = output.ago(now - alert.raised_at_us / 1e6)
    return when, alert.rule, visible(alert.subject), lasted, alert.sent or "-", visible(alert.text, limit=200)


class Reached(msgspec.Struct, frozen=True):
    """One of the URLs, by its scheme alone, and whether the test was sent there."""

    service: str
    sent: bool


def _test(settings: Settings, *, as_json: bool) -> int:
    from pumpwatch.alerts.sending import NoSender, send, senders  # its library loads slowly

    if not settings.alerts.urls:
        raise UsageError("nobody is to be told: put PUMPWATCH_ALERTS_URLS=... into .env first (docs/operations.md)")
    try:
        reached = [Reached(scheme, send(one, _TEST)) for scheme, one in senders(settings.alerts.urls)]
    except NoSender as error:
        raise AnswerIsNo(str(error)) from error
    if as_json:
        output.print_json(reached)
    else:
        for one in reached:
            print(
                f"{visible(one.service)}: {'sent' if one.sent else 'NOT sent: is its URL right, and can this machine reach it?'}"
            )
    return 0 if all(one.sent for one in reached) else 1
