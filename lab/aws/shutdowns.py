"""Instances that are shutting down: EC2 gives their addresses to nobody else before they are off."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

SECONDS_TO_SHUT_DOWN = 60.0
"""As long as the lab lets a node take."""


class Shutdowns:
    """Those under way, in the order of their beginning."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[float, Callable[[], None]]] = deque()

    def begin(self, now: float, release: Callable[[], None]) -> None:
        """An instance has begun to shut down; `release` frees what it has."""
        self._under_way.append((now + SECONDS_TO_SHUT_DOWN, release))

    def settle(self, now: float) -> None:
        """Free what belongs to instances that are off by now."""
        while self._under_way and self._under_way[0][0] <= now:
            self._under_way.popleft()[1]()
