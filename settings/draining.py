"""What draining workers need: time, heartbeats, and room beside their successors."""

from __future__ import annotations

import math

from aws_catalog import limits

# A draining worker runs beside its successor. When a pool at its maximum size is replaced, at most this
# many workers run tasks for each one that the stack file allows: a worker of a third generation takes no tasks, and so
# replaces no worker, until there are fewer (await-admission).
GENERATIONS = 2

# A worker sends three heartbeats in this time. A shorter timeout would cause many calls, and a short failure of
# the network or of AWS's API would terminate a node.
_SHORTEST_SECONDS = 300
# The hook ends after HOOK_HEARTBEATS times its timeout. It has to outlast the drain limit and the unit's stop timeout.
_MARGIN = 1.05


def most_instances(max_size: int) -> int:
    """How many instances a pool can have: two generations, and a tenth of a third, which a refresh launches before it
    terminates a worker (MAX_HEALTHY_PERCENT in components/autoscaling_group.py). The
    workers of the third generation wait until there is room."""
    return GENERATIONS * max_size + math.ceil(max_size / 10)


def heartbeat_seconds(drain_limit_seconds: int) -> int:
    """The heartbeat timeout with which the hook holds a draining worker until its drain limit.

    It is in whole minutes, unless that exceeds the longest timeout that AWS allows.
    """
    needed = math.ceil(drain_limit_seconds * _MARGIN / limits.HOOK_HEARTBEATS / 60) * 60
    longest = limits.HOOK_HOURS * 3600 // limits.HOOK_HEARTBEATS
    return min(max(_SHORTEST_SECONDS, needed), longest)
