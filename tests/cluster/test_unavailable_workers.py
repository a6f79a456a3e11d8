"""Workers on which tasks would fail, or do: they stop taking tasks, say why, and the others do the work.

Both happen at once: the disk of the worker of `default` is full, and on one of two workers of `heavy` no task can start
a shell any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab import service_log
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import UNFINISHED, Workload, describe
from tests.cluster.worker_pools import consumes, set_minimum, set_workers, sizes

# A separate disk for Airflow's home, because the lab must not fill the machine's. Open files stay on the old one.
SMALL_DISK = (
    "mount --types tmpfs --options size=64m tmpfs /mnt && cp --archive /var/lib/airflow/. /mnt &&"
    " chown airflow: /mnt && chmod 750 /mnt && mount --bind /mnt /var/lib/airflow && umount /mnt"
)
FILL = "head --bytes=64M /dev/zero >/var/lib/airflow/left-behind; df --output=pcent /var/lib/airflow"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    full: Node
    broken: Node
    sound: Node


@pytest.fixture(scope="module")
def trouble(cluster: Cluster, work: Workload) -> Iterator[Trouble]:
    """Workers in trouble, after all of `heavy` have shown that tasks work there."""
    set_workers(cluster, default=1, heavy=2)
    [full] = cluster.nodes(pool="default")
    broken, sound = cluster.nodes(pool="heavy")
    tasks = work.wait_ended(work.start("heavy", 3, number=8, kind="bash"))
    assert {task.state for task in tasks} == {"success"}, describe(tasks)
    for node, command in (
        (full, SMALL_DISK),
        (full, FILL),
        (broken, "chmod go-x /usr/bin/bash"),
    ):
        done = node.exec(command)
        assert done.returncode == 0, done.stderr
    yield Trouble(full=full, broken=broken, sound=sound)
    set_minimum(cluster, "default", 0)  # without a test for which there is another worker, it is the only one
    set_minimum(cluster, "heavy", 1)
    for node in (full, broken):  # the first one still has its small disk
        cluster.boto3("autoscaling").terminate_instance_in_auto_scaling_group(
            InstanceId=node.instance.id, ShouldDecrementDesiredCapacity=True
        )
        cluster.wait(lambda node=node: cluster.lifecycle_state(node) == "gone", f"{node.name} to go")


def _why(node: Node) -> str:
    """Why a worker is unavailable; empty if it is not."""
    states = [event for event in service_log.events(node, service_log.LIFECYCLE) if event.name == "state"]
    return states[-1].fields["why"] if states and states[-1].fields["now"] == "unavailable" else ""


def test_a_worker_with_a_full_disk_takes_no_tasks_and_another_is_launched_for_them(
    cluster: Cluster, trouble: Trouble, work: Workload
) -> None:
    why = cluster.wait(lambda: _why(trouble.full), "the worker to notice its full disk")
    assert "the disk at /var/lib/airflow has 0.00 GiB of 0.06 GiB left" in why
    cluster.wait(lambda: not consumes(trouble.full), "it to consume nothing")
    runs = work.start("default", 1, number=2)
    cluster.wait(lambda: sizes(cluster, "default")["DesiredCapacity"] == 2, "another worker")
    # Otherwise one of them may leave for want of tasks before the last test.
    set_minimum(cluster, "default", 2)
    tasks = work.wait_ended(runs)
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert str(trouble.full.instance.address) not in {task.address for task in tasks}
    # For the last test: a worker waits for a while before it believes that there is room again.
    freed = trouble.full.exec("rm /var/lib/airflow/left-behind")
    assert freed.returncode == 0, freed.stderr


def test_a_worker_on_which_tasks_fail_at_once_takes_no_more_and_the_others_do_the_work(
    cluster: Cluster, trouble: Trouble, work: Workload
) -> None:
    runs: list[str] = []

    def found() -> str:
        """Why the worker is at fault. Until then there are always some tasks, so that some come to each worker."""
        tasks = work.tasks(runs)
        if len(tasks) == len(runs) and all(task.state not in UNFINISHED for task in tasks):
            runs[:] = work.start("heavy", 1, number=10, kind="bash")
        return _why(trouble.broken)

    why = cluster.wait(found, "the worker to be found at fault")
    assert "tasks failed at once, and 0 of " in why
    assert _why(trouble.sound) == ""
    cluster.wait(lambda: not consumes(trouble.broken), "it to consume nothing")
    tasks = work.wait_ended(work.start("heavy", 1, number=4, kind="bash"))
    assert {(task.state, task.tries) for task in tasks} == {("success", 1)}, describe(tasks)
    assert str(trouble.broken.instance.address) not in {task.address for task in tasks}


def test_a_worker_with_room_on_its_disk_again_goes_back_to_work(cluster: Cluster, trouble: Trouble) -> None:
    cluster.wait(lambda: not _why(trouble.full), "the worker to notice")
    cluster.wait(lambda: consumes(trouble.full), "it to take tasks")
