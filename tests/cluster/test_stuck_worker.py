"""A worker that takes no tasks while one still runs on it does not count as capacity; its task ends normally."""

from __future__ import annotations

import pytest

from lab.cluster import Cluster
from lab.workload import Workload, describe
from tests.cluster.stuck_worker import StuckWorker, consumes


@pytest.fixture(autouse=True, scope="module")
def released(stuck_worker: StuckWorker, work: Workload) -> None:
    """When the waiting tasks have ended, the long task may end."""
    work.wait_ended(stuck_worker.waiting)
    work.wait_running(stuck_worker.long, timeout=10)
    work.release(stuck_worker.long)


def test_another_worker_is_launched_for_the_tasks_that_it_does_not_take(
    work: Workload, stuck_worker: StuckWorker
) -> None:
    assert stuck_worker.states()[-1] == "not-consuming"
    tasks = work.tasks(stuck_worker.waiting)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert str(stuck_worker.node.instance.address) not in {task.address for task in tasks}, describe(tasks)


def test_its_own_task_succeeds_there_on_its_first_try(work: Workload, stuck_worker: StuckWorker) -> None:
    [task] = work.wait_ended(stuck_worker.long)
    address = str(stuck_worker.node.instance.address)
    assert (task.state, task.tries, task.address) == ("success", 1, address), describe([task])


def test_it_is_back_at_work_when_its_task_has_ended(
    cluster: Cluster, work: Workload, stuck_worker: StuckWorker
) -> None:
    work.wait_ended(stuck_worker.long)
    cluster.wait(lambda: consumes(stuck_worker.node), "it to consume again", timeout=60)
    cluster.wait(lambda: stuck_worker.states()[-1] == "working", "it to say so", timeout=10)
