"""What follows from workers that finish their tasks before they go."""

from __future__ import annotations

import math

from aws_catalog import limits

# A worker that has to leave works on beside its successor: at worst, when a pool at its maximum size is replaced, there
# are this many workers for each one that the stack file allows. There are never more at work: a worker of a third
# generation takes no tasks, and so replaces no worker, until there are fewer (await-admission).
GENERATIONS = 2

# A worker sends three signs of life in this time. Shorter ones would make many calls, and lose a node to a short fault
# of the network or of AWS's API.
_SHORTEST_SECONDS = 300
# The hook lets a node go after so many heartbeats. It has to outlast the drain limit, and the unit that enforces it.
_MARGIN = 1.05


def most_instances(max_size: int) -> int:
    """How many instances a pool can have: two generations, and a tenth of a third one, which a refresh launches before
    it terminates a worker (MAX_HEALTHY_PERCENT in components/autoscaling_group.py). Those wait until there is room."""
    return GENERATIONS * max_size + math.ceil(max_size / 10)


def heartbeat_seconds(drain_limit_seconds: int) -> int:
    """How often a leaving worker has to say that it is still at work, for the hook to hold it to its drain limit.

    In whole minutes where AWS's longest wait leaves the choice.
    """
    needed = math.ceil(drain_limit_seconds * _MARGIN / limits.HOOK_HEARTBEATS / 60) * 60
    longest = limits.HOOK_HOURS * 3600 // limits.HOOK_HEARTBEATS
    return min(max(_SHORTEST_SECONDS, needed), longest)
