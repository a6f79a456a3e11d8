"""What a pass of the controller costs, by the number of pools and workers: it reads the registry and decides."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airflow_node.worker_registry import GroupSizes, Report, WorkerRegistry, WorkerState

from scaling.pool import Pool, Worker
from scaling.scaler import PoolScaler

SIZES = ((1, 10), (10, 100), (10, 1_000), (100, 1_000), (100, 10_000))
PASSES = 5
GOAL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The median pass."""

    pools: int
    workers: int
    seconds: float


class StoredRegistry:
    """A broker that responds at once, so that only the controller's own work is measured."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts
        self._answers: list[object] = []

    def pipeline(self, **_: object) -> StoredRegistry:
        """This object queues its own commands."""
        return self

    def getrange(self, key: str, _start: int, _end: int) -> None:
        """Queue a command, like the methods below."""
        self._answers.append(self._texts.get(key, ""))

    def exists(self, key: str) -> None:
        self._answers.append(int(key in self._texts))

    def expire(self, _key: str, _seconds: int, **_: object) -> None:
        self._answers.append(0)

    def execute(self, **_: object) -> list[object]:
        """Return the responses to what was queued."""
        answers, self._answers = self._answers, []
        return answers


def measure(sizes: Sequence[tuple[int, int]] = SIZES) -> list[Cost]:
    """Measure several passes for each size (pools, workers)."""
    return [_measure(pools, workers) for pools, workers in sizes]


def _measure(pool_count: int, worker_count: int) -> Cost:
    pools = [_pool(number) for number in range(pool_count)]
    texts: dict[str, str] = {}
    instances: dict[str, list[str]] = defaultdict(list)
    for number in range(worker_count):
        report = Report(
            instance=f"i-{number:017x}",
            pool=pools[number % pool_count].name,
            state="retired" if number % 10 == 0 else "working",
            slots=16,
            active=number % 16,
            idle_seconds=0.0,
        )
        instances[report.pool].append(report.instance)
        texts[f"worker:{report.pool}:{report.instance}"] = json.dumps(asdict(report))
        if report.state == WorkerState.CORDONED:
            texts[f"retire:{report.pool}:{report.instance}"] = "1"
    stored: Any = StoredRegistry(texts)
    registry = WorkerRegistry(stored, stored)
    scalers = {pool.name: PoolScaler(pool) for pool in pools}
    size = worker_count // pool_count
    seconds = []
    for number in range(PASSES):
        start = time.perf_counter()
        _pass(registry, scalers, instances, now=number * 30.0, size=size)
        seconds.append(time.perf_counter() - start)
    return Cost(pools=pool_count, workers=worker_count, seconds=statistics.median(seconds))


def _pass(
    registry: WorkerRegistry,
    scalers: dict[str, PoolScaler],
    instances: Mapping[str, Collection[str]],
    *,
    now: float,
    size: int,
) -> None:
    workers: dict[str, list[Worker]] = defaultdict(list)
    for pool, some in instances.items():
        cordoned = registry.cordoned(pool, some)
        workers[pool] = [
            Worker(
                instance=report.instance,
                state=WorkerState.CORDONED if report.instance in cordoned else WorkerState.WORKING,
                slots=report.slots,
                active=report.active,
                idle_seconds=report.idle_seconds,
            )
            for report in registry.reports(pool, some)
        ]
    for name, scaler in scalers.items():
        in_service = {worker.instance for worker in workers[name]}
        scaler.decide(
            now,
            group=GroupSizes(minimum=0, maximum=2 * size, desired=size),
            running=7 * size,
            queued=size,
            expected=size,
            workers=workers[name],
            in_service=in_service,
            boot_seconds=60.0,
            launch_failure=None,
        )


def _pool(number: int) -> Pool:
    return Pool(
        name=f"pool-{number}",
        group=f"airflow-pool-{number}",
        queues=(f"queue-{number}",),
        concurrency=16,
        idle_seconds=60.0,
        boot_lead_seconds=180.0,
        workers_ahead=10,
    )
