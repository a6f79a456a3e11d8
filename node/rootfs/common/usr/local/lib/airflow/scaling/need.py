"""How many workers a pool has needed lately."""

from __future__ import annotations

from collections import deque

# After a longer silence nobody knows what was needed meanwhile, and the watching begins anew.
LONGEST_GAP_SECONDS = 60.0


class RecentNeed:
    """Remembers a number of workers for a while."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = 0.0
        # Falling: a need that a later one has reached cannot be the highest any more.
        self._highest: deque[tuple[float, int]] = deque()

    def note(self, now: float, needed: int) -> None:
        """Remember what is needed now."""
        if self._since is None or now - self._last > LONGEST_GAP_SECONDS:
            self._since = now
            self._highest.clear()
        self._last = now
        while self._highest and self._highest[-1][1] <= needed:
            self._highest.pop()
        self._highest.append((now, needed))

    def highest(self, window_seconds: float) -> int | None:
        """The most that was needed within the last so many seconds; None if the watching has not lasted so long."""
        if self._since is None or self._last - self._since < window_seconds:
            return None
        while self._highest[0][0] < self._last - window_seconds:
            self._highest.popleft()
        return self._highest[0][1]
