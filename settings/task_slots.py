"""How many tasks a worker runs at a time, by the memory of its instance types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from aws_catalog import instance_types

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
