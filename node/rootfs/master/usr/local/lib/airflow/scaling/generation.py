"""Decides which masters scale the pools while an instance refresh has masters of two generations running.

Their settings may differ: workers that are surplus by one generation's settings may be needed by the other's. So the
masters of one generation scale, and the others leave it to them. The generation is read from Auto Scaling, from a
response that every pass needs anyway and that no task can forge.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from scaling.launch_groups import LaunchGroup, Template

# systemd restarts a scaling service within seconds.
STAND_IN_AFTER_SECONDS = 60.0


class Role(Enum):
    """What a master does with the pools."""

    SCALES = "scales the pools"
    LEAVES_IT = "leaves the pools to the masters of another generation"
    STANDS_IN = "raises pools, because no master of the generation that scales does anything"


class Generation:
    """The role of one master among the others. Times are seconds of a monotonic clock."""

    def __init__(self, instance: str) -> None:
        """`instance`: this master's id."""
        self._instance = instance
        self._left_since: float | None = None

    def role(self, now: float, masters: LaunchGroup | None, is_scaled: Callable[[], bool]) -> Role:
        """What to do in this pass.

        Args:
            masters: their group; None if Auto Scaling does not know it.
            is_scaled: returns whether the scaling service of a master of the scaling generation runs.
        """
        if masters is None or self._instance in scaling_masters(masters):
            self._left_since = None
            return Role.SCALES
        if self._left_since is None or is_scaled():
            self._left_since = now
        # Too much capacity does no harm: so a master that stands in launches workers, and cordons none.
        return Role.STANDS_IN if now - self._left_since >= STAND_IN_AFTER_SECONDS else Role.LEAVES_IT


def scaling_masters(masters: LaunchGroup) -> frozenset[str]:
    """The masters that scale: those of the newest generation in service, or of the newest at all if none is in service.

    The newest generation is the one that the group launches now. It need not have the highest version: a refresh that
    is rolled back returns to a lower one. If no master is of that generation, it is the one with the highest version.
    """
    candidates = masters.in_service or masters.instances
    newest = max((_rank(masters, instance) for instance in candidates), default=None)
    return frozenset(instance for instance in candidates if _rank(masters, instance) == newest)


def _rank(masters: LaunchGroup, instance: str) -> tuple[bool, bool, int]:
    template = masters.templates[instance] or Template(id="", version=0)
    of_group = masters.template or template
    return template == of_group, template.id == of_group.id, template.version
