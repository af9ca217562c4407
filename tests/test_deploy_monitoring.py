"""Dashboard, alerts and autoscaling ask for metrics that the server has, in PromQL that parses."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import promql_parser as promql
import pytest
import yaml

from fakes import snapshot
from image2poem.v1 import poem_pb2
from image2poem.v1 import poem_service_pb2 as pb
from server.admission import Admission
from server.catalog import Catalog
from server.index_watch import IndexCounters
from server.metrics import Metrics
from server.telemetry import Request

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "image2poem.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
SCRAPES = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
ADAPTER = yaml.safe_load(
    (DEPLOY / "kubernetes" / "monitoring" / "prometheus-adapter.yaml").read_text(encoding="utf-8")
)
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# What Prometheus itself adds to each series.
TARGET_LABELS = {"instance", "job", "namespace", "pod"}


def shown_metrics() -> dict[str, set[str]]:
    """Every series that a server shows, and its labels."""
    catalog = Catalog()
    catalog.swap(snapshot())
    metrics = Metrics(
        catalog,
        lanes=[Admission("poems", workers=1, waiting=1)],
        index=IndexCounters(refusals=Counter(corrupt=1)),
    )
    request = Request("ComposePoem", service="image2poem.v1.PoemService")
    request.laps = SimpleNamespace(laps=[("queue", 0.0, 0.1), ("write", 0.1, 0.2)])
    metrics.began(request, {})
    for _ in range(2):
        metrics.sent(request, pb.ComposePoemResponse(token=poem_pb2.Token(text="春")))
    metrics.sent(request, pb.ComposePoemResponse(finished=poem_pb2.Finished()))
    request.end("OK")
    metrics.ended(request)
    found: dict[str, set[str]] = {"up": set()}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


SHOWN = shown_metrics()


def selectors(node) -> Iterator[promql.VectorSelector]:
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(node.expr)
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument)


def groupings(node) -> Iterator[str]:
    """Labels that are aggregated by."""
    match node:
        case promql.BinaryExpr():
            yield from groupings(node.lhs)
            yield from groupings(node.rhs)
        case promql.AggregateExpr():
            yield from node.modifier.labels if node.modifier else ()
            yield from groupings(node.expr)
        case promql.ParenExpr():
            yield from groupings(node.expr)
        case promql.Call():
            for argument in node.args:
                yield from groupings(argument)


def check(expression: str) -> None:
    """The expression parses, and each series and label that it names is there."""
    tree = promql.parse(expression.replace("$__rate_interval", "5m").replace("$instance", ".*"))
    asked = list(selectors(tree))
    assert asked, expression
    labels = set()
    for selector in asked:
        assert selector.name in SHOWN, selector.name
        labels |= SHOWN[selector.name] | TARGET_LABELS
        for matcher in selector.matchers.matchers:
            assert matcher.name in SHOWN[selector.name] | TARGET_LABELS, f"{selector.name}: {matcher.name}"
    assert set(groupings(tree)) <= labels, expression


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(panel):
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        check(target["expr"])
        assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = set(groupings(promql.parse(target["expr"].replace("$__rate_interval", "5m"))))
        assert legend <= (grouped or TARGET_LABELS)


def test_every_metric_of_ours_is_on_the_dashboard_or_has_an_alert():
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked = set(re.findall(r"image2poem_\w+", " ".join(expressions + [rule["expr"] for rule in ALERTS])))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    ours = {
        re.sub(r"_(bucket|sum|count|created)$", "", name) for name in SHOWN if name.startswith("image2poem_")
    }
    ours = {name for name in ours if f"{name}_total" not in ours}
    assert ours - families == {"image2poem_info", "image2poem_index_load_seconds"}


def test_every_metric_of_ours_is_explained():
    for name in SHOWN:
        family = re.sub(r"_(bucket|sum|count|created)$", "", name)
        if family.startswith("image2poem_") and f"{family}_total" not in SHOWN:
            assert f"`{family}`" in OPERATIONS, family


def test_the_dashboard_has_the_form_that_grafana_loads():
    assert DASHBOARD["schemaVersion"] >= 39
    assert {"uid", "title", "time", "templating", "annotations"} <= set(DASHBOARD)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval", "__all"} == variables
    assert {panel["type"] for panel in PANELS} == {"timeseries", "stat", "table"}
    for annotation in DASHBOARD["annotations"]["list"]:
        if "expr" in annotation:
            check(annotation["expr"])


def test_no_panel_lies_on_another_or_sticks_out():
    def cells(place):
        columns = range(place["x"], place["x"] + place["w"])
        return set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))

    seen = set()
    for panel in DASHBOARD["panels"]:
        own = cells(panel["gridPos"])
        assert not own & seen, panel["title"]
        assert max(column for column, _ in own) < 24
        seen |= own


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_can_fire_and_is_explained(rule):
    check(rule["expr"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description"} == set(rule["annotations"])
    assert f"`{rule['alert']}`" in OPERATIONS


def test_the_autoscaler_asks_for_what_the_adapter_makes():
    [rule] = ADAPTER["rules"]
    scaler = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "hpa.yaml").read_text(encoding="utf-8"))
    [metric] = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    filled = (
        rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="a"').replace("<<.GroupBy>>", "pod")
    )
    check(filled)
    check(rule["seriesQuery"])
    assert re.search(rule["name"]["matches"], promql.parse(rule["seriesQuery"]).name)


def test_prometheus_finds_the_rules_and_the_port():
    assert [(DEPLOY / "prometheus" / name).exists() for name in SCRAPES["rule_files"]] == [True]
    [job] = SCRAPES["scrape_configs"]
    assert job["job_name"] == "image2poem"
    [names] = job["dns_sd_configs"]
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"IMAGE2POEM_METRICS=0.0.0.0:{names['port']}" in image
