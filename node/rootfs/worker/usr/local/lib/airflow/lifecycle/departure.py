"""How a worker leaves of its own accord: it stops, and asks its group to be one smaller."""

from __future__ import annotations

from lifecycle.action import Action, Kind, Outcome, Result
from lifecycle.situation import Situation
from lifecycle.timer import Pace

STOP_AGAIN_SECONDS = 10.0
RETRY_SECONDS = 5.0
# A throttled call may pass. After this the worker is worth more at work than waiting.
PATIENCE_SECONDS = 60.0
# How long the group may take to begin with an instance that it has agreed to end.
AGREED_SECONDS = 600.0


class Departure:
    """One attempt to leave. Pure. `given_up` says why it came to nothing."""

    def __init__(self, *, why: str, was_retired: bool) -> None:
        self.why = why
        self.given_up: str | None = None
        self._was_retired = was_retired
        self._stop, self._ask = Pace(), Pace()
        self._first_asked: float | None = None
        self._agreed: float | None = None

    def decide(self, seen: Situation) -> list[Action]:
        """What to do now."""
        if seen.unit is None:
            return []
        if not seen.unit.is_down:
            return self._stop_worker(seen)
        if self._agreed is not None:
            if seen.now - self._agreed > AGREED_SECONDS:
                self.given_up = f"the group agreed {AGREED_SECONDS:.0f} s ago, and nothing happened"
            return []
        self.given_up = self.given_up or self._objection(seen)
        if self.given_up or not self._ask.is_due(seen.now):
            return []
        return [Action(Kind.LEAVE, self.why)]

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Note how an action went."""
        if action.kind is not Kind.LEAVE:
            return
        if self._first_asked is None:
            self._first_asked = now
        if result.outcome is Outcome.DONE:
            self._agreed = now
        elif result.outcome is Outcome.REFUSED or now - self._first_asked >= PATIENCE_SECONDS:
            self.given_up = result.message
        self._ask.rest(now, RETRY_SECONDS)

    def _stop_worker(self, seen: Situation) -> list[Action]:
        if seen.unit is None or not seen.unit.is_up or not self._stop.is_due(seen.now):
            return []
        self._stop.rest(seen.now, STOP_AGAIN_SECONDS)
        return [Action(Kind.STOP_WORKER, self.why)]

    def _objection(self, seen: Situation) -> str | None:
        """What has changed while the last tasks finished. Auto Scaling has the last word, but need not be bothered."""
        if self._was_retired:
            return "the masters want this worker back" if seen.retired is False else None
        if seen.group is not None and seen.group.desired <= seen.group.minimum:
            return f"the group is at its minimum of {seen.group.minimum}"
        return None
