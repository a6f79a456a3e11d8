"""How a node ends that has to: its worker finishes, Auto Scaling is kept waiting, and then told."""

from __future__ import annotations

from lifecycle.action import Action, Kind, Outcome, Result
from lifecycle.observation import Limits, Situation
from lifecycle.stopping import Stopping
from lifecycle.stopwatch import Lasting, Pace

RETRY_SECONDS = 15.0
# The first attempt after the worker has stopped is the one that matters; the ones after it wait out a throttled API.
SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 60.0
# A drained node does no work and costs money. With its last task done there is nothing to lose by turning it off.
LAST_RESORT_SECONDS = 900.0


class Drain:
    """One drain, from the first sign to the end. Pure: it is told what is seen, and says what to do.

    `began`: when the worker was first told to stop, by a departure maybe.
    """

    def __init__(self, limits: Limits, began: float) -> None:
        self._heartbeat_seconds = limits.heartbeat / 3
        self._stopping = Stopping(limits.drain, began)
        self._heartbeat, self._go = Pace(), Pace()
        self._retry_seconds = SHORTEST_RETRY_SECONDS
        self._farewell = Kind.CONTINUE
        self._down = Lasting()
        self.is_over = False

    def decide(self, seen: Situation, why: str) -> list[Action]:
        """What to do now."""
        if seen.unit is None:
            # Neither the hook nor EC2 waits until systemd answers.
            return [*self._keep_waiting(seen), *self._stopping.end_tasks(seen)]
        down_for = self._down.seconds(seen.unit.is_down, seen.now)
        if not seen.unit.is_down:
            stopping = self._stopping
            return [*stopping.stop_worker(seen, why), *self._keep_waiting(seen), *stopping.end_tasks(seen)]
        if not seen.terminating and seen.spot_end is None:
            return []
        return self._say_farewell(seen, down_for)

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Note how an action went."""
        failed = result.outcome is Outcome.FAILED
        if action.kind is Kind.HEARTBEAT:
            self._heartbeat.rest(now, RETRY_SECONDS if failed else self._heartbeat_seconds)
        elif action.kind in (Kind.CONTINUE, Kind.TERMINATE):
            self._turn(action.kind, result.outcome, now)

    def _turn(self, kind: Kind, outcome: Outcome, now: float) -> None:
        """After a hook that no longer waits (or never did) the group is asked directly; that may bring a hook, too."""
        if outcome is not Outcome.FAILED:
            self._farewell = Kind.TERMINATE if kind is Kind.CONTINUE else Kind.CONTINUE
        if kind is Kind.CONTINUE and outcome is Outcome.DONE:
            self.is_over = True
        elif kind is Kind.CONTINUE and outcome is Outcome.REFUSED:
            self._go.rest(now, 0)
        else:
            self._go.rest(now, self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _keep_waiting(self, seen: Situation) -> list[Action]:
        if not seen.terminating or not self._heartbeat.is_due(seen.now):
            return []
        return [Action(Kind.HEARTBEAT, f"tasks have been finishing for {seen.now - self._stopping.since:.0f} s")]

    def _say_farewell(self, seen: Situation, down_for: float) -> list[Action]:
        if down_for >= LAST_RESORT_SECONDS and self._go.is_due(seen.now):
            self._go.rest(seen.now, LONGEST_RETRY_SECONDS)
            return [Action(Kind.POWER_OFF, f"drained {down_for:.0f} s ago and still here")]
        if self.is_over or not self._go.is_due(seen.now):
            return []
        why = "the worker has stopped and all its tasks are finished"
        if self._farewell is Kind.TERMINATE:
            why += ", and no lifecycle action waits for that"
        return [Action(self._farewell, why)]
