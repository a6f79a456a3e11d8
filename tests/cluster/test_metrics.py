"""What a node delivers on a stack with a monitor. This cluster has none, so one of its masters gets the address of one,
with the settings that the user data would have, and is that monitor itself: Debian's VictoriaMetrics."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload
from node import systemd_dropins
from node.environment import variable_name
from node.roles import Role
from tests.test_metrics_page import described

URL = "http://127.0.0.1:8428/api/v1/write"
SERVICES = Role.MASTER.definition.metered_services
RESTARTED = " ".join(f"airflow-{service}" for service in (*SERVICES, "lost-tasks", "health"))
MONITOR = (
    "systemd-run --quiet --unit=monitor --property=DynamicUser=yes --property=StateDirectory=monitor"
    " /usr/bin/victoria-metrics -storageDataPath=/var/lib/monitor -httpListenAddr=127.0.0.1:8428"
)
# Those of what does not happen in these tests.
ABSENT = {
    "airflow_deadlines_missed",
    "airflow_pool_raises_total",
    "airflow_scaling_errors_total",
    "airflow_unserved_queue_tasks",
}
# Those of workers.
OF_WORKERS = {name for name in described() if name.startswith("airflow_worker_") and "board" not in name}
BUFFERED_SECONDS = 45


class Monitor:
    """VictoriaMetrics on the master."""

    def __init__(self, master: Node) -> None:
        self.master = master

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series of an instant query: their labels in `metric`, and their `value`."""
        ask = f"curl --silent --max-time 10 --get http://127.0.0.1:8428/api/v1/query --data-urlencode 'query={text}'"
        answer = self.master.exec(ask).stdout
        return json.loads(answer)["data"]["result"] if answer else []

    def value(self, text: str) -> float | None:
        """The value of the only series; None if there is none."""
        found = self.query(text)
        return float(found[0]["value"][1]) if found else None


def _options() -> dict[str, str]:
    return {variable_name("metrics", "otel_on"): "True", variable_name("metrics", "legacy_names_on"): "False"}


@pytest.fixture(scope="module")
def monitor(cluster: Cluster) -> Iterator[Monitor]:
    master = cluster.nodes(role="master")[0]
    drop_ins = {systemd_dropins.metrics_path(service): service for service in SERVICES}
    for path, service in drop_ins.items():
        content = systemd_dropins.render_metrics(service, _options())
        done = master.exec(f"mkdir -p $(dirname {path}) && cat >{path} <<'END'\n{content}END")
        assert done.returncode == 0, done.stderr
    master.exec(f"cp /etc/airflow/airflow.env /root/ && echo 'NODE_METRICS_URL=\"{URL}\"' >>/etc/airflow/airflow.env")
    started = master.exec("systemctl start airflow-metrics.service", timeout=300)
    assert started.returncode == 0, master.journal("airflow-metrics.service")
    assert master.exec(MONITOR).returncode == 0
    restarted = master.exec(f"systemctl daemon-reload && systemctl restart {RESTARTED}", timeout=300)
    assert restarted.returncode == 0, restarted.stderr
    yield Monitor(master)
    master.exec(
        "cp /root/airflow.env /etc/airflow/airflow.env; systemctl stop airflow-metrics.target airflow-node-exporter"
        " airflow-vmagent airflow-cluster-metrics airflow-metrics monitor; rm -rf /var/lib/private/airflow-metrics"
        f" /var/lib/private/monitor {' '.join(drop_ins)}; systemctl daemon-reload; systemctl restart {RESTARTED}",
        timeout=300,
    )
    cluster.wait_ready()


def test_debians_own_units_do_not_run(monitor: Monitor) -> None:
    for unit in ("victoria-metrics.service", "prometheus-node-exporter.service"):
        state = monitor.master.unit(unit, "LoadState", "ActiveState")
        assert state == {"LoadState": "masked", "ActiveState": "inactive"}


