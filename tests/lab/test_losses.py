"""Machines die. What has to go on goes on, and the groups make the cluster whole again."""

from __future__ import annotations

import pytest

from lab.airflow_api import AirflowApi, wait_until
from lab.cluster import Cluster
from lab.node import Node
from tests.lab.conftest import FinishedRun

LAST_WORDS = {
    "later": "",
    "settings": "the Connection and the Variable are there",
    "square": "the square of {n} is {nn}",
    "total": "the total is 2470",
}
"""What each task of the run prints; the deferred one is a sensor of Airflow's own."""


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> None:
    """Each loss hits a cluster that has recovered from the one before."""
    cluster.wait_ready()


def test_a_killed_master_changes_nothing_for_a_running_dag(cluster: Cluster, api: AirflowApi) -> None:
    api.wait_for_dag("steady")
    run_id = api.trigger("steady")

    def under_way() -> bool:
        return sum(task["state"] == "success" for task in api.task_instances("steady", run_id)) >= 2

    wait_until(under_way, 90, "two steps to be done", lambda: api.summary("steady", run_id))
    cluster.nodes(role="master")[0].kill()
    assert api.wait_for_run("steady", run_id) == "success", api.summary("steady", run_id)
    tries = {task["task_id"]: task["try_number"] for task in api.task_instances("steady", run_id)}
    assert set(tries.values()) == {1}, tries
    cluster.wait_ready()
    assert len(cluster.nodes(role="master")) == 2


def test_logs_outlive_the_nodes_that_wrote_them(cluster: Cluster, api: AirflowApi, everything: FinishedRun) -> None:
    workers = cluster.nodes(role="worker")
    assert {task["hostname"] for task in everything.tasks} <= {str(worker.instance.address) for worker in workers}
    for worker in workers:
        cluster.boto3("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=worker.instance.id, ShouldDecrementDesiredCapacity=False
        )
    cluster.wait(lambda: not set(workers) & set(cluster.nodes()), "the workers to be gone", timeout=60)
    for task in everything.tasks:
        log = api.log(everything.dag_id, everything.run_id, task)
        assert LAST_WORDS[task["task_id"]].format(n=task["map_index"], nn=task["map_index"] ** 2) in log, log
        assert "s3://" in log, f"the log should come from the bucket: {log}"


def test_a_missing_secret_stops_the_boot_with_its_name_and_the_node_is_replaced(cluster: Cluster) -> None:
    secrets, autoscaling = cluster.boto3("secretsmanager"), cluster.boto3("autoscaling")
    name = cluster.recording.exports["secrets"]["result-backend"]
    group = cluster.recording.exports["autoscalingGroups"]["workerPools"]["heavy"]
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    # What an operator does who wants to look at a failing node before it is gone.
    autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["ReplaceUnhealthy"])
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    try:
        failing = _next_node(cluster, "heavy")
        cluster.wait(lambda: _unhealthy(cluster, failing), "the node to report itself", timeout=300)
        assert name in failing.journal("airflow-secrets.service"), "the journal must say which secret is missing"
        assert failing.unit("airflow-worker.service")["ActiveState"] != "active", (
            "a worker without its secrets must not run"
        )
        assert name in failing.console, "who cannot log in reads the console"
    finally:
        secrets.create_secret(Name=name, SecretString=value)
        autoscaling.resume_processes(AutoScalingGroupName=group, ScalingProcesses=["ReplaceUnhealthy"])
    cluster.wait(lambda: failing not in cluster.nodes(), "the unhealthy node to be replaced", timeout=120)
    cluster.wait_ready()


def _next_node(cluster: Cluster, pool: str) -> Node:
    [old] = cluster.nodes(pool=pool)
    old.kill()
    [new, *_] = cluster.wait(
        lambda: [node for node in cluster.nodes(pool=pool) if node is not old], "the next node", timeout=60
    )
    return new


def _unhealthy(cluster: Cluster, node: Node) -> bool:
    groups = cluster.boto3("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    members = [member for group in groups for member in group["Instances"]]
    return any(m["InstanceId"] == node.instance.id and m["HealthStatus"] == "Unhealthy" for m in members)
