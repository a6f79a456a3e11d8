"""How many tasks a worker runs at a time, by the memory of its instance types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from aws_catalog import instance_types

# WORKER_GIB: Debian and the idle worker's processes. GIB_PER_TASK: a slot's process and the supervisor of its task,
# without what the task imports.
WORKER_GIB = 0.5
GIB_PER_TASK = 0.1
MOST_SLOTS = 1000


def known_memory(types: Sequence[str]) -> Mapping[str, float]:
    """GiB of each type whose memory follows from its name."""
    return {kind: memory for kind in types if (memory := instance_types.memory_gib(kind)) is not None}


def fitting(memory_gib: float, task_gib: float) -> int:
    """How many tasks of this memory fit beside the worker; 0 if not even one does."""
    # Fractions, because 0.3 / 0.1 is less than 3 in floating point.
    return max(0, math.floor((Fraction(memory_gib) - Fraction(WORKER_GIB)) / Fraction(str(task_gib))))
