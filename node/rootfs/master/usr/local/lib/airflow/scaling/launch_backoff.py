"""How often a group that cannot launch is asked for more."""

from __future__ import annotations

FIRST_SECONDS = 30.0
LONGEST_SECONDS = 600.0


class LaunchBackoff:
    """Waits twice as long after each request that came to nothing."""

    def __init__(self) -> None:
        self._wait = FIRST_SECONDS
        self._next_request: float | None = None

    def seconds_left(self, now: float, failure: str | None) -> float:
        """How long the group must not be asked; 0 when it may be. No failure ends the waiting."""
        if failure is None:
            self._wait, self._next_request = FIRST_SECONDS, None
            return 0.0
        if self._next_request is None:
            self._next_request = now + self._wait
        return max(0.0, self._next_request - now)

    def asked(self, now: float) -> None:
        """The group was asked for more although its last launch failed."""
        self._wait = min(2 * self._wait, LONGEST_SECONDS)
        self._next_request = now + self._wait
