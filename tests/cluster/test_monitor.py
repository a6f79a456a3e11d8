"""The monitor in use: what reaches it, whom it tells, and what is left when another instance takes its place."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.progress import say
from lab.workload import Workload
from node.roles import Role
from tests.cluster.monitor import Monitor
from tests.dashboard_queries import queries

UNITS = [f"airflow-{name}.service" for name in Role.MONITOR.definition.services]
DEBIANS = ("victoria-metrics.service", "prometheus-alertmanager.service")
DAG = "python_default"


@pytest.fixture(scope="module", autouse=True)
def mailbox(cluster: Cluster) -> Iterator[Any]:
    """A queue that subscribes to the topic of warnings; each of its messages has `Subject` and `Message`."""
    sns, sqs = cluster.boto3("sns"), cluster.boto3("sqs")
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = cluster.recording.exports["alertTopics"]["warning"]
    subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)

    def read() -> list[dict[str, str]]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ())
        return [json.loads(message["Body"]) for message in found]

    yield read
    sns.unsubscribe(SubscriptionArn=subscribed["SubscriptionArn"])


@pytest.fixture(scope="module", autouse=True)
def failed_run(cluster: Cluster, api: AirflowApi, work: Workload, monitor: Monitor) -> None:
    """A run that has failed just now. Its alert takes a minute and a half, in which the other tests run."""
    [run] = work.start("default", 600)
    running = f'airflow_dag_runs{{dag_id="{DAG}", state="running"}} == 1'
    cluster.wait(lambda: monitor.query(running), "the run in the metrics")
    api.request("PATCH", f"/api/v2/dags/{DAG}/dagRuns/{run}", {"state": "failed"})


def test_its_services_run_without_a_failure_and_debians_own_do_not(monitor: Monitor) -> None:
    for unit in UNITS:
        shown = monitor.node.unit(unit, "ActiveState", "NRestarts", "MemoryCurrent", "User")
        say(f"{unit}: {int(shown['MemoryCurrent']) >> 20} MiB")
        assert (shown["ActiveState"], shown["NRestarts"]) == ("active", "0"), monitor.node.journal(unit)[-4000:]
        assert shown["User"] == "airflow"
    for unit in DEBIANS:
        assert monitor.node.unit(unit, "LoadState", "ActiveState") == {"LoadState": "masked", "ActiveState": "inactive"}
    mounted = monitor.node.exec("findmnt --noheadings --output FSTYPE,OPTIONS /var/lib/metrics").stdout
    assert mounted.startswith("ext4"), mounted


def test_samples_of_every_master_and_worker_arrive(cluster: Cluster, monitor: Monitor) -> None:
    def senders() -> set[tuple[str, str]]:
        found = (series["metric"] for series in monitor.query('up{job="node"} == 1'))
        return {(labels["role"], labels["node"]) for labels in found}

    wanted = {(role, node.instance.id) for role in (Role.MASTER, Role.WORKER) for node in cluster.nodes(role=role)}
    cluster.wait(lambda: senders() >= wanted, "samples of every node")


def test_other_nodes_can_write_samples_and_do_nothing_else(cluster: Cluster, monitor: Monitor) -> None:
    """Tasks run on workers: they can neither read nor delete what others have sent."""
    [worker, *_] = cluster.nodes(role="worker")
    url = worker.exec(". /etc/airflow/airflow.env; echo $NODE_METRICS_URL").stdout.strip()
    base = url.removesuffix("/api/v1/write")
    assert base != url

    def status(url: str) -> str:
        ask = f"curl --silent --path-as-is --max-time 10 --output /dev/null --write-out '%{{http_code}}' '{url}'"
        return worker.exec(ask).stdout

    assert status(url) not in ("403", "404", "000", "503"), "this path leads to the monitor"
    for path in (
        *(
            "/",
            "/health",
            "/metrics",
            "/vmui/",
            "/api/v1/query?query=up",
            "/api/v1/export?match[]=up",
            "/internal/force_merge",
        ),
        *("/api/v1/admin/tsdb/delete_series?match[]=up", "/api/v1/write/", "/api/v1/write/../query?query=up"),
        *("/prometheus/api/v1/query?query=up", "/api/v1/import/prometheus", "//api/v1/query?query=up"),
    ):
        assert status(base + path) == "403", path
    assert status(f"http://{monitor.node.instance.address}:8428/health") == "000", "only through the load balancer"


def test_a_failed_run_is_told_to_the_subscribers_and_shown_on_the_overview(
    cluster: Cluster, mailbox: Any, monitor: Monitor
) -> None:
    messages: list[dict[str, str]] = []

    def told() -> bool:
        messages.extend(mailbox())
        return any("DagRunFailed" in message.get("Subject", "") for message in messages)

    cluster.wait(told, "the alert to be published")
    [alert] = [message for message in messages if "DagRunFailed" in message["Subject"]]
    assert alert["Subject"] == f"FIRING {cluster.name}: DagRunFailed"
    assert f"Runs of {DAG} failed" in alert["Message"]
    assert "docs/alert-rules.md#dagrunfailed" in alert["Message"]
    [firing] = [query for query in queries() if str(query) == "overview: Alerts that fire"]
    row = {"alertname": "DagRunFailed", "dag_id": DAG}.items()
    cluster.wait(
        lambda: any(row <= series["metric"].items() for series in monitor.query(firing.sent)), "the alert in the table"
    )


def test_another_instance_has_all_metrics_also_those_of_the_time_between(cluster: Cluster, monitor: Monitor) -> None:
    first, before = monitor.node, time.time()
    lived = 'count_over_time(up{job="node", role="master"}[1m])'
    assert monitor.value(lived, before)
    autoscaling = cluster.boto3("autoscaling")
    autoscaling.terminate_instance_in_auto_scaling_group(
        InstanceId=first.instance.id, ShouldDecrementDesiredCapacity=False
    )
    cluster.wait(lambda: first not in cluster.nodes(), "the first instance to go")
    gone = time.time()
    cluster.wait_ready()
    back = time.time()
    say(f"the monitor's successor was ready {back - gone:.0f} s after it was gone")
    assert "with a new file system" not in monitor.node.journal("airflow-volume.service")
    assert monitor.value(lived, before), "what was stored before is on the volume"
    between = int(back - before)
    count = f'min(count_over_time(up{{job="node", role="master"}}[{between}s]))'
    # One every 15 s; the scrape at either end may be outside.
    cluster.wait(lambda: (monitor.value(count, back) or 0) >= between // 15 - 1, "the nodes to send it")
    # vmalert evaluates, and dates, its rules with a delay of half a minute.
    firing = 'count_over_time(ALERTS{alertname="DagRunFailed", alertstate="firing"}[5m])'
    assert monitor.value(firing, before), "the alert's history too"
