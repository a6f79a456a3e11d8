"""Watches whether a group gets the instances that it wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scaling.launch_groups import LaunchGroup, LaunchGroups

# A launch that fails does so within seconds. Asking costs a call, so it is done only while instances are missing.
FIRST_QUESTION_SECONDS = 30
SECONDS_BETWEEN_QUESTIONS = 30
# The node's clock and Auto Scaling's are not the same.
CLOCK_TOLERANCE = timedelta(seconds=30)


class LaunchWatch:
    """Of one group. Times are seconds of a clock that only goes forward."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._short_since: float | None = None
        self._next_question = 0.0
        self._failure: str | None = None

    @property
    def last_failure(self) -> str | None:
        """What was said last, for a pass that cannot ask."""
        return self._failure

    def failure(self, now: float, group: LaunchGroup, groups: LaunchGroups) -> str | None:
        """What Auto Scaling says about the launches that fail; None while they work. Raises AutoScalingError."""
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
