"""The dashboard of the machines: is it the node?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.alert_rules import Watch, watch
from dashboards.panels import EACH_BAR, Panel, choice, counts, frame, graph, states, watched

_CHOSEN = 'role=~"$role", node=~"$node"'
_NODE = "{{role}} {{node}}"


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "nodes",
        "nodes",
        "Is it the machine? Masters and workers: CPU, memory, disk, clock, and what they check about themselves.",
        {"Checks": _checks(), "Machine": _machine(), "Delivery of metrics": _delivery()},
        variables=[
            choice("role", "Role", 'up{job="node"}', "role"),
            choice("node", "Node", 'up{job="node", role=~"$role"}', "node"),
        ],
    )


def _of_chosen(alert: Watch) -> dict[str, str]:
    """What the alert watches, of the chosen nodes."""
    return {_NODE: f'{alert.expr} and on (node) up{{job="node", {_CHOSEN}}}'}


def _checks() -> list[Panel]:
    return [
        states(
            "Services and checks of each node",
            f"min by (role, node, check) (airflow_node_check{{{_CHOSEN}}})",
            f"{_NODE}: {{{{check}}}}",
            {0: "fails", 1: "ok"},
            bad="red. On masters: their services, and whether they reach database and broker; on workers: whether they "
            "take tasks, and reach the broker.",
            alerts=["NodeUnhealthy"],
        )
    ]


def _machine() -> list[Panel]:
    clock, synchronized = watch("ClockUnsynchronized"), watch("ClockUnsynchronized", part=1)
    return [
        graph(
            "CPU in use",
            "percentunit",
            {
                _NODE: "1 - avg by (role, node) "
                f'(rate(node_cpu_seconds_total{{mode="idle", {_CHOSEN}}}[$__rate_interval]))'
            },
            bad="all in use for long on a master: every DAG gets slower. Workers may use all.",
        ),
        graph(
            "Available memory",
            "percentunit",
            _of_chosen(watch("MemoryShort")),
            bad="below the limit: Linux kills the largest process next.",
            alert=watch("MemoryShort"),
        ),
        counts(
            "Processes killed for lack of memory",
            {_NODE: f"sum by (role, node) (increase(node_vmstat_oom_kill{{{_CHOSEN}}}{EACH_BAR}))"},
            bad="any: a task needs more memory than its slot has, or a service grows.",
        ),
        graph(
            "Free disk space",
            "percentunit",
            _of_chosen(watch("DiskFull")),
            bad="below the limit: services fail when nothing is free.",
            alert=watch("DiskFull"),
        ),
        graph(
            "Time in which the disk is busy",
            "percentunit",
            {
                f"{_NODE} {{{{device}}}}": "sum by (role, node, device) "
                f"(rate(node_disk_io_time_seconds_total{{{_CHOSEN}}}[$__rate_interval]))"
            },
            bad="near all the time: the volume's throughput or IOPS are the limit.",
        ),
        graph(
            "Offset of the clock",
            "s",
            _of_chosen(clock),
            bad="above the limit: heartbeats are wrong, and AWS refuses requests at minutes.",
            alert=clock,
        ),
        graph(
            "Clocks that are synchronized",
            "none",
            _of_chosen(synchronized),
            bad="0: the node reaches no time server.",
            alert=synchronized,
        ),
    ]


def _delivery() -> list[Panel]:
    return [
        graph(
            "Metrics that wait on the node",
            "bytes",
            {_NODE: f"sum by (role, node) (vmagent_remotewrite_pending_data_bytes{{{_CHOSEN}}})"},
            bad="more and more: the node does not reach the monitor. Beyond 540 MB, the oldest are dropped.",
        ),
        graph(
            "Age of the programs' metrics",
            "s",
            {f"{_NODE} {{{{file}}}}": f"time() - max by (role, node, file) (node_textfile_mtime_seconds{{{_CHOSEN}}})"},
            bad="minutes: the program hangs, and its figures are old.",
        ),
        watched(
            "Free space of the monitor's volume",
            "bytes",
            watch("MetricsVolumeFull"),
            bad="below the limit: soon no samples are stored.",
        ),
    ]
