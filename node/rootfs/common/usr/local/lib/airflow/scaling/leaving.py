"""When a worker leaves its pool by itself."""

from __future__ import annotations

from scaling.pool import RETIRED, WORKING, Group


def may_leave(*, state: str, active: int, idle_seconds: float, limit_seconds: float, group: Group | None) -> bool:
    """Whether a worker may stop its service and terminate itself.

    A retired worker goes once its last task is finished: the masters have chosen it, and never too many. A working one
    goes after `limit_seconds` without a task, unless the group is at its minimum. `group` is None while no master has
    published it: then nobody would bring back what leaves, so a working one stays. Whatever this says, Auto Scaling has
    the last word: it refuses a termination below the minimum, also when two workers leave at once, and who is refused
    goes back to work.
    """
    if active:
        return False
    if state == RETIRED:
        return True
    return state == WORKING and idle_seconds >= limit_seconds and group is not None and group.desired > group.minimum
