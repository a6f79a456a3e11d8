"""Notices a worker on which tasks fail at once while they do not on its neighbours. Pure.

Such a worker is a black hole: it is always free, so it takes most of the tasks, and fails them. Load balancers call it
an outlier: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

# With fewer tasks it may be chance.
LEAST_TASKS = 5
OUTLIERS_SHARE = 0.5
# Of all neighbours' tasks together. If more fail, the cause is in the tasks, or in something that all workers use.
NEIGHBOURS_SHARE = 0.1


class Outcomes(Protocol):
    """How a worker's tasks have ended lately."""

    @property
    def failed_at_once(self) -> int: ...
    @property
    def others(self) -> int: ...


def is_suspect(own: Outcomes) -> bool:
    """Whether most of its tasks have failed at once; the tasks themselves may be at fault."""
    return own.failed_at_once >= LEAST_TASKS and _share(own.failed_at_once, own.others) >= OUTLIERS_SHARE


def reason(own: Outcomes, neighbours: Iterable[Outcomes]) -> str | None:
    """Why the worker is at fault and not its tasks; None if that cannot be said."""
    if not is_suspect(own):
        return None
    found = list(neighbours)
    failed, others = sum(each.failed_at_once for each in found), sum(each.others for each in found)
    if failed + others < LEAST_TASKS or _share(failed, others) > NEIGHBOURS_SHARE:
        return None
    return (
        f"{own.failed_at_once} of its last {own.failed_at_once + own.others} tasks failed at once, "
        f"and {failed} of {failed + others} on the other workers of its pool"
    )


def _share(failed: int, others: int) -> float:
    return failed / (failed + others)
