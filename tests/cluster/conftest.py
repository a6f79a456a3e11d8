"""The prod stack's cluster, booted once for all lab tests, which run in the order of their files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.preconditions import UnfitError
from lab.progress import say
from lab.workload import Workload
from tests.cluster.scheduled_dag import ScheduledDag
from tests.cluster.stuck_worker import StuckWorker

WORKERS = {"default": 2, "heavy": 3}
"""How many of each pool the tests let work at a time."""
DAGS = Path(__file__).with_name("dags")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in item.nodeid:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Both masters and each pool's minimum of workers, ready, with the tests' DAGs in their bucket."""
    with ExitStack() as stack:
        try:
            lab = stack.enter_context(Cluster())
        except UnfitError as unfit:
            pytest.skip(str(unfit))
        fitting = {pool: lab.budget.maximums[group_of(lab, pool)] for pool in WORKERS}
        if any(fitting[pool] < WORKERS[pool] for pool in WORKERS):
            pytest.skip(f"the tests want workers {WORKERS}, and {fitting} fit into the memory of this machine")
        for dag in sorted(DAGS.glob("*.py")):
            lab.put_dag(dag.name, dag.read_text())
        lab.wait_ready()
        say("\n" + lab.boot_table())
        yield lab


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> AirflowApi:
    return AirflowApi(cluster.url, *cluster.admin())


@pytest.fixture(scope="session")
def work(cluster: Cluster, api: AirflowApi) -> Workload:
    """Tasks for whichever pool a test wants to see at work."""
    return Workload(cluster, api, name="test")


@pytest.fixture(scope="session")
def scheduled_dag(cluster: Cluster, api: AirflowApi) -> ScheduledDag:
    """Its first run starts with the first test that requests it, and keeps workers of `heavy` busy for minutes."""
    return ScheduledDag(cluster, api)


@pytest.fixture(scope="session")
def stuck_worker(cluster: Cluster, work: Workload) -> StuckWorker:
    """It gets stuck with the first test that requests it; two minutes later another worker has replaced it."""
    return StuckWorker(cluster, work)


def group_of(cluster: Cluster, pool: str) -> str:
    """The name of a pool's autoscaling group."""
    return cluster.recording.exports["autoscalingGroups"]["workerPools"][pool]


def sizes(cluster: Cluster, pool: str) -> dict[str, int]:
    """Minimum (`MinSize`), maximum (`MaxSize`) and `DesiredCapacity` of a pool's group."""
    answer = cluster.boto3("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group_of(cluster, pool)])
    return {key: answer["AutoScalingGroups"][0][key] for key in ("MinSize", "MaxSize", "DesiredCapacity")}


def set_minimum(cluster: Cluster, pool: str, minimum: int) -> None:
    """Let a pool keep so many workers, until the next call."""
    cluster.boto3("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group_of(cluster, pool), MinSize=minimum
    )


def powered_on_at(node: Node) -> datetime:
    """When the machine was switched on."""
    return datetime.fromtimestamp(time.time() - time.monotonic() + node.powered_on, UTC)


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run at its end.

    Attributes:
        workers: the pool of each worker that was there then, by the worker's address.
        launches: when each of these workers was powered on, by its address.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: list[dict[str, Any]]
    workers: dict[str, str]
    launches: dict[str, datetime]


@pytest.fixture(scope="session")
def everything(cluster: Cluster, api: AirflowApi) -> FinishedRun:
    """One run of the DAG that uses all that a cluster is for, at its end. Its workers stay for the next tests."""
    connection = {"connection_id": "lab_connection", "conn_type": "http", "host": "lab", "password": "c%onn@:/#?"}
    api.request("POST", "/api/v2/connections", connection)
    api.request("POST", "/api/v2/variables", {"key": "lab_word", "value": "lab"})
    api.wait_for_dag("everything")
    run_id = api.trigger("everything")
    state = api.wait_for_run("everything", run_id)
    set_minimum(cluster, "heavy", 1)
    workers = cluster.nodes(role="worker")
    return FinishedRun(
        dag_id="everything",
        run_id=run_id,
        state=state,
        tasks=api.task_instances("everything", run_id),
        workers={str(node.instance.address): node.instance.tags["airflow:pool"] for node in workers},
        launches={str(node.instance.address): powered_on_at(node) for node in workers},
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failure brings along what the nodes say; the lab is gone by the time somebody reads it."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        for node in cluster.nodes():
            try:
                said = node.exec(
                    "systemctl --failed --no-legend; journalctl --boot --no-pager --priority=warning --lines=60;"
                    "journalctl --boot --no-pager --unit=airflow-scaling --unit=airflow-lifecycle"
                    " --unit=airflow-health --lines=60"
                ).stdout
            except subprocess.TimeoutExpired:
                said = "it does not answer"
            report.sections.append((f"{node.name}: failed units, warnings and scaling", said))
    return report
