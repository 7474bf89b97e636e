"""The dashboard and the alert rules ask for what is measured, in PromQL that Prometheus reads."""

import inspect
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import promql_parser
import pytest
import yaml

import api.metrics
import projector.operations.metrics
from contracts import metrics
from contracts.metrics import Metric

MONITORING = files("contracts") / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]

CATALOGUE = metrics.PROJECTOR + metrics.API
LABELS = {name: {*each.labels, "le"} for each in CATALOGUE for name in each.series()}
VARIABLE = {"$__rate_interval": "5m"}


def queries() -> Iterator[tuple[str, str]]:
    """Every query, and where it stands."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def parsed(query: str) -> list[Any]:
    """All parts of a query."""
    for variable, value in VARIABLE.items():
        query = query.replace(variable, value)
    parts: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), parts.append)
    return parts


@pytest.mark.parametrize(("where", "query"), [*queries()])
def test_a_query_uses_names_and_labels_of_the_catalogue(where: str, query: str) -> None:
    selectors = [part for part in parsed(query) if hasattr(part, "matchers")]
    names = {each.name for each in selectors if each.name}
    assert names, f"{where}: asks for nothing"
    assert names <= LABELS.keys(), f"{where}: {names - LABELS.keys()}"
    known = set.intersection(*(LABELS[name] for name in names))
    for each in selectors:
        used = {matcher.name for matcher in each.matchers.matchers}
        assert used <= LABELS[each.name], where
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= known, where


def test_every_metric_is_looked_at() -> None:
    asked = {name for _, query in queries() for name in re.findall(r"runfold_\w+", query)}
    unseen = [each.name for each in CATALOGUE if not asked & {*each.series()}]
    assert unseen == []


def constants() -> dict[str, Metric]:
    return {name: each for name, each in vars(metrics).items() if isinstance(each, Metric)}


def test_the_catalogue_is_complete_and_each_name_is_given_by_one_process() -> None:
    assert sorted(each.name for each in CATALOGUE) == sorted(
        each.name for each in constants().values()
    )
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)
    for given, module in (
        (metrics.PROJECTOR, projector.operations.metrics),
        (metrics.API, api.metrics),
    ):
        used = set(re.findall(r"\bmetrics\.([A-Z_]+)\b", inspect.getsource(module)))
        assert {constants()[name] for name in used} == set(given)


def test_names_are_as_prometheus_has_them() -> None:
    for each in CATALOGUE:
        assert re.fullmatch(r"runfold_[a-z_]+", each.name)
        assert not each.name.endswith(("_total", "_bucket", "_count", "_sum"))
        assert each.text.endswith(".")


def test_alerts_say_what_is_wrong() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
