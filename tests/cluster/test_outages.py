"""Broker and database go away and come back. Tasks at work do not notice; those that wait run in a stated time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lab.airflow_api import AirflowApi
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Task, Workload, describe
from tests.cluster.worker_pools import set_workers

SLOTS_OF_HEAVY = 4
# From the broker's return to the start of the last task whose message it lost: see docs/running-worker-pools.md.
LONGEST_WITHOUT_MESSAGE = timedelta(seconds=150)
# As soon as a slot is free: when one of the tasks before it has ended, or another worker has been launched.
LONGEST_WITH_MESSAGE = timedelta(seconds=180)
BUSY_SECONDS = 60
"""Longer than it takes to send the tasks that fill a worker, and those behind them."""
WORK_SECONDS = 3600
"""Longer than all outages of this file and their recovery, on any machine. The tasks are released after that."""


@pytest.fixture(scope="module")
def witnesses(cluster: Cluster, work: Workload) -> list[str]:
    """Tasks that are at work as long as the outages last. One of them asks Airflow for something all the time."""
    cluster.wait_ready()
    runs = [run for kind in ("bash", "python", "asking") for run in work.start("default", WORK_SECONDS, kind=kind)]
    work.wait_running(runs)
    return runs


@pytest.fixture
def waiting(cluster: Cluster, work: Workload, witnesses: list[str]) -> tuple[list[Task], list[Task]]:
    """Tasks of `heavy` on every slot there is, and three more whose messages lie in the broker."""
    del witnesses
    set_workers(cluster, heavy=1)
    runs = work.start("heavy", BUSY_SECONDS, number=SLOTS_OF_HEAVY + 3)
    work.wait(runs, lambda task: task.state in ("queued", "running") and task.sent, "to be sent")
    running = cluster.wait(lambda: _running(work, runs), "some of them to run")
    return running, [task for task in work.tasks(runs) if task.run not in {other.run for other in running}]


def _running(work: Workload, runs: Sequence[str]) -> list[Task]:
    return [task for task in work.tasks(runs) if task.state == "running"]


def _all_ran_once(tasks: Sequence[Task]) -> None:
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)


def _started_within(tasks: Sequence[Task], limit: timedelta, since: datetime) -> None:
    late = [task for task in tasks if task.started is None or task.started - since > limit]
    assert not late, describe(late)


@pytest.mark.parametrize("seconds", [60, 10])
def test_a_database_that_is_away_costs_time_and_no_task(
    cluster: Cluster, api: AirflowApi, work: Workload, witnesses: list[str], seconds: int
) -> None:
    work.wait_running(witnesses)
    masters = cluster.nodes(role="master")
    restarts = {master: _restarts(master) for master in masters}
    cluster.database.stop()
    gone = datetime.now(UTC)
    cluster.wait(lambda: datetime.now(UTC) - gone > timedelta(seconds=seconds), "the outage to last")
    cluster.database.start()
    cluster.wait(api.answers, "the API to answer")
    [task] = work.wait_ended(work.start("default", 1))
    _all_ran_once([task])
    for master in masters:
        assert master.unit("airflow-scaling.service")["ActiveState"] == "active", master.name
        assert _restarts(master) == restarts[master], "no service is at fault"


def _restarts(master: Node) -> int:
    """How many services the master has restarted because they seemed to hang."""
    return master.journal("airflow-health.service").count("a service is restarted")


def test_tasks_run_on_when_the_broker_restarts_with_its_data(
    cluster: Cluster, work: Workload, waiting: tuple[list[Task], list[Task]]
) -> None:
    running, queued = waiting
    cluster.broker.stop()
    cluster.broker.start(empty=False)
    back = datetime.now(UTC)
    tasks = work.wait_ended([task.run for task in [*running, *queued]])
    _all_ran_once(tasks)
    _started_within(tasks, LONGEST_WITH_MESSAGE, back)


def test_tasks_whose_messages_the_broker_lost_run_in_a_stated_time(
    cluster: Cluster, work: Workload, witnesses: list[str], waiting: tuple[list[Task], list[Task]]
) -> None:
    running, queued = waiting
    cluster.broker.stop()
    cluster.broker.start(empty=True)
    work.wait_running(witnesses)
    back = datetime.now(UTC)
    _all_ran_once(work.wait_ended([task.run for task in running]))
    lost = work.wait_ended([task.run for task in queued])
    assert {task.state for task in lost} == {"success"}, describe(lost)
    _started_within(lost, LONGEST_WITHOUT_MESSAGE, back)


def test_tasks_that_were_at_work_during_every_outage_succeed_on_their_first_try(
    work: Workload, witnesses: list[str]
) -> None:
    work.wait_running(witnesses)
    work.release(witnesses)
    _all_ran_once(work.wait_ended(witnesses))
