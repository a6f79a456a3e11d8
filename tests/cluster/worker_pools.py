"""The worker pools of the cluster under test: their sizes, and how tests change them."""

from __future__ import annotations

from urllib.parse import quote

from lab.airflow_api import AirflowApi
from lab.aws.lifecycle import IN_SERVICE
from lab.cluster import Cluster
from lab.node import Node

AT_REST = {"default": 1, "heavy": 0}
"""How many workers each pool has without a task: minSize in the prod stack."""
WORKER = "airflow-worker.service"


def group_of(cluster: Cluster, pool: str) -> str:
    """The name of a pool's autoscaling group."""
    return cluster.recording.exports["autoscalingGroups"]["workerPools"][pool]


def sizes(cluster: Cluster, pool: str) -> dict[str, int]:
    """Minimum (`MinSize`), maximum (`MaxSize`) and `DesiredCapacity` of a pool's group."""
    answer = cluster.boto3("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group_of(cluster, pool)])
    return {key: answer["AutoScalingGroups"][0][key] for key in ("MinSize", "MaxSize", "DesiredCapacity")}


def set_minimum(cluster: Cluster, pool: str, minimum: int) -> None:
    """Let a pool keep so many workers, until the next call or the end of the test file."""
    cluster.boto3("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group_of(cluster, pool), MinSize=minimum
    )


def set_workers(cluster: Cluster, **numbers: int) -> None:
    """Let each of these pools keep exactly so many workers, and wait until it has them and all of them take tasks.

    Surplus workers leave when their tasks have ended.
    """
    for pool, number in numbers.items():
        cluster.boto3("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=group_of(cluster, pool), MinSize=number, DesiredCapacity=number
        )
    for pool, number in numbers.items():
        cluster.wait(
            lambda pool=pool, number=number: _take_tasks(cluster, pool) == number,
            f"{pool} to have {number} workers, and all of them to take tasks",
        )
    cluster.wait_ready(*numbers)


def rest(cluster: Cluster, api: AirflowApi) -> None:
    """End what a test file has left running, and bring the cluster back to what the next one begins with."""
    for dag, run in cluster.psql("SELECT dag_id, run_id FROM dag_run WHERE state IN ('queued', 'running')"):
        api.request("PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}", {"state": "failed"})
    set_workers(cluster, **AT_REST)
    cluster.wait_ready()


def consumes(node: Node) -> bool:
    """Whether a worker takes tasks, according to its state file."""
    return '"queues": ["' in node.read("/run/airflow-worker/state.json")


def _take_tasks(cluster: Cluster, pool: str) -> int | None:
    """How many workers a pool has; None while one of them takes no tasks."""
    nodes = cluster.nodes(pool=pool)
    ready = all(cluster.lifecycle_state(node) == IN_SERVICE and consumes(node) for node in nodes)
    return len(nodes) if ready else None
