"""Machines die. What has to go on goes on, and the groups make the cluster whole again."""

from __future__ import annotations

import pytest

from lab.airflow_api import AirflowApi, wait_until
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.lab.conftest import FinishedRun, group_of, sizes

LAST_WORDS = {
    "later": "",
    "settings": "the Connection and the Variable are there",
    "square": "the square of {n} is {nn}",
    "total": "the total is 506",
}
"""What each task of the run prints; the deferred one is a sensor of Airflow's own."""


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> None:
    """Each loss hits a cluster that has recovered from the one before."""
    cluster.wait_ready()


def test_a_killed_master_changes_nothing_for_a_running_dag_nor_for_scaling(
    cluster: Cluster, api: AirflowApi, work: Workload
) -> None:
    api.wait_for_dag("steady")
    run_id = api.trigger("steady")

    def under_way() -> bool:
        return sum(task["state"] == "success" for task in api.task_instances("steady", run_id)) >= 2

    wait_until(under_way, 90, "two steps to be done", lambda: api.summary("steady", run_id))
    before = sizes(cluster, "heavy")["DesiredCapacity"]
    # More than the pool can take, asked for a moment before the loss: the other master has to see to it.
    demand = work.start("heavy", 20, number=4 * before + 1)
    cluster.nodes(role="master")[0].kill()
    cluster.wait(lambda: sizes(cluster, "heavy")["DesiredCapacity"] > before, "one more worker", timeout=40)
    assert api.wait_for_run("steady", run_id) == "success", api.summary("steady", run_id)
    tries = {task["task_id"]: task["try_number"] for task in api.task_instances("steady", run_id)}
    assert set(tries.values()) == {1}, tries
    tasks = work.wait_ended(demand)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    cluster.wait_ready()
    assert len(cluster.nodes(role="master")) == 2


def test_logs_outlive_the_nodes_that_wrote_them(cluster: Cluster, api: AirflowApi, everything: FinishedRun) -> None:
    writers = [node for node in cluster.nodes() if str(node.instance.address) in everything.workers]
    for writer in writers:
        cluster.boto3("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=writer.instance.id, ShouldDecrementDesiredCapacity=False
        )
    cluster.wait(lambda: not set(writers) & set(cluster.nodes()), "the writers to be gone", timeout=90)
    for task in everything.tasks:
        log = api.log(everything.dag_id, everything.run_id, task)
        assert LAST_WORDS[task["task_id"]].format(n=task["map_index"], nn=task["map_index"] ** 2) in log, log
        assert "s3://" in log, f"the log should come from the bucket: {log}"


def test_a_missing_secret_stops_the_boot_with_its_name_and_the_node_is_replaced(cluster: Cluster) -> None:
    secrets = cluster.boto3("secretsmanager")
    name = cluster.recording.exports["secrets"]["result-backend"]
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    try:
        failing = _next_node(cluster, "heavy")
        # Read as long as it is there; who cannot log in reads the console.
        cluster.wait(lambda: name in failing.console, "the console to name the secret", timeout=120)
        assert cluster.lifecycle_state(failing) != "InService", "a node that is not ready must not be in service"
        cluster.wait(lambda: failing not in cluster.nodes(), "the failed node to go", timeout=180)
    finally:
        secrets.create_secret(Name=name, SecretString=value)
    [departure] = [one for one in cluster.departures if one.instance == failing.instance.id]
    assert departure.how == "continue", "a node that never worked has nothing to finish and must not be retained"
    cluster.wait_ready()


def _next_node(cluster: Cluster, pool: str) -> Node:
    """The node that a pool launches when it is asked for one more."""
    before = cluster.nodes(pool=pool)
    cluster.boto3("autoscaling").set_desired_capacity(
        AutoScalingGroupName=group_of(cluster, pool), DesiredCapacity=sizes(cluster, pool)["DesiredCapacity"] + 1
    )
    [new, *_] = cluster.wait(
        lambda: [node for node in cluster.nodes(pool=pool) if node not in before], "the next node", timeout=60
    )
    return new
