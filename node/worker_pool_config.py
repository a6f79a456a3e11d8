"""The part of a worker pool's settings that its workers and the masters need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorkerPoolConfig:
    """A worker pool as the stack file defines it. Its sizes are not here: masters read them from Auto Scaling.

    Attributes:
        group: the physical name of its autoscaling group.
        concurrency: tasks at a time on one worker.
        idle_seconds: how long a worker has nothing to do before it leaves.
        drain_limit_seconds: how long a terminating worker may finish its tasks.
        heartbeat_seconds: how long Auto Scaling waits for a terminating worker's next heartbeat.
        boot_lead_seconds: from launch to the first task, until boots have been measured.
        workers_ahead: the most workers that are launched for tasks that are not queued yet; 0 launches none.
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
        """The variables of the pool's own workers. A change of one replaces them."""
        return {
            "NODE_POOL": self.name,
            "NODE_QUEUES": ",".join(self.queues),
            "NODE_CONCURRENCY": str(self.concurrency),
            "NODE_IDLE_SECONDS": str(self.idle_seconds),
            "NODE_DRAIN_LIMIT_SECONDS": str(self.drain_limit_seconds),
            "NODE_HEARTBEAT_SECONDS": str(self.heartbeat_seconds),
        }


def for_masters(pools: Sequence[WorkerPoolConfig]) -> str:
    """The pools for the masters, which scale them: compact JSON, equal for equal pools in any order."""
    pools_by_name = {
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
    return json.dumps(pools_by_name, sort_keys=True, separators=(",", ":"))