def test_every_metric_on_the_page_arrives_after_a_run_with_the_nodes_labels(
    cluster: Cluster, monitor: Monitor, work: Workload
) -> None:
    cluster.wait(lambda: monitor.value("airflow_database_connections"), "the cluster's first metrics", timeout=180)
    runs = work.start("default", 40, number=2)
    work.wait_running(runs)
    succeeded = 'airflow_tasks_finished_total{dag_id="python_default", state="success"}'
    before = monitor.value(succeeded)
    assert before is not None, "a DAG's counters start at zero"
    cluster.wait(
        lambda: monitor.value('max by (queue) (airflow_queue_tasks{queue="default", state="running"})') == 2,
        "both tasks in the queue's metrics",
        timeout=90,
    )
    work.wait_ended(runs)
    cluster.wait(lambda: monitor.value(succeeded) == before + 2, "both tasks to be counted", timeout=120)
    ended = 'airflow_dag_runs_finished_total{dag_id="python_default", state="success"}'
    cluster.wait(lambda: (monitor.value(ended) or 0) >= 2, "both runs to be counted", timeout=120)
    arrived = {
        series["metric"]["__name__"]: series["metric"]
        for series in monitor.query('last_over_time({__name__=~"airflow_.*"}[15m]) keep_metric_names')
    }
    missing = described().keys() - ABSENT - OF_WORKERS - arrived.keys()
    assert not missing, sorted(missing)
    instance = monitor.master.exec(". /etc/airflow/instance.env; echo $NODE_INSTANCE_ID").stdout.strip()
    for name in described().keys() & arrived.keys():
        labels = arrived[name]
        assert (labels["cluster"], labels["role"], labels["node"]) == (cluster.name, "master", instance), name
        assert "worker_pool" not in labels


def test_the_values_are_those_of_the_cluster(cluster: Cluster, monitor: Monitor) -> None:
    in_service = monitor.value('max(airflow_pool_in_service_workers{pool="default"})')
    assert in_service == len(cluster.nodes(role="worker", pool="default"))
    connections, most = (monitor.value(f"max(airflow_database_connections{end})") for end in ("", "_max"))
    assert connections
    assert most
    assert 10 < connections < most
    assert 0 < (monitor.value("max(airflow_pool_boot_seconds)") or 0) < 600
    assert abs(time.time() - (monitor.value("max(airflow_cluster_metrics_timestamp_seconds)") or 0)) < 120
    files = monitor.query("time() - node_textfile_mtime_seconds")
    assert len(files) >= 2
    assert all(float(file["value"][1]) < 120 for file in files)


def test_airflows_services_deliver_and_nothing_has_a_series_for_each_task(cluster: Cluster, monitor: Monitor) -> None:
    for name, service in {
        "airflow_scheduler_heartbeat_total": "airflow-scheduler",
        "airflow_dag_processor_heartbeat_total": "airflow-dag-processor",
        "airflow_triggerer_heartbeat_total": "airflow-triggerer",
        "airflow_scheduler_scheduler_loop_duration_milliseconds_count": "airflow-scheduler",
    }.items():
        cluster.wait(lambda query=name: monitor.query(query), f"{name} to arrive", timeout=120)
        assert {series["metric"]["service_name"] for series in monitor.query(name)} == {service}
    for label in ("task_id", "run_id", "file_name", "telemetry_sdk_name"):
        assert monitor.query(f'last_over_time({{{label}!=""}}[15m])') == []
    assert monitor.query('last_over_time({vmrange!=""}[15m])') == []
    each = 'count by (service_name, service_instance_id) (last_over_time({service_name!=""}[15m]))'
    processes = monitor.query(f"count by (service_name) ({each})")
    # Two for each process: Airflow and its SDK report on their own. Files are parsed in processes that end.
    assert {series["metric"]["service_name"] for series in processes} == {f"airflow-{name}" for name in SERVICES}
    assert all(float(series["value"][1]) <= 24 for series in processes), processes


