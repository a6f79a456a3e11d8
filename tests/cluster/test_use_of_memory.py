"""A node has the memory that the lab's budget gives it. What a task takes beyond costs the task."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lab.cgroups import CGROUP, TOP, is_unified
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import WORKER, set_workers

SERVICE = ("ActiveState", "NRestarts", "MainPID")


def test_no_ordinary_work_is_killed_for_lack_of_memory(cluster: Cluster) -> None:
    """Whatever the tests before this one, if any, made these nodes do."""
    assert [node.name for node in cluster.nodes() if _killed_for_lack_of_memory(node)] == []


def test_a_task_that_uses_more_memory_than_its_node_has_dies_alone_and_is_retried(
    cluster: Cluster, work: Workload
) -> None:
    set_workers(cluster, default=1)
    before = {node: node.unit(WORKER, *SERVICE) for node in cluster.nodes(pool="default")}
    neighbours = work.start("default", 1200, number=6)
    work.wait_running(neighbours)
    greedy = work.start("default", 0, kind="greedy")
    [task] = work.wait_ended(greedy)
    assert (task.state, task.tries) == ("success", 2), describe([task])
    [killed] = work.earlier_tries(greedy)
    work.release(neighbours)
    tasks = work.wait_ended(neighbours)
    assert {(one.state, one.tries) for one in tasks} == {("success", 1)}, describe(tasks)
    assert {node: node.unit(WORKER, *SERVICE) for node in before} == before, "Celery's own process lives on"
    ended = {str(node.instance.address): _killed_for_lack_of_memory(node) for node in cluster.nodes()}
    assert {address: number for address, number in ended.items() if number} == {killed.address: 1}
    assert set(before) <= set(cluster.nodes()), "no node is replaced for it"


def _killed_for_lack_of_memory(node: Node) -> int:
    """How many of the node's processes the kernel has ended because there was no memory left."""
    top, file = (TOP, "memory.events.local") if is_unified() else (TOP / "memory", "memory.oom_control")
    lines: list[str] = []
    for folder, _, _ in os.walk(top / CGROUP / node.name):
        with suppress(OSError):  # the node's systemd removes cgroups all the time
            lines += Path(folder, file).read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
