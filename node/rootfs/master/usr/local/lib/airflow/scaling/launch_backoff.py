"""How often a group whose launches fail is raised again."""

from __future__ import annotations

FIRST_SECONDS = 30.0
LONGEST_SECONDS = 600.0


class LaunchBackoff:
    """Doubles the wait after each request that was followed by another failed launch."""

    def __init__(self) -> None:
        self._wait = FIRST_SECONDS
        self._next_request: float | None = None

    def seconds_left(self, now: float, failure: str | None) -> float:
        """How long the group must not be raised; 0 if it may be. Without a failure the wait ends."""
        if failure is None:
            self._wait, self._next_request = FIRST_SECONDS, None
            return 0.0
        if self._next_request is None:
            self._next_request = now + self._wait
        return max(0.0, self._next_request - now)

    def asked(self, now: float) -> None:
        """To be called when the group was raised although its last launch failed."""
        self._wait = min(2 * self._wait, LONGEST_SECONDS)
        self._next_request = now + self._wait
