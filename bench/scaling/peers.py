"""The peers' formulas, with the same workers, boots and limits as the product has.

Where a peer's documentation leaves something open, it gets the better reading: all workers boot as fast as the
product's nodes, KEDA's and MWAA's figures are exact, and MWAA never kills a task.
"""

from __future__ import annotations

import random
from collections import deque

from bench.scaling.cluster import Cluster, Worker


class Peer:
    """What the peers have in common: they choose a number of workers, and stop workers."""

    name = ""

    def join(self, cluster: Cluster) -> None:
        """Start."""
        self._cluster = cluster
        self._random = random.Random(5)  # noqa: S311 - a simulation

    def _staying(self) -> list[Worker]:
        return [worker for worker in self._cluster.workers if worker.state != "leaving"]

    def _needed(self) -> int:
        """ceil((running + queued) / concurrency)."""
        tasks = self._cluster.running + len(self._cluster.queue)
        return -(-tasks // self._cluster.trace.concurrency)

    def _launch_up_to(self, size: int) -> None:
        for _ in range(min(size, self._cluster.trace.maximum) - len(self._staying())):
            self._cluster.launch()


class Keda(Peer):
    """The official Helm chart: KEDA scales between 0 and 1, a HorizontalPodAutoscaler above.

    KEDA looks every 5 s, and goes to zero once nothing ran or waited for 30 s. The autoscaler works every 15 s, with a
    tolerance of 10 %, at most twice or 4 pods more at a time, and takes the highest wish of the last 300 s before it
    goes down. Its victims are any pods; they have 600 s to finish.
    """

    name = "KEDA + HPA"

    def join(self, cluster: Cluster) -> None:
        super().join(cluster)
        self._wishes: deque[tuple[float, int]] = deque()
        self._last_active = 0.0
        cluster.every(5.0, self._activate)
        cluster.every(15.0, self._autoscale, first=2.0)

    def _activate(self) -> None:
        now = self._cluster.now
        if self._needed():
            self._last_active = now
            self._launch_up_to(1)
        elif now - self._last_active >= 30.0:
            self._wishes.clear()
            self._remove(len(self._staying()))

    def _autoscale(self) -> None:
        now, size = self._cluster.now, len(self._staying())
        if not size:
            return
        wish = self._needed()
        if abs(wish / size - 1.0) <= 0.1:
            wish = size
        wish = max(1, min(wish, max(2 * size, size + 4)))
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - 300.0:
            self._wishes.popleft()
        if wish > size:
            self._launch_up_to(wish)
        else:
            self._remove(size - max(highest for _, highest in self._wishes))

    def _remove(self, count: int) -> None:
        staying = self._staying()
        for worker in self._random.sample(staying, max(0, min(count, len(staying)))):
            self._cluster.stop(worker, grace_seconds=600.0)


class Mwaa(Peer):
    """Amazon MWAA: required workers = (running + queued) / tasks per worker, from metrics of one minute; at least one.

    Extra workers go when they have completed their work: its image calls a worker idle after consecutive empty checks
    past a warm-up of three minutes, here two minutes without a task. One that takes a task meanwhile is kept.
    """

    name = "MWAA"

    def join(self, cluster: Cluster) -> None:
        super().join(cluster)
        cluster.every(60.0, self._look)

    def _look(self) -> None:
        required = max(1, self._needed())
        self._launch_up_to(required)
        now = self._cluster.now
        idle = [
            worker
            for worker in self._staying()
            if worker.state == "working"
            and not worker.active
            and now - worker.idle_since >= 120.0
            and now - worker.launched_at >= 180.0
        ]
        for worker in idle[: max(0, len(self._staying()) - required)]:
            self._cluster.stop(worker)


class Turbine(Peer):
    """villasv/aws-airflow-stack: adds or removes one instance, by a load that is estimated from empty receives.

    The load is 1 - empty receives / (workers * 0.098444 * 300): the share of the time in which workers that ask the
    queue find something, over five minutes, known 10 to 15 minutes later. 0.9 adds one worker, 0.5 removes one, with
    600 s of rest in between. With messages and no worker, the load is 1. An instance ends three minutes after it was
    chosen, whatever it runs.
    """

    name = "Turbine"

    def join(self, cluster: Cluster) -> None:
        super().join(cluster)
        self._loads: deque[tuple[float, float]] = deque()
        self._empty = self._asked = 0
        self._rest_until = 0.0
        cluster.every(10.0, self._watch)
        cluster.every(300.0, self._look, first=300.0)

    def _watch(self) -> None:
        """One receive of every worker that has a free slot: empty where nothing waits."""
        for worker in self._cluster.workers:
            if worker.state == "working":
                self._asked += 1
                has_room = len(worker.active) < self._cluster.trace.concurrency
                self._empty += has_room and not self._cluster.queue

    def _look(self) -> None:
        now = self._cluster.now
        load = 1.0 - self._empty / self._asked if self._asked else float(bool(self._cluster.queue))
        self._empty = self._asked = 0
        self._loads.append((now, load))
        while len(self._loads) > 1 and self._loads[1][0] <= now - 600.0:
            self._loads.popleft()
        known_at, known = self._loads[0]
        if known_at > now - 600.0 or now < self._rest_until:
            return
        staying = self._staying()
        if known >= 0.9 and len(staying) < self._cluster.trace.maximum:
            self._cluster.launch()
            self._rest_until = now + 600.0
        elif known <= 0.5 and staying:
            self._cluster.stop(self._random.choice(staying), grace_seconds=180.0)
            self._rest_until = now + 600.0
