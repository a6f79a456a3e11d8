"""Pools grow with their queues and shrink again, without a task being killed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lab import service_log
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.worker_pools import consumes, set_minimum, set_workers, sizes

HEAVY_IDLE_SECONDS = 60
"""idleSeconds of the pool in the prod stack."""
PASS_SECONDS = 10
"""The masters look this often."""
NO_CAPACITY = "We currently do not have sufficient r7i.xlarge capacity in the Availability Zone you requested."
ENDLESS = 3600
"""Tasks end when they are released."""


def _masters_say(cluster: Cluster, text: str) -> bool:
    return any(text in master.journal(service_log.SCALING) for master in cluster.nodes(role="master"))


@contextmanager
def _scaling_stopped(cluster: Cluster) -> Generator[None]:
    """The masters do not scale meanwhile."""
    _control(cluster, "stop")
    try:
        yield
    finally:
        _control(cluster, "start")


def _control(cluster: Cluster, command: str) -> None:
    for master in cluster.nodes(role="master"):
        assert master.exec("systemctl", command, service_log.SCALING).returncode == 0


def _says(worker: Node, text: str) -> bool:
    return text in worker.journal(service_log.LIFECYCLE)


@dataclass(frozen=True, kw_only=True)
class Refresh:
    old: list[Node]
    runs: list[str]


@pytest.fixture(scope="module")
def refresh(cluster: Cluster, work: Workload) -> Refresh:
    """An instance refresh of the pool `default`, begun while its worker is busy."""
    cluster.wait_ready()
    runs = [*work.start("default", ENDLESS, kind="bash"), *work.start("default", ENDLESS, kind="python")]
    work.wait_running(runs)
    old = cluster.nodes(pool="default")
    cluster.refresh("default")
    return Refresh(old=old, runs=runs)


def test_tasks_for_a_queue_that_no_pool_serves_show_in_log_and_metric(
    cluster: Cluster, api: AirflowApi, work: Workload, refresh: Refresh
) -> None:
    del refresh
    [run] = work.start("nowhere", 1)
    cluster.wait(lambda: _masters_say(cluster, '"queue": "nowhere"'), "the log to name the queue")
    metric = 'airflow_unserved_queue_tasks{queue="nowhere"} 1.0'
    cluster.wait(lambda: metric in _metrics(cluster), f"a master to serve {metric}")
    api.request("PATCH", f"/api/v2/dags/python_nowhere/dagRuns/{run}", {"state": "failed"})


def _metrics(cluster: Cluster) -> str:
    """What all masters serve together."""
    ask = "curl --silent --max-time 5 http://127.0.0.1:9105/metrics"
    return "".join(master.exec(ask).stdout for master in cluster.nodes(role="master"))


def test_of_two_workers_that_leave_at_once_one_is_refused_and_goes_back_to_work(
    cluster: Cluster, work: Workload
) -> None:
    """Each reads in the registry that its group is above the minimum. Auto Scaling knows better about the second."""
    set_workers(cluster, heavy=2)
    tasks = work.wait_ended(work.start("heavy", 15, number=8))
    set_minimum(cluster, "heavy", 1)
    # The masters would cordon one when both have been idle for long enough. What they wrote to the registry last stays
    # there for a minute.
    idle_since = max(task.ended for task in tasks if task.ended)
    read = idle_since + timedelta(seconds=2 * PASS_SECONDS)
    cluster.wait(lambda: datetime.now(UTC) > read, "the registry to know")
    with _scaling_stopped(cluster):
        cluster.wait(lambda: len(cluster.nodes(pool="heavy")) == 1, "one to leave")
        [refused] = cluster.nodes(pool="heavy")
        cluster.wait(lambda: _says(refused, "desiredSize equals minSize"), "the other to be refused")
    cluster.wait(lambda: consumes(refused), "it to be back at work")
    assert sizes(cluster, "heavy")["DesiredCapacity"] == 1


def test_a_pool_whose_minimum_is_zero_ends_its_last_worker(cluster: Cluster) -> None:
    set_minimum(cluster, "heavy", 0)
    cluster.wait(lambda: not cluster.nodes(pool="heavy"), "the last worker to leave")
    assert sizes(cluster, "heavy")["DesiredCapacity"] == 0


def test_a_refreshed_pool_has_new_workers_and_lost_no_task(cluster: Cluster, work: Workload, refresh: Refresh) -> None:
    old = {str(node.instance.address) for node in refresh.old}
    [leaving] = refresh.old
    cluster.wait(lambda: cluster.lifecycle_state(leaving) == "Terminating:Wait", "the old one to drain")
    work.release(refresh.runs)
    tasks = work.wait_ended(refresh.runs)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert {task.address for task in tasks} <= old
    cluster.wait(lambda: not set(refresh.old) & set(cluster.nodes()), "the old worker to be gone")
    assert cluster.nodes(pool="default")


@dataclass(frozen=True, kw_only=True)
class Burst:
    at: datetime
    runs: list[str]
    long: list[str]
    workers: list[Node]


@pytest.fixture(scope="module")
def burst(cluster: Cluster, work: Workload) -> Burst:
    """A burst over both pools at a time when EC2 has no room for one of them."""
    set_workers(cluster, default=1, heavy=0)
    at = datetime.now(UTC)
    with cluster.no_capacity("heavy", NO_CAPACITY):
        long, short = [], []
        with _scaling_stopped(cluster):  # the masters see the whole burst in one pass
            # In this order every worker gets both, whether tasks are dealt out one by one or a worker at a time.
            for _ in range(3):
                long += work.start("heavy", ENDLESS)
                short += work.start("heavy", ENDLESS, number=3)
            short += work.start("default", ENDLESS, number=20)
            sent = {"queued", "running"}
            work.wait([*long, *short], lambda task: task.state in sent and task.sent, "to be sent")
        cluster.wait(lambda: _masters_say(cluster, NO_CAPACITY), "the log to say what EC2 says")
    work.wait_running([*long, *short])
    workers = cluster.nodes(pool="heavy")
    work.release(short)
    return Burst(at=at, runs=[*long, *short], long=long, workers=workers)


def test_a_group_that_cannot_launch_is_reported_in_ec2s_words_and_not_asked_for_ever(
    cluster: Cluster, burst: Burst
) -> None:
    del burst
    decided = [event.fields for event in service_log.decisions(cluster, "heavy")]
    failed = [fields for fields in decided if NO_CAPACITY in fields.get("launch_failure", "")]
    assert failed
    assert all(fields["from"] == fields["to"] for fields in failed), "it has been asked for already"


def test_a_burst_over_both_pools_gets_the_workers_that_it_needs(cluster: Cluster, burst: Burst) -> None:
    assert len(burst.workers) == 3, "twelve tasks, four to a worker"
    decided = [event.fields["to"] for event in service_log.decisions(cluster, "default") if event.at > burst.at]
    assert max(decided) == 2, "twenty tasks, sixteen to a worker"


def test_after_a_burst_all_but_one_of_the_workers_with_few_tasks_are_cordoned(
    cluster: Cluster, work: Workload, burst: Burst
) -> None:
    """A need that falls by one worker alone may be about to rise again; this one falls by two."""
    tasks = work.wait_ended([run for run in burst.runs if run not in burst.long])
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    _wait_cordoned(cluster)


def _wait_cordoned(cluster: Cluster) -> None:
    """Wait until all workers of `heavy` but one are cordoned."""
    cluster.wait(lambda: sum(map(consumes, cluster.nodes(pool="heavy"))) == 1, "the others to be cordoned")


def test_a_cordoned_worker_comes_back_when_demand_does(cluster: Cluster, work: Workload, burst: Burst) -> None:
    _wait_cordoned(cluster)
    runs = work.start("heavy", ENDLESS, number=5)
    work.wait_running(runs)
    work.release(runs)
    tasks = work.wait_ended(runs)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert set(cluster.nodes(pool="heavy")) <= set(burst.workers), "nothing had to be launched"
    assert len({task.address for task in tasks}) == 2, "three had room beside the long task of the one at work"


def test_a_cordoned_worker_leaves_with_its_last_task(cluster: Cluster, work: Workload, burst: Burst) -> None:
    cordoned = cluster.wait(
        lambda: [node for node in cluster.nodes(pool="heavy") if not consumes(node)],
        "a worker to be cordoned",
    )
    work.release(burst.long)
    tasks = work.wait_ended(burst.long)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    # They need not be idle for as long as others.
    why = "cordoned, and its last task is finished"
    told: set[Node] = set()  # one may be gone before another says it

    def all_told() -> bool:
        told.update(node for node in cordoned if _says(node, why))
        return told >= set(cordoned)

    cluster.wait(all_told, "the cordoned to stop because of that", interval=0.2)
    cluster.wait(lambda: not set(cordoned) & set(cluster.nodes()), "them to be gone")
