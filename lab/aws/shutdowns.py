"""Instances that are shutting down: EC2 does not assign their addresses again before they are off."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

SECONDS_TO_SHUT_DOWN = 60.0
"""The time that the lab gives a node to shut down."""


class Shutdowns:
    """The shutdowns in progress, in the order in which they began."""

    def __init__(self) -> None:
        self._in_progress: deque[tuple[float, Callable[[], None]]] = deque()

    def begin(self, now: float, release: Callable[[], None]) -> None:
        """An instance has begun to shut down; `release` frees its address."""
        self._in_progress.append((now + SECONDS_TO_SHUT_DOWN, release))

    def settle(self, now: float) -> None:
        """Free the addresses of the instances that are off by now."""
        while self._in_progress and self._in_progress[0][0] <= now:
            self._in_progress.popleft()[1]()
