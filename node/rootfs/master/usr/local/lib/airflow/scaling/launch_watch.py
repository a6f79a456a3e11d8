"""Checks whether the launches of a group succeed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scaling.launch_groups import LaunchGroup, LaunchGroups

# A launch fails within seconds. The check costs a call, so it is made only while instances are missing.
FIRST_QUESTION_SECONDS = 30
SECONDS_BETWEEN_QUESTIONS = 30
# The difference between the node's clock and Auto Scaling's.
CLOCK_TOLERANCE = timedelta(seconds=30)


class LaunchWatch:
    """The launches of one group. Times are seconds of a monotonic clock."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._short_since: float | None = None
        self._next_question = 0.0
        self._failure: str | None = None

    @property
    def last_failure(self) -> str | None:
        """The result of the last check, for a pass that cannot make one."""
        return self._failure

    def failure(self, now: float, group: LaunchGroup, groups: LaunchGroups) -> str | None:
        """Why the launches fail, in Auto Scaling's words; None while they succeed. Raises AutoScalingError."""
        if len(group.in_service) >= group.sizes.desired:
            self._short_since = self._failure = None
            return None
        if self._short_since is None:
            self._short_since = now
            self._next_question = now + FIRST_QUESTION_SECONDS
        if now >= self._next_question:
            self._next_question = now + SECONDS_BETWEEN_QUESTIONS
            began = datetime.now(UTC) - timedelta(seconds=now - self._short_since) - CLOCK_TOLERANCE
            self._failure = groups.launch_failure(self._name, began)
        return self._failure
