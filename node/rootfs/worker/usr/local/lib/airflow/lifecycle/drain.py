"""How a node ends that has to: its worker finishes, Auto Scaling is kept waiting, and then told."""

from __future__ import annotations

from lifecycle.action import Action, Kind, Outcome, Result
from lifecycle.situation import Limits, Situation
from lifecycle.timer import Lasting, Pace

STOP_AGAIN_SECONDS = 10.0
# Tasks that are ended this long before a spot instance goes still get their last words out: Airflow tries them again
# at once instead of after a missed heartbeat. EC2 announces 120 s ahead.
SPOT_RESERVE_SECONDS = 30.0
END_AGAIN_SECONDS = 10.0
RETRY_SECONDS = 15.0
# The first attempt after the worker has stopped is the one that matters; the ones after it wait out a throttled API.
SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5.0, 60.0
# A drained node does no work and costs money. With its last task done there is nothing to lose by turning it off.
LAST_RESORT_SECONDS = 900.0


class Drain:
    """One drain, from the first sign to the end. Pure: it is told what is seen, and says what to do."""

    def __init__(self, limits: Limits, began: float) -> None:
        self._limits = limits
        self._began = began
        self._stop, self._heartbeat, self._end, self._go = Pace(), Pace(), Pace(), Pace()
        self._retry_seconds = SHORTEST_RETRY_SECONDS
        self._farewell = Kind.CONTINUE
        self._down = Lasting()
        self.is_over = False

    def decide(self, seen: Situation, why: str) -> list[Action]:
        """What to do now."""
        if seen.unit is None:
            return []
        down_for = self._down.seconds(seen.unit.is_down, seen.now)
        if not seen.unit.is_down:
            return [*self._stop_worker(seen, why), *self._keep_waiting(seen), *self._end_tasks(seen)]
        if not seen.terminating and seen.spot_end is None:
            return []
        return self._say_farewell(seen, down_for)

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Note how an action went."""
        failed = result.outcome is Outcome.FAILED
        if action.kind is Kind.HEARTBEAT:
            self._heartbeat.rest(now, RETRY_SECONDS if failed else self._limits.heartbeat / 3)
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

    def _stop_worker(self, seen: Situation, why: str) -> list[Action]:
        if seen.unit is None or not seen.unit.is_up or not self._stop.is_due(seen.now):
            return []
        self._stop.rest(seen.now, STOP_AGAIN_SECONDS)
        return [Action(Kind.STOP_WORKER, why)]

    def _keep_waiting(self, seen: Situation) -> list[Action]:
        if not seen.terminating or not self._heartbeat.is_due(seen.now):
            return []
        return [Action(Kind.HEARTBEAT, f"tasks have been finishing for {seen.now - self._began:.0f} s")]

    def _end_tasks(self, seen: Situation) -> list[Action]:
        why = self._time_is_up(seen)
        if why is None or seen.running == 0 or not self._end.is_due(seen.now):
            return []
        self._end.rest(seen.now, END_AGAIN_SECONDS)
        return [Action(Kind.END_TASKS, why)]

    def _time_is_up(self, seen: Situation) -> str | None:
        if seen.spot_end is not None and seen.now >= seen.spot_end - SPOT_RESERVE_SECONDS:
            return f"EC2 takes this spot instance back in {max(0.0, seen.spot_end - seen.now):.0f} s"
        if seen.now >= self._began + self._limits.drain:
            return f"the drain limit of {self._limits.drain:.0f} s is over"
        return None

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
