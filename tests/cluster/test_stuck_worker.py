"""A worker that takes no tasks while one still runs on it does not count as capacity; its task ends normally."""

from __future__ import annotations

import pytest

from lab import service_log
from lab.cluster import Cluster
from lab.workload import Workload, describe
from tests.cluster.worker_pools import WORKER, consumes, set_minimum, set_workers

POOL = "default"
LONG = 3600
"""Longer than the tests need the worker to be stuck. Its task is released after that."""


class StuckWorker:
    """Stuck from the start: its main process gets SIGTERM, and systemd and the lifecycle service do not know of it.

    An error that Celery does not expect has the same effect. Tasks wait in its queue, and `long` runs on it.
    """

    def __init__(self, cluster: Cluster, work: Workload) -> None:
        set_workers(cluster, default=1)
        [self.node] = cluster.nodes(pool=POOL)
        self.long = work.start(POOL, LONG)
        work.wait_running(self.long)
        self.node.exec(f"kill -TERM $(systemctl show --property=MainPID --value {WORKER})")
        cluster.wait(lambda: not consumes(self.node), "it to consume nothing", interval=0.5)
        self.waiting = work.start(POOL, 1, number=3)

    def states(self) -> list[str]:
        """The states that its lifecycle service has logged, the oldest first."""
        events = service_log.events(self.node, service_log.LIFECYCLE)
        return [event.fields["now"] for event in events if event.name == "state"]


@pytest.fixture(scope="module")
def stuck_worker(cluster: Cluster, work: Workload) -> StuckWorker:
    """When the waiting tasks have ended: another worker has replaced it."""
    stuck = StuckWorker(cluster, work)
    work.wait_ended(stuck.waiting)
    return stuck


@pytest.fixture(scope="module")
def released(cluster: Cluster, stuck_worker: StuckWorker, work: Workload) -> None:
    """Its long task may end. Of the two workers without tasks, one would then leave before the test has seen it."""
    set_minimum(cluster, POOL, 2)
    work.wait_running(stuck_worker.long)
    work.release(stuck_worker.long)


def test_another_worker_is_launched_for_the_tasks_that_it_does_not_take(
    work: Workload, stuck_worker: StuckWorker
) -> None:
    assert stuck_worker.states()[-1] == "not-consuming"
    tasks = work.tasks(stuck_worker.waiting)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert str(stuck_worker.node.instance.address) not in {task.address for task in tasks}, describe(tasks)


@pytest.mark.usefixtures("released")
def test_its_own_task_succeeds_there_on_its_first_try(work: Workload, stuck_worker: StuckWorker) -> None:
    [task] = work.wait_ended(stuck_worker.long)
    address = str(stuck_worker.node.instance.address)
    assert (task.state, task.tries, task.address) == ("success", 1, address), describe([task])


@pytest.mark.usefixtures("released")
def test_it_is_back_at_work_when_its_task_has_ended(
    cluster: Cluster, work: Workload, stuck_worker: StuckWorker
) -> None:
    work.wait_ended(stuck_worker.long)
    cluster.wait(lambda: consumes(stuck_worker.node), "it to consume again")
    cluster.wait(lambda: stuck_worker.states()[-1] == "working", "it to say so")
