"""The product: its own decisions, as two masters and the workers' services call them."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque

from airflow_node.worker_registry import GroupSizes
from lifecycle.scale_in import may_scale_in

from bench.scaling.cluster import BOOT_SECONDS, Cluster, Worker
from scaling.forecast import DueRun, expected_tasks, lead_seconds, peak_concurrency
from scaling.pool import Pool
from scaling.pool import Worker as Reported
from scaling.scaler import PoolScaler

QUEUE = "default"
# Each master makes a pass every ten seconds; the two are not synchronised.
MASTERS_FIRST_PASS = (0.0, 4.0)
PASS_SECONDS = 10.0
# How often a worker's service makes a pass, and how long a worker takes to act on it.
SERVICE_SECONDS = 2.0
OBEY_SECONDS = 2.0
# The controller reads the schedule with the same value.
RUNS_ASKED = 3
# A node measures its boot from power-on, some ten seconds after the request.
MEASURED_BOOT_SECONDS = statistics.mean(BOOT_SECONDS) - 10.0


class Product:
    """Scale-out by the masters, scale-in by the workers."""

    name = "this project"

    def __init__(self, *, idle_seconds: float = 60.0, workers_ahead: int = 10_000) -> None:
        self._idle_seconds = idle_seconds
        self._workers_ahead = workers_ahead
        self._peaks: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=RUNS_ASKED))
        self._desired = 0
        self._floor = 0

    def join(self, cluster: Cluster) -> None:
        """Start the services."""
        self._cluster = cluster
        self._pool = Pool(
            name="default",
            group="pool-default",
            queues=(QUEUE,),
            concurrency=cluster.trace.concurrency,
            idle_seconds=self._idle_seconds,
            boot_lead_seconds=180.0,
            workers_ahead=self._workers_ahead,
        )
        for first in MASTERS_FIRST_PASS:
            scaler = PoolScaler(self._pool)
            cluster.every(PASS_SECONDS, lambda scaler=scaler: self._pass(scaler), first=first)
        cluster.every(SERVICE_SECONDS, self._services, first=1.0)

    def _pass(self, scaler: PoolScaler) -> None:
        cluster = self._cluster
        staying = [worker for worker in cluster.workers if worker.state != "leaving"]
        decision = scaler.decide(
            cluster.now,
            group=GroupSizes(minimum=0, maximum=cluster.trace.maximum, desired=self._desired),
            running=sum(len(worker.active) for worker in staying),
            queued=len(cluster.queue),
            expected=self._expected(),
            workers=[self._report(worker) for worker in cluster.workers if worker.state != "starting"],
            in_service={worker.name for worker in staying if worker.state != "starting"},
            boot_seconds=MEASURED_BOOT_SECONDS,
            launch_failure=None,
        )
        for _ in range(decision.desired - len(staying)):
            cluster.launch()
        self._desired = decision.desired
        self._floor = decision.floor
        cluster.after(OBEY_SECONDS, lambda: self._obey(set(decision.cordon)))

    def _report(self, worker: Worker) -> Reported:
        idle = 0.0 if worker.active else self._cluster.now - worker.idle_since
        return Reported(
            instance=worker.name,
            state=worker.state,
            slots=self._pool.concurrency,
            active=len(worker.active),
            idle_seconds=idle,
        )

    def _obey(self, cordoned: set[str]) -> None:
        for worker in self._cluster.workers:
            if worker.state in ("working", "retired"):
                worker.state = "retired" if worker.name in cordoned else "working"
        self._cluster.deal()

    def _services(self) -> None:
        group = GroupSizes(minimum=self._floor, maximum=self._cluster.trace.maximum, desired=self._desired)
        for worker in list(self._cluster.workers):
            report = self._report(worker)
            leaves = may_scale_in(
                state=report.state,
                active=report.active,
                idle_seconds=report.idle_seconds,
                limit_seconds=self._pool.idle_seconds,
                group=group,
            )
            # Auto Scaling refuses to go below the minimum.
            if leaves and self._desired > 0:
                self._desired -= 1
                self._cluster.stop(worker)

    def _expected(self) -> int:
        cluster = self._cluster
        for run in cluster.finished_runs:
            if run.run.scheduled:
                self._peaks[run.run.dag_id].append(peak_concurrency(run.first_tasks))
        cluster.finished_runs.clear()
        lead = lead_seconds(self._pool, MEASURED_BOOT_SECONDS)
        due = []
        for run in cluster.waiting_runs:
            if run.at - cluster.now > lead:
                break
            if run.scheduled:
                peak = max(self._peaks[run.dag_id], default=0)
                due.append(DueRun(dag_id=run.dag_id, starts_in_seconds=run.at - cluster.now, peak={QUEUE: peak}))
        return expected_tasks(due, self._pool.queues, lead)
