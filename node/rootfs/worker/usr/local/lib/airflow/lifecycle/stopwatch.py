"""Timers that get the present time as an argument."""

from __future__ import annotations


class Stopwatch:
    """Measures how long a condition has held without a break."""

    def __init__(self) -> None:
        self._since: float | None = None

    def seconds(self, holds: bool, now: float) -> float:
        """Update the stopwatch; returns for how long the condition has held, 0 if it does not hold now."""
        if not holds:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since

    def reset(self) -> None:
        """Start again from zero."""
        self._since = None


class Throttle:
    """Limits how often something is done."""

    def __init__(self) -> None:
        self._not_before = float("-inf")

    def is_due(self, now: float) -> bool:
        return now >= self._not_before

    def pause(self, now: float, seconds: float) -> None:
        """Not due again before this many seconds have passed."""
        self._not_before = now + seconds
