"""How often a worker that leaves has to say that it is still at work, so that the hook holds it to its drain limit."""

from __future__ import annotations

import math

from aws_facts import limits

# A worker sends three signs of life in this time. Shorter ones would make many calls, and lose a node to a short fault
# of the network or of AWS's API.
_SHORTEST_SECONDS = 300
# The hook lets a node go after so many heartbeats. It has to outlast the drain limit, and the unit that enforces it.
_MARGIN = 1.05


def heartbeat_seconds(drain_limit_seconds: int) -> int:
    """The heartbeat timeout of the hook, in whole minutes where AWS's longest wait leaves the choice."""
    needed = math.ceil(drain_limit_seconds * _MARGIN / limits.HOOK_HEARTBEATS / 60) * 60
    longest = limits.HOOK_HOURS * 3600 // limits.HOOK_HEARTBEATS
    return min(max(_SHORTEST_SECONDS, needed), longest)
