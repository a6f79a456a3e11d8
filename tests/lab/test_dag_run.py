"""What a DAG author expects of a cluster."""

from __future__ import annotations

from lab.airflow_api import AirflowApi, wait_until
from lab.cluster import Cluster
from tests.lab.conftest import FinishedRun


def test_a_run_with_mapped_and_deferred_tasks_a_connection_a_variable_and_xcom_succeeds(
    everything: FinishedRun,
) -> None:
    assert everything.state == "success"
    assert {task["state"] for task in everything.tasks} == {"success"}
    assert sum(task["task_id"] == "square" for task in everything.tasks) == 20


def test_every_worker_has_its_share_of_the_tasks(cluster: Cluster, everything: FinishedRun) -> None:
    workers = {str(node.instance.address) for node in cluster.nodes(role="worker")}
    assert {task["hostname"] for task in everything.tasks if task["task_id"] in {"square", "total"}} == workers


def test_a_queue_is_served_by_its_pool_alone(cluster: Cluster, everything: FinishedRun) -> None:
    for pool, tasks in {"heavy": {"total"}, "default": {"square", "settings"}}.items():
        addresses = {str(node.instance.address) for node in cluster.nodes(pool=pool)}
        assert {task["hostname"] for task in everything.tasks if task["task_id"] in tasks} <= addresses


def test_the_log_of_a_running_task_is_readable_while_it_runs(api: AirflowApi) -> None:
    api.wait_for_dag("steady")
    run_id = api.trigger("steady")

    def first_step_speaks() -> bool:
        running = [task for task in api.task_instances("steady", run_id) if task["state"] == "running"]
        return any("step 0 is at work" in api.log("steady", run_id, task) for task in running)

    wait_until(first_step_speaks, 60, "the log of a running task", lambda: api.summary("steady", run_id))
    api.request("PATCH", f"/api/v2/dags/steady/dagRuns/{run_id}", {"state": "success"})
