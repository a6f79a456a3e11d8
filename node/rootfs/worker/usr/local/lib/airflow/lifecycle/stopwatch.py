"""Pure clocks: they are told the time and never ask for it."""

from __future__ import annotations


class Lasting:
    """How long something has held without a break."""

    def __init__(self) -> None:
        self._since: float | None = None

    def seconds(self, holds: bool, now: float) -> float:
        """Note whether it holds now; returns for how long it has, 0 if it does not."""
        if not holds:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since

    def reset(self) -> None:
        """Count anew."""
        self._since = None


class Pace:
    """Lets something happen at most once in a time."""

    def __init__(self) -> None:
        self._not_before = float("-inf")

    def is_due(self, now: float) -> bool:
        return now >= self._not_before

    def rest(self, now: float, seconds: float) -> None:
        """Not again before so many seconds have passed."""
        self._not_before = now + seconds
