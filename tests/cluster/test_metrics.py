"""What masters and workers measure, as it arrives at the monitor."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

from lab.cluster import Cluster
from lab.workload import Workload
from node.roles import Role
from tests.cluster.monitor import Monitor
from tests.dashboard_queries import queries
from tests.metric_catalogue import OF_OTHERS
from tests.test_metrics_page import described

SERVICES = Role.MASTER.definition.metered_services
# Those of what does not happen in these tests.
ABSENT = {
    "airflow_deadlines_missed",
    "airflow_pool_raises_total",
    "airflow_scaling_errors_total",
    "airflow_unserved_queue_tasks",
    # Containers may not ask for the state of the kernel's clock.
    "node_timex_offset_seconds",
    "node_timex_sync_status",
    # Of runs by schedule.
    "airflow_dagrun_first_task_scheduling_delay_milliseconds_count",
    "airflow_dagrun_first_task_scheduling_delay_milliseconds_sum",
    "ALERTS",
    "ALERTS_FOR_STATE",
}
# Those of workers.
OF_WORKERS = {name for name in described() if name.startswith("airflow_worker_") and "board" not in name}


def test_debians_own_units_do_not_run(cluster: Cluster) -> None:
    for node in (*cluster.nodes(role="master"), *cluster.nodes(role="worker")):
        for unit in ("victoria-metrics.service", "prometheus-node-exporter.service"):
            cluster.wait(
                lambda node=node, unit=unit: node.unit(unit, "LoadState")["LoadState"] == "masked",
                f"{node.name} to install what delivers metrics",
            )
            assert node.unit(unit, "ActiveState") == {"ActiveState": "inactive"}


def test_every_metric_on_the_page_arrives_after_a_run_with_the_nodes_labels(
    cluster: Cluster, monitor: Monitor, work: Workload
) -> None:
    cluster.wait(lambda: monitor.query("airflow_database_connections"), "the cluster's first metrics")
    runs = work.start("default", 40, number=2)
    work.wait_running(runs)
    succeeded = 'max(airflow_tasks_finished_total{dag_id="python_default", state="success"})'
    before = monitor.value(succeeded) or 0
    cluster.wait(
        lambda: monitor.value('max by (queue) (airflow_queue_tasks{queue="default", state="running"})') == 2,
        "both tasks in the queue's metrics",
    )
    work.wait_ended(runs)
    cluster.wait(lambda: monitor.value(succeeded) == before + 2, "both tasks to be counted")
    ended = 'max(airflow_dag_runs_finished_total{dag_id="python_default", state="success"})'
    cluster.wait(lambda: (monitor.value(ended) or 0) >= 2, "both runs to be counted")
    arrived: dict[str, list[dict[str, str]]] = {}
    for series in monitor.query('last_over_time({__name__=~"airflow_.*"}[15m]) keep_metric_names'):
        arrived.setdefault(series["metric"]["__name__"], []).append(series["metric"])
    missing = described().keys() - ABSENT - arrived.keys()
    assert not missing, sorted(missing)
    roles = {node.instance.id: node.instance.tags["airflow:role"] for node in cluster.nodes()}
    for name in described().keys() & arrived.keys():
        for labels in arrived[name]:
            # Workers come and go.
            role = roles.get(labels["node"], "worker")
            assert (labels["cluster"], labels["role"]) == (cluster.name, role), name
            assert ("worker_pool" in labels) == (role == "worker"), name
            assert role == "worker" or name not in OF_WORKERS


def test_every_metric_of_other_programs_that_rules_and_dashboards_use_arrives(
    cluster: Cluster, monitor: Monitor, work: Workload
) -> None:
    work.wait_ended(work.start("default", 1))
    missing = set(OF_OTHERS) - ABSENT

    def arrived() -> bool:
        missing.difference_update([n for n in missing if monitor.query(f"count(last_over_time({n}[15m]))")])
        return not missing

    with suppress(TimeoutError):  # the names say more
        cluster.wait(arrived, "them to arrive", timeout=300)
    assert not missing, sorted(missing)


def test_every_query_of_the_dashboards_is_valid_and_those_of_the_overview_find_series(
    cluster: Cluster, monitor: Monitor
) -> None:
    for query in queries():
        if query.dashboard == "overview" and not query.may_be_empty:
            cluster.wait(lambda query=query: monitor.query(query.sent), f"series for {query}")
        else:
            monitor.query(query.sent)


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
        cluster.wait(lambda query=name: monitor.query(query), f"{name} to arrive")
        assert {series["metric"]["service_name"] for series in monitor.query(name)} == {service}
    for label in ("task_id", "run_id", "file_name", "telemetry_sdk_name"):
        assert monitor.query(f'last_over_time({{{label}!=""}}[15m])') == []
    assert monitor.query('last_over_time({vmrange!="", service_name!=""}[15m])') == []
    each = 'count by (service_name, service_instance_id) (last_over_time({service_name!=""}[15m]))'
    processes = monitor.query(f"count by (service_name) ({each})")
    # Two for each process: Airflow and its SDK report on their own. Files are parsed in processes that end.
    assert {series["metric"]["service_name"] for series in processes} == {f"airflow-{name}" for name in SERVICES}
    assert all(float(series["value"][1]) <= 24 for series in processes), processes


def test_the_masters_health_is_told_on_the_master(cluster: Cluster, monitor: Monitor) -> None:
    [master, *_] = cluster.nodes(role="master")
    ask = "curl --silent --max-time 10 --write-out ' %{http_code}' http://127.0.0.1:9106/"

    def told() -> tuple[str, dict[str, str]]:
        content, _, status = master.exec(ask).stdout.rpartition(" ")
        return status, json.loads(content)["checks"] if content else {}

    cluster.wait(lambda: told()[0] == "200", "the master to be healthy")
    assert set(told()[1]) == {*SERVICES, "scaling", "lost-tasks", "database", "broker", "clock", "resources"}
    assert master.exec("systemctl stop airflow-triggerer").returncode == 0
    cluster.wait(lambda: told()[0] == "503", "the master to be unhealthy")
    assert {check for check, trouble in told()[1].items() if trouble != "ok"} == {"triggerer"}
    failing = f'airflow_node_check{{check="triggerer", node="{master.instance.id}"}} == 0'
    cluster.wait(lambda: monitor.query(failing), "the metric to say so")
    assert master.exec("systemctl start airflow-triggerer").returncode == 0
    cluster.wait(lambda: told()[0] == "200", "the master to be healthy again")
    for server in ("broker", "database"):
        end = monitor.value(f'min(airflow_certificate_expiry_timestamp_seconds{{server="{server}"}})')
        assert end
        assert end > time.time()


def test_a_worker_measures_itself(cluster: Cluster) -> None:
    [worker, *_] = cluster.nodes(role="worker", pool="default")

    def ask(port: int, path: str) -> str:
        return worker.exec(f"curl --silent --max-time 10 http://127.0.0.1:{port}/{path}").stdout

    working = 'airflow_worker_state{state="working"} 1'
    cluster.wait(lambda: working in ask(9100, "metrics"), "the worker's metrics")
    measured = ask(9100, "metrics")
    assert {name for name in OF_WORKERS if not re.search(rf"^{name}[ {{]", measured, re.MULTILINE)} == set()
    assert json.loads(ask(9106, "")) == {
        "healthy": True,
        "checks": dict.fromkeys(("worker", "broker", "resources"), "ok"),
    }


def test_a_command_does_not_report_and_so_does_not_wait(cluster: Cluster) -> None:
    shown = cluster.nodes(role="master")[0].exec("airflow config get-value metrics otel_on", timeout=120)
    assert shown.stdout.split() == ["False"], shown.stdout + shown.stderr
