"""The scale-in of a worker by its own decision: it stops, and its group becomes one smaller. Pure."""

from __future__ import annotations

from airflow_node.worker_registry import GroupSizes, WorkerState

from lifecycle.actions import Action, Kind, Outcome, Result
from lifecycle.drain import Stop
from lifecycle.observation import Observation
from lifecycle.stopwatch import Throttle

# A worker cancels its queues within two seconds. After this time the scale-in is given up; the health check takes over.
LET_GO_SECONDS = 30.0
REQUEST_RETRY_SECONDS = 5.0
# How long a throttled request is retried, and how long a group that has not responded may take to begin with the
# termination. After that the worker takes tasks again.
REQUEST_SECONDS = 60.0
# How long the group may take to begin with a termination that it has accepted.
AGREED_SECONDS = 600.0
# The reason for a refusal, usually the group's minimum, is not likely to change sooner.
PAUSE_SECONDS = 300.0


def may_scale_in(
    *, state: str, active: int, idle_seconds: float, limit_seconds: float, group: GroupSizes | None
) -> bool:
    """Whether a worker may stop and have its group become one smaller.

    A cordoned worker may when its last task is finished: the masters choose workers so that enough remain. A working
    one may after `limit_seconds` without a task, unless the group is at its minimum. While no master publishes the
    group's sizes (None), no master would launch a replacement, so a working one stays. In the end Auto Scaling decides:
    it refuses a termination below the minimum, also if two workers ask at the same time, and the refused worker works
    again.
    """
    if active:
        return False
    if state == WorkerState.CORDONED:
        return True
    is_idle = state == WorkerState.WORKING and idle_seconds >= limit_seconds
    return is_idle and group is not None and group.desired > group.minimum


class ScaleIn:
    """One attempt to scale in.

    The stop of a worker cannot be cancelled before its last task is finished. So the worker is cordoned first, and is
    stopped when it has reported that it consumes no queue and has no task.

    Attributes:
        given_up: why the attempt has failed; None while it continues.
        pause_seconds: how long to wait after it before another attempt.
        stop: the stop of the worker; None while it still consumes queues.
    """

    def __init__(self, *, reason: str, was_cordoned: bool, limit_seconds: float, stop: Stop | None = None) -> None:
        """`limit_seconds`: tasks are ended this long after the stop."""
        self.reason = reason
        self.was_cordoned = was_cordoned
        self.given_up: str | None = None
        self.pause_seconds = 0.0
        self.stop = stop
        self._limit_seconds = limit_seconds
        self._cordoned_at: float | None = None
        self._request = Throttle()
        self._first_request: float | None = None
        self._wait_until: float | None = None

    def decide(self, seen: Observation) -> list[Action]:
        """The actions of this pass."""
        if self.stop is None:
            return self._let_go(seen)
        if seen.unit is None or not seen.unit.is_down:
            return [*self.stop.stop_worker(seen, self.reason), *self.stop.end_tasks(seen)]
        return [] if self.given_up else self._ask_group(seen)

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Take the result of an action into account."""
        if action.kind is not Kind.SCALE_IN:
            return
        if self._first_request is None:
            self._first_request = now
        if result.outcome is Outcome.DONE:
            self._wait_until = now + AGREED_SECONDS
        elif not result.answered:
            # The group may have accepted the request. A second one would lower its capacity by two.
            self._wait_until = now + REQUEST_SECONDS
        elif result.outcome is Outcome.REFUSED or now - self._first_request >= REQUEST_SECONDS:
            self._give_up(result.message)
        self._request.pause(now, REQUEST_RETRY_SECONDS)

    def _let_go(self, seen: Observation) -> list[Action]:
        """Cordon the worker, and stop it when it consumes no queue and has no task."""
        if seen.unit is None:
            return []
        if self._cordoned_at is None:
            self._cordoned_at = seen.now
            return [] if self.was_cordoned else [Action(Kind.CORDON, self.reason)]
        if objection := self._objection(seen):
            self._give_up(objection, pause_seconds=0.0)
        elif seen.load:
            self._give_up("a task has arrived in the meantime", pause_seconds=0.0)
        elif self._has_let_go(seen, self._cordoned_at):
            self.stop = Stop(self._limit_seconds, seen.now)
            return self.stop.stop_worker(seen, self.reason)
        elif seen.now - self._cordoned_at >= LET_GO_SECONDS:
            self._give_up(f"the worker has not let go of its queues for {LET_GO_SECONDS:.0f} s")
        return []

    def _ask_group(self, seen: Observation) -> list[Action]:
        if self._wait_until is not None:
            if seen.now >= self._wait_until:
                self._give_up("the group was asked to end this instance, and has not")
            return []
        if objection := self._objection(seen):
            self._give_up(objection, pause_seconds=0.0)
            return []
        return [Action(Kind.SCALE_IN, self.reason)] if self._request.is_due(seen.now) else []

    def _has_let_go(self, seen: Observation, cordoned_at: float) -> bool:
        """Whether a report from after the cordon shows no queue and no task.

        The report of a worker without a connection shows no queue either, but that worker may have messages left.
        """
        if seen.unit is not None and seen.unit.is_down:
            return True
        worker = seen.worker
        if worker is None or seen.now - worker.age_seconds <= cordoned_at:
            return False
        return worker.connected and not worker.queues and worker.load == 0

    def _give_up(self, reason: str, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.given_up, self.pause_seconds = reason, pause_seconds

    def _objection(self, seen: Observation) -> str | None:
        """Why the worker must not leave any more; None if it may. Saves a request that Auto Scaling would refuse."""
        if self.was_cordoned:
            return "the masters have uncordoned this worker" if seen.cordoned is False else None
        if seen.queued:
            return f"{seen.queued} tasks wait in its queues"
        if seen.group is not None and seen.group.desired <= seen.group.minimum:
            return f"the group is at its minimum of {seen.group.minimum}"
        return None
