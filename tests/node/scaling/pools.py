"""A pool of four tasks per worker, and its workers."""

from __future__ import annotations

from collections.abc import Collection

from airflow_node.worker_registry import GroupSizes
from scaling.pool import Pool, Worker
from scaling.scaler import Decision, PoolScaler

POOL = Pool(
    name="default",
    group="airflow-test-pool-default",
    queues=("default",),
    concurrency=4,
    idle_seconds=60.0,
    boot_lead_seconds=180.0,
    workers_ahead=3,
)
PERIOD_SECONDS = 10.0


def working(instance: str, active: int, idle_seconds: float = 0.0) -> Worker:
    return Worker(instance=instance, state="working", slots=4, active=active, idle_seconds=idle_seconds)


def in_state(state: str, instance: str, active: int = 0) -> Worker:
    return Worker(instance=instance, state=state, slots=4, active=active, idle_seconds=0.0)


class Watch:
    """A scaler with a clock."""

    def __init__(self, pool: Pool = POOL) -> None:
        self.scaler = PoolScaler(pool)
        self.now = 1000.0

    def look(
        self,
        *workers: Worker,
        desired: int | None = None,
        in_service: Collection[str] | None = None,
        minimum: int = 0,
        maximum: int = 10,
        running: int = 0,
        queued: int = 0,
        expected: int = 0,
        boot_seconds: float | None = None,
        launch_failure: str | None = None,
    ) -> Decision:
        """One pass now."""
        size = len(workers) if desired is None else desired
        return self.scaler.decide(
            self.now,
            group=GroupSizes(minimum=minimum, maximum=maximum, desired=size),
            running=running,
            queued=queued,
            expected=expected,
            workers=workers,
            in_service={worker.instance for worker in workers} if in_service is None else in_service,
            boot_seconds=boot_seconds,
            launch_failure=launch_failure,
        )

    def look_for(
        self,
        seconds: float,
        *workers: Worker,
        desired: int | None = None,
        in_service: Collection[str] | None = None,
        running: int = 0,
        minimum: int = 0,
    ) -> Decision:
        """Passes over that time; returns the last decision."""
        decision = self.look(*workers, desired=desired, in_service=in_service, running=running, minimum=minimum)
        for _ in range(int(seconds / PERIOD_SECONDS)):
            self.now += PERIOD_SECONDS
            decision = self.look(*workers, desired=desired, in_service=in_service, running=running, minimum=minimum)
        return decision
