"""Write docs/grafana-dashboard.json from the panels below. A test compares, and checks each expression against a real scrape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from environment import ROOT

FILE: Final = ROOT / "docs" / "grafana-dashboard.json"

Kind: TypeAlias = Literal["timeseries", "stat", "state-timeline"]

_DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_PANEL_HEIGHT: Final = 7
_STAT_HEIGHT: Final = 4
_WIDTH: Final = 24

#: ``{jobs}`` in an expression becomes this selector.
_JOBS: Final = 'job=~"$job", instance=~"$instance"'


class Panel(NamedTuple):
    """
    One panel.

    Attributes:
        unit: As Grafana calls it: ``s``, ``bytes``, ``short``, ``percentunit``, ...
        lines: Expression and legend of each line.
        bad: ``above`` or ``below`` this value it is red.
    """

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    meaning: str = ""
    kind: Kind = "timeseries"
    bad: tuple[Literal["above", "below"], float] | None = None


def stat(title: str, unit: str, expression: str, bad: tuple[Literal["above", "below"], float] | None = None) -> Panel:
    return Panel(title, unit, ((expression, ""),), kind="stat", bad=bad)


ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "At a glance",
        (
            stat("Healthy", "bool_yes_no", "pumpwatch_healthy{{jobs}}", ("below", 1)),
            stat("Problems", "short", "pumpwatch_problems{{jobs}}", ("above", 1)),
            stat("Running for", "s", "time() - pumpwatch_start_timestamp_seconds{{jobs}}"),
            stat("Trades stored per minute", "short", "60 * rate(pumpwatch_trades_stored_total{{jobs}}[5m])"),
            stat("Gaps open", "short", "sum(pumpwatch_gaps_open{{jobs}})", ("above", 1)),
            stat("Programs have changed", "bool_yes_no", "pumpwatch_programs_changed{{jobs}}", ("above", 1)),
            stat(
                "Days until the disk is full",
                "short",
                "pumpwatch_disk_free_bytes{{jobs}} / clamp_min(pumpwatch_database_growth_bytes_per_second{{jobs}}, 1) / 86400",
                ("below", 7),
            ),
            stat("Version", "string", "pumpwatch_build_info{{jobs}}"),
        ),
    ),
    (
        "Feeds",
        (
            Panel(
                "State",
                "short",
                (("pumpwatch_feed_state{{jobs}} == 1", "{feed} {state}"),),
                "Which state each feed is in.",
                "state-timeline",
            ),
            Panel(
                "Since the last data",
                "s",
                (("pumpwatch_feed_data_age_seconds{{jobs}}", "{feed}"),),
                "Silence is a failure.",
                bad=("above", 60),
            ),
            Panel("Messages", "short", (("rate(pumpwatch_feed_messages_total{{jobs}}[5m])", "{feed}"),), "Per second."),
            Panel(
                "Trades delivered",
                "short",
                (("rate(pumpwatch_feed_trades_total{{jobs}}[5m])", "{feed}"),),
                "Per second, repeated ones too.",
            ),
            Panel(
                "Connections made, lost and refused",
                "short",
                (
                    ("increase(pumpwatch_feed_connects_total{{jobs}}[1h])", "{feed} made"),
                    ("increase(pumpwatch_feed_drops_total{{jobs}}[1h]) > 0", "{feed} lost: {cause}"),
                    ("increase(pumpwatch_feed_failed_connects_total{{jobs}}[1h]) > 0", "{feed} failed: {cause}"),
                ),
                "Within an hour, by cause.",
            ),
            Panel(
                "Delivers all that is wanted",
                "bool_yes_no",
                (("pumpwatch_feed_delivering{{jobs}}", "{feed}"),),
                "Connected, and no subscription refused.",
            ),
            Panel(
                "In this state since",
                "dateTimeFromNow",
                (("1000 * pumpwatch_feed_state_since_timestamp_seconds{{jobs}}", "{feed}"),),
                kind="stat",
            ),
            Panel(
                "Last data",
                "dateTimeFromNow",
                (("1000 * pumpwatch_feed_last_data_timestamp_seconds{{jobs}}", "{feed}"),),
                kind="stat",
            ),
        ),
    ),
    (
        "Completeness",
        (
            Panel(
                "Watched tokens",
                "short",
                (("pumpwatch_watched_tokens{{jobs}}", "{completeness}"), ("pumpwatch_watched{{jobs}}", "watch list")),
                "By what may be said of their record.",
            ),
            Panel("Gaps open", "short", (("pumpwatch_gaps_open{{jobs}} > 0", "{cause}"),), "By cause."),
            Panel("Oldest open gap", "s", (("pumpwatch_gap_oldest_age_seconds{{jobs}}", "age"),), bad=("above", 900)),
            Panel("Gaps closed", "short", (("increase(pumpwatch_gaps_closed_total{{jobs}}[1h])", "closed"),), "Within an hour."),
            Panel(
                "Backfill",
                "short",
                (
                    ("rate(pumpwatch_backfill_requests_total{{jobs}}[5m])", "requests"),
                    ("rate(pumpwatch_backfill_transactions_total{{jobs}}[5m])", "transactions"),
                ),
                "Per second.",
            ),
            Panel("State of backfill", "short", (("pumpwatch_backfill_state{{jobs}} == 1", "{state}"),), kind="state-timeline"),
            Panel(
                "Could not be read",
                "short",
                (("increase(pumpwatch_unread_total{{jobs}}[1h]) > 0", "{kind}"),),
                "Within an hour, by kind. Kept, to be read by a newer version.",
            ),
            Panel(
                "Passed over by design",
                "short",
                (("increase(pumpwatch_passed_over_total{{jobs}}[1h]) > 0", "{kind}"),),
                "Within an hour, by kind.",
            ),
        ),
    ),
    (
        "Writing",
        (
            Panel(
                "Lag",
                "s",
                (("pumpwatch_lag_seconds{{jobs}}", "median"),),
                "From a trade's block time to its storing.",
                bad=("above", 60),
            ),
            Panel(
                "Waiting",
                "short",
                (
                    ("pumpwatch_queue_depth{{jobs}}", "in memory"),
                    ("pumpwatch_queue_size{{jobs}}", "room in memory"),
                    ("pumpwatch_spilled_deliveries{{jobs}}", "in the spill file"),
                ),
                "Deliveries.",
            ),
            Panel(
                "Commits",
                "s",
                (
                    ("rate(pumpwatch_commit_seconds_sum{{jobs}}[5m]) / rate(pumpwatch_commit_seconds_count{{jobs}}[5m])", "mean"),
                    ("pumpwatch_commit_longest_seconds{{jobs}}", "longest of a minute"),
                ),
                "Time of a transaction.",
            ),
            Panel(
                "Trouble",
                "short",
                (
                    ("pumpwatch_database_trouble{{jobs}}", "takes nothing"),
                    ("increase(pumpwatch_lock_retries_total{{jobs}}[5m])", "retries"),
                ),
                "Locked, full disk.",
            ),
            Panel("Trades in the record", "short", (("pumpwatch_trades{{jobs}}", "trades"),)),
            Panel(
                "Last stored", "dateTimeFromNow", (("1000 * pumpwatch_last_commit_timestamp_seconds{{jobs}}", ""),), kind="stat"
            ),
        ),
    ),
    (
        "Cost",
        (
            Panel(
                "Share of the limit",
                "percentunit",
                (("pumpwatch_cost_used_ratio{{jobs}}", "{provider}, of a {period}"),),
                bad=("above", 0.8),
            ),
            Panel(
                "Spent and projected",
                "short",
                (
                    ("pumpwatch_cost_spent{{jobs}}", "{provider}: {unit} this {period}"),
                    ("pumpwatch_cost_projected{{jobs}}", "{provider}: projected"),
                    ("pumpwatch_cost_limit{{jobs}}", "{provider}: limit"),
                ),
            ),
            Panel("Spent on", "short", (("pumpwatch_cost_part_spent{{jobs}}", "{provider}: {part}"),)),
            Panel(
                "Messages of providers",
                "short",
                (
                    ("rate(pumpwatch_provider_messages_total{{jobs}}[5m])", "{provider}"),
                    ("rate(pumpwatch_provider_billed_messages_total{{jobs}}[5m])", "{provider}: charged for"),
                ),
                "Per second.",
            ),
        ),
    ),
    (
        "Disk and process",
        (
            Panel(
                "Database",
                "bytes",
                (("pumpwatch_database_size_bytes{{jobs}}", "database"), ("pumpwatch_wal_size_bytes{{jobs}}", "write-ahead log")),
            ),
            Panel("Free disk", "bytes", (("pumpwatch_disk_free_bytes{{jobs}}", "free"),), bad=("below", 2e9)),
            Panel("Growth per day", "bytes", (("86400 * pumpwatch_database_growth_bytes_per_second{{jobs}}", "growth"),)),
            Panel("Given up for lack of disk or money", "bool_yes_no", (("pumpwatch_shed{{jobs}}", "{what}"),), bad=("above", 1)),
            Panel("Memory", "bytes", (("process_resident_memory_bytes{{jobs}}", "resident"),), "Where the system tells (Linux)."),
            Panel(
                "Processor",
                "percentunit",
                (("rate(process_cpu_seconds_total{{jobs}}[5m])", "of one core"),),
                "Where the system tells (Linux).",
            ),
            Panel(
                "Numbers were taken",
                "dateTimeFromNow",
                (("1000 * pumpwatch_measured_timestamp_seconds{{jobs}}", ""),),
                kind="stat",
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return what Grafana imports."""
    return {
        "title": "pumpwatch",
        "uid": "pumpwatch",
        "description": "The recorder of pump.fun trades: is it well, is its record complete, what does it cost?",
        "tags": ["pumpwatch", "solana"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}
    for name, label, query in (
        ("job", "Job", "label_values(pumpwatch_build_info, job)"),
        ("instance", "Worker", 'label_values(pumpwatch_build_info{job=~"$job"}, instance)'),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _DATA_SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
            "hide": 0,
        }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for title, panels in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(0, top, _WIDTH, 1),
        }
        number, top = number + 1, top + 1
        left = height = 0
        for panel in panels:
            is_small = title == ROWS[0][0]
            width, height = (3, _STAT_HEIGHT) if is_small else (8, _PANEL_HEIGHT)
            if left + width > _WIDTH:
                left, top = 0, top + height
            yield {"id": number, **_drawn(panel), "gridPos": _place(left, top, width, height)}
            number, left = number + 1, left + width
        top += height


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _drawn(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + place),
            "datasource": _DATA_SOURCE,
            "expr": expression.replace("{{jobs}}", "{" + _JOBS + "}"),
            "legendFormat": legend.replace("{", "{{").replace("}", "}}")
            or ("{{version}}" if panel.unit == "string" else "__auto"),
            "instant": panel.kind == "stat",
        }
        for place, (expression, legend) in enumerate(panel.lines)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": _steps(panel)}}
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 10,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if panel.bad else "off"},
        }
    options: dict[str, Any] = {}
    if panel.kind == "stat":
        text_mode = "name" if panel.unit == "string" else "auto"
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none", "textMode": text_mode}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATA_SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _steps(panel: Panel) -> Sequence[dict[str, Any]]:
    if panel.bad is None:
        return [{"color": "green", "value": None}]
    side, value = panel.bad
    first, second = ("green", "red") if side == "above" else ("red", "green")
    return [{"color": first, "value": None}, {"color": second, "value": value}]


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8", newline="\n")
