"""Pools grow with their queues and shrink again, without a task being killed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lab import service_log
from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload, describe
from tests.cluster.conftest import set_minimum, sizes
from tests.cluster.stuck_worker import consumes

HEAVY_IDLE_SECONDS = 60
"""idleSeconds of the pool in the prod stack."""
PASS_SECONDS = 10
"""The masters look this often."""
NO_CAPACITY = "We currently do not have sufficient r7i.xlarge capacity in the Availability Zone you requested."
LONG, SHORT, AGAIN = 240, 45, 40


def _masters_say(cluster: Cluster, text: str) -> bool:
    return any(text in master.journal(service_log.SCALING) for master in cluster.nodes(role="master"))


def _control(cluster: Cluster, command: str) -> None:
    """Stop or start the masters' scaling."""
    for master in cluster.nodes(role="master"):
        assert master.exec("systemctl", command, service_log.SCALING).returncode == 0


def _says(worker: Node, text: str) -> bool:
    return text in worker.journal(service_log.LIFECYCLE)


def _in_service(cluster: Cluster, pool: str) -> int:
    return sum(cluster.lifecycle_state(node) == "InService" for node in cluster.nodes(pool=pool))


@dataclass(frozen=True, kw_only=True)
class Refresh:
    old: list[Node]
    runs: list[str]


@pytest.fixture(scope="module")
def refresh(cluster: Cluster, work: Workload) -> Refresh:
    """An instance refresh of the pool `default`, begun while its worker is busy."""
    cluster.wait_ready()
    runs = [*work.start("default", 60, kind="bash"), *work.start("default", 60, kind="python")]
    work.wait_running(runs)
    old = cluster.nodes(pool="default")
    cluster.refresh("default")
    return Refresh(old=old, runs=runs)


def test_tasks_for_a_queue_that_no_pool_serves_show_in_log_and_metric(
    cluster: Cluster, api: AirflowApi, work: Workload, refresh: Refresh
) -> None:
    del refresh
    [run] = work.start("nowhere", 1)
    cluster.wait(lambda: _masters_say(cluster, '"queue": "nowhere"'), "the log to name the queue", timeout=40)
    metrics = "".join(
        master.exec("curl --silent --max-time 5 http://127.0.0.1:9105/metrics").stdout
        for master in cluster.nodes(role="master")
    )
    assert 'airflow_unserved_queue_tasks{queue="nowhere"} 1.0' in metrics, metrics
    api.request("PATCH", f"/api/v2/dags/python_nowhere/dagRuns/{run}", {"state": "failed"})


def test_of_two_workers_that_leave_at_once_one_is_refused_and_goes_back_to_work(
    cluster: Cluster, work: Workload
) -> None:
    """Each reads on the board that its group is above the minimum. Auto Scaling knows better about the second."""
    set_minimum(cluster, "heavy", 2)
    cluster.wait(lambda: _in_service(cluster, "heavy") == 2, "two workers", timeout=120)
    tasks = work.wait_ended(work.start("heavy", 15, number=8))
    set_minimum(cluster, "heavy", 1)
    # The masters would retire one when both have been idle for long enough. What they wrote on the board last stays
    # there for a minute.
    idle_since = max(task.ended for task in tasks if task.ended)
    read = idle_since + timedelta(seconds=2 * PASS_SECONDS)
    cluster.wait(lambda: datetime.now(UTC) > read, "the board to know", timeout=HEAVY_IDLE_SECONDS)
    _control(cluster, "stop")
    try:
        cluster.wait(lambda: len(cluster.nodes(pool="heavy")) == 1, "one to leave", timeout=HEAVY_IDLE_SECONDS + 30)
        [refused] = cluster.nodes(pool="heavy")
        cluster.wait(lambda: _says(refused, "desiredSize equals minSize"), "the other to be refused", timeout=30)
    finally:
        _control(cluster, "start")
    cluster.wait(lambda: consumes(refused), "it to be back at work", timeout=60)
    assert sizes(cluster, "heavy")["DesiredCapacity"] == 1


def test_a_pool_whose_minimum_is_zero_ends_its_last_worker(cluster: Cluster) -> None:
    set_minimum(cluster, "heavy", 0)
    cluster.wait(lambda: not cluster.nodes(pool="heavy"), "the last worker to leave", timeout=HEAVY_IDLE_SECONDS + 60)
    assert sizes(cluster, "heavy")["DesiredCapacity"] == 0


def test_a_refreshed_pool_has_new_workers_and_lost_no_task(cluster: Cluster, work: Workload, refresh: Refresh) -> None:
    old = {str(node.instance.address) for node in refresh.old}
    tasks = work.wait_ended(refresh.runs)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert {task.address for task in tasks} <= old
    cluster.wait(lambda: not set(refresh.old) & set(cluster.nodes()), "the old workers to be gone", timeout=120)
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
    at = datetime.now(UTC)
    with cluster.no_capacity("heavy", NO_CAPACITY):
        long, short = [], []
        # In this order every worker gets both, whether tasks are dealt out one by one or a worker at a time.
        for _ in range(3):
            long += work.start("heavy", LONG)
            short += work.start("heavy", SHORT, number=3)
        short += work.start("default", SHORT, number=20)
        cluster.wait(lambda: _masters_say(cluster, NO_CAPACITY), "the log to say what EC2 says", timeout=90)
    work.wait_running(long)
    return Burst(at=at, runs=[*long, *short], long=long, workers=cluster.nodes(pool="heavy"))


def test_a_group_that_cannot_launch_is_reported_in_ec2s_words_and_not_asked_for_ever(
    cluster: Cluster, burst: Burst
) -> None:
    del burst
    decided = [event.fields for event in service_log.decisions(cluster, "heavy")]
    told = [fields for fields in decided if NO_CAPACITY in fields.get("launch_failure", "")]
    assert told
    assert all(fields["from"] == fields["to"] for fields in told), "it has been asked for already"


def test_a_burst_over_both_pools_gets_the_workers_that_it_needs(cluster: Cluster, burst: Burst) -> None:
    assert len(burst.workers) == 3, "twelve tasks, four to a worker"
    decided = [event.fields["to"] for event in service_log.decisions(cluster, "default") if event.at > burst.at]
    assert max(decided) == 2, "twenty tasks, sixteen to a worker"


def test_after_a_burst_all_but_one_of_the_workers_with_few_tasks_are_retired(
    cluster: Cluster, work: Workload, burst: Burst
) -> None:
    """A need that falls by one worker alone may be about to rise again; this one falls by two."""
    tasks = work.wait_ended([run for run in burst.runs if run not in burst.long])
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    cluster.wait(lambda: sum(map(consumes, cluster.nodes(pool="heavy"))) == 1, "the others to retire", timeout=150)


def test_a_retired_worker_comes_back_when_demand_does(cluster: Cluster, work: Workload, burst: Burst) -> None:
    tasks = work.wait_ended(work.start("heavy", AGAIN, number=5))
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert set(cluster.nodes(pool="heavy")) <= set(burst.workers), "nothing had to be launched"
    assert len({task.address for task in tasks}) == 2, "three had room beside the long task of the one at work"


def test_a_retired_worker_leaves_with_its_last_task(cluster: Cluster, work: Workload, burst: Burst) -> None:
    tasks = work.wait_ended(burst.long)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    # They need not be idle for as long as others.
    cluster.wait(
        lambda: all(map(consumes, cluster.nodes(pool="heavy"))),
        "the retired to leave",
        timeout=HEAVY_IDLE_SECONDS - 10,
    )
    assert len(cluster.nodes(pool="heavy")) < len(burst.workers)
