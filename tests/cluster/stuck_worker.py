"""A worker that no longer consumes while a task runs on it, and the tasks that wait in its queue."""

from __future__ import annotations

from lab import service_log
from lab.cluster import Cluster
from lab.node import Node
from lab.workload import Workload

POOL = "default"
WORKER = "airflow-worker.service"
LONG = 1200
"""Longer than the tests need the worker to be stuck. Its task is released after that."""


class StuckWorker:
    """Stuck from the start: its main process gets SIGTERM, and systemd and the lifecycle service do not know of it.

    An error that Celery does not expect has the same effect.
    """

    def __init__(self, cluster: Cluster, work: Workload) -> None:
        cluster.wait(lambda: len(cluster.nodes(pool=POOL)) == 1, "one worker alone", timeout=240)
        cluster.wait_ready()
        [self.node] = cluster.nodes(pool=POOL)
        self.long = work.start(POOL, LONG)
        work.wait_running(self.long)
        self.node.exec(f"kill -TERM $(systemctl show --property=MainPID --value {WORKER})")
        cluster.wait(lambda: not consumes(self.node), "it to consume nothing", timeout=30, interval=0.5)
        self.waiting = work.start(POOL, 1, number=3)

    def states(self) -> list[str]:
        """The states that its lifecycle service has told, the oldest first."""
        told = service_log.events(self.node, service_log.LIFECYCLE)
        return [event.fields["now"] for event in told if event.name == "state"]


def consumes(node: Node) -> bool:
    """Whether a worker takes tasks, according to its state file."""
    return '"queues": ["' in node.read("/run/airflow-worker/state.json")
