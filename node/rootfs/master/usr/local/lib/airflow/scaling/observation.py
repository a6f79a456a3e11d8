"""What one pass observes: tasks, the schedule, groups and workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import psycopg
import redis
from airflow_node.worker_registry import Report, WorkerRegistry, WorkerState

from scaling.demand import Demand, read_demand
from scaling.due_runs import DueRuns
from scaling.forecast import DueRun, expected_tasks, lead_seconds
from scaling.launch_groups import LaunchGroup, LaunchGroups
from scaling.pool import Pool, Worker


@dataclass(frozen=True, kw_only=True)
class RegistrySnapshot:
    """What was read from the worker registry, by pool.

    Attributes:
        faults: why entries are ignored, by key.
    """

    workers: Mapping[str, Sequence[Worker]]
    boot_seconds: Mapping[str, float | None]
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PoolObservation:
    """One pool in one pass.

    Attributes:
        running: running tasks, without those of workers that take no more.
        queued: tasks that wait for a worker.
        expected: tasks expected from the schedule before a new worker would be ready.
        workers: empty while the registry cannot be read.
        boot_seconds: how long its workers' boots take; None until some were measured.
    """

    running: int
    queued: int
    expected: int
    workers: Sequence[Worker]
    boot_seconds: float | None

    def reason_for_more_than(self, workers: int, pool: Pool) -> str:
        """Why it needs more workers: for the `schedule`, or for `tasks` that are running or queued.

        Auto Scaling itself maintains the minimum.
        """
        fit = self.running + self.queued <= workers * pool.concurrency
        return "schedule" if fit and self.expected else "tasks"

    def count_by_state(self) -> dict[str, int]:
        """The number of workers in each state."""
        return dict(sorted(Counter(worker.state for worker in self.workers).items()))


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything that one pass observes. `registry` is None while the broker cannot be reached."""

    demand: Demand
    due: Sequence[DueRun]
    groups: Mapping[str, LaunchGroup]
    registry: RegistrySnapshot | None

    def of(self, pool: Pool) -> PoolObservation:
        """The observation of one pool."""
        reported = self.registry.workers.get(pool.name, ()) if self.registry else ()
        # Tasks can forge reports: a report reduces the demand by no more tasks than a worker can run.
        workers = [replace(worker, active=min(worker.active, pool.concurrency)) for worker in reported]
        boot_seconds = self.registry.boot_seconds.get(pool.name) if self.registry else None
        # These tasks are no reason to keep or launch another worker.
        taken_along = sum(worker.active for worker in workers if worker.takes_no_more)
        return PoolObservation(
            running=max(0, self.demand.running_in(pool.queues) - taken_along),
            queued=self.demand.queued_in(pool.queues),
            expected=expected_tasks(self.due, pool.queues, lead_seconds(pool, boot_seconds)),
            workers=workers,
            boot_seconds=boot_seconds,
        )


class Observer:
    """Reads all sources once per pass."""

    def __init__(
        self,
        pools: Sequence[Pool],
        groups: LaunchGroups,
        registry: WorkerRegistry,
        on_failure: Callable[[str, Exception | None], None],
    ) -> None:
        """`on_failure` is called for each source without which scaling can work, with its error or None."""
        self._pools = pools
        self._groups = groups
        self._registry = registry
        self._due_runs = DueRuns()
        self._on_failure = on_failure

    def look(self, connection: psycopg.Connection, groups: Mapping[str, LaunchGroup]) -> Observation:
        """One observation. Raises psycopg.Error, because without the tasks nothing can be decided."""
        registry = self._read_registry(groups)
        demand = read_demand(connection)
        return Observation(
            demand=demand, due=self._read_schedule(connection, registry), groups=groups, registry=registry
        )

    def _read_registry(self, groups: Mapping[str, LaunchGroup]) -> RegistrySnapshot | None:
        registry = self._registry
        instances = {pool.name: groups[pool.group].instances for pool in self._pools if pool.group in groups}
        try:
            workers = {pool: self._read_workers(pool, some) for pool, some in instances.items()}
            boot_seconds = {pool.name: registry.boot_seconds(pool.name) for pool in self._pools}
            registry.note_unknown_instances({pool.name: self._groups.listed_lately(pool.group) for pool in self._pools})
        except redis.RedisError as error:
            self._on_failure("the worker registry", error)
            return None
        self._on_failure("the worker registry", None)
        return RegistrySnapshot(workers=workers, boot_seconds=boot_seconds, faults=registry.faults())

    def _read_workers(self, pool: str, instances: frozenset[str]) -> list[Worker]:
        """The reports of the group's instances only, because tasks can write reports of others."""
        cordoned = self._registry.cordoned(pool, instances)
        return [_worker(report, report.instance in cordoned) for report in self._registry.reports(pool, instances)]

    def _read_schedule(self, connection: psycopg.Connection, registry: RegistrySnapshot | None) -> list[DueRun]:
        measured = registry.boot_seconds if registry else {}
        leads = [lead_seconds(pool, measured.get(pool.name)) for pool in self._pools if pool.workers_ahead]
        if not leads:
            return []
        try:
            due = self._due_runs.read(connection, max(leads))
        except psycopg.Error as error:
            # The schedule is read last: nothing else needs the failed transaction, and it keeps the lock until it ends.
            if connection.closed:
                raise
            self._on_failure("the schedule", error)
            return []
        self._on_failure("the schedule", None)
        return due


def _worker(report: Report, is_cordoned: bool) -> Worker:
    """The worker with the state that the masters have requested.

    A worker follows some seconds after it was cordoned or uncordoned. Until then another master must neither cordon one
    more nor rely on its previous state.
    """
    follows = report.state in (WorkerState.WORKING, WorkerState.CORDONED)
    return Worker(
        instance=report.instance,
        state=(WorkerState.CORDONED if is_cordoned else WorkerState.WORKING) if follows else report.state,
        slots=report.slots,
        active=report.active,
        idle_seconds=report.idle_seconds,
    )
