"""The dashboard and the alert rules ask for what is measured, in PromQL that Prometheus reads."""

import json
import re
from importlib.resources import files
from typing import Any

import promql_parser
import pytest
import yaml

from contracts.health import Outage
from contracts.metrics import ApiMetrics, ProjectorMetrics
from tests.scraping import catalogue

MONITORING = files("contracts") / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [
    *((panel["title"], each["expr"]) for panel in DASHBOARD["panels"] for each in panel["targets"]),
    *((rule["alert"], rule["expr"]) for rule in RULES),
]

CATALOGUE = [
    *catalogue(ProjectorMetrics(Outage("database"))),
    *catalogue(ApiMetrics([Outage("database")])),
]
LABELS = {name: {*each.labels, "le"} for each in CATALOGUE for name in each.series}


def parsed(query: str) -> list[Any]:
    """All parts of a query."""
    parts: list[Any] = []
    tree = promql_parser.parse(query.replace("$__rate_interval", "5m"))
    promql_parser.walk(tree, parts.append)
    return parts


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_a_query_uses_names_and_labels_of_the_catalogue(where: str, query: str) -> None:
    selectors = [part for part in parsed(query) if hasattr(part, "matchers")]
    names = {each.name for each in selectors if each.name}
    assert names, f"{where}: asks for nothing"
    assert names <= LABELS.keys(), f"{where}: {names - LABELS.keys()}"
    known = set.intersection(*(LABELS[name] for name in names))
    for each in selectors:
        assert {matcher.name for matcher in each.matchers.matchers} <= LABELS[each.name], where
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= known, where


def test_every_metric_is_looked_at() -> None:
    asked = {name for _, query in QUERIES for name in re.findall(r"runfold_\w+", query)}
    assert [each.name for each in CATALOGUE if not asked & {*each.series}] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"]
