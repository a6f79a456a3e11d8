"""A worker pool from the stack file, and its workers as they report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_node.worker_registry import WorkerState


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One pool of the stack file.

    Attributes:
        group: name of its Auto Scaling group.
        queues: Celery queues that its workers consume.
        concurrency: tasks that one worker runs at a time; at least 1.
        idle_seconds: how long a worker that no task needs is kept.
        boot_lead_seconds: assumed time from a launch until the worker consumes, before boots were measured.
        workers_ahead: workers that the schedule alone may add; 0 disables scaling ahead.
    """

    name: str
    group: str
    queues: tuple[str, ...]
    concurrency: int
    idle_seconds: float
    boot_lead_seconds: float
    workers_ahead: int

    def workers_for(self, tasks: int) -> int:
        """How many workers are needed for this number of tasks."""
        return -(-tasks // self.concurrency)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker that has reported within the last half minute.

    Attributes:
        state: a `WorkerState`, or a state of a later release.
        slots: tasks that it can run at a time.
        active: tasks that it runs or has reserved.
        idle_seconds: how long it has had none.
    """

    instance: str
    state: str
    slots: int
    active: int
    idle_seconds: float

    @property
    def takes_no_more(self) -> bool:
        """Whether it takes no more tasks and no master can take it back.

        This is assumed of a state that this release does not know. So no task is expected to wait for such a worker, it
        is neither cordoned nor uncordoned, and its tasks are not counted as work for others.
        """
        return self.state not in (WorkerState.STARTING, WorkerState.WORKING, WorkerState.CORDONED)


def parse_pools(text: str) -> tuple[Pool, ...]:
    """The pools of NODE_POOLS, in their order. Raises ValueError with a sentence for the operator."""
    try:
        described: dict[str, dict[str, Any]] = json.loads(text)
        return tuple(_pool(name, values) for name, values in described.items())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"NODE_POOLS describes no worker pools ({type(error).__name__}: {error}); it is rendered with the node's "
            "user data, so deploy the stack again"
        ) from None


def _pool(name: str, values: dict[str, Any]) -> Pool:
    pool = Pool(
        name=name,
        group=str(values["group"]),
        queues=tuple(values["queues"]),
        concurrency=int(values["concurrency"]),
        idle_seconds=float(values["idleSeconds"]),
        boot_lead_seconds=float(values["bootLeadSeconds"]),
        workers_ahead=int(values["workersAhead"]),
    )
    if pool.concurrency < 1:
        raise ValueError(f"concurrency of {name} is {pool.concurrency}, at least 1 is needed")
    return pool
