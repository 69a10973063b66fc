"""The dashboard and the alert rules name only what a real scrape has, and miss none of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard import FILE, text
from prometheus_client.parser import text_string_to_metric_families
from vitals_samples import some_vitals

from pumpwatch.metrics import families
from pumpwatch.metrics_page import MetricsPage

ROOT = Path(__file__).resolve().parents[1]
ALERTS = ROOT / "docs" / "prometheus-alerts.yml"
OPERATIONS = ROOT / "docs" / "operations.md"

#: Prometheus itself knows these of every target.
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_TARGETS = {"job", "instance"}

#: Not there on every system.
OF_LINUX = {"process_resident_memory_bytes": set[str](), "process_cpu_seconds_total": set[str]()}

_NAME = re.compile(r"\b((?:pumpwatch|process)_\w+|up)\b(?:\{([^}]*)\})?")
_STRING = re.compile(r'"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@pytest.fixture(scope="module")
def scraped() -> dict[str, dict[str, set[str]]]:
    """Of each name on a real page: its labels, and their values."""
    vitals = some_vitals(at=time.time())
    page, _ = MetricsPage(lambda: families(vitals, now=time.time())).render("")
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(FILE.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, str]]:
    """One for each ``- alert:``, with the texts of its lines; all are on one line here."""
    found = []
    for block in ALERTS.read_text(encoding="utf-8").split("- alert: ")[1:]:
        expression = re.search(r"^ +expr: (.+)$", block, re.MULTILINE)
        summary = re.search(r'^ +summary: "(.+)"$', block, re.MULTILINE)
        assert expression, block
        assert summary, block
        assert re.search(r"^ +labels: \{severity: (critical|warning)\}$", block, re.MULTILINE), block
        found.append({"name": block.split("\n")[0], "expr": expression[1], "summary": summary[1]})
    return found


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [rule["expr"] for rule in rules()]


def used(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each metric of *expression* with its matchers, label to pattern."""
    for name, matchers in _NAME.findall(_GROUPING.sub("", expression)):
        yield name, dict(re.findall(r'(\w+)\s*=~?\s*"([^"]*)"', matchers))


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_label_and_value_that_is_used_is_on_a_real_page(
    expression: str, scraped: dict[str, dict[str, set[str]]]
) -> None:
    names = list(used(expression))
    assert names

    for name, matchers in names:
        if name in OF_PROMETHEUS or (name in OF_LINUX and name not in scraped):
            continue
        assert name in scraped, name
        for label, pattern in matchers.items():
            if label in OF_TARGETS:
                continue
            assert label in scraped[name], (name, label)
            for value in pattern.split("|"):
                assert value in scraped[name][label], (name, label, value)


def test_what_expressions_and_texts_group_and_show_by_is_a_label(scraped: dict[str, dict[str, set[str]]]) -> None:
    for rule in rules():
        labels = {label for name, _ in used(rule["expr"]) for label in scraped.get(name, {})} | OF_TARGETS
        grouped = {label.strip() for group in _GROUPING.findall(rule["expr"]) for label in group.split(",")}
        shown = set(re.findall(r"\$labels\.(\w+)", rule["summary"]))
        assert grouped | shown <= labels, rule["name"]
        if " by (" in rule["expr"]:
            assert shown <= grouped, rule["name"]
    for panel in panels():
        for target in panel["targets"]:
            labels = {label for name, _ in used(target["expr"]) for label in scraped.get(name, {})}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


@pytest.mark.parametrize("expression", expressions())
def test_brackets_and_quotes_of_every_expression_match(expression: str) -> None:
    bare = _STRING.sub("", expression)
    assert '"' not in bare
    for opening, closing in ("()", "[]", "{}"):
        assert bare.count(opening) == bare.count(closing)
    for name, range_ in re.findall(r"(\w+)(?:\{[^}]*\})?(\[\w+\])", expression):
        assert range_, name
        assert re.search(rf"\b(rate|increase|changes)\({name}", expression), "a range needs a function over it"
    for name in re.findall(r"\b(?:rate|increase)\((\w+)", expression):
        assert name.endswith(("_total", "_sum", "_count")), "only what counts has a rate"


def test_every_metric_is_on_the_dashboard(scraped: dict[str, dict[str, set[str]]]) -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name, _ in used(target["expr"])}

    assert {name for name in scraped if name.startswith("pumpwatch_")} <= shown


def test_every_metric_is_in_the_documentation_with_its_labels(scraped: dict[str, dict[str, set[str]]]) -> None:
    told = OPERATIONS.read_text(encoding="utf-8")

    for name, labels in scraped.items():
        if name.startswith("pumpwatch_"):
            row = re.search(
                rf"^\| `{re.escape(name.removesuffix('_sum').removesuffix('_count'))}` \| ([^|]*) \|", told, re.MULTILINE
            )
            assert row, name
            assert set(re.findall(r"`(\w+)`", row[1])) == set(labels), name


def test_every_panel_has_a_unit_a_source_that_can_be_chosen_and_a_place_of_its_own() -> None:
    places: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & places, panel["title"]
        assert max(x for x, _ in cells) < 24
        places |= cells
    names = [variable["name"] for variable in json.loads(FILE.read_text(encoding="utf-8"))["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]


def test_the_dashboard_is_what_its_script_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == text()


def test_alerts_have_names_of_their_own_and_cover_what_can_go_wrong() -> None:
    names = [rule["name"] for rule in rules()]
    assert len(set(names)) == len(names)
    covered = {name for rule in rules() for name, _ in used(rule["expr"])}

    assert {
        *("up", "pumpwatch_build_info", "pumpwatch_feed_state", "pumpwatch_feed_data_age_seconds", "pumpwatch_lag_seconds"),
        *("pumpwatch_gap_oldest_age_seconds", "pumpwatch_disk_free_bytes", "pumpwatch_cost_used_ratio"),
        *("pumpwatch_database_trouble", "pumpwatch_programs_changed", "pumpwatch_unread_total"),
    } <= covered


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
def test_promtool_takes_the_rules_and_the_page() -> None:
    vitals = some_vitals(at=time.time())
    page, _ = MetricsPage(lambda: families(vitals, now=time.time())).render("")

    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, capture_output=True)
    subprocess.run(["promtool", "check", "metrics"], input=page, check=True, capture_output=True)
