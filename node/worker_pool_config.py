"""What nodes are told of a worker pool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorkerPoolConfig:
    """A worker pool, as far as the stack file decides it. Its sizes are not here: whoever scales asks Auto Scaling.

    Attributes:
        group: the physical name of its autoscaling group.
        concurrency: tasks at a time on one worker.
        idle_seconds: how long a worker has nothing to do before it leaves.
        drain_limit_seconds: how long a worker that has to leave may finish its tasks.
        heartbeat_seconds: how long Auto Scaling waits for a leaving worker's next sign of life.
        boot_lead_seconds: from launch to the first task, until boots have been measured.
        workers_ahead: workers at most that are launched for work that is only due; 0 launches none.
    """

    name: str
    group: str
    queues: tuple[str, ...]
    concurrency: int
    idle_seconds: int
    drain_limit_seconds: int
    heartbeat_seconds: int
    boot_lead_seconds: int
    workers_ahead: int

    def worker_variables(self) -> dict[str, str]:
        """What the pool's own workers read. Whatever is in here replaces them when it changes."""
        return {
            "NODE_POOL": self.name,
            "NODE_QUEUES": ",".join(self.queues),
            "NODE_CONCURRENCY": str(self.concurrency),
            "NODE_IDLE_SECONDS": str(self.idle_seconds),
            "NODE_DRAIN_LIMIT_SECONDS": str(self.drain_limit_seconds),
            "NODE_HEARTBEAT_SECONDS": str(self.heartbeat_seconds),
        }


def for_masters(pools: Sequence[WorkerPoolConfig]) -> str:
    """The pools as the masters that scale them read them: compact JSON, equal for equal pools in any order."""
    told = {
        pool.name: {
            "group": pool.group,
            "queues": pool.queues,
            "concurrency": pool.concurrency,
            "idleSeconds": pool.idle_seconds,
            "bootLeadSeconds": pool.boot_lead_seconds,
            "workersAhead": pool.workers_ahead,
        }
        for pool in pools
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"))
