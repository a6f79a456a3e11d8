"""How many tasks a worker runs at a time, by the memory of its instance types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from aws_catalog import instance_types
from settings.errors import FaultyValue

if TYPE_CHECKING:
    from settings.stack import Settings, WorkerPoolSettings

# Debian, the idle worker's processes, then each slot's process and its task's supervisor, importing nothing large.
WORKER_GIB = 0.5
GIB_PER_TASK = 0.1
MOST_SLOTS = 1000


def known_memory(types: Sequence[str]) -> Mapping[str, float]:
    """GiB of each type whose name tells it."""
    return {kind: memory for kind in types if (memory := instance_types.memory_gib(kind)) is not None}


def fitting(memory_gib: float, task_gib: float) -> int:
    """Tasks of this memory that run beside the worker; 0 where not even one does."""
    # As it is written: 0.3 / 0.1 is less than 3 for a computer.
    return max(0, math.floor((Fraction(memory_gib) - Fraction(WORKER_GIB)) / Fraction(str(task_gib))))


def slots(pool: WorkerPoolSettings) -> int:
    """Tasks at a time on one worker of the pool, whichever of the two keys says it.

    Raises FaultyValue where they say nothing that can be true; the rules on pools name the fault.
    """
    if pool.concurrency is not None and pool.task_memory_gib is None:
        return pool.concurrency
    memory = known_memory(pool.instance_types)
    if pool.concurrency is None and pool.task_memory_gib is not None and len(memory) == len(pool.instance_types):
        number = fitting(min(memory.values()), pool.task_memory_gib)
        if 1 <= number <= MOST_SLOTS:
            return number
    raise FaultyValue("concurrency")


def of_all_pools(settings: Settings) -> int:
    """Tasks that the workers of all pools at maximum size run at a time."""
    return sum(pool.max_size * pool.task_slots for pool in settings.worker_pools.values())
