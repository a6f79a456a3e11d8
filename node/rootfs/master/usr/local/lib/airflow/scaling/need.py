"""How many workers a pool has needed in the last minutes."""

from __future__ import annotations

import math
from collections import deque

# After a longer gap it is not known what was needed meanwhile, and the window starts again.
LONGEST_GAP_SECONDS = 60.0
# If the need rises and falls by at most this share, or by one worker, it is likely to rise again before a new worker
# has booted. A larger fall is the end of a burst. Both values come from the simulation in `bench/scaling`.
RIPPLE_SHARE = 0.2
RIPPLE_SECONDS = 450.0


class RecentNeed:
    """Remembers the need of the last minutes."""

    def __init__(self, window_seconds: float) -> None:
        """`window_seconds`: the largest need within this time is kept in any case."""
        self._window = window_seconds
        self._since: float | None = None
        self._needs: deque[tuple[float, int]] = deque()

    def note(self, now: float, needed: int) -> None:
        """Remember what is needed now."""
        if self._since is None or now - self._needs[-1][0] > LONGEST_GAP_SECONDS:
            self._since = now
            self._needs.clear()
        self._needs.append((now, needed))
        while self._needs[0][0] < now - max(self._window, RIPPLE_SECONDS):
            self._needs.popleft()

    def worth_keeping(self) -> int | None:
        """How many workers to keep; None until a whole window was observed."""
        if self._since is None or self._needs[-1][0] - self._since < self._window:
            return None
        start = self._needs[-1][0] - self._window
        in_window = max(needed for at, needed in self._needs if at >= start)
        before = max(needed for _, needed in self._needs)
        return before if before <= in_window + math.ceil(RIPPLE_SHARE * in_window) else in_window
