"""The prod stack's cluster, booted once for all lab tests, which run in the order of their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import host
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.progress import LabError, say

DAGS = Path(__file__).with_name("dags")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/lab/" in item.nodeid:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Both masters and each pool's minimum of workers, ready, with the tests' DAGs in their bucket."""
    try:
        host.check_machine()
    except LabError as unfit:
        pytest.skip(f"left out: {unfit}")
    with Cluster() as lab:
        for dag in sorted(DAGS.glob("*.py")):
            lab.put_dag(dag.name, dag.read_text())
        lab.wait_ready()
        say("\n" + lab.boot_table())
        yield lab


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> AirflowApi:
    return AirflowApi(cluster.url, *cluster.admin())


@dataclass(frozen=True)
class FinishedRun:
    dag_id: str
    run_id: str
    state: str
    tasks: list[dict[str, Any]]


@pytest.fixture(scope="session")
def everything(api: AirflowApi) -> FinishedRun:
    """One run of the DAG that uses all that a cluster is for, at its end."""
    connection = {"connection_id": "lab_connection", "conn_type": "http", "host": "lab", "password": "c%onn@:/#?"}
    api.request("POST", "/api/v2/connections", connection)
    api.request("POST", "/api/v2/variables", {"key": "lab_word", "value": "lab"})
    api.wait_for_dag("everything")
    run_id = api.trigger("everything")
    state = api.wait_for_run("everything", run_id)
    return FinishedRun("everything", run_id, state, api.task_instances("everything", run_id))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failure brings along what the nodes say; the lab is gone by the time somebody reads it."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        for node in cluster.nodes():
            failed = node.exec(
                "systemctl --failed --no-legend; journalctl --boot --no-pager --priority=warning --lines=60"
            )
            report.sections.append((f"{node.name}: failed units and warnings", failed.stdout))
    return report
