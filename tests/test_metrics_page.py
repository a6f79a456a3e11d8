"""docs/metrics.md names exactly the metrics that the nodes' programs have."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from tests.node.programs import module
from tests.stack_file import ROOT

MetricsFile = module("airflow_node.metrics_file").MetricsFile
PAGE = (ROOT / "docs/metrics.md").read_text()


def _registries() -> list[CollectorRegistry]:
    cluster, lost, health, worker = (MetricsFile(None) for _ in range(4))
    module("cluster_metrics.metrics").ClusterMetrics(None, cluster)
    module("cluster_metrics.releases").ReleaseMetrics(cluster)
    module("lost_tasks.metrics").LostTaskMetrics(lost)
    module("health.node_checks").NodeReport(
        health, broker_url="redis://127.0.0.1:1", database_url="postgresql://127.0.0.1:1/d", authorities=""
    )
    module("lifecycle.metrics").WorkerMetrics(worker, slots=1)
    scaling = module("scaling.metrics").ScalingMetrics().registry
    return [scaling, *(file.registry for file in (cluster, lost, health, worker))]


def described() -> dict[str, tuple[str, list[str]]]:
    """The type and the labels of each metric in the tables."""
    rows = re.findall(r"^\| `(airflow_\w+)` \| (\w+) \| ([^|]*)\|", PAGE, re.MULTILINE)
    return {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}


def test_the_page_has_every_metric_of_the_programs_with_its_type_and_no_other():
    found = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name: metric.type
        for registry in _registries()
        for metric in registry.collect()
    }
    assert {name: kind for name, (kind, _) in described().items()} == found


def test_the_labels_are_those_of_the_programs():
    collectors = [
        each
        for registry in _registries()
        for each in registry._collector_to_names
        if isinstance(each, MetricWrapperBase)
    ]
    labels = {
        f"{each._name}_total" if each._type == "counter" else each._name: list(each._labelnames) for each in collectors
    }
    assert {name: found for name, (_, found) in described().items()} == labels


@pytest.mark.parametrize("name", sorted(described()))
def test_names_follow_prometheus(name: str):
    kind, _ = described()[name]
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kib|mib)\b", name), "base units"
