"""One worker's access to the worker registry: it reports its state and reads the masters' requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from airflow_node import log
from airflow_node.worker_registry import Report, WorkerRegistry
from redis import RedisError

from lifecycle.actions import DONE, Outcome, Result
from lifecycle.observation import Observation, RegistrySnapshot
from lifecycle.stopwatch import Throttle

# Reading a pool of 200 workers takes the broker some milliseconds.
NEIGHBOURS_SECONDS = 15.0
# Fewer failures may be a coincidence.
LEAST_TASKS = 5
OUTLIERS_SHARE = 0.5
# The share among all neighbours' tasks. If more fail, the cause is in the tasks, or in something that all workers use.
NEIGHBOURS_SHARE = 0.1


class RegistryClient:
    """None of the methods raises."""

    def __init__(
        self, registry: WorkerRegistry, *, instance: str, pool: str, slots: int, queues: Sequence[str]
    ) -> None:
        self._registry = registry
        self._instance = instance
        self._pool = pool
        self._slots = slots
        self._queues = tuple(queues)
        self._neighbours = Throttle()

    def exchange(self, *, state: str, seen: Observation | None, idle_seconds: float) -> RegistrySnapshot:
        """Report the worker's state, and read the registry. `seen` is None before the first observation."""
        load = None
        if seen is not None:
            # Tasks keep running while the worker writes no report.
            load = seen.running if seen.load is None else seen.load
        worker = seen.worker if seen is not None else None
        report = Report(
            instance=self._instance,
            pool=self._pool,
            state=state,
            slots=self._slots,
            active=load or 0,
            idle_seconds=round(idle_seconds, 1),
            failed_at_once=worker.failed_at_once if worker else 0,
            others=worker.others if worker else 0,
        )
        try:
            self._registry.report(report)
            return RegistrySnapshot(
                cordoned=self._registry.is_cordoned(self._pool, self._instance),
                group=self._registry.group(self._pool),
                queued=sum(self._registry.queue_length(queue) for queue in self._queues),
                outlier=self._reason_for_outlier(report, seen.now) if seen is not None else None,
                faults=self._registry.faults(),
            )
        except RedisError as error:
            return RegistrySnapshot(problem=log.one_line(error))

    def record_boot(self, seconds: float) -> Result:
        """Store how long this worker took from power-on to its first readiness, without the wait for admission."""
        try:
            self._registry.record_boot(self._pool, seconds)
        except RedisError as error:
            return Result(Outcome.FAILED, log.one_line(error))
        return Result(DONE.outcome, f"{seconds:.1f} s from power-on to ready")

    def _reason_for_outlier(self, own: Report, now: float) -> str | None:
        """Why this worker, not its tasks, causes their failures; None if it does not.

        Reads the neighbours' reports only if this worker is a suspect, and not often: when a DAG fails on all workers,
        each worker of a large pool would read the reports of all others.
        """
        if not is_suspect(own) or not self._neighbours.is_due(now):
            return None
        self._neighbours.pause(now, NEIGHBOURS_SECONDS)
        reports = self._registry.some_reports(self._pool)
        reason = reason_for_outlier(own, [report for report in reports if report.instance != self._instance])
        return reason if reason is not None and self._registry.eject(self._pool, self._instance) else None


class TaskCounts(Protocol):
    """How a worker's tasks have ended in the last minutes."""

    @property
    def failed_at_once(self) -> int: ...
    @property
    def others(self) -> int: ...


def is_suspect(own: TaskCounts) -> bool:
    """Whether most of the worker's tasks have failed at once. The cause may still be in the tasks."""
    return own.failed_at_once >= LEAST_TASKS and _share(own.failed_at_once, own.others) >= OUTLIERS_SHARE


def reason_for_outlier(own: TaskCounts, neighbours: Iterable[TaskCounts]) -> str | None:
    """Why a worker causes its tasks' failures; None if the neighbours' tasks do not show that.

    Such a worker always has free slots, so it takes most of the tasks, and they fail. Load balancers call it an
    outlier:
    https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
    """
    if not is_suspect(own):
        return None
    found = list(neighbours)
    failed, others = sum(each.failed_at_once for each in found), sum(each.others for each in found)
    if failed + others < LEAST_TASKS or _share(failed, others) > NEIGHBOURS_SHARE:
        return None
    return (
        f"{own.failed_at_once} of its last {own.failed_at_once + own.others} tasks failed at once, "
        f"and {failed} of {failed + others} on the other workers of its pool"
    )


def _share(failed: int, others: int) -> float:
    return failed / (failed + others)
