"""How a worker leaves of its own accord: it takes no more, stops, and asks its group to be one smaller."""

from __future__ import annotations

from airflow_node.worker_registry import GroupSizes, WorkerState

from lifecycle.action import Action, Kind, Outcome, Result
from lifecycle.observation import Situation
from lifecycle.stopping import Stopping
from lifecycle.stopwatch import Pace

# A worker obeys within a second or two; one that does not is a case for the watchdog.
REST_SECONDS = 30.0
RETRY_SECONDS = 5.0
# A throttled call may pass, and a group that gave no answer may begin. After this the worker is worth more at work.
PATIENCE_SECONDS = 60.0
# How long the group may take to begin with an instance that it has agreed to end.
AGREED_SECONDS = 600.0
# What refused a worker's leaving, a minimum as a rule, is not likely to change sooner.
LEAVE_AGAIN_SECONDS = 300.0


def may_leave(*, state: str, active: int, idle_seconds: float, limit_seconds: float, group: GroupSizes | None) -> bool:
    """Whether a worker may stop its service and terminate itself.

    A retired worker goes once its last task is finished: the masters have chosen it, and never too many. A working one
    goes after `limit_seconds` without a task, unless the group is at its minimum. `group` is None while no master has
    published it: then nobody would bring back what leaves, so a working one stays. Whatever this says, Auto Scaling has
    the last word: it refuses a termination below the minimum, also when two workers leave at once, and who is refused
    goes back to work.
    """
    if active:
        return False
    if state == WorkerState.CORDONED:
        return True
    return (
        state == WorkerState.WORKING
        and idle_seconds >= limit_seconds
        and group is not None
        and group.desired > group.minimum
    )


class Departure:
    """One attempt to leave. Pure.

    A worker that is stopped cannot be called back before its last task is finished. So it is asked to rest first, and
    stopped when it has said that it takes nothing more and has nothing left.

    Attributes:
        given_up: why it came to nothing; None while it has not.
        pause_seconds: how long to wait then before another attempt.
        stopping: of a worker that rests, or has been told to stop before a restart of this service.
    """

    def __init__(self, *, why: str, was_retired: bool, limit_seconds: float, stopping: Stopping | None = None) -> None:
        """`limit_seconds`: after this time of stopping, tasks are ended."""
        self.why = why
        self.was_retired = was_retired
        self.given_up: str | None = None
        self.pause_seconds = 0.0
        self.stopping = stopping
        self._limit_seconds = limit_seconds
        self._resting_since: float | None = None
        self._ask = Pace()
        self._first_asked: float | None = None
        self._wait_until: float | None = None

    def decide(self, seen: Situation) -> list[Action]:
        """What to do now."""
        if self.stopping is None:
            return self._rest(seen)
        if seen.unit is None or not seen.unit.is_down:
            return [*self.stopping.stop_worker(seen, self.why), *self.stopping.end_tasks(seen)]
        return [] if self.given_up else self._ask_group(seen)

    def learn(self, action: Action, result: Result, now: float) -> None:
        """Note how an action went."""
        if action.kind is not Kind.LEAVE:
            return
        if self._first_asked is None:
            self._first_asked = now
        if result.outcome is Outcome.DONE:
            self._wait_until = now + AGREED_SECONDS
        elif not result.answered:
            # It may have agreed. Asked twice, it would become two smaller.
            self._wait_until = now + PATIENCE_SECONDS
        elif result.outcome is Outcome.REFUSED or now - self._first_asked >= PATIENCE_SECONDS:
            self._give_up(result.message)
        self._ask.rest(now, RETRY_SECONDS)

    def _rest(self, seen: Situation) -> list[Action]:
        """Have it take no more, and see what it took in the last moment."""
        if seen.unit is None:
            return []
        if self._resting_since is None:
            self._resting_since = seen.now
            return [] if self.was_retired else [Action(Kind.RETIRE, self.why)]
        if objection := self._objection(seen):
            self._give_up(objection, pause_seconds=0.0)
        elif seen.load:
            self._give_up("a task came in the last moment", pause_seconds=0.0)
        elif self._is_at_rest(seen, self._resting_since):
            self.stopping = Stopping(self._limit_seconds, seen.now)
            return self.stopping.stop_worker(seen, self.why)
        elif seen.now - self._resting_since >= REST_SECONDS:
            self._give_up(f"the worker has not let go of its queues for {REST_SECONDS:.0f} s")
        return []

    def _ask_group(self, seen: Situation) -> list[Action]:
        if self._wait_until is not None:
            if seen.now >= self._wait_until:
                self._give_up("the group has been asked, and does nothing")
            return []
        if objection := self._objection(seen):
            self._give_up(objection, pause_seconds=0.0)
            return []
        return [Action(Kind.LEAVE, self.why)] if self._ask.is_due(seen.now) else []

    def _is_at_rest(self, seen: Situation, asked: float) -> bool:
        """Whether it has said so since it was asked. One that is not connected names no queue, whatever it is up to."""
        if seen.unit is not None and seen.unit.is_down:
            return True
        worker = seen.worker
        if worker is None or seen.now - worker.age_seconds <= asked:
            return False
        return worker.connected and not worker.queues and worker.load == 0

    def _give_up(self, why: str, *, pause_seconds: float = LEAVE_AGAIN_SECONDS) -> None:
        self.given_up, self.pause_seconds = why, pause_seconds

    def _objection(self, seen: Situation) -> str | None:
        """What has changed while the last tasks finished. Auto Scaling has the last word, but need not be bothered."""
        if self.was_retired:
            return "the masters want this worker back" if seen.retired is False else None
        if seen.queued:
            return f"{seen.queued} tasks wait in its queues"
        if seen.group is not None and seen.group.desired <= seen.group.minimum:
            return f"the group is at its minimum of {seen.group.minimum}"
        return None