def test_what_was_measured_while_the_monitor_was_away_arrives_later(cluster: Cluster, monitor: Monitor) -> None:
    assert monitor.master.exec("systemctl stop monitor").returncode == 0
    left = time.time()
    cluster.wait(lambda: time.time() - left > BUFFERED_SECONDS, "the time without a monitor", timeout=90)
    back = time.time()
    assert monitor.master.exec(MONITOR).returncode == 0

    def samples() -> float:
        ask = f'count_over_time(up{{job="node"}}[{int(back - left)}s])'
        query = f"{ask}' --data-urlencode 'time={int(back)}"
        return monitor.value(query) or 0

    # One every 15 s; the scrape at either end may be outside.
    cluster.wait(lambda: samples() >= BUFFERED_SECONDS // 15 - 1, "the samples of that time", timeout=180)


def test_the_masters_health_is_told_on_the_master(cluster: Cluster, monitor: Monitor) -> None:
    ask = "curl --silent --max-time 10 --write-out ' %{http_code}' http://127.0.0.1:9106/"

    def told() -> tuple[str, dict[str, str]]:
        content, _, status = monitor.master.exec(ask).stdout.rpartition(" ")
        return status, json.loads(content)["checks"] if content else {}

    cluster.wait(lambda: told()[0] == "200", "the master to be healthy", timeout=180)
    assert set(told()[1]) == {*SERVICES, "scaling", "lost-tasks", "database", "broker", "clock", "resources"}
    assert monitor.master.exec("systemctl stop airflow-triggerer").returncode == 0
    cluster.wait(lambda: told()[0] == "503", "the master to be unhealthy", timeout=60)
    assert {check for check, trouble in told()[1].items() if trouble != "ok"} == {"triggerer"}
    failing = 'airflow_node_check{check="triggerer"} == 0'
    cluster.wait(lambda: monitor.query(failing), "the metric to say so", timeout=60)
    assert monitor.master.exec("systemctl start airflow-triggerer").returncode == 0
    cluster.wait(lambda: told()[0] == "200", "the master to be healthy again", timeout=180)
    for server in ("broker", "database"):
        end = monitor.value(f'airflow_certificate_expiry_timestamp_seconds{{server="{server}"}}')
        assert end
        assert end > time.time()


@pytest.fixture
def worker(cluster: Cluster) -> Iterator[Node]:
    """A worker with the address of a monitor that nobody can reach."""
    [worker, *_] = cluster.nodes(role="worker", pool="default")
    worker.exec(f"cp /etc/airflow/airflow.env /root/ && echo 'NODE_METRICS_URL=\"{URL}\"' >>/etc/airflow/airflow.env")
    started = worker.exec("systemctl start airflow-metrics && systemctl restart airflow-lifecycle", timeout=300)
    assert started.returncode == 0, worker.journal("airflow-metrics.service")
    yield worker
    worker.exec(
        "cp /root/airflow.env /etc/airflow/airflow.env; systemctl stop airflow-metrics.target airflow-node-exporter"
        " airflow-vmagent airflow-metrics; rm -rf /var/lib/private/airflow-metrics; systemctl restart airflow-lifecycle"
    )


def test_a_worker_measures_itself_and_keeps_that_for_a_monitor_that_is_away(cluster: Cluster, worker: Node) -> None:
    def ask(port: int, path: str) -> str:
        return worker.exec(f"curl --silent --max-time 10 http://127.0.0.1:{port}/{path}").stdout

    working = 'airflow_worker_state{state="working"} 1'
    cluster.wait(lambda: working in ask(9100, "metrics"), "the worker's metrics", timeout=60)
    measured = ask(9100, "metrics")
    assert {name for name in OF_WORKERS if not re.search(rf"^{name}[ {{]", measured, re.MULTILINE)} == set()
    assert json.loads(ask(9106, "")) == {
        "healthy": True,
        "checks": dict.fromkeys(("worker", "broker", "resources"), "ok"),
    }
    pending = re.compile(r"^vmagent_remotewrite_pending_data_bytes\{.*\} [1-9]", re.MULTILINE)
    cluster.wait(lambda: pending.search(ask(8429, "metrics")), "metrics to wait on the disk", timeout=120)


def test_a_command_does_not_report_and_so_does_not_wait(monitor: Monitor) -> None:
    shown = monitor.master.exec("airflow config get-value metrics otel_on", timeout=120)
    assert shown.stdout.split() == ["False"], shown.stdout + shown.stderr
