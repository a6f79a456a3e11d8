"""EC2 finds a spot instance at risk: its pool has another worker before this one stops, and no task is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import group_of, set_workers

SECONDS = 1800
"""Longer than a boot. The tasks are released after it."""
LONGEST_BOOT = 600


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A busy worker that EC2 may take back, and what it ran then."""

    worker: Node
    runs: list[str]


@pytest.fixture(scope="module")
def risk(cluster: Cluster, work: Workload) -> Iterator[Risk]:
    """As in a pool with spot instances: the prod stack has none."""
    set_workers(cluster, default=1)
    group, autoscaling = group_of(cluster, "default"), cluster.boto3("autoscaling")
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, CapacityRebalance=True)
    [worker] = cluster.nodes(pool="default")
    runs = [run for kind in ("bash", "python") for run in work.start("default", SECONDS, kind=kind)]
    work.wait_running(runs)
    cluster.recommend_rebalance(worker)
    yield Risk(worker=worker, runs=runs)
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, CapacityRebalance=False)


def test_the_successor_is_in_service_before_the_worker_at_risk_is_told_to_go(cluster: Cluster, risk: Risk) -> None:
    cluster.wait(
        lambda: cluster.lifecycle_state(risk.worker) == "Terminating:Wait",
        "the worker at risk to be told",
        timeout=LONGEST_BOOT,
        interval=0.5,
    )
    others = [node for node in cluster.nodes(pool="default") if node is not risk.worker]
    assert [cluster.lifecycle_state(node) for node in others] == ["InService"], "a boot takes longer than this look"


def test_its_tasks_end_there_on_their_first_try_and_then_it_leaves(
    cluster: Cluster, work: Workload, risk: Risk
) -> None:
    work.release(risk.runs)
    tasks = work.wait_ended(risk.runs)
    address = str(risk.worker.instance.address)
    assert {(task.state, task.tries, task.address) for task in tasks} == {("success", 1, address)}, describe(tasks)
    cluster.wait(lambda: risk.worker not in cluster.nodes(), "it to leave")
