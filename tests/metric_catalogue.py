"""The metrics that alert rules and dashboards may use, and what an expression uses of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tests.test_metrics_page import described

ADDED_LABELS = frozenset({"cluster", "role", "node", "worker_pool", "job"})
"""What vmagent adds to the labels of the programs, which the tables of docs/metrics.md have."""

_SERVICE = ("service_name", "service_instance_id")
# Besides those of every alert, the labels by which rules group.
_ALERT = ("alertname", "alertgroup", "severity", "bundle", "dag_id", "pool", "queue", "server", "service")
OF_OTHERS: Mapping[str, tuple[str, ...]] = {
    "up": (),
    # https://github.com/prometheus/node_exporter/tree/v1.9.0#enabled-by-default
    "node_cpu_seconds_total": ("cpu", "mode"),
    "node_disk_io_time_seconds_total": ("device",),
    "node_filesystem_avail_bytes": ("device", "fstype", "mountpoint"),
    "node_filesystem_size_bytes": ("device", "fstype", "mountpoint"),
    "node_memory_MemAvailable_bytes": (),
    "node_memory_MemTotal_bytes": (),
    "node_textfile_mtime_seconds": ("file",),
    "node_timex_offset_seconds": (),
    "node_timex_sync_status": (),
    "node_vmstat_oom_kill": (),
    # Airflow's own, under the names that VictoriaMetrics gives to what arrives by OTLP.
    "airflow_scheduler_heartbeat_total": _SERVICE,
    "airflow_dag_processor_heartbeat_total": _SERVICE,
    "airflow_triggerer_heartbeat_total": _SERVICE,
    "airflow_pool_open_slots": (*_SERVICE, "pool_name"),
    **{
        f"airflow_{timer}_milliseconds_{part}": (*_SERVICE, *labels)
        for timer, labels in {
            "scheduler_scheduler_loop_duration": (),
            "dagrun_duration_success": ("dag_id", "run_type"),
            "dagrun_first_task_scheduling_delay": ("dag_id", "run_type"),
        }.items()
        for part in ("sum", "count")
    },
    # The monitor's own.
    "vmagent_remotewrite_pending_data_bytes": ("path", "url"),
    "vm_free_disk_space_bytes": ("path",),
    "vmalert_alerting_rules_errors_total": ("alertname", "group", "file"),
    "alertmanager_notifications_failed_total": ("integration", "reason"),
    "ALERTS": ("alertstate", *_ALERT),
    "ALERTS_FOR_STATE": _ALERT,
}
"""Metrics of programs that are not this repository's, with the labels that they have there."""


@cache
def catalogue() -> Mapping[str, frozenset[str]]:
    """Every metric that the monitor stores and that a rule or a dashboard may use, with its labels."""
    own = {name: tuple(labels) for name, (_, labels) in described().items()}
    return {name: ADDED_LABELS.union(labels) for name, labels in {**own, **OF_OTHERS}.items()}


@dataclass
class References:
    """What an expression in MetricsQL refers to."""

    metrics: set[str] = field(default_factory=set)
    matched: dict[str, set[str]] = field(default_factory=dict)
    """The labels in braces after a metric."""
    grouped: set[str] = field(default_factory=set)
    """The labels by which it groups or matches series."""
    made: set[str] = field(default_factory=set)
    """The labels that `label_move` adds."""

    def unknown(self) -> list[str]:
        """What no node sends, in words."""
        known = catalogue()
        found = [f"no metric {name}" for name in sorted(self.metrics - known.keys())]
        for name in sorted(self.metrics & known.keys()):
            found += [f"{name} has no label {label}" for label in sorted(self.matched.get(name, set()) - known[name])]
        labels = self.made.union(*(known.get(name, ()) for name in self.metrics))
        return found + [f"no metric here has the label {label}" for label in sorted(self.grouped - labels)]


_MATCHERS = re.compile(r"([A-Za-z_]\w*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_WORDS = {"and", "or", "unless", "offset", "bool", "keep_metric_names"}


def references(expr: str) -> References:
    """The metrics and labels of an expression."""
    found = References()
    found.made.update(re.findall(r'\blabel_move\(.*?"\w+", "(\w+)"\)', expr))
    text = re.sub(r'"(?:\\.|[^"\\])*"|\[[^\]]*\]', "", expr)
    for group in _GROUPING.findall(text):
        found.grouped.update(label.strip() for label in group.split(","))
    text = _GROUPING.sub("", text)
    for name, matchers in _MATCHERS.findall(text):
        found.metrics.add(name)
        found.matched.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]", matchers))
    # Functions stand before a parenthesis.
    found.metrics.update(re.findall(r"\b[A-Za-z_]\w*\b(?!\s*\()", _MATCHERS.sub("", text)))
    found.metrics -= _WORDS
    return found
